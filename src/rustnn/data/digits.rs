//! Handwritten digits of 8×8 pixels.

use super::TensorDataset;
use crate::{Error, Result, Tensor};

const TRAIN: usize = 1437;
const TEST: usize = 360;
const PIXELS: usize = 64;

/// 1,797 handwritten digits, for training (1,437) and testing (360): images (N, 1, 8, 8) in 0..1 and labels (N). The same as
/// `rustnn.datasets.digits()` of the Python package; part of the program.
///
/// Source: E. Alpaydin and C. Kaynak 1998, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository,
/// CC BY 4.0.
///
/// ```
/// # fn main() -> rustnn::Result<()> {
/// use rustnn::data::{Dataset, digits};
/// let (train, test) = digits()?;
/// assert_eq!((train.len(), test.len()), (1437, 360));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If memory does not suffice.
pub fn digits() -> Result<(TensorDataset, TensorDataset)> {
    let packed = include_bytes!("../../../python/rustnn/datasets/digits.xz");
    let mut bytes = Vec::new();
    lzma_rs::xz_decompress(&mut &packed[..], &mut bytes).map_err(|error| Error::value(format!("digits.xz: {error}")))?;
    let count = TRAIN + TEST;
    if bytes.len() != count * (1 + PIXELS) {
        return Err(Error::value(format!("digits.xz holds {} bytes", bytes.len())));
    }
    let (labels, pixels) = bytes.split_at(count);
    let labels: Vec<i64> = labels.iter().map(|&l| l.into()).collect();
    let pixels: Vec<f32> = pixels.iter().map(|&p| f32::from(p) / 16.0).collect();
    let part = |start: usize, len: usize| {
        TensorDataset::new(vec![
            Tensor::new(&pixels[start * PIXELS..(start + len) * PIXELS], [len, 1, 8, 8])?,
            Tensor::new(&labels[start..start + len], [len])?,
        ])
    };
    Ok((part(0, TRAIN)?, part(TRAIN, TEST)?))
}
