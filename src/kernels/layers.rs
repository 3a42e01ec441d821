//! The safe face of the kernels of layers, losses, random numbers and optimizers, on [`Array`]s. Operands are checked here;
//! a mismatch is the caller's bug and panics before memory is touched. On the meta device nothing runs.

use crate::arrays::{dst, src};
use crate::conv::{self, ConvShape};
use crate::elementwise::Kernel;
use crate::gemm::{self, Epilogue};
use crate::loss::{self, Dloss, Target, Totals};
use crate::norm::{self, Channels};
use crate::optimizer::{self, Slot};
use crate::pool::{self, Adaptive, Divisor, Window, Windows};
use crate::rng::{self, BadWeights, Stream};
use crate::wide::Real;
use crate::{softmax as softmaxes, with_float, with_number};
use rustnn_tensor::{Array, DType, Error, Result};

/// Whether there is nothing to compute. Memory of other devices is the caller's business.
fn meta(arrays: &[&Array]) -> bool {
    let meta = arrays.iter().any(|a| a.is_meta());
    assert!(meta || arrays.iter().all(|a| a.is_host()), "device memory in a CPU kernel");
    meta
}

fn refuse<T>(op: &str, dtype: DType) -> Result<T> {
    Err(Error::not_implemented(op, dtype))
}

/// `c = a · b`, or `a · b + plus`; the same leading (batch) sizes in all, strides any. `plus` has c's shape.
pub fn matmul(a: &Array, b: &Array, plus: Option<&Array>, c: &Array) -> Result<()> {
    product(a, b, plus, false, c)
}

/// A formula of one number that ends a product.
#[derive(Clone, Copy)]
pub struct Activation {
    pub kernel: &'static Kernel,
    /// Whether it is max(x, 0): products do that as they store.
    pub relu: bool,
}

/// `c = activation(a · b + plus)` as [`matmul`], the formula's input to `before` if asked for.
pub fn matmul_activated(
    a: &Array,
    b: &Array,
    plus: Option<&Array>,
    activation: Activation,
    before: Option<&Array>,
    c: &Array,
) -> Result<()> {
    if activation.relu && before.is_none() {
        return product(a, b, plus, true, c);
    }
    let z = before.unwrap_or(c);
    product(a, b, plus, false, z)?;
    crate::arrays::elementwise(activation.kernel, c.dtype(), &[crate::arrays::Operand::Array(z)], &[], c)
}

fn product(a: &Array, b: &Array, plus: Option<&Array>, relu: bool, c: &Array) -> Result<()> {
    if meta(&[a, b, c]) {
        return Ok(());
    }
    macro_rules! product {
        ($($dtype:ident $t:ty),*) => {
            match c.dtype() {
                $(DType::$dtype => {
                    let plus = plus.map(|p| (<$t as gemm::Element>::ONE, src::<$t>(p)));
                    gemm::gemm::<$t>(src(a), src(b), dst(c), &Epilogue { plus, relu, ..Epilogue::default() })
                })*
                other => return refuse("matmul", other),
            }
        };
    }
    product!(F32 f32, F64 f64, F16 half::f16, BF16 half::bf16, I8 i8, I16 i16, I32 i32, I64 i64, U8 u8);
    Ok(())
}

/// As `crate::conv::forward`.
pub fn conv_forward(shape: &ConvShape, x: &Array, weight: &Array, bias: Option<&Array>, out: &Array) -> Result<()> {
    if meta(&[x, weight, out]) {
        return Ok(());
    }
    with_float!(out.dtype(), T => conv::forward::<T>(shape, src(x), src(weight), bias.map(src), dst(out)), else return refuse("conv", out.dtype()));
    Ok(())
}

/// The gradient for the input, or the transposed convolution of `dy` with its bias.
pub fn conv_backward_input(shape: &ConvShape, dy: &Array, weight: &Array, bias: Option<&Array>, dx: &Array) -> Result<()> {
    if meta(&[dy, weight, dx]) {
        return Ok(());
    }
    with_float!(dx.dtype(), T => conv::backward_input::<T>(shape, src(dy), src(weight), bias.map(src), dst(dx)), else return refuse("conv", dx.dtype()));
    Ok(())
}

