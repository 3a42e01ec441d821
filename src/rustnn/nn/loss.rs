//! Losses: functions, and a layer where there are parameters.

use super::{Buffer, Forward, Linear, Module};
use crate::tensor::signed;
use crate::{Error, Result, Tensor};
use rustnn_ops::loss;

/// What becomes of the losses of the items.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reduction {
    /// They stay.
    None,
    /// Their mean.
    #[default]
    Mean,
    /// Their sum.
    Sum,
}

impl Reduction {
    fn name(self) -> &'static str {
        match self {
            Reduction::None => "none",
            Reduction::Mean => "mean",
            Reduction::Sum => "sum",
        }
    }
}

/// How a loss of classes is taken.
#[derive(Clone, Copy, Debug)]
pub struct ClassLoss<'a> {
    /// A weight for each class.
    pub weight: Option<&'a Tensor>,
    /// Items of this class do not count.
    pub ignore_index: i64,
    /// How the items' losses become one.
    pub reduction: Reduction,
    /// The share of every target that is spread over all classes, for cross-entropy.
    pub label_smoothing: f64,
}

impl Default for ClassLoss<'_> {
    fn default() -> Self {
        ClassLoss { weight: None, ignore_index: -100, reduction: Reduction::Mean, label_smoothing: 0.0 }
    }
}

/// The mean cross-entropy of logits (N, C, …) with classes (N, …) or probabilities (N, C, …).
///
/// ```
/// # fn main() -> rustnn::Result<()> {
/// use rustnn::{Tensor, nn};
/// let loss = nn::cross_entropy(&Tensor::zeros([3, 10])?, &Tensor::new(&[1i64, 0, 4], [3])?)?;
/// assert!((loss.item::<f32>()? - 10f32.ln()).abs() < 1e-6);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If shapes or dtypes do not fit, or a class is out of range.
pub fn cross_entropy(logits: &Tensor, target: &Tensor) -> Result<Tensor> {
    cross_entropy_with(logits, target, ClassLoss::default())
}

/// [`cross_entropy`], with weights, smoothing or another reduction.
///
/// # Errors
/// As [`cross_entropy`].
pub fn cross_entropy_with(logits: &Tensor, target: &Tensor, how: ClassLoss) -> Result<Tensor> {
    class(logits, target, how, true)
}

/// The negative log-likelihood of log-probabilities (N, C, …) and classes (N, …).
///
/// # Errors
/// As [`cross_entropy`].
pub fn nll_loss(log_probabilities: &Tensor, target: &Tensor, how: ClassLoss) -> Result<Tensor> {
    class(log_probabilities, target, ClassLoss { label_smoothing: 0.0, ..how }, false)
}

fn class(x: &Tensor, target: &Tensor, how: ClassLoss, logits: bool) -> Result<Tensor> {
    let weight = how.weight.map(Tensor::as_op);
    let out = loss::class_loss(x.as_op(), target.as_op(), weight, how.ignore_index, how.reduction.name(), how.label_smoothing, logits)?;
    Ok(out.into())
}

/// The squared error.
///
/// # Errors
/// If shapes or dtypes do not fit; so for the losses below.
pub fn mse_loss(x: &Tensor, target: &Tensor, reduction: Reduction) -> Result<Tensor> {
    Ok(loss::squared_error(x.as_op(), target.as_op(), reduction.name())?.into())
}

/// The absolute error.
///
/// # Errors
/// As [`mse_loss`].
pub fn l1_loss(x: &Tensor, target: &Tensor, reduction: Reduction) -> Result<Tensor> {
    Ok(loss::absolute_error(x.as_op(), target.as_op(), reduction.name())?.into())
}

/// Squared error below `beta`, absolute above. Girshick 2015, arXiv:1504.08083.
///
/// # Errors
/// As [`mse_loss`]; and for a negative `beta`.
pub fn smooth_l1_loss(x: &Tensor, target: &Tensor, beta: f64, reduction: Reduction) -> Result<Tensor> {
    Ok(loss::smooth_error(x.as_op(), target.as_op(), reduction.name(), beta)?.into())
}

/// Huber's loss: squared below `delta`, linear above.
///
/// # Errors
/// As [`mse_loss`]; and for a `delta` that is not positive.
pub fn huber_loss(x: &Tensor, target: &Tensor, delta: f64, reduction: Reduction) -> Result<Tensor> {
    Ok(loss::huber_error(x.as_op(), target.as_op(), reduction.name(), delta)?.into())
}

