//! Losses.

use crate::copy::{cast_array, contiguous_array};
use crate::device::layers::{self, Entropy};
use crate::matmul::SavedSet;
use crate::norm::recorded_gradients;
use crate::reduce;
use crate::row::{Operand, Row, Scalar, call};
use crate::rows;
use crate::saved::Saved;
use crate::tape::record;
use crate::tensor::{Tensor, needs_grad};
use rustnn_autograd::{Backward, Context, Grads};
use rustnn_tensor::{Array, DType, Error, Result, Shape, bail, ensure};
use smallvec::smallvec;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reduction {
    None,
    Mean,
    Sum,
}

fn reduction(text: &str) -> Result<Reduction> {
    Ok(match text {
        "none" => Reduction::None,
        "mean" => Reduction::Mean,
        "sum" => Reduction::Sum,
        other => bail!(Value, "{other} is not a valid value for reduction"),
    })
}

fn reduced(loss: &Tensor, how: Reduction) -> Result<Tensor> {
    match how {
        Reduction::None => Ok(loss.clone()),
        Reduction::Mean => reduce::mean(loss, None, false, None),
        Reduction::Sum => reduce::sum(loss, None, false, None),
    }
}

fn elementwise(row: &'static Row, x: &Tensor, y: &Tensor, scalars: &[Scalar], how: &str) -> Result<Tensor> {
    reduced(&call(row, &[x.into(), y.into()], scalars)?, reduction(how)?)
}

/// `how` is `"none"`, `"mean"` or `"sum"`, in all losses.
pub fn squared_error(x: &Tensor, y: &Tensor, how: &str) -> Result<Tensor> {
    elementwise(&rows::SQUARED_ERROR, x, y, &[], how)
}

pub fn absolute_error(x: &Tensor, y: &Tensor, how: &str) -> Result<Tensor> {
    elementwise(&rows::ABSOLUTE_ERROR, x, y, &[], how)
}

/// Squared below `beta`, absolute above.
pub fn smooth_error(x: &Tensor, y: &Tensor, how: &str, beta: f64) -> Result<Tensor> {
    ensure!(beta >= 0.0, Runtime, "smooth_l1_loss does not support negative values for beta.");
    if beta == 0.0 { absolute_error(x, y, how) } else { elementwise(&rows::SMOOTH_ERROR, x, y, &[Scalar::Float(beta)], how) }
}

/// Squared below `delta`, linear above.
pub fn huber_error(x: &Tensor, y: &Tensor, how: &str, delta: f64) -> Result<Tensor> {
    ensure!(delta > 0.0, Runtime, "huber_loss does not support non-positive values for delta.");
    elementwise(&rows::HUBER_ERROR, x, y, &[Scalar::Float(delta)], how)
}

/// A loss of classes: the same payload for log-probabilities and logits.
struct ClassLoss {
    logits: bool,
    how: Reduction,
    ignore_index: i64,
    smoothing: f64,
    saved: SavedSet<1>,
    target: Array,
    weight: Option<Array>,
    /// Two numbers per item, for logits.
    kept: Option<Array>,
    /// What a mean divides by.
    /// What a mean is over: the weights of the items that count.
    total: Total,
}

/// A divisor that is known here, or lies on a device as an array of no dimensions.
enum Total {
    Number(f64),
    OnDevice(Array),
}

impl Total {
    fn divide(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Total::Number(total) => crate::mul_scalar(x, 1.0 / total),
            Total::OnDevice(total) => call(&rows::DIV, &[x.into(), (&Tensor::from_array(cast_array(total, x.dtype())?)).into()], &[]),
        }
    }
}