pub fn conv_backward_weight(shape: &ConvShape, x: &Array, dy: &Array, dw: &Array) -> Result<()> {
    if meta(&[x, dy, dw]) {
        return Ok(());
    }
    with_float!(dw.dtype(), T => conv::backward_weight::<T>(shape, src(x), src(dy), dst(dw)), else return refuse("conv", dw.dtype()));
    Ok(())
}

/// Softmax along `dim`, its logarithm if `log`; contiguous, `out` may be `x`.
pub fn softmax(log: bool, x: &Array, dim: usize, out: &Array) -> Result<()> {
    if meta(&[x, out]) {
        return Ok(());
    }
    assert!(x.is_contiguous() && out.is_contiguous() && x.shape() == out.shape() && dim < x.rank());
    with_float!(x.dtype(), T => softmaxes::softmax::<T>(log, src(x), dim, dst(out)), else return refuse("softmax", x.dtype()));
    Ok(())
}

pub fn softmax_backward(log: bool, dy: &Array, y: &Array, dim: usize, dx: &Array) -> Result<()> {
    if meta(&[dy, y, dx]) {
        return Ok(());
    }
    assert!(
        dy.is_contiguous()
            && y.is_contiguous()
            && dx.is_contiguous()
            && dy.shape() == y.shape()
            && dx.shape() == y.shape()
            && dim < y.rank()
    );
    with_float!(y.dtype(), T => softmaxes::softmax_backward::<T>(log, src(dy), src(y), dim, dst(dx)), else return refuse("softmax", y.dtype()));
    Ok(())
}

/// An operand of `len` contiguous elements of T.
fn at<T: rustnn_tensor::Element>(a: &Array, len: usize) -> *const T {
    assert!(a.is_contiguous() && a.numel() == len, "a parameter or an operand of another size");
    src::<T>(a).ptr
}

fn to<T: rustnn_tensor::Element>(a: &Array, len: usize) -> *mut T {
    assert!(a.is_contiguous() && a.numel() == len, "a parameter or a result of another size");
    dst::<T>(a).ptr
}

/// The dtype that statistics and parameters of a norm have: float32 for 16-bit inputs.
pub fn statistics_dtype(x: DType) -> DType {
    if x == DType::F64 { DType::F64 } else { DType::F32 }
}

macro_rules! float_of {
    ($t:ident) => {
        <$t as Real>::Float
    };
}

/// Normalises rows of `n` elements (the last ones); centred, or by the root mean square if `mean` is None. Statistics, `weight` and
/// `bias` are of [`statistics_dtype`].
pub fn row_norm(
    x: &Array,
    n: usize,
    weight: Option<&Array>,
    bias: Option<&Array>,
    eps: f64,
    out: &Array,
    mean: Option<&Array>,
    rstd: &Array,
) -> Result<()> {
    if meta(&[x, out]) {
        return Ok(());
    }
    let (rows, len) = (rstd.numel(), x.numel());
    assert_eq!(rows * n, len);
    with_float!(x.dtype(), T => {
        // SAFETY: `at` and `to` checked sizes, contiguity and dtypes.
        unsafe {
            match mean {
                Some(mean) => norm::layer_norm::<T>(
                    at(x, len), rows, n, weight.map(|w| at::<float_of!(T)>(w, n)), bias.map(|b| at::<float_of!(T)>(b, n)), eps,
                    to(out, len), Some(to(mean, rows)), Some(to(rstd, rows))),
                None => norm::rms_norm::<T>(
                    at(x, len), rows, n, weight.map(|w| at::<float_of!(T)>(w, n)), eps, to(out, len), Some(to(rstd, rows))),
            }
        }
    }, else return refuse("layer_norm", x.dtype()));
    Ok(())
}