/// The cross-entropy of probabilities.
///
/// # Errors
/// As [`mse_loss`]; and for what is no probability.
pub fn binary_cross_entropy(x: &Tensor, target: &Tensor, reduction: Reduction) -> Result<Tensor> {
    Ok(loss::bce(x.as_op(), target.as_op(), None, reduction.name())?.into())
}

/// The cross-entropy of the logits of probabilities; `pos_weight` counts the positive ones more.
///
/// # Errors
/// As [`mse_loss`].
pub fn binary_cross_entropy_with_logits(x: &Tensor, target: &Tensor, pos_weight: Option<&Tensor>, reduction: Reduction) -> Result<Tensor> {
    Ok(loss::bce_logits(x.as_op(), target.as_op(), None, pos_weight.map(Tensor::as_op), reduction.name())?.into())
}

/// The Kullback-Leibler divergence of log-probabilities (N, …) from probabilities, a mean over the N samples.
///
/// # Errors
/// As [`mse_loss`].
pub fn kl_div(log_probabilities: &Tensor, target: &Tensor) -> Result<Tensor> {
    Ok(loss::kl_div(log_probabilities.as_op(), target.as_op(), "batchmean", false)?.into())
}

/// The cross-entropy of logits that a linear layer makes of the input: (N, in_features) or (in_features), and classes (N) or
/// () -> (). PyTorch's `LinearCrossEntropyLoss`.
///
/// ```
/// # fn main() -> rustnn::Result<()> {
/// use rustnn::{Tensor, nn::LinearCrossEntropyLoss};
/// let loss = LinearCrossEntropyLoss::new(2, 4)?.forward(&Tensor::zeros([3, 2])?, &Tensor::new(&[0i64, 1, 2], [3])?)?;
/// assert!((loss.item::<f32>()? - 4f32.ln()).abs() < 1e-6);
/// # Ok(())
/// # }
/// ```
#[derive(Module)]
pub struct LinearCrossEntropyLoss {
    /// The weights of the classes.
    pub weight: Option<Buffer>,
    /// To the logits.
    pub linear: Linear,
    #[module(skip)]
    shape: Vec<i64>,
}

impl LinearCrossEntropyLoss {
    /// Without a bias.
    ///
    /// # Errors
    /// If memory does not suffice.
    pub fn new(in_features: usize, num_classes: usize) -> Result<LinearCrossEntropyLoss> {
        LinearCrossEntropyLoss::with(in_features, num_classes, &[], false)
    }

    /// For targets of further dimensions, (N, out_features …); perhaps with a bias.
    ///
    /// # Errors
    /// If memory does not suffice.
    pub fn with(in_features: usize, num_classes: usize, out_features: &[usize], bias: bool) -> Result<LinearCrossEntropyLoss> {
        let shape = [&[num_classes], out_features].concat();
        let outputs = shape.iter().try_fold(1usize, |n, &size| n.checked_mul(size));
        let outputs = outputs.ok_or_else(|| Error::value("num_classes times out_features is too large"))?;
        Ok(LinearCrossEntropyLoss { weight: None, linear: Linear::with(in_features, outputs, bias)?, shape: signed(&shape) })
    }

    /// The mean over the targets.
    ///
    /// # Errors
    /// If shapes or dtypes do not fit, or a class is out of range.
    pub fn forward(&self, x: &Tensor, target: &Tensor) -> Result<Tensor> {
        self.forward_with(x, target, ClassLoss::default())
    }

    /// With smoothing or another reduction; the classes' weights are the layer's, if it has some.
    ///
    /// # Errors
    /// As [`forward`](LinearCrossEntropyLoss::forward).
    pub fn forward_with(&self, x: &Tensor, target: &Tensor, how: ClassLoss) -> Result<Tensor> {
        if !matches!(x.rank(), 1 | 2) {
            return Err(Error::value(format!("expected input with dimensionality 1 or 2, got {}", x.rank())));
        }
        let lead = signed(&x.shape()[..x.rank() - 1]);
        let logits = self.linear.forward(x)?.reshape([&lead[..], &self.shape].concat())?;
        let weight = self.weight.as_deref().or(how.weight);
        cross_entropy_with(&logits, target, ClassLoss { weight, ..how })
    }
}
