//! Batch, layer, group, instance and RMS normalisation: fused kernels forwards and backwards; a gradient that is itself to
//! be differentiated runs the same formula as recorded ops.

use crate::copy::{cast_array, contiguous_array, in_channels_last, in_order_of, is_channels_last};
use crate::device::layers;
use crate::matmul::SavedSet;
use crate::reduce;
use crate::row::{Operand, Scalar, call};
use crate::rows;
use crate::saved::Saved;
use crate::tape::{Request, record, run_backward};
use crate::tensor::{Tensor, needs_grad};
use rustnn_autograd::{Backward, Context, Grads};
use rustnn_tensor::{Array, DType, Result, Shape, bail, ensure};
use smallvec::{SmallVec, smallvec};
use std::sync::Mutex;

/// Gradients of `f(inputs)` by recording it: the twin of a fused backward, for gradients of gradients. `wanted` says which.
pub(crate) fn recorded_gradients(
    inputs: &[Option<&Tensor>],
    f: impl FnOnce(&[Option<Tensor>]) -> Result<Tensor>,
    dy: &Tensor,
    wanted: &[bool],
) -> Result<Grads<Tensor>> {
    // Aliases of the inputs: gradients stop at them, and go on from there to where the inputs came from.
    let aliases: Vec<Option<Tensor>> = inputs.iter().map(|t| t.map(crate::views::alias)).collect();
    let y = f(&aliases)?;
    let asked: Vec<(usize, Tensor)> = aliases
        .iter()
        .enumerate()
        .filter(|(i, t)| wanted[*i] && t.as_ref().is_some_and(Tensor::requires_grad))
        .filter_map(|(i, t)| t.clone().map(|t| (i, t)))
        .collect();
    let mut out: Grads<Tensor> = smallvec![None; inputs.len()];
    if asked.is_empty() || !y.requires_grad() {
        return Ok(out);
    }
    let of: Vec<Tensor> = asked.iter().map(|(_, t)| t.clone()).collect();
    let request = Request { keep_graph: true, create_graph: true, allow_unused: true, accumulate: false };
    for ((i, _), grad) in asked.iter().zip(run_backward(&[y], &[Some(dy.clone())], Some(&of), request)?) {
        out[*i] = grad;
    }
    Ok(out)
}

/// A parameter as the kernels want it: contiguous, in the dtype of statistics.
fn parameter(t: Option<&Tensor>, x: &Tensor) -> Result<Option<Array>> {
    t.map(|t| contiguous_array(&cast_array(t.array(), layers::statistics_dtype(x.dtype()))?)).transpose()
}

fn same_dtype(x: &Tensor, t: Option<&Tensor>) -> Result<()> {
    if let Some(t) = t
        && t.dtype() != x.dtype()
        && !(x.dtype().size_bytes() == 2 && t.dtype() == DType::F32)
    {
        bail!(
            Runtime,
            "mixed dtype (CPU): expect parameter to have scalar type of {}",
            if x.dtype().size_bytes() == 2 { "Float" } else { x.dtype().scalar_name() }
        );
    }
    Ok(())
}

fn sub(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    call(&rows::SUB, &[a.into(), b.into()], &[Scalar::Int(1)])
}

fn rsqrt_plus(var: &Tensor, eps: f64) -> Result<Tensor> {
    let shifted = call(&rows::ADD, &[var.into(), Operand::Scalar(Scalar::Float(eps))], &[Scalar::Int(1)])?;
    call(&rows::RSQRT, &[(&shifted).into()], &[])
}

/// `(x - mean) / sqrt(var + eps)` over `dims`, as recorded ops; not centred for RMS.
fn normalised(x: &Tensor, dims: &[i64], eps: f64, centred: bool) -> Result<Tensor> {
    let centre = if centred { sub(x, &reduce::mean(x, Some(dims), true, None)?)? } else { x.clone() };
    let var = reduce::mean(&call(&rows::SQUARE, &[(&centre).into()], &[])?, Some(dims), true, None)?;
    crate::mul(&centre, &rsqrt_plus(&var, eps)?)
}

fn affine(x: &Tensor, weight: Option<&Tensor>, bias: Option<&Tensor>, shape: &[usize]) -> Result<Tensor> {
    let mut out = x.clone();
    if let Some(w) = weight {
        out = crate::mul(&out, &crate::views::reshape_to(w, shape)?)?;
    }
    if let Some(b) = bias {
        out = crate::add(&out, &crate::views::reshape_to(b, shape)?)?;
    }
    Ok(out)
}