/// Gradients of [`row_norm`], each where asked for.
pub fn row_norm_backward(
    dy: &Array,
    x: &Array,
    n: usize,
    weight: Option<&Array>,
    mean: Option<&Array>,
    rstd: &Array,
    dx: Option<&Array>,
    dweight: Option<&Array>,
    dbias: Option<&Array>,
) -> Result<()> {
    if meta(&[dy, x]) {
        return Ok(());
    }
    let (rows, len) = (rstd.numel(), x.numel());
    assert_eq!(rows * n, len);
    with_float!(x.dtype(), T => {
        let weight = weight.map(|w| at::<float_of!(T)>(w, n));
        // SAFETY: as in `row_norm`.
        unsafe {
            match mean {
                Some(mean) => norm::layer_norm_backward::<T>(
                    at(dy, len), at(x, len), rows, n, weight, at(mean, rows), at(rstd, rows), dx.map(|d| to(d, len)),
                    dweight.map(|d| to(d, n)), dbias.map(|d| to(d, n))),
                None => norm::rms_norm_backward::<T>(
                    at(dy, len), at(x, len), rows, n, weight, at(rstd, rows), dx.map(|d| to(d, len)), dweight.map(|d| to(d, n))),
            }
        }
    }, else return refuse("layer_norm", x.dtype()));
    Ok(())
}

/// The sizes of an input of a channel norm.
pub fn channels(shape: &[usize]) -> Channels {
    Channels { n: shape[0], channels: shape[1], spatial: shape[2..].iter().product() }
}

/// As `norm::group_norm`.
pub fn group_norm(
    x: &Array,
    groups: usize,
    weight: Option<&Array>,
    bias: Option<&Array>,
    eps: f64,
    out: &Array,
    mean: &Array,
    rstd: &Array,
) -> Result<()> {
    if meta(&[x, out]) {
        return Ok(());
    }
    let (shape, len) = (channels(x.shape()), x.numel());
    let (c, g) = (shape.channels, shape.n * groups);
    assert!(groups > 0 && c % groups == 0);
    with_float!(x.dtype(), T => {
        // SAFETY: as in `row_norm`.
        unsafe {
            norm::group_norm::<T>(at(x, len), shape, groups, weight.map(|w| at::<float_of!(T)>(w, c)), bias.map(|b| at::<float_of!(T)>(b, c)), eps,
                to(out, len), to(mean, g), to(rstd, g))
        }
    }, else return refuse("group_norm", x.dtype()));
    Ok(())
}

pub fn group_norm_backward(
    dy: &Array,
    x: &Array,
    groups: usize,
    weight: Option<&Array>,
    mean: &Array,
    rstd: &Array,
    dx: Option<&Array>,
    dweight: Option<&Array>,
    dbias: Option<&Array>,
) -> Result<()> {
    if meta(&[dy, x]) {
        return Ok(());
    }
    let (shape, len) = (channels(x.shape()), x.numel());
    let (c, g) = (shape.channels, shape.n * groups);
    assert!(groups > 0 && c % groups == 0);
    with_float!(x.dtype(), T => {
        // SAFETY: as in `row_norm`.
        unsafe {
            norm::group_norm_backward::<T>(at(dy, len), at(x, len), shape, groups, weight.map(|w| at::<float_of!(T)>(w, c)), at(mean, g), at(rstd, g),
                dx.map(|d| to(d, len)), dweight.map(|d| to(d, c)), dbias.map(|d| to(d, c)))
        }
    }, else return refuse("group_norm", x.dtype()));
    Ok(())
}

/// Batch normalisation by the batch's own statistics, which are written to `mean` and `invstd`, the variance with correction 1 to
/// `unbiased` if asked.
pub fn batch_norm_train(
    x: &Array,
    weight: Option<&Array>,
    bias: Option<&Array>,
    eps: f64,
    out: &Array,
    mean: &Array,
    invstd: &Array,
    unbiased: Option<&Array>,
) -> Result<()> {
    if meta(&[x, out]) {
        return Ok(());
    }
    let (shape, len) = (channels(x.shape()), x.numel());
    let c = shape.channels;
    assert!(len > 0 || c == 0);
    with_float!(x.dtype(), T => {
        // SAFETY: as in `row_norm`.
        unsafe {
            norm::batch_norm_train::<T>(at(x, len), shape, weight.map(|w| at::<float_of!(T)>(w, c)), bias.map(|b| at::<float_of!(T)>(b, c)), eps,
                to(out, len), to(mean, c), to(invstd, c), unbiased.map(|u| to(u, c)))
        }
    }, else return refuse("batch_norm", x.dtype()));
    Ok(())
}

