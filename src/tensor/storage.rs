//! Storages: the memory behind tensors, shared by views.

use crate::allocator::{self, Block};
use crate::device::{self, DeviceBuffer};
use crate::{Device, Result};
use std::any::Any;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::*, fence};

/// What keeps a storage's memory alive.
enum Owner {
    /// Where `inline`, the header itself lies at the block's start.
    Block {
        _block: Block,
        inline: bool,
    },
    /// A NumPy array, a mapped file, …: whatever it is, dropping it ends the memory.
    Foreign {
        _owner: Box<dyn Any + Send + Sync>,
    },
    Device {
        buffer: Box<dyn DeviceBuffer>,
    },
    /// The meta device.
    Nothing,
}

/// The header of a storage.
struct Inner {
    references: AtomicUsize,
    ptr: *mut u8,
    len_bytes: usize,
    owner: Owner,
    /// Counts in-place writes through any view that has no counter of its own.
    version: AtomicU32,
    device: Device,
    writable: bool,
}

/// Bytes before the memory of a small storage, where its header lies: one allocation instead of two, and the data keeps its
/// alignment.
const HEADER_BYTES: usize = allocator::ALIGN_BYTES;
/// Up to this many bytes the header costs one cache line; larger blocks are rounded up to coarser sizes, of which most tensors
/// fill one exactly.
const INLINE_BYTES: usize = 512 - HEADER_BYTES;
const _: () = assert!(size_of::<Inner>() <= HEADER_BYTES);

/// A shared piece of memory on one device. Counts its references itself: the last one, as most are, is dropped without a locked
/// instruction.
pub struct Storage(NonNull<Inner>);

// SAFETY: the memory is plain bytes, reached only through raw pointers in kernels, never through references; the header is
// counted atomically, and its owners are Send and Sync. What no type can see, since tensors share memory as PyTorch's do, is
// left to programs, and docs say so: whoever writes a tensor in place while another thread uses its memory races, which is
// undefined behaviour. Ops that only make new tensors never write what they are given.
unsafe impl Send for Storage {}
// SAFETY: as above.
unsafe impl Sync for Storage {}

impl Clone for Storage {
    #[inline]
    fn clone(&self) -> Self {
        self.inner().references.fetch_add(1, Relaxed);
        Storage(self.0)
    }
}

impl Drop for Storage {
    #[inline]
    fn drop(&mut self) {
        let references = &self.inner().references;
        // A count of 1 is ours, and nobody can raise it; else as `Arc` does.
        if references.load(Acquire) != 1 {
            if references.fetch_sub(1, Release) != 1 {
                return;
            }
            fence(Acquire);
        }
        // SAFETY: this was the last reference. An inline header is read out before its block goes; every other is a box.
        unsafe {
            match &raw const (*self.0.as_ptr()).owner {
                owner if matches!(&*owner, Owner::Block { inline: true, .. }) => drop(owner.read()),
                _ => drop(Box::from_raw(self.0.as_ptr())),
            }
        }
    }
}

impl Storage {
    #[inline]
    fn inner(&self) -> &Inner {
        // SAFETY: the header lives as long as a reference.
        unsafe { self.0.as_ref() }
    }

    fn boxed(ptr: *mut u8, len_bytes: usize, device: Device, writable: bool, owner: Owner) -> Storage {
        let references = AtomicUsize::new(1);
        Storage(NonNull::from(Box::leak(Box::new(Inner {
            references,
            ptr,
            len_bytes,
            owner,
            version: AtomicU32::new(0),
            device,
            writable,
        }))))
    }

    fn new(ptr: *mut u8, len_bytes: usize, device: Device, owner: Owner) -> Storage {
        Storage::boxed(ptr, len_bytes, device, true, owner)
    }

    /// Memory with arbitrary contents.
    #[inline]
    pub fn uninit(len_bytes: usize, device: Device) -> Result<Storage> {
        if device == Device::Cpu && len_bytes <= INLINE_BYTES {
            Storage::small(len_bytes)
        } else {
            Storage::allocate(len_bytes, device, false)
        }
    }

