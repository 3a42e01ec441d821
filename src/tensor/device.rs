//! Where memory lies.

use crate::{Error, Result, bail};
use std::any::Any;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Memory that the CPU cannot address. Writes and reads happen in the order of the calls.
pub trait DeviceBuffer: Send + Sync {
    /// Reads bytes: waits until the device has done everything asked of it so far.
    fn download(&self, offset_bytes: usize, to: &mut [u8]) -> Result<()>;
    fn upload(&self, offset_bytes: usize, from: &[u8]) -> Result<()>;
    fn as_any(&self) -> &dyn Any;
}

/// What makes such memory: the gpu crate, where it is built in.
pub trait Backend: Sync {
    /// Memory on device `index`, zeros or arbitrary contents.
    fn allocate(&self, index: u16, len_bytes: usize, zeroed: bool) -> Result<Box<dyn DeviceBuffer>>;
}

static BACKEND: OnceLock<&'static dyn Backend> = OnceLock::new();

/// Makes `Device::Gpu` work; the first call counts.
pub fn register(backend: &'static dyn Backend) {
    let _ = BACKEND.set(backend);
}

pub(crate) fn allocate(index: u16, len_bytes: usize, zeroed: bool) -> Result<Box<dyn DeviceBuffer>> {
    match BACKEND.get() {
        Some(backend) => backend.allocate(index, len_bytes, zeroed),
        None => Err(Error::Runtime("rustnn was built without the gpu feature".into())),
    }
}

/// An address that stands for device memory, so that overlaps are found and `data_ptr` tells tensors apart. No such address is
/// ever mapped: on 64-bit machines the canonical user space ends far below.
pub(crate) fn stand_in_address(len_bytes: usize) -> *mut u8 {
    const GRANULE_BYTES: usize = 256;
    static NEXT: AtomicUsize = AtomicUsize::new(1 << (usize::BITS - 4));
    let len = len_bytes.next_multiple_of(GRANULE_BYTES) + GRANULE_BYTES;
    std::ptr::without_provenance_mut(NEXT.fetch_add(len, Relaxed))
}

/// A device; index 0 is the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Device {
    Cpu,
    /// Shapes and dtypes without data.
    Meta,
    Gpu(u16),
}

impl Device {
    pub fn kind(self) -> &'static str {
        match self {
            Device::Cpu => "cpu",
            Device::Meta => "meta",
            Device::Gpu(_) => "gpu",
        }
    }

    pub fn is_gpu(self) -> bool {
        matches!(self, Device::Gpu(_))
    }

    /// Parses `cpu`, `cpu:0`, `meta`, `gpu`, `gpu:1`.
    pub fn parse(text: &str) -> Result<Device> {
        let (kind, index) = match text.split_once(':') {
            None => (text, None),
            Some((kind, index)) => match index.parse::<u16>() {
                // The last number is that of a device that checks shaders and runs nothing.
                Ok(i) if i < u16::MAX && (index == "0" || !index.starts_with('0')) => (kind, Some(i)),
                _ => bail!(Runtime, "Invalid device string: '{text}'"),
            },
        };
        match kind {
            "cpu" => match index {
                None | Some(0) => Ok(Device::Cpu),
                Some(i) => Err(Error::Runtime(format!("CPU device index must be -1 or zero, got {i}"))),
            },
            "meta" => Ok(Device::Meta),
            "gpu" => Ok(Device::Gpu(index.unwrap_or(0))),
            "" => bail!(Runtime, "Device string must not be empty"),
            "cuda" | "mps" | "xpu" | "mtia" | "ipu" | "hpu" | "xla" | "privateuseone" => {
                bail!(Runtime, "rustnn has no '{kind}' device: use 'cpu', or 'gpu' in a build with the gpu feature")
            }
            _ => bail!(Runtime, "Expected one of cpu, gpu, meta device type at start of device string: {text}"),
        }
    }
}

impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self {
            Device::Gpu(i) => write!(f, "gpu:{i}"),
            _ => f.write_str(self.kind()),
        }
    }
}