impl ClassLoss {
    fn entropy(&self) -> Entropy<'_> {
        Entropy { target: &self.target, weight: self.weight.as_ref(), ignore_index: self.ignore_index, smoothing: self.smoothing }
    }

    /// The same loss as recorded ops.
    fn recorded(&self, x: &Tensor) -> Result<Tensor> {
        let classes = x.shape()[1];
        let logp = if self.logits { crate::softmax::softmax(x, 1, true, None)? } else { x.clone() };
        let mut shape: Shape = smallvec![1; x.rank()];
        shape[1] = classes;
        let weight = match &self.weight {
            Some(w) => Some(crate::views::reshape_to(&Tensor::from_array(cast_array(w, x.dtype())?), &shape)?),
            None => None,
        };
        let weighed = match &weight {
            Some(w) => crate::mul(&logp, w)?,
            None => logp,
        };
        let neg = |t: &Tensor| call(&rows::NEG, &[t.into()], &[]);
        // The target as a distribution over classes, zero where ignored.
        let target = crate::mode::no_grad(|| -> Result<Tensor> {
            if self.target.dtype() != DType::I64 {
                let t = Tensor::from_array(self.target.clone());
                let kept = crate::mul_scalar(&t, 1.0 - self.smoothing)?;
                return call(&rows::ADD, &[(&kept).into(), (self.smoothing / classes as f64).into()], &[Scalar::Int(1)]);
            }
            let places = crate::create::arange(0i64.into(), (classes as i64).into(), 1i64.into(), None, x.device())?;
            let places = crate::views::reshape_to(&places, &shape)?;
            let target = crate::unsqueeze(&Tensor::from_array(self.target.clone()), 1)?;
            let hit = crate::to_dtype(&call(&rows::EQ, &[(&places).into(), (&target).into()], &[])?, x.dtype())?;
            let kept = crate::mul_scalar(&hit, 1.0 - self.smoothing)?;
            let smooth = call(&rows::ADD, &[(&kept).into(), (self.smoothing / classes as f64).into()], &[Scalar::Int(1)])?;
            let counts = call(&rows::NE, &[(&target).into(), Operand::Scalar(Scalar::Int(self.ignore_index))], &[])?;
            crate::mul(&smooth, &crate::to_dtype(&counts, x.dtype())?)
        })?;
        let losses = neg(&reduce::sum(&crate::mul(&weighed, &target)?, Some(&[1]), false, None)?)?;
        match self.how {
            Reduction::None => Ok(losses),
            Reduction::Sum => reduce::sum(&losses, None, false, None),
            Reduction::Mean => self.total.divide(&reduce::sum(&losses, None, false, None)?),
        }
    }
}

impl Backward<Tensor> for ClassLoss {
    fn name(&self) -> String {
        (if self.logits { "NllLossBackward0" } else { "NllLossBackward0" }).into()
    }

    fn backward(&self, grads: Grads<Tensor>, context: &Context<Tensor>) -> Result<Grads<Tensor>> {
        let Some(dy) = grads.into_iter().next().flatten() else { return Ok(smallvec![None]) };
        let [x] = self.saved.unpack(context)?;
        let Some(x) = x else { return Ok(smallvec![None]) };
        if context.create_graph {
            let dy = if dy.rank() == 1 && self.how != Reduction::None { crate::views::reshape_to(&dy, &[])? } else { dy };
            return recorded_gradients(&[Some(&x)], |t| self.recorded(t[0].as_ref().unwrap_or(&x)), &dy, &[true]);
        }
        let dx = Array::empty(x.shape(), x.dtype(), x.device())?;
        let stats = layers::statistics_dtype(x.dtype());
        let (one, each) = match (self.how, &self.total) {
            (Reduction::None, _) => (0.0, Some(contiguous_array(&cast_array(dy.array(), stats)?)?)),
            _ if dy.array().is_meta() => (0.0, None),
            // A number on a GPU stays there: every item gets it.
            _ if dy.device().is_gpu() => {
                let dy = if self.how == Reduction::Mean { self.total.divide(&dy)? } else { dy };
                let mut items: Shape = x.shape().into();
                items.remove(1);
                let dy = crate::views::expand_to(&crate::to_dtype(&dy, stats)?, &items)?;
                (0.0, Some(contiguous_array(dy.array())?))
            }
            (Reduction::Mean, Total::Number(total)) => (crate::read::scalar(dy.array())?.to_f64() / total, None),
            _ => (crate::read::scalar(dy.array())?.to_f64(), None),
        };
        let logits = contiguous_array(x.array())?;
        layers::class_loss_backward(&logits, &self.entropy(), self.kept.as_ref(), one, each.as_ref(), &dx)?;
        Ok(smallvec![Some(Tensor::from_array(dx))])
    }