/// `running = (1 - momentum) running + momentum batch`; `batch` is of [`statistics_dtype`] of `x`.
pub fn update_running(running: &Array, batch: &Array, momentum: f64) -> Result<()> {
    if meta(&[running, batch]) {
        return Ok(());
    }
    let c = running.numel();
    with_float!(running.dtype(), T => {
        let batch = crate::arrays::cast(batch, statistics_dtype(running.dtype()))?;
        // SAFETY: as in `row_norm`.
        unsafe { norm::update_running::<T>(to(running, c), at::<float_of!(T)>(&batch, c), c, momentum) }
    }, else return refuse("batch_norm", running.dtype()));
    Ok(())
}

/// `out = (x - mean) invstd weight + bias` per channel.
pub fn batch_norm_apply(x: &Array, mean: &Array, invstd: &Array, weight: Option<&Array>, bias: Option<&Array>, out: &Array) -> Result<()> {
    if meta(&[x, out]) {
        return Ok(());
    }
    let (shape, len) = (channels(x.shape()), x.numel());
    let c = shape.channels;
    with_float!(x.dtype(), T => {
        // SAFETY: as in `row_norm`.
        unsafe {
            norm::batch_norm_apply::<T>(at(x, len), shape, at(mean, c), at(invstd, c), weight.map(|w| at::<float_of!(T)>(w, c)),
                bias.map(|b| at::<float_of!(T)>(b, c)), to(out, len))
        }
    }, else return refuse("batch_norm", x.dtype()));
    Ok(())
}

pub fn batch_norm_backward(
    dy: &Array,
    x: &Array,
    mean: &Array,
    invstd: &Array,
    weight: Option<&Array>,
    training: bool,
    dx: Option<&Array>,
    dweight: Option<&Array>,
    dbias: Option<&Array>,
) -> Result<()> {
    if meta(&[dy, x]) {
        return Ok(());
    }
    let (shape, len) = (channels(x.shape()), x.numel());
    let c = shape.channels;
    with_float!(x.dtype(), T => {
        // SAFETY: as in `row_norm`.
        unsafe {
            norm::batch_norm_backward::<T>(at(dy, len), at(x, len), shape, at(mean, c), at(invstd, c), weight.map(|w| at::<float_of!(T)>(w, c)), training,
                dx.map(|d| to(d, len)), dweight.map(|d| to(d, c)), dbias.map(|d| to(d, c)))
        }
    }, else return refuse("batch_norm", x.dtype()));
    Ok(())
}

// ---------------------------------------------------------------------------------------------------------------- losses

/// The sizes of logits: (n, classes, …).
pub fn logits(shape: &[usize]) -> loss::Shape {
    loss::Shape { n: shape[0], classes: shape[1], inner: shape[2..].iter().product() }
}

/// The first target that is neither a class nor ignored.
pub fn bad_target(target: &Array, classes: usize, ignore_index: i64) -> Option<i64> {
    if meta(&[target]) {
        return None;
    }
    let n = target.numel();
    // SAFETY: `at` checked the size.
    unsafe { loss::target_out_of_range(at(target, n), n, classes, ignore_index) }
}

/// What a class loss needs besides the logits.
#[derive(Clone, Copy, Debug)]
pub struct Entropy<'a> {
    /// int64 classes, or probabilities of the logits' shape and dtype.
    pub target: &'a Array,
    /// Of [`statistics_dtype`].
    pub weight: Option<&'a Array>,
    pub ignore_index: i64,
    pub smoothing: f64,
}

fn target<T: Real + rustnn_tensor::Element>(entropy: &Entropy, shape: loss::Shape) -> Target<T> {
    match entropy.target.dtype() {
        DType::I64 => Target::Classes { target: at(entropy.target, shape.items()), ignore_index: entropy.ignore_index },
        _ => Target::Probabilities(at(entropy.target, shape.items() * shape.classes)),
    }
}