    pub fn zeroed(len_bytes: usize, device: Device) -> Result<Storage> {
        if device == Device::Cpu && len_bytes <= INLINE_BYTES {
            let storage = Storage::small(len_bytes)?;
            // SAFETY: fresh memory of that size.
            unsafe { storage.ptr().write_bytes(0, len_bytes) };
            return Ok(storage);
        }
        Storage::allocate(len_bytes, device, true)
    }

    /// Header and memory in one block.
    #[inline]
    fn small(len_bytes: usize) -> Result<Storage> {
        let block = allocator::allocate(HEADER_BYTES + len_bytes)?;
        let inner = block.start().cast::<Inner>();
        // SAFETY: the block is aligned to cache lines, holds the header and behind it `len_bytes`, and is nobody else's.
        unsafe {
            let ptr = block.ptr().add(HEADER_BYTES);
            let owner = Owner::Block { _block: block, inline: true };
            let (references, version) = (AtomicUsize::new(1), AtomicU32::new(0));
            inner.write(Inner { references, ptr, len_bytes, owner, version, device: Device::Cpu, writable: true });
        }
        Ok(Storage(inner))
    }

    fn allocate(len_bytes: usize, device: Device, zeroed: bool) -> Result<Storage> {
        match device {
            Device::Cpu => {
                let block = if zeroed { allocator::allocate_zeroed(len_bytes)? } else { allocator::allocate(len_bytes)? };
                Ok(Storage::new(block.ptr(), len_bytes, device, Owner::Block { _block: block, inline: false }))
            }
            Device::Meta => Ok(Storage::new(std::ptr::null_mut(), len_bytes, device, Owner::Nothing)),
            Device::Gpu(index) => Storage::on_gpu(len_bytes, index, zeroed),
        }
    }

    #[cold]
    fn on_gpu(len_bytes: usize, index: u16, zeroed: bool) -> Result<Storage> {
        let buffer = device::allocate(index, len_bytes, zeroed)?;
        Ok(Storage::new(device::stand_in_address(len_bytes), len_bytes, Device::Gpu(index), Owner::Device { buffer }))
    }

    /// Memory of others.
    ///
    /// # Safety
    /// `ptr` is valid for `len_bytes` reads, and writes where `writable`, as long as `owner` lives.
    pub unsafe fn foreign(ptr: *mut u8, len_bytes: usize, writable: bool, owner: Box<dyn Any + Send + Sync>) -> Storage {
        Storage::boxed(ptr, len_bytes, Device::Cpu, writable, Owner::Foreign { _owner: owner })
    }

    /// The memory of a device other than the CPU and meta.
    pub fn device_buffer(&self) -> Option<&dyn DeviceBuffer> {
        match &self.inner().owner {
            Owner::Device { buffer } => Some(&**buffer),
            _ => None,
        }
    }

    /// The address; of memory that can be accessed only on the CPU.
    #[inline]
    pub fn ptr(&self) -> *mut u8 {
        self.inner().ptr
    }

    pub fn len_bytes(&self) -> usize {
        self.inner().len_bytes
    }

    #[inline]
    pub fn device(&self) -> Device {
        self.inner().device
    }

    pub fn is_writable(&self) -> bool {
        self.inner().writable
    }

    pub fn same(&self, other: &Storage) -> bool {
        self.0 == other.0
    }

    /// Whether this is the only reference.
    pub fn is_unique(&self) -> bool {
        self.inner().references.load(Acquire) == 1
    }

    /// A number that tells living storages apart.
    pub fn id(&self) -> usize {
        self.0.as_ptr() as usize
    }

    pub fn version(&self) -> u32 {
        self.inner().version.load(Acquire)
    }

    pub fn bump_version(&self) {
        self.inner().version.fetch_add(1, AcqRel);
    }
}

impl std::fmt::Debug for Storage {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "Storage({} bytes on {})", self.inner().len_bytes, self.inner().device)
    }
}
