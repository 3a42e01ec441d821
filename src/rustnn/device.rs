//! Where new tensors lie.

use crate::Device;

/// Calls `f`; tensors, layers and states that it makes on this thread, and names no device for, lie on `device`.
///
/// ```
/// # fn main() -> rustnn::Result<()> {
/// use rustnn::{Device, nn::Linear, with_device};
/// // Shapes without memory, for counting.
/// let layer = with_device(Device::Meta, || Linear::new(1 << 20, 1 << 20))?;
/// assert_eq!(layer.weight.device(), Device::Meta);
/// # Ok(())
/// # }
/// ```
pub fn with_device<R>(device: Device, f: impl FnOnce() -> R) -> R {
    /// Puts the former one back, also when `f` panics.
    struct Restore(Device);
    impl Drop for Restore {
        fn drop(&mut self) {
            rustnn_ops::set_default_device(self.0);
        }
    }
    let _restore = Restore(rustnn_ops::set_default_device(device));
    f()
}