/// Losses per item; `saved` (two per item) is what the backward wants. Losses and `saved` are of [`statistics_dtype`].
pub fn cross_entropy(x: &Array, entropy: &Entropy, losses: &Array, saved: &Array) -> Result<Totals> {
    if meta(&[x, losses]) {
        return Ok(Totals::default());
    }
    let shape = logits(x.shape());
    let out = with_float!(x.dtype(), T => {
        // SAFETY: `at` and `to` checked sizes, contiguity and dtypes; the caller checked the targets' range (`bad_target`).
        unsafe {
            loss::cross_entropy::<T>(at(x, x.numel()), shape, target(entropy, shape), entropy.weight.map(|w| at::<float_of!(T)>(w, shape.classes)),
                entropy.smoothing, to(losses, shape.items()), to(saved, 2 * shape.items()))
        }
    }, else return refuse("cross_entropy", x.dtype()));
    Ok(out)
}

fn dloss<L: rustnn_tensor::Element>(one: f64, each: Option<&Array>, items: usize, narrow: impl Fn(f64) -> L) -> Dloss<L> {
    match each {
        None => Dloss::One(narrow(one)),
        Some(each) => Dloss::Each(at(each, items)),
    }
}

/// The gradient for the logits; `one` is that of every loss, or `each` has one per item.
pub fn cross_entropy_backward(x: &Array, entropy: &Entropy, saved: &Array, one: f64, each: Option<&Array>, dx: &Array) -> Result<()> {
    if meta(&[x, dx]) {
        return Ok(());
    }
    let shape = logits(x.shape());
    with_float!(x.dtype(), T => {
        // SAFETY: as in `cross_entropy`.
        unsafe {
            loss::cross_entropy_backward::<T>(at(x, x.numel()), shape, target(entropy, shape), entropy.weight.map(|w| at::<float_of!(T)>(w, shape.classes)),
                entropy.smoothing, at(saved, 2 * shape.items()), dloss::<float_of!(T)>(one, each, shape.items(), |v| v as float_of!(T)), to(dx, x.numel()))
        }
    }, else return refuse("cross_entropy", x.dtype()));
    Ok(())
}

pub fn nll_loss(x: &Array, entropy: &Entropy, losses: &Array) -> Result<Totals> {
    if meta(&[x, losses]) {
        return Ok(Totals::default());
    }
    let shape = logits(x.shape());
    let out = with_float!(x.dtype(), T => {
        // SAFETY: as in `cross_entropy`.
        unsafe {
            loss::nll_loss::<T>(at(x, x.numel()), shape, at(entropy.target, shape.items()), entropy.weight.map(|w| at::<float_of!(T)>(w, shape.classes)),
                entropy.ignore_index, to(losses, shape.items()))
        }
    }, else return refuse("nll_loss", x.dtype()));
    Ok(out)
}

pub fn nll_loss_backward(dx: &Array, entropy: &Entropy, one: f64, each: Option<&Array>) -> Result<()> {
    if meta(&[dx]) {
        return Ok(());
    }
    let shape = logits(dx.shape());
    with_float!(dx.dtype(), T => {
        // SAFETY: as in `cross_entropy`.
        unsafe {
            loss::nll_loss_backward::<T>(shape, at(entropy.target, shape.items()), entropy.weight.map(|w| at::<float_of!(T)>(w, shape.classes)),
                entropy.ignore_index, dloss::<float_of!(T)>(one, each, shape.items(), |v| v as float_of!(T)), to(dx, dx.numel()))
        }
    }, else return refuse("nll_loss", dx.dtype()));
    Ok(())
}

// --------------------------------------------------------------------------------------------------------------- pooling

fn bytes(a: &Array, len: usize) -> *const u8 {
    assert!(a.is_contiguous() && a.numel() == len && a.is_host(), "an operand of another size");
    a.ptr()
}

fn bytes_to(a: &Array, len: usize) -> *mut u8 {
    assert!(a.is_contiguous() && a.numel() == len && a.storage().is_writable() && a.is_host(), "a result of another size");
    a.ptr()
}

fn floating(op: &str, dtype: DType) -> Result<()> {
    with_float!(dtype, T => { let _ = std::marker::PhantomData::<T>; Ok(()) }, else refuse(op, dtype))
}