    fn release(&self) {
        self.saved.release();
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// Cross-entropy of logits, or the negative log-likelihood of log-probabilities; (C) or (N, C, …).
#[allow(clippy::too_many_arguments)]
pub fn class_loss(
    x: &Tensor,
    target: &Tensor,
    weight: Option<&Tensor>,
    ignore_index: i64,
    how: &str,
    smoothing: f64,
    logits: bool,
) -> Result<Tensor> {
    let how = reduction(how)?;
    if x.rank() == 1 && (target.rank() == 0 || target.shape() == x.shape()) {
        let out = class_loss(
            &crate::unsqueeze(x, 0)?,
            &crate::unsqueeze(target, 0)?,
            weight,
            ignore_index,
            if how == Reduction::None {
                "none"
            } else if how == Reduction::Mean {
                "mean"
            } else {
                "sum"
            },
            smoothing,
            logits,
        )?;
        return if how == Reduction::None { crate::views::squeeze(&out, Some(&[0])) } else { Ok(out) };
    }
    ensure!((0.0..=1.0).contains(&smoothing), Runtime, "label_smoothing must be between 0.0 and 1.0. Got: {smoothing}");
    ensure!(x.rank() >= 2, Value, "Expected input to have 1 or more dimensions with classes, got input of size {:?}", x.shape());
    let classes = x.shape()[1];
    let mut items: Shape = x.shape().into();
    items.remove(1);
    let probabilities = logits && target.dtype().is_float();
    if !probabilities {
        ensure!(
            !logits || target.shape() != x.shape(),
            Runtime,
            "Expected floating point type for target with class probabilities, got {}",
            target.dtype().scalar_name()
        );
        ensure!(
            x.shape()[0] == target.shape().first().copied().unwrap_or(0),
            Value,
            "Expected input batch_size ({}) to match target batch_size ({}).",
            x.shape()[0],
            target.shape().first().copied().unwrap_or(0)
        );
        ensure!(x.rank() != 2 || target.rank() < 2, Runtime, "0D or 1D target tensor expected, multi-target not supported");
        ensure!(
            x.rank() != 4 || target.rank() == 3,
            Runtime,
            "only batches of spatial targets supported (3D tensors) but got targets of dimension: {}",
            target.rank()
        );
        ensure!(target.shape() == items.as_slice(), Runtime, "Expected target size {:?}, got {:?}", items, target.shape());
        ensure!(
            matches!(target.dtype(), DType::I64 | DType::U8),
            Runtime,
            "expected target dtype to be Long or Byte, but got {}",
            target.dtype().scalar_name()
        );
    } else {
        ensure!(target.rank() == x.rank(), Runtime, "expected target dtype to be Long or Byte, but got {}", target.dtype().scalar_name());
        ensure!(
            target.shape() == x.shape(),
            Runtime,
            "Expected floating point type for target with class probabilities to have the input's size {:?}, got {:?}",
            x.shape(),
            target.shape()
        );
        ensure!(ignore_index < 0, Runtime, "ignore_index is not supported for floating point target");
    }
    if let Some(w) = weight {
        ensure!(
            w.rank() == 1 && w.numel() == classes,
            Runtime,
            "weight tensor should be defined either for all {classes} classes or no classes but got weight tensor of shape: {:?}",
            w.shape()
        );
        if w.dtype() != x.dtype() {
            return Err(rustnn_tensor::Error::Runtime(format!(
                "expected scalar type {} but found {}",
                x.dtype().scalar_name(),
                w.dtype().scalar_name()
            )));
        }
    }
    if !x.dtype().is_float() {
        return Err(rustnn_tensor::Error::not_implemented(
            if logits { "log_softmax_lastdim_kernel_impl" } else { "nll_loss_out_frame" },
            x.dtype(),
        ));
    }
    let stats = layers::statistics_dtype(x.dtype());
    let target = if probabilities {
        if target.requires_grad() && crate::mode::grad_enabled() {
            return soft_cross_entropy(x, target, weight, how, smoothing);
        }
        contiguous_array(&cast_array(target.array(), x.dtype())?)?
    } else {
        contiguous_array(&cast_array(target.array(), DType::I64)?)?
    };
    if !probabilities && let Some(bad) = layers::bad_target(&target, classes, ignore_index)? {
        bail!(Index, "Target {bad} is out of bounds.");
    }
    let weight = weight.map(|w| contiguous_array(&cast_array(w.array(), stats)?)).transpose()?;
    let dense = contiguous_array(x.array())?;
    let losses = Array::empty(&items, stats, x.device())?;
    let entropy = Entropy { target: &target, weight: weight.as_ref(), ignore_index, smoothing };
    let kept = if logits {
        let mut shape: Shape = smallvec![2];
        shape.extend_from_slice(&items);
        Some(Array::empty(&shape, stats, x.device())?)
    } else {
        None
    };
    let totals = layers::class_loss(&dense, &entropy, &losses, kept.as_ref())?;
    let count = items[0] as f64 * items[1..].iter().product::<usize>() as f64;
    let (out, total) = match totals {
        layers::Totals::Numbers { loss, weight } => {
            let total = if probabilities { count } else { weight };
            let number = |v: f64| crate::create::full_array(&[], Scalar::Float(v), x.dtype(), x.device());
            let out = match how {
                Reduction::None => cast_array(&losses, x.dtype())?,
                Reduction::Sum => number(loss)?,
                Reduction::Mean => number(loss / total)?,
            };
            (out, Total::Number(total))
        }
        layers::Totals::OnDevice(sums) => {
            let part = |i| crate::views::select_array(&sums, 0, i);
            let total = if probabilities { Total::Number(count) } else { Total::OnDevice(part(1)) };
            let out = match how {
                Reduction::None => cast_array(&losses, x.dtype())?,
                Reduction::Sum => cast_array(&part(0), x.dtype())?,
                Reduction::Mean => cast_array(total.divide(&Tensor::from_array(part(0)))?.array(), x.dtype())?,
            };
            (out, total)
        }
    };
    if !needs_grad(&[x]) {
        return Ok(Tensor::from_array(out));
    }
    let saved = SavedSet::new([Saved::input(x)?]);
    Ok(record(out, &[x], ClassLoss { logits, how, ignore_index, smoothing, saved, target, weight, kept, total }))
}

/// Cross-entropy whose target takes part in the gradient.
fn soft_cross_entropy(x: &Tensor, target: &Tensor, weight: Option<&Tensor>, how: Reduction, smoothing: f64) -> Result<Tensor> {
    let classes = x.shape()[1];
    let mut shape: Shape = smallvec![1; x.rank()];
    shape[1] = classes;
    let mut logp = crate::softmax::softmax(x, 1, true, None)?;
    if let Some(w) = weight {
        logp = crate::mul(&logp, &crate::views::reshape_to(w, &shape)?)?;
    }
    let kept = crate::mul_scalar(target, 1.0 - smoothing)?;
    let target = call(&rows::ADD, &[(&kept).into(), (smoothing / classes as f64).into()], &[Scalar::Int(1)])?;
    let losses = call(&rows::NEG, &[(&reduce::sum(&crate::mul(&logp, &target)?, Some(&[1]), false, None)?).into()], &[])?;
    reduced(&losses, how)
}

fn weighed(loss: &Tensor, weight: Option<&Tensor>) -> Result<Tensor> {
    match weight {
        Some(w) => crate::mul(loss, w),
        None => Ok(loss.clone()),
    }
}

pub fn kl_div(x: &Tensor, target: &Tensor, how: &str, log_target: bool) -> Result<Tensor> {
    let sub = |a: &Tensor, b: &Tensor| call(&rows::SUB, &[a.into(), b.into()], &[Scalar::Int(1)]);
    let loss = if log_target {
        crate::mul(&call(&rows::EXP, &[target.into()], &[])?, &sub(target, x)?)?
    } else {
        sub(&call(&rows::XLOGY, &[target.into(), target.into()], &[])?, &crate::mul(target, x)?)?
    };
    if how == "batchmean" {
        let n = if x.rank() == 0 { 1 } else { x.shape()[0] };
        return crate::mul_scalar(&reduce::sum(&loss, None, false, None)?, 1.0 / n as f64);
    }
    reduced(&loss, reduction(how)?)
}

pub fn bce(x: &Tensor, target: &Tensor, weight: Option<&Tensor>, how: &str) -> Result<Tensor> {
    ensure!(
        x.shape() == target.shape(),
        Value,
        "Using a target size ({}) that is different to the input size ({}) is deprecated. Please ensure they have the same size.",
        crate::views::size_text(target.shape()),
        crate::views::size_text(x.shape())
    );
    reduce::refuse_outside(x.array(), 0.0, 1.0, Error::Runtime, "all elements of input should be between 0 and 1")?;
    reduced(&weighed(&call(&rows::BINARY_CROSS_ENTROPY, &[x.into(), target.into()], &[])?, weight)?, reduction(how)?)
}

pub fn bce_logits(x: &Tensor, target: &Tensor, weight: Option<&Tensor>, pos_weight: Option<&Tensor>, how: &str) -> Result<Tensor> {
    ensure!(
        x.shape() == target.shape(),
        Value,
        "Target size ({}) must be the same as input size ({})",
        crate::views::size_text(target.shape()),
        crate::views::size_text(x.shape())
    );
    let loss = match pos_weight {
        None => call(&rows::BINARY_CROSS_ENTROPY_LOGITS, &[x.into(), target.into()], &[])?,
        Some(p) => call(&rows::BINARY_CROSS_ENTROPY_LOGITS_WEIGHTED, &[x.into(), target.into(), p.into()], &[])?,
    };
    reduced(&weighed(&loss, weight)?, reduction(how)?)
}

crate::ops! {
    "cross_entropy(Tensor self, Tensor target, Tensor? weight=None, int ignore_index=-100, str reduction='mean', float label_smoothing=0.0)" Function "Cross-entropy of logits (N, C, …) with classes or probabilities." =>
        |a| class_loss(a.tensor(0)?, a.tensor(1)?, a.opt_tensor(2)?, a.int(3)?, a.str(4)?, a.float(5)?, true)?;
    "nll_loss(Tensor self, Tensor target, Tensor? weight=None, int ignore_index=-100, str reduction='mean')" Function "Negative log-likelihood of log-probabilities (N, C, …)." =>
        |a| class_loss(a.tensor(0)?, a.tensor(1)?, a.opt_tensor(2)?, a.int(3)?, a.str(4)?, 0.0, false)?;
    "mse_loss(Tensor self, Tensor target, *, str reduction='mean')" Function "Squared error." => |a| squared_error(a.tensor(0)?, a.tensor(1)?, a.str(2)?)?;
    "l1_loss(Tensor self, Tensor target, *, str reduction='mean')" Function "Absolute error." => |a| absolute_error(a.tensor(0)?, a.tensor(1)?, a.str(2)?)?;
    "smooth_l1_loss(Tensor self, Tensor target, *, str reduction='mean', float beta=1.0)" Function "Squared error below beta, absolute above." => |a| smooth_error(a.tensor(0)?, a.tensor(1)?, a.str(2)?, a.float(3)?)?;
    "huber_loss(Tensor self, Tensor target, *, str reduction='mean', float delta=1.0)" Function "Huber's loss." => |a| huber_error(a.tensor(0)?, a.tensor(1)?, a.str(2)?, a.float(3)?)?;
    "binary_cross_entropy(Tensor self, Tensor target, *, Tensor? weight=None, str reduction='mean')" Function "Cross-entropy of probabilities." => |a| bce(a.tensor(0)?, a.tensor(1)?, a.opt_tensor(2)?, a.str(3)?)?;
    "binary_cross_entropy_with_logits(Tensor self, Tensor target, *, Tensor? weight=None, str reduction='mean', Tensor? pos_weight=None)" Function "Cross-entropy of logits of probabilities." =>
        |a| bce_logits(a.tensor(0)?, a.tensor(1)?, a.opt_tensor(2)?, a.opt_tensor(4)?, a.str(3)?)?;
    "kl_div(Tensor self, Tensor target, *, str reduction='mean', bool log_target=False)" Function "Kullback-Leibler divergence of log-probabilities." => |a| kl_div(a.tensor(0)?, a.tensor(1)?, a.str(2)?, a.bool(3)?)?;
}