#[derive(Clone, Debug)]
enum Kind {
    /// Over the last dimensions, `n` elements a row.
    Layer {
        n: usize,
        eps: f64,
    },
    Rms {
        n: usize,
        eps: f64,
    },
    Group {
        groups: usize,
        eps: f64,
    },
    /// By the batch's statistics.
    BatchTrain {
        eps: f64,
    },
    /// By given statistics.
    BatchEval,
}

/// Inputs: x, weight, bias; saved besides: mean and rstd.
struct NormBackward {
    kind: Kind,
    saved: SavedSet<3>,
    mean: Option<Array>,
    rstd: Array,
    /// Which edges exist: weight, bias.
    has: (bool, bool),
    /// The bias, until it is released: a gradient that is recorded shows its shape.
    bias_is: Mutex<Option<Tensor>>,
}

impl NormBackward {
    fn recorded(&self, x: &Tensor, weight: Option<&Tensor>, bias: Option<&Tensor>) -> Result<Tensor> {
        match self.kind {
            Kind::Layer { n, eps } | Kind::Rms { n, eps } => {
                let mut count = 1;
                let mut dims: SmallVec<[i64; 5]> = SmallVec::new();
                let mut d = x.rank();
                while count < n || dims.is_empty() {
                    d -= 1;
                    count *= x.shape()[d];
                    dims.push(d as i64);
                    if d == 0 {
                        break;
                    }
                }
                let shape: Shape = x.shape()[d..].into();
                affine(&normalised(x, &dims, eps, matches!(self.kind, Kind::Layer { .. }))?, weight, bias, &shape)
            }
            Kind::Group { groups, eps } => {
                let s = x.shape();
                let rest: usize = s[1..].iter().product::<usize>() / groups;
                let flat = crate::views::reshape_to(x, &[s[0], groups, rest])?;
                let out = crate::views::reshape_to(&normalised(&flat, &[2], eps, true)?, s)?;
                affine(&out, weight, bias, &channel_shape(x))
            }
            Kind::BatchTrain { eps } => {
                let dims: SmallVec<[i64; 5]> = (0..x.rank() as i64).filter(|&d| d != 1).collect();
                affine(&normalised(x, &dims, eps, true)?, weight, bias, &channel_shape(x))
            }
            Kind::BatchEval => {
                let shape = channel_shape(x);
                let fixed =
                    |a: &Array| -> Result<Tensor> { crate::views::reshape_to(&Tensor::from_array(cast_array(a, x.dtype())?), &shape) };
                let centre = match &self.mean {
                    Some(mean) => sub(x, &fixed(mean)?)?,
                    None => x.clone(),
                };
                affine(&crate::mul(&centre, &fixed(&self.rstd)?)?, weight, bias, &shape)
            }
        }
    }
}

fn channel_shape(x: &Tensor) -> Shape {
    (0..x.rank()).map(|d| if d == 1 { x.shape()[1] } else { 1 }).collect()
}

impl Backward<Tensor> for NormBackward {
    fn name(&self) -> String {
        match self.kind {
            Kind::Layer { .. } => "NativeLayerNormBackward0",
            Kind::Rms { .. } => "FusedRmsNormBackward0",
            Kind::Group { .. } => "NativeGroupNormBackward0",
            Kind::BatchTrain { .. } | Kind::BatchEval => "NativeBatchNormBackward0",
        }
        .into()
    }

    fn backward(&self, grads: Grads<Tensor>, context: &Context<Tensor>) -> Result<Grads<Tensor>> {
        let places = context.node.edges.len();
        let Some(dy) = grads.into_iter().next().flatten() else { return Ok(smallvec![None; places]) };
        let [x, weight, bias] = self.saved.unpack(context)?;
        let Some(x) = x else { return Ok(smallvec![None; places]) };
        let bias = bias.or_else(|| self.bias_is.lock().unwrap_or_else(|e| e.into_inner()).clone());
        let wants = [context.wants(0), self.has.0 && context.wants(1), self.has.1 && context.wants(1 + self.has.0 as usize)];
        let full: Grads<Tensor> = if context.create_graph {
            let inputs = [Some(&x), weight.as_ref(), bias.as_ref()];
            recorded_gradients(&inputs, |t| self.recorded(t[0].as_ref().unwrap_or(&x), t[1].as_ref(), t[2].as_ref()), &dy, &wants)?
        } else {
            self.fused(&dy, &x, weight.as_ref(), bias.as_ref(), wants)?
        };
        let mut out: Grads<Tensor> = Grads::new();
        let mut full = full.into_iter();
        out.push(full.next().flatten());
        let (dw, db) = (full.next().flatten(), full.next().flatten());
        if self.has.0 {
            out.push(dw);
        }
        if self.has.1 {
            out.push(db);
        }
        Ok(out)
    }

