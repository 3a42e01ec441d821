//! Storages: the memory behind tensors, shared by views.

use crate::allocator::{self, Block};
use crate::device::{self, DeviceBuffer};
use crate::{Device, Result};
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::*};

/// What keeps a storage's memory alive.
enum Owner {
    Block {
        _block: Block,
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

struct Inner {
    ptr: *mut u8,
    len_bytes: usize,
    device: Device,
    writable: bool,
    /// Counts in-place writes through any view that has no counter of its own.
    version: AtomicU32,
    owner: Owner,
}

// SAFETY: the memory is plain bytes. Unsynchronised writes from several threads give unspecified values in the tensors
// concerned (the rule that docs state), reached only through raw pointers in kernels, never through references.
unsafe impl Send for Inner {}
// SAFETY: as above.
unsafe impl Sync for Inner {}

/// A shared piece of memory on one device.
#[derive(Clone)]
pub struct Storage(Arc<Inner>);

impl Storage {
    fn new(ptr: *mut u8, len_bytes: usize, device: Device, owner: Owner) -> Storage {
        Storage(Arc::new(Inner { ptr, len_bytes, device, writable: true, version: AtomicU32::new(0), owner }))
    }

    /// Memory with arbitrary contents.
    #[inline]
    pub fn uninit(len_bytes: usize, device: Device) -> Result<Storage> {
        Storage::allocate(len_bytes, device, false, allocator::allocate)
    }

    pub fn zeroed(len_bytes: usize, device: Device) -> Result<Storage> {
        Storage::allocate(len_bytes, device, true, allocator::allocate_zeroed)
    }

    #[inline]
    fn allocate(len_bytes: usize, device: Device, zeroed: bool, from: fn(usize) -> Result<Block>) -> Result<Storage> {
        match device {
            Device::Cpu => {
                let block = from(len_bytes)?;
                Ok(Storage::new(block.ptr(), len_bytes, device, Owner::Block { _block: block }))
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
        Storage(Arc::new(Inner {
            ptr,
            len_bytes,
            device: Device::Cpu,
            writable,
            version: AtomicU32::new(0),
            owner: Owner::Foreign { _owner: owner },
        }))
    }

    /// The memory of a device other than the CPU and meta.
    pub fn device_buffer(&self) -> Option<&dyn DeviceBuffer> {
        match &self.0.owner {
            Owner::Device { buffer } => Some(&**buffer),
            _ => None,
        }
    }

    /// The address; of memory that can be accessed only on the CPU.
    #[inline]
    pub fn ptr(&self) -> *mut u8 {
        self.0.ptr
    }

    pub fn len_bytes(&self) -> usize {
        self.0.len_bytes
    }

    #[inline]
    pub fn device(&self) -> Device {
        self.0.device
    }

    pub fn is_writable(&self) -> bool {
        self.0.writable
    }

    pub fn same(&self, other: &Storage) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Whether this is the only reference.
    pub fn is_unique(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    /// A number that tells living storages apart.
    pub fn id(&self) -> usize {
        Arc::as_ptr(&self.0) as usize
    }

    pub fn version(&self) -> u32 {
        self.0.version.load(Acquire)
    }

    pub fn bump_version(&self) {
        self.0.version.fetch_add(1, AcqRel);
    }
}

impl std::fmt::Debug for Storage {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "Storage({} bytes on {})", self.0.len_bytes, self.0.device)
    }
}