fn size(sizes: [usize; 3]) -> usize {
    sizes.iter().product()
}

pub fn max_pool(window: &Window, planes: usize, x: &Array, out: &Array, indices: Option<&Array>) -> Result<()> {
    if meta(&[x, out]) {
        return Ok(());
    }
    floating("max_pool", x.dtype())?;
    let n = planes * size(window.output);
    // SAFETY: sizes and contiguity are checked.
    unsafe {
        pool::max_pool(x.dtype(), window, planes, bytes(x, planes * size(window.input)), bytes_to(out, n), indices.map(|i| to(i, n)))
    };
    Ok(())
}

/// `dx` from the gradient and the places of the maxima, which lie in their planes.
pub fn max_pool_backward(windows: &Windows, planes: usize, dy: &Array, indices: &Array, dx: &Array) -> Result<()> {
    if meta(&[dy, dx]) {
        return Ok(());
    }
    let (input, output) = (size(windows.input()), size(windows.output()));
    floating("max_pool", dx.dtype())?;
    // SAFETY: as in `max_pool`.
    unsafe {
        pool::max_pool_backward(
            dx.dtype(),
            planes,
            input,
            output,
            bytes(dy, planes * output),
            at(indices, planes * output),
            bytes_to(dx, planes * input),
        )
    };
    Ok(())
}

pub fn avg_pool(window: &Window, divisor: Divisor, planes: usize, x: &Array, out: &Array) -> Result<()> {
    if meta(&[x, out]) {
        return Ok(());
    }
    floating("avg_pool", x.dtype())?;
    // SAFETY: as in `max_pool`.
    unsafe {
        pool::avg_pool(
            x.dtype(),
            window,
            divisor,
            planes,
            bytes(x, planes * size(window.input)),
            bytes_to(out, planes * size(window.output)),
        )
    };
    Ok(())
}

pub fn avg_pool_backward(window: &Window, divisor: Divisor, planes: usize, dy: &Array, dx: &Array) -> Result<()> {
    if meta(&[dy, dx]) {
        return Ok(());
    }
    floating("avg_pool", dx.dtype())?;
    // SAFETY: as in `max_pool`.
    unsafe {
        pool::avg_pool_backward(
            dx.dtype(),
            window,
            divisor,
            planes,
            bytes(dy, planes * size(window.output)),
            bytes_to(dx, planes * size(window.input)),
        )
    };
    Ok(())
}

pub fn adaptive_avg_pool(sizes: &Adaptive, planes: usize, x: &Array, out: &Array) -> Result<()> {
    if meta(&[x, out]) {
        return Ok(());
    }
    floating("adaptive_avg_pool", x.dtype())?;
    // SAFETY: as in `max_pool`.
    unsafe {
        pool::adaptive_avg_pool(x.dtype(), sizes, planes, bytes(x, planes * size(sizes.input)), bytes_to(out, planes * size(sizes.output)))
    };
    Ok(())
}

pub fn adaptive_avg_pool_backward(sizes: &Adaptive, planes: usize, dy: &Array, dx: &Array) -> Result<()> {
    if meta(&[dy, dx]) {
        return Ok(());
    }
    floating("adaptive_avg_pool", dx.dtype())?;
    // SAFETY: as in `max_pool`.
    unsafe {
        pool::adaptive_avg_pool_backward(
            dx.dtype(),
            sizes,
            planes,
            bytes(dy, planes * size(sizes.output)),
            bytes_to(dx, planes * size(sizes.input)),
        )
    };
    Ok(())
}

pub fn adaptive_max_pool(sizes: &Adaptive, planes: usize, x: &Array, out: &Array, indices: &Array) -> Result<()> {
    if meta(&[x, out]) {
        return Ok(());
    }
    floating("adaptive_max_pool", x.dtype())?;
    let n = planes * size(sizes.output);
    // SAFETY: as in `max_pool`.
    unsafe { pool::adaptive_max_pool(x.dtype(), sizes, planes, bytes(x, planes * size(sizes.input)), bytes_to(out, n), to(indices, n)) };
    Ok(())
}

// ---------------------------------------------------------------------------------------------------------------- random

