//! Softmax over very many classes, the rare ones in clusters of lower width.

use super::{Forward, Linear, Module, Sequential};
use crate::tensor::signed;
use crate::{Error, Result, Tensor};
use rustnn_ops::index;

/// The log-probability of each target class, with classes sorted by frequency into clusters. Grave et al. 2016,
/// arXiv:1609.04309. Composed as the Python package composes it.
///
/// ```
/// # fn main() -> rustnn::Result<()> {
/// use rustnn::{Tensor, nn::AdaptiveLogSoftmaxWithLoss};
/// let layer = AdaptiveLogSoftmaxWithLoss::new(8, 20, &[5, 10])?;
/// let x = Tensor::ones([3, 8])?;
/// let (output, loss) = layer.forward(&x, &Tensor::new(&[0i64, 7, 19], [3])?)?;
/// assert_eq!((output.shape(), loss.rank()), (&[3][..], 0));
/// assert_eq!(layer.log_prob(&x)?.shape(), [3, 20]);
/// # Ok(())
/// # }
/// ```
#[derive(Module)]
pub struct AdaptiveLogSoftmaxWithLoss {
    /// The frequent classes, and one entry for each cluster.
    pub head: Linear,
    /// The clusters: to a lower width, and from it to the classes.
    pub tail: Vec<Sequential>,
    /// Where the clusters begin, and the number of classes.
    #[module(skip)]
    cutoffs: Vec<usize>,
}

impl AdaptiveLogSoftmaxWithLoss {
    /// Clusters begin at the cutoffs; each is four times narrower than the one before it.
    ///
    /// # Errors
    /// If the cutoffs do not rise between 1 and `n_classes - 1`.
    pub fn new(in_features: usize, n_classes: usize, cutoffs: &[usize]) -> Result<AdaptiveLogSoftmaxWithLoss> {
        AdaptiveLogSoftmaxWithLoss::with(in_features, n_classes, cutoffs, 4.0, false)
    }

    /// Another factor between the widths; perhaps the head adds a bias.
    ///
    /// # Errors
    /// As [`new`](AdaptiveLogSoftmaxWithLoss::new); and for a factor that is not positive.
    pub fn with(
        in_features: usize,
        n_classes: usize,
        cutoffs: &[usize],
        div_value: f64,
        head_bias: bool,
    ) -> Result<AdaptiveLogSoftmaxWithLoss> {
        let rise = cutoffs.windows(2).all(|pair| pair[0] < pair[1]);
        let (Some(&first), Some(&last)) = (cutoffs.first(), cutoffs.last()) else {
            return Err(Error::value("cutoffs should be a sequence of length larger than 0"));
        };
        if !rise || first == 0 || last >= n_classes {
            return Err(Error::value(
                "cutoffs should be a sequence of unique, positive integers sorted in an increasing order, where each value is between 1 \
                 and n_classes-1",
            ));
        }
        if div_value.is_nan() || div_value <= 0.0 {
            return Err(Error::value(format!("div_value has to be positive, but got {div_value}")));
        }
        let head = Linear::with(in_features, first + cutoffs.len(), head_bias)?;
        let cutoffs = [cutoffs, &[n_classes]].concat();
        let mut tail = Vec::new();
        for (i, pair) in cutoffs.windows(2).enumerate() {
            let width = (in_features as f64 / div_value.powi(i as i32 + 1)).floor() as usize;
            let narrow = Linear::with(in_features, width, false)?;
            tail.push(Sequential::new().add(narrow).add(Linear::with(width, pair[1] - pair[0], false)?));
        }
        Ok(AdaptiveLogSoftmaxWithLoss { head, tail, cutoffs })
    }

    /// The log-probabilities of the targets, and minus their mean: (N, in_features) or (in_features), int64 classes (N) or ()
    /// -> (N) or (), and ().
    ///
    /// # Errors
    /// If shapes do not fit, or a target is no class.
    pub fn forward(&self, x: &Tensor, target: &Tensor) -> Result<(Tensor, Tensor)> {
        if target.rank() == 0 && x.rank() == 1 {
            let (output, loss) = self.forward(&x.unsqueeze(0)?, &target.unsqueeze(0)?)?;
            return Ok((output.squeeze(0)?, loss));
        }
        if target.rank() != 1 || x.rank() != 2 {
            return Err(Error::value(format!(
                "{}D target tensor expects {}D input tensors, but found inputs with size {:?}",
                target.rank(),
                target.rank() + 1,
                x.shape()
            )));
        }
        if target.shape()[0] != x.shape()[0] {
            return Err(Error::value("Input and target should have the same size in the batch dimension."));
        }
        let classes = self.cutoffs.last().copied().unwrap_or(0);
        let known = target.ge(0)?.logical_and(&target.lt(signed(&[classes])[0])?)?;
        if known.to_vec::<bool>()?.contains(&false) {
            return Err(Error::value(format!("Target values should be in [0, {}], but others were found.", classes.saturating_sub(1))));
        }
        let shortlist = signed(&self.cutoffs)[0];
        // In the head: the class itself, or its cluster.
        let mut entry = target.clone();
        let mut output = Tensor::full([x.size(0)?], 0.0, x.dtype())?.to_device(x.device())?;
        for (i, (cluster, pair)) in self.tail.iter().zip(signed(&self.cutoffs).windows(2)).enumerate() {
            let inside = target.ge(pair[0])?.logical_and(&target.lt(pair[1])?)?;
            let rows = Tensor::from(index::nonzero(inside.as_op())?).flatten(0, -1)?;
            if rows.numel() == 0 {
                continue;
            }
            let logs = cluster.forward(&x.index_select(0, &rows)?)?.log_softmax(1)?;
            let relative = target.index_select(0, &rows)?.sub(pair[0])?.unsqueeze(1)?;
            let found = logs.gather(1, &relative)?.squeeze(1)?;
            output = index::index_copy(output.as_op(), false, 0, rows.as_op(), found.as_op())?.into();
            let number = rustnn_ops::Scalar::Int(shortlist + signed(&[i])[0]);
            entry = index::index_fill(entry.as_op(), false, 0, rows.as_op(), number)?.into();
        }
        let head = self.head.forward(x)?.log_softmax(1)?;
        let output = output.add(&head.gather(1, &entry.unsqueeze(1)?)?.squeeze(1)?)?;
        let loss = output.neg()?.mean()?;
        Ok((output, loss))
    }

    /// The log-probabilities of all classes: (N, in_features) -> (N, n_classes).
    ///
    /// # Errors
    /// If shape or dtype do not fit.
    pub fn log_prob(&self, x: &Tensor) -> Result<Tensor> {
        let head = self.head.forward(x)?.log_softmax(1)?;
        let shortlist = self.cutoffs.first().copied().unwrap_or(0);
        let mut parts = vec![head.narrow(1, 0, shortlist)?];
        for (i, cluster) in self.tail.iter().enumerate() {
            let entry = head.narrow(1, signed(&[shortlist + i])[0], 1)?;
            parts.push(cluster.forward(x)?.log_softmax(1)?.add(&entry)?);
        }
        Tensor::cat(&parts, 1)
    }

    /// The most probable class of each row: (N, in_features) -> (N).
    ///
    /// # Errors
    /// If shape or dtype do not fit.
    pub fn predict(&self, x: &Tensor) -> Result<Tensor> {
        self.log_prob(x)?.argmax(1)
    }
}
