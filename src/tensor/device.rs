//! Where memory lies.

use crate::{Error, Result, bail};

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

    /// Parses `cpu`, `cpu:0`, `meta`, `gpu`, `gpu:1`.
    pub fn parse(text: &str) -> Result<Device> {
        let (kind, index) = match text.split_once(':') {
            None => (text, None),
            Some((kind, index)) => match index.parse::<u16>() {
                Ok(i) if index == "0" || !index.starts_with('0') => (kind, Some(i)),
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