/// A law that fills a contiguous array.
#[derive(Clone, Copy, Debug)]
pub enum Law {
    /// In [low, high).
    Uniform {
        low: f64,
        high: f64,
    },
    Normal {
        mean: f64,
        std: f64,
    },
    Exponential {
        rate: f64,
    },
    /// In low .. low + span (0: all of them).
    Integers {
        low: i64,
        span: u64,
    },
    Bernoulli {
        p: f64,
    },
}

/// How many blocks of the stream `len` values take, at most: what a generator moves on by before the fill.
pub fn blocks(len: usize) -> u64 {
    len as u64 + 64
}

/// Fills `out`; value i depends on the stream and i alone.
pub fn fill_random(law: Law, stream: Stream, out: &Array) -> Result<()> {
    if meta(&[out]) {
        return Ok(());
    }
    let (n, dtype) = (out.numel(), out.dtype());
    let to = bytes_to(out, n);
    let integral = matches!(law, Law::Integers { .. } | Law::Bernoulli { .. });
    if integral {
        with_number!(dtype, T => { let _ = std::marker::PhantomData::<T>; }, else return refuse("random", dtype));
    } else {
        floating("random", dtype)?;
    }
    // SAFETY: `out` has room for `n` elements of `dtype`, of a kind that the law fills.
    unsafe {
        match law {
            Law::Uniform { low, high } => rng::uniform(dtype, stream, low, high, to, n),
            Law::Normal { mean, std } => rng::normal(dtype, stream, mean, std, to, n),
            Law::Exponential { rate } => rng::exponential(dtype, stream, rate, to, n),
            Law::Integers { low, span } => rng::integers(dtype, stream, low, span, to, n),
            Law::Bernoulli { p } => rng::bernoulli(dtype, stream, p, to, n),
        }
    };
    Ok(())
}

/// 1 with each element's own probability.
pub fn bernoulli_each(p: &Array, stream: Stream, out: &Array) -> Result<()> {
    if meta(&[p, out]) {
        return Ok(());
    }
    floating("bernoulli", p.dtype())?;
    let n = p.numel();
    // SAFETY: as in `fill_random`.
    unsafe { rng::bernoulli_each(out.dtype(), stream, p.dtype(), bytes(p, n), bytes_to(out, n), n) };
    Ok(())
}

/// Keeps each element with probability `1 - p`, scaled by `1 / (1 - p)`; the same stream keeps the same ones.
pub fn dropout(x: &Array, stream: Stream, p: f64, out: &Array) -> Result<()> {
    if meta(&[x, out]) {
        return Ok(());
    }
    floating("dropout", x.dtype())?;
    assert_eq!(x.dtype(), out.dtype());
    let n = x.numel();
    // SAFETY: as in `fill_random`.
    unsafe { rng::dropout(x.dtype(), stream, p, bytes(x, n), bytes_to(out, n), None, n) };
    Ok(())
}

/// A permutation of 0 .. n into an int64 array.
pub fn randperm(stream: Stream, out: &Array) -> Result<()> {
    if meta(&[out]) {
        return Ok(());
    }
    let n = out.numel();
    // SAFETY: as in `fill_random`.
    unsafe { rng::randperm(stream, to(out, n), n) };
    Ok(())
}

/// `samples` categories per row of weights, into an int64 array.
pub fn multinomial(
    weights: &Array,
    rows: usize,
    categories: usize,
    samples: usize,
    replacement: bool,
    stream: Stream,
    out: &Array,
) -> Result<std::result::Result<(), BadWeights>> {
    floating("multinomial", weights.dtype())?;
    if meta(&[weights, out]) {
        return Ok(Ok(()));
    }
    // SAFETY: as in `fill_random`.
    let done = unsafe {
        rng::multinomial(
            weights.dtype(),
            stream,
            bytes(weights, rows * categories),
            rows,
            categories,
            samples,
            replacement,
            to(out, rows * samples),
        )
    };
    Ok(done.map(drop))
}

// ------------------------------------------------------------------------------------------------------------- optimizers

pub use crate::optimizer::{Adam, Sgd};