    fn release(&self) {
        self.saved.release();
        *self.bias_is.lock().unwrap_or_else(|e| e.into_inner()) = None;
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

impl NormBackward {
    fn fused(&self, dy: &Tensor, x: &Tensor, weight: Option<&Tensor>, bias: Option<&Tensor>, wants: [bool; 3]) -> Result<Grads<Tensor>> {
        let (dy, xa) = (contiguous_array(dy.array())?, contiguous_array(x.array())?);
        let w = parameter(weight, x)?;
        let dx = if wants[0] { Some(Array::empty(x.shape(), x.dtype(), x.device())?) } else { None };
        let like = |t: Option<&Tensor>, wanted: bool| -> Result<Option<Array>> {
            match t {
                Some(t) if wanted => Array::empty(t.shape(), layers::statistics_dtype(x.dtype()), x.device()).map(Some),
                _ => Ok(None),
            }
        };
        let (dw, db) = (like(weight, wants[1])?, like(bias, wants[2])?);
        let (w, dxr, dwr, dbr) = (w.as_ref(), dx.as_ref(), dw.as_ref(), db.as_ref());
        match self.kind {
            Kind::Layer { n, .. } => layers::row_norm_backward(&dy, &xa, n, w, self.mean.as_ref(), &self.rstd, dxr, dwr, dbr)?,
            Kind::Rms { n, .. } => layers::row_norm_backward(&dy, &xa, n, w, None, &self.rstd, dxr, dwr, None)?,
            Kind::Group { groups, .. } => {
                let Some(mean) = &self.mean else { bail!(Runtime, "group_norm without its mean") };
                layers::group_norm_backward(&dy, &xa, groups, w, mean, &self.rstd, dxr, dwr, dbr)?
            }
            Kind::BatchTrain { .. } | Kind::BatchEval => {
                let Some(mean) = &self.mean else { bail!(Runtime, "batch_norm without its mean") };
                layers::batch_norm_backward(&dy, &xa, mean, &self.rstd, w, matches!(self.kind, Kind::BatchTrain { .. }), dxr, dwr, dbr)?
            }
        }
        let back = |a: Option<Array>, t: Option<&Tensor>| -> Result<Option<Tensor>> {
            match (a, t) {
                (Some(a), Some(t)) => Ok(Some(Tensor::from_array(cast_array(&a, t.dtype())?))),
                _ => Ok(None),
            }
        };
        let dx = match (dx, &self.kind) {
            (None, _) => None,
            (dx, Kind::Layer { .. }) => dx,
            (Some(dx), Kind::Rms { .. }) => Some(in_order_of(dx, x.array())?),
            (Some(dx), _) => Some(in_channels_last(dx, is_channels_last(x.array()))?),
        };
        Ok(smallvec![dx.map(Tensor::from_array), back(dw, weight)?, back(db, bias)?])
    }
}

fn finish(
    x: &Tensor,
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
    out: Array,
    kind: Kind,
    mean: Option<Array>,
    rstd: Array,
) -> Result<Tensor> {
    let mut inputs: SmallVec<[&Tensor; 3]> = smallvec![x];
    inputs.extend(weight);
    inputs.extend(bias);
    if !needs_grad(&inputs) {
        return Ok(Tensor::from_array(out));
    }
    let save = |t: Option<&Tensor>| t.map_or(Ok(Saved::Nothing), Saved::input);
    let payload = NormBackward {
        kind,
        saved: SavedSet::new([Saved::input(x)?, save(weight)?, Saved::Nothing]),
        mean,
        rstd,
        has: (weight.is_some(), bias.is_some()),
        // Only its shape and place matter, so a later write to it is no fault.
        bias_is: Mutex::new(bias.cloned()),
    };
    Ok(record(out, &inputs, payload))
}

/// Normalisation over the last dimensions, of sizes `shape`. Ba et al. 2016, arXiv:1607.06450.
pub fn layer_norm(x: &Tensor, shape: &[i64], weight: Option<&Tensor>, bias: Option<&Tensor>, eps: f64) -> Result<Tensor> {
    row_norm(x, shape, weight, bias, eps, true)
}

/// Division by the root mean square of the last dimensions; `eps` is by default that of the dtype. Zhang and Sennrich 2019,
/// arXiv:1910.07467.
pub fn rms_norm(x: &Tensor, shape: &[i64], weight: Option<&Tensor>, eps: Option<f64>) -> Result<Tensor> {
    let own = match x.dtype() {
        DType::F64 => f64::EPSILON,
        DType::F16 => 9.765_625e-4,
        DType::BF16 => 0.007_812_5,
        _ => f32::EPSILON as f64,
    };
    row_norm(x, shape, weight, None, eps.unwrap_or(own), false)
}

fn row_norm(x: &Tensor, shape: &[i64], weight: Option<&Tensor>, bias: Option<&Tensor>, eps: f64, centred: bool) -> Result<Tensor> {
    let op = if centred { "layer_norm" } else { "rms_norm" };
    ensure!(
        !shape.is_empty(),
        Runtime,
        "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one element, but got normalized_shape = []"
    );
    let sizes = crate::create::sizes(shape)?;
    for (t, name) in [(weight, "weight"), (bias, "bias")] {
        if let Some(t) = t {
            ensure!(
                t.shape() == sizes.as_slice(),
                Runtime,
                "Expected {name} to be of same shape as normalized_shape, but got {name} of shape {:?} and normalized_shape = {shape:?}",
                t.shape()
            );
            same_dtype(x, Some(t))?;
        }
    }
    if x.rank() < sizes.len() || x.shape()[x.rank() - sizes.len()..] != sizes[..] {
        let wanted: Vec<String> = shape.iter().map(|n| n.to_string()).collect();
        bail!(
            Runtime,
            "Given normalized_shape={shape:?}, expected input with shape [*, {}], but got input of size{:?}",
            wanted.join(", "),
            x.shape()
        );
    }
    if !x.dtype().is_float() {
        return Err(rustnn_tensor::Error::not_implemented(if centred { "LayerNormKernelImpl" } else { op }, x.dtype()));
    }
    let n: usize = sizes.iter().product();
    let rows: Shape = x.shape()[..x.rank() - sizes.len()].into();
    let stats = layers::statistics_dtype(x.dtype());
    let out = Array::empty(x.shape(), x.dtype(), x.device())?;
    let rstd = Array::empty(&rows, stats, x.device())?;
    let mean = if centred { Some(Array::empty(&rows, stats, x.device())?) } else { None };
    let (w, b) = (parameter(weight, x)?, parameter(bias, x)?);
    layers::row_norm(&contiguous_array(x.array())?, n, w.as_ref(), b.as_ref(), eps, &out, mean.as_ref(), &rstd)?;
    let kind = if centred { Kind::Layer { n, eps } } else { Kind::Rms { n, eps } };
    // PyTorch composes this one of elementwise ops, which keep the order of dimensions.
    let out = if centred { out } else { in_order_of(out, x.array())? };
    finish(x, weight, bias, out, kind, mean, rstd)
}

/// Groups of channels of each sample normalised. Wu and He 2018, arXiv:1803.08494.
pub fn group_norm(x: &Tensor, groups: i64, weight: Option<&Tensor>, bias: Option<&Tensor>, eps: f64) -> Result<Tensor> {
    ensure!(x.rank() >= 2, Runtime, "Expected at least 2 dimensions for input tensor but received {}", x.rank());
    ensure!(groups > 0, Runtime, "Expected num groups to be greater than 0, got {groups}");
    let channels = x.shape()[1];
    ensure!(
        channels % groups as usize == 0,
        Runtime,
        "Expected number of channels in input to be divisible by num_groups, but got input of shape {:?} and num_groups={groups}",
        x.shape()
    );
    for (t, name) in [(weight, "weight"), (bias, "bias")] {
        if let Some(t) = t {
            ensure!(
                t.rank() == 1 && t.numel() == channels,
                Runtime,
                "Expected {name} to be a vector of size equal to the number of channels in input, but got {name} of shape {:?} and input of shape {:?}",
                t.shape(),
                x.shape()
            );
            same_dtype(x, Some(t))?;
        }
    }
    if !x.dtype().is_float() {
        return Err(rustnn_tensor::Error::not_implemented("GroupNormKernelImpl", x.dtype()));
    }
    let stats = layers::statistics_dtype(x.dtype());
    let shape = [x.shape()[0], groups as usize];
    let out = Array::empty(x.shape(), x.dtype(), x.device())?;
    let (mean, rstd) = (Array::empty(&shape, stats, x.device())?, Array::empty(&shape, stats, x.device())?);
    let (w, b) = (parameter(weight, x)?, parameter(bias, x)?);
    layers::group_norm(&contiguous_array(x.array())?, groups as usize, w.as_ref(), b.as_ref(), eps, &out, &mean, &rstd)?;
    let out = in_channels_last(out, is_channels_last(x.array()))?;
    finish(x, weight, bias, out, Kind::Group { groups: groups as usize, eps }, Some(mean), rstd)
}

/// Running statistics of each channel: read in evaluation, moved in place in training.
#[derive(Clone, Copy, Debug)]
pub struct Running<'a> {
    pub mean: Option<&'a Tensor>,
    pub var: Option<&'a Tensor>,
}

/// Each channel (dimension 1) normalised over all else. Ioffe and Szegedy 2015, arXiv:1502.03167.
pub fn batch_norm(
    x: &Tensor,
    running: Running,
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
    training: bool,
    momentum: f64,
    eps: f64,
) -> Result<Tensor> {
    ensure!(x.rank() >= 2, Runtime, "batch_norm: expected at least 2 dimensions, got input of size {:?}", x.shape());
    let c = x.shape()[1];
    for (t, name) in [(running.mean, "running_mean"), (running.var, "running_var"), (weight, "weight"), (bias, "bias")] {
        if let Some(t) = t {
            ensure!(t.numel() == c, Runtime, "{name} should contain {c} elements not {}", t.numel());
        }
    }
    ensure!(training || (running.mean.is_some() && running.var.is_some()), Runtime, "running_mean must be defined in evaluation mode");
    same_dtype(x, weight)?;
    same_dtype(x, bias)?;
    if !x.dtype().is_float() {
        return Err(rustnn_tensor::Error::not_implemented("batch_norm", x.dtype()));
    }
    let stats = layers::statistics_dtype(x.dtype());
    let out = Array::empty(x.shape(), x.dtype(), x.device())?;
    let dense = contiguous_array(x.array())?;
    let (w, b) = (parameter(weight, x)?, parameter(bias, x)?);
    let rstd = Array::empty(&[c], stats, x.device())?;
    if training {
        ensure!(
            x.numel() > 0 || c == 0,
            Value,
            "Expected more than 1 value per channel when training, got input size {}",
            crate::views::size_text(x.shape())
        );
        let mean = Array::empty(&[c], stats, x.device())?;
        let unbiased = if running.var.is_some() { Some(Array::empty(&[c], stats, x.device())?) } else { None };
        layers::batch_norm_train(&dense, w.as_ref(), b.as_ref(), eps, &out, &mean, &rstd, unbiased.as_ref())?;
        for (t, batch) in [(running.mean, Some(&mean)), (running.var, unbiased.as_ref())] {
            if let (Some(t), Some(batch)) = (t, batch) {
                crate::mode::no_grad(|| t.check_writable())?;
                if t.is_contiguous() {
                    layers::update_running(t.array(), batch, momentum)?;
                } else {
                    let dense = contiguous_array(t.array())?;
                    layers::update_running(&dense, batch, momentum)?;
                    crate::copy::copy_array(&dense, t.array())?;
                }
                t.bump_version();
            }
        }
        let out = in_channels_last(out, is_channels_last(x.array()))?;
        return finish(x, weight, bias, out, Kind::BatchTrain { eps }, Some(mean), rstd);
    }
    let (Some(mean), Some(var)) = (running.mean, running.var) else { bail!(Runtime, "running_mean must be defined in evaluation mode") };
    let mean = contiguous_array(&cast_array(mean.array(), stats)?)?;
    // A copy: the running mean may change before the backward runs.
    let mean = crate::copy::clone_array(&mean)?;
    let rstd = crate::mode::no_grad(|| -> Result<Array> {
        let var = Tensor::from_array(contiguous_array(&cast_array(var.array(), stats)?)?);
        Ok(rsqrt_plus(&var, eps)?.array().clone())
    })?;
    layers::batch_norm_apply(&dense, &mean, &rstd, w.as_ref(), b.as_ref(), &out)?;
    let out = in_channels_last(out, is_channels_last(x.array()))?;
    finish(x, weight, bias, out, Kind::BatchEval, Some(mean), rstd)
}

/// Each sample's channels normalised by themselves: batch_norm of (1, N C, …).
pub fn instance_norm(
    x: &Tensor,
    running: Running,
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
    own: bool,
    momentum: f64,
    eps: f64,
) -> Result<Tensor> {
    ensure!(x.rank() >= 2, Runtime, "instance_norm: expected at least 2 dimensions, got input of size {:?}", x.shape());
    let (n, c) = (x.shape()[0], x.shape()[1]);
    let mut shape: Shape = smallvec![1, n * c];
    shape.extend_from_slice(&x.shape()[2..]);
    let flat = crate::views::reshape_to(x, &shape)?;
    let repeat = |t: Option<&Tensor>| -> Result<Option<Tensor>> {
        let repeated = |t: &Tensor| {
            let row = crate::views::reshape_to(t, &[1, t.numel()])?;
            crate::clone(&crate::views::reshape_to(&crate::views::expand_to(&row, &[n, t.numel()])?, &[n * t.numel()])?)
        };
        t.map(repeated).transpose()
    };
    let (w, b) = (repeat(weight)?, repeat(bias)?);
    let (rm, rv) = (repeat(running.mean)?, repeat(running.var)?);
    let copies = Running { mean: rm.as_ref(), var: rv.as_ref() };
    let out = batch_norm(&flat, copies, w.as_ref(), b.as_ref(), own, momentum, eps)?;
    if own && n > 0 {
        // The running statistics move by the mean over samples, if there are any.
        for (t, copy) in [(running.mean, &rm), (running.var, &rv)] {
            if let (Some(t), Some(copy)) = (t, copy) {
                let mean = crate::mode::no_grad(|| reduce::mean(&crate::views::reshape_to(copy, &[n, c])?, Some(&[0]), false, None))?;
                crate::mode::no_grad(|| crate::copy::copy_(t, &mean))?;
            }
        }
    }
    crate::views::reshape_to(&out, x.shape())
}

crate::ops! {
    "layer_norm(Tensor self, int[] normalized_shape, Tensor? weight=None, Tensor? bias=None, float eps=1e-05)" Function "Normalisation over the last dimensions. Ba et al. 2016, arXiv:1607.06450." =>
        |a| layer_norm(a.tensor(0)?, a.ints(1)?, a.opt_tensor(2)?, a.opt_tensor(3)?, a.float(4)?)?;
    "rms_norm(Tensor self, int[] normalized_shape, Tensor? weight=None, float? eps=None)" Function "Division by the root mean square of the last dimensions. Zhang and Sennrich 2019, arXiv:1910.07467." =>
        |a| rms_norm(a.tensor(0)?, a.ints(1)?, a.opt_tensor(2)?, a.opt_float(3)?)?;
    "group_norm(Tensor self, int num_groups, Tensor? weight=None, Tensor? bias=None, float eps=1e-05)" Function "Normalisation over groups of channels. Wu and He 2018, arXiv:1803.08494." =>
        |a| group_norm(a.tensor(0)?, a.int(1)?, a.opt_tensor(2)?, a.opt_tensor(3)?, a.float(4)?)?;
    "batch_norm(Tensor self, Tensor? running_mean, Tensor? running_var, Tensor? weight=None, Tensor? bias=None, bool training=False, float momentum=0.1, float eps=1e-05)" Function "Normalisation of each channel over all else. Ioffe and Szegedy 2015, arXiv:1502.03167." =>
        |a| batch_norm(a.tensor(0)?, Running { mean: a.opt_tensor(1)?, var: a.opt_tensor(2)? }, a.opt_tensor(3)?, a.opt_tensor(4)?, a.bool(5)?, a.float(6)?, a.float(7)?)?;
    "instance_norm(Tensor self, Tensor? running_mean=None, Tensor? running_var=None, Tensor? weight=None, Tensor? bias=None, bool use_input_stats=True, float momentum=0.1, float eps=1e-05)" Function "Normalisation of each channel of each sample. Ulyanov et al. 2016, arXiv:1607.08022." =>
        |a| instance_norm(a.tensor(0)?, Running { mean: a.opt_tensor(1)?, var: a.opt_tensor(2)? }, a.opt_tensor(3)?, a.opt_tensor(4)?, a.bool(5)?, a.float(6)?, a.float(7)?)?;
}