fn slot<const N: usize>(param: &Array, grad: &Array, state: [&Array; N]) -> Result<Slot<N>> {
    let len = param.numel();
    let same = |a: &Array| a.dtype() == param.dtype() && a.numel() == len && a.is_contiguous() && a.is_host();
    if !same(param) || !same(grad) || !state.iter().all(|s| same(s)) {
        return Err(Error::Runtime(format!(
            "optimizer step: parameter, gradient and state must be contiguous, of one size and dtype; got parameter {:?} {}, gradient {:?} {}",
            param.shape(),
            param.dtype().name(),
            grad.shape(),
            grad.dtype().name()
        )));
    }
    Ok(Slot { param: bytes_to(param, len), grad: bytes(grad, len), state: state.map(|s| bytes_to(s, len)), len })
}

/// A step of SGD; `buffers` holds None for a parameter without momentum buffer yet (`first`), whose array must be there all the same.
pub fn sgd(settings: &Sgd, params: &[&Array], grads: &[&Array], buffers: &[&Array], first: &[bool]) -> Result<()> {
    let Some(dtype) = params.first().map(|p| p.dtype()) else { return Ok(()) };
    floating("sgd", dtype)?;
    if buffers.is_empty() {
        let slots: Vec<Slot<0>> = params.iter().zip(grads).map(|(p, g)| slot(p, g, [])).collect::<Result<_>>()?;
        // SAFETY: `slot` checked each; parameters of one model do not overlap (an optimizer refuses duplicates).
        unsafe { optimizer::sgd(dtype, settings, &slots) };
    } else {
        assert!(buffers.len() == params.len() && first.len() == params.len());
        let slots: Vec<Slot<1>> = params.iter().zip(grads).zip(buffers).map(|((p, g), b)| slot(p, g, [b])).collect::<Result<_>>()?;
        // SAFETY: as above.
        unsafe { optimizer::sgd_momentum(dtype, settings, &slots, first) };
    }
    Ok(())
}

/// A step of Adam or AdamW; `steps` counts this one too. With `greatest` it is AMSGrad.
pub fn adam(
    settings: &Adam,
    params: &[&Array],
    grads: &[&Array],
    averages: &[&Array],
    squares: &[&Array],
    greatest: Option<&[&Array]>,
    steps: &[f64],
) -> Result<()> {
    let Some(dtype) = params.first().map(|p| p.dtype()) else { return Ok(()) };
    floating("adam", dtype)?;
    assert!(averages.len() == params.len() && squares.len() == params.len() && steps.len() == params.len() && grads.len() == params.len());
    match greatest {
        None => {
            let slots: smallvec::SmallVec<[Slot<2>; 8]> =
                (0..params.len()).map(|i| slot(params[i], grads[i], [averages[i], squares[i]])).collect::<Result<_>>()?;
            // SAFETY: as in `sgd`.
            unsafe { optimizer::adam(dtype, settings, &slots, steps) };
        }
        Some(greatest) => {
            let slots: Vec<Slot<3>> =
                (0..params.len()).map(|i| slot(params[i], grads[i], [averages[i], squares[i], greatest[i]])).collect::<Result<_>>()?;
            // SAFETY: as in `sgd`.
            unsafe { optimizer::amsgrad(dtype, settings, &slots, steps) };
        }
    }
    Ok(())
}

/// `out[plane, i] = x[plane, indices[plane, i]]`: the transpose of [`max_pool_backward`].
pub fn pick(planes: usize, input: usize, output: usize, x: &Array, indices: &Array, out: &Array) -> Result<()> {
    if meta(&[x, out]) {
        return Ok(());
    }
    let width = x.dtype().size_bytes();
    let (from, places, dst) = (bytes(x, planes * input), at::<i64>(indices, planes * output), bytes_to(out, planes * output));
    for plane in 0..planes {
        for i in 0..output {
            // SAFETY: sizes are checked, and so is each place; what lies at none is zero.
            unsafe {
                let (place, dst) = (places.add(plane * output + i).read() as usize, dst.add((plane * output + i) * width));
                if place < input {
                    std::ptr::copy_nonoverlapping(from.add((plane * input + place) * width), dst, width);
                } else {
                    dst.write_bytes(0, width);
                }
            }
        }
    }
    Ok(())
}
