//! Doors to the kernels of `rustnn_kernels::layers`.

use super::{Host, Place, door, place};
use rustnn_kernels::conv::ConvShape;
use rustnn_kernels::layers as cpu;
use rustnn_kernels::pool::{Adaptive, Divisor, Window, Windows};
use rustnn_kernels::rng::{BadWeights, Stream};
use rustnn_tensor::{Array, Device, Result};
use smallvec::SmallVec;

pub use rustnn_kernels::layers::{Activation, Adam, Entropy, Law, Sgd, blocks, statistics_dtype};

/// `c = a · b`, or `a · b + plus`; the same leading (batch) sizes in all, strides any. `plus` has c's shape.
pub fn matmul(a: &Array, b: &Array, plus: Option<&Array>, c: &Array) -> Result<()> {
    door!([a, b, plus] [c] layers::matmul(a, b, plus, c) gpu)
}

/// `c = activation(a · b + plus)`, the formula's input to `before` if asked for.
pub fn matmul_activated(
    a: &Array,
    b: &Array,
    plus: Option<&Array>,
    activation: Activation,
    before: Option<&Array>,
    c: &Array,
) -> Result<()> {
    door!([a, b, plus] [before, c] layers::matmul_activated(a, b, plus, activation, before, c) gpu)
}

/// As `crate::conv::forward`.
pub fn conv_forward(shape: &ConvShape, x: &Array, weight: &Array, bias: Option<&Array>, out: &Array) -> Result<()> {
    door!([x, weight, bias] [out] layers::conv_forward(shape, x, weight, bias, out) gpu)
}

/// The gradient for the input, or the transposed convolution of `dy` with its bias.
pub fn conv_backward_input(shape: &ConvShape, dy: &Array, weight: &Array, bias: Option<&Array>, dx: &Array) -> Result<()> {
    door!([dy, weight, bias] [dx] layers::conv_backward_input(shape, dy, weight, bias, dx) gpu)
}

pub fn conv_backward_weight(shape: &ConvShape, x: &Array, dy: &Array, dw: &Array) -> Result<()> {
    door!([x, dy] [dw] layers::conv_backward_weight(shape, x, dy, dw) gpu)
}

/// Softmax along `dim`, its logarithm if `log`; contiguous, `out` may be `x`.
pub fn softmax(log: bool, x: &Array, dim: usize, out: &Array) -> Result<()> {
    door!([x] [out] layers::softmax(log, x, dim, out) gpu)
}

pub fn softmax_backward(log: bool, dy: &Array, y: &Array, dim: usize, dx: &Array) -> Result<()> {
    door!([dy, y] [dx] layers::softmax_backward(log, dy, y, dim, dx) gpu)
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
    door!([x, weight, bias] [out, mean, rstd] layers::row_norm(x, n, weight, bias, eps, out, mean, rstd) gpu)
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
    door!([dy, x, weight, mean, rstd] [dx, dweight, dbias] layers::row_norm_backward(dy, x, n, weight, mean, rstd, dx, dweight, dbias) gpu)
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
    door!([x, weight, bias] [out, mean, rstd] layers::group_norm(x, groups, weight, bias, eps, out, mean, rstd) gpu)
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
    door!([dy, x, weight, mean, rstd] [dx, dweight, dbias] layers::group_norm_backward(dy, x, groups, weight, mean, rstd, dx, dweight, dbias) gpu)
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
    door!([x, weight, bias] [out, mean, invstd, unbiased] layers::batch_norm_train(x, weight, bias, eps, out, mean, invstd, unbiased) gpu)
}

/// `running = (1 - momentum) running + momentum batch`; `batch` is of [`statistics_dtype`] of `x`.
pub fn update_running(running: &Array, batch: &Array, momentum: f64) -> Result<()> {
    door!([batch] [running] layers::update_running(running, batch, momentum) gpu)
}

/// `out = (x - mean) invstd weight + bias` per channel.
pub fn batch_norm_apply(x: &Array, mean: &Array, invstd: &Array, weight: Option<&Array>, bias: Option<&Array>, out: &Array) -> Result<()> {
    door!([x, mean, invstd, weight, bias] [out] layers::batch_norm_apply(x, mean, invstd, weight, bias, out) gpu)
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
    door!([dy, x, mean, invstd, weight] [dx, dweight, dbias] layers::batch_norm_backward(dy, x, mean, invstd, weight, training, dx, dweight, dbias) gpu)
}

pub fn max_pool(window: &Window, planes: usize, x: &Array, out: &Array, indices: Option<&Array>) -> Result<()> {
    door!([x] [out, indices] layers::max_pool(window, planes, x, out, indices) gpu)
}

/// `dx` from the gradient and the places of the maxima, which lie in their planes.
pub fn max_pool_backward(windows: &Windows, planes: usize, dy: &Array, indices: &Array, dx: &Array) -> Result<()> {
    door!([dy, indices] [dx] layers::max_pool_backward(windows, planes, dy, indices, dx) gpu)
}

pub fn avg_pool(window: &Window, divisor: Divisor, planes: usize, x: &Array, out: &Array) -> Result<()> {
    door!([x] [out] layers::avg_pool(window, divisor, planes, x, out) gpu)
}

pub fn avg_pool_backward(window: &Window, divisor: Divisor, planes: usize, dy: &Array, dx: &Array) -> Result<()> {
    door!([dy] [dx] layers::avg_pool_backward(window, divisor, planes, dy, dx) gpu)
}

pub fn adaptive_avg_pool(sizes: &Adaptive, planes: usize, x: &Array, out: &Array) -> Result<()> {
    door!([x] [out] layers::adaptive_avg_pool(sizes, planes, x, out) gpu)
}

pub fn adaptive_avg_pool_backward(sizes: &Adaptive, planes: usize, dy: &Array, dx: &Array) -> Result<()> {
    door!([dy] [dx] layers::adaptive_avg_pool_backward(sizes, planes, dy, dx) gpu)
}

pub fn adaptive_max_pool(sizes: &Adaptive, planes: usize, x: &Array, out: &Array, indices: &Array) -> Result<()> {
    door!([x] [out, indices] layers::adaptive_max_pool(sizes, planes, x, out, indices) gpu)
}

/// Fills `out`; value i depends on the stream and i alone.
pub fn fill_random(law: Law, stream: Stream, out: &Array) -> Result<()> {
    door!([] [out] layers::fill_random(law, stream, out) gpu)
}

/// 1 with each element's own probability.
pub fn bernoulli_each(p: &Array, stream: Stream, out: &Array) -> Result<()> {
    door!([p] [out] layers::bernoulli_each(p, stream, out) gpu)
}

/// Keeps each element with probability `1 - p`, scaled by `1 / (1 - p)`; the same stream keeps the same ones.
pub fn dropout(x: &Array, stream: Stream, p: f64, out: &Array) -> Result<()> {
    door!([x] [out] layers::dropout(x, stream, p, out) gpu)
}

/// A permutation of 0 .. n into a contiguous int64 array. The shuffle is one chain of exchanges: for a GPU it is drawn here and
/// moved there, which waits for nothing.
pub fn randperm(stream: Stream, out: &Array) -> Result<()> {
    if !out.device().is_gpu() {
        return cpu::randperm(stream, out);
    }
    let here = Array::empty(out.shape(), out.dtype(), Device::Cpu)?;
    cpu::randperm(stream, &here)?;
    super::upload(&here, out)
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
    #[cfg(feature = "gpu")]
    if place(&[Some(weights), Some(out)])? == Place::Gpu
        && rustnn_gpu::multinomial(weights, rows, categories, samples, replacement, stream, out)?
    {
        // Weights that are none raise at the next read.
        return Ok(Ok(()));
    }
    door!([weights] [out] layers::multinomial(weights, rows, categories, samples, replacement, stream, out))
}

/// `out[plane, i] = x[plane, indices[plane, i]]`: the transpose of [`max_pool_backward`].
pub fn pick(planes: usize, input: usize, output: usize, x: &Array, indices: &Array, out: &Array) -> Result<()> {
    door!([x, indices] [out] layers::pick(planes, input, output, x, indices, out) gpu)
}

// ---------------------------------------------------------------------------------------------------------------- losses

/// The sum of the losses, and of the weights of the items that count: numbers, or on a GPU, which nobody waits for here, an
/// array of the two.
#[derive(Debug)]
#[cfg_attr(not(feature = "gpu"), allow(dead_code))]
pub enum Totals {
    Numbers {
        loss: f64,
        weight: f64,
    },
    #[cfg_attr(not(feature = "gpu"), allow(dead_code))]
    OnDevice(Array),
}

/// The first target that is neither a class nor ignored; a GPU finds it later, in the loss itself.
pub fn bad_target(target: &Array, classes: usize, ignore_index: i64) -> Result<Option<i64>> {
    if place(&[Some(target)])? == Place::Gpu {
        if cfg!(feature = "gpu") {
            return Ok(None);
        }
        return Ok(cpu::bad_target(&super::download(target)?, classes, ignore_index));
    }
    Ok(cpu::bad_target(target, classes, ignore_index))
}

fn entropy_arrays<'a>(entropy: &Entropy<'a>) -> [Option<&'a Array>; 2] {
    [Some(entropy.target), entropy.weight]
}

/// As `cross_entropy` of the CPU if `logits`, else as its `nll_loss`, which has no `saved`.
pub fn class_loss(x: &Array, entropy: &Entropy, losses: &Array, saved: Option<&Array>) -> Result<Totals> {
    let [target, weight] = entropy_arrays(entropy);
    let all = [Some(x), target, weight, Some(losses), saved];
    let run = |x: &Array, entropy: &Entropy, losses: &Array, saved: Option<&Array>| match saved {
        Some(saved) => cpu::cross_entropy(x, entropy, losses, saved),
        None => cpu::nll_loss(x, entropy, losses),
    };
    if place(&all)? == Place::Host {
        let totals = run(x, entropy, losses, saved)?;
        return Ok(Totals::Numbers { loss: totals.loss, weight: totals.weight });
    }
    #[cfg(feature = "gpu")]
    if let Some(sums) = rustnn_gpu::class_loss(x, entropy, losses, saved)? {
        return Ok(Totals::OnDevice(sums));
    }
    let mut host = Host::new("cross_entropy", Some(x.dtype()));
    let (xs, target) = (host.stage(x)?, host.stage(entropy.target)?);
    let weight = entropy.weight.map(|w| host.stage(w)).transpose()?;
    let (l, s) = (host.stage_written(losses)?, saved.map(|s| host.stage_written(s)).transpose()?);
    refuse_bad_target(&target, xs.shape()[1], entropy.ignore_index)?;
    let totals = run(&xs, &Entropy { target: &target, weight: weight.as_ref(), ..*entropy }, &l, s.as_ref())?;
    host.finish()?;
    Ok(Totals::Numbers { loss: totals.loss, weight: totals.weight })
}

fn refuse_bad_target(target: &Array, classes: usize, ignore_index: i64) -> Result<()> {
    match target.dtype() == rustnn_tensor::DType::I64 {
        true => match cpu::bad_target(target, classes, ignore_index) {
            Some(bad) => Err(rustnn_tensor::Error::Index(format!("Target {bad} is out of bounds."))),
            None => Ok(()),
        },
        false => Ok(()),
    }
}

/// The gradient of [`class_loss`] for `x`; `one` is that of every loss, or `each` has one per item. `saved` as it was there.
pub fn class_loss_backward(x: &Array, entropy: &Entropy, saved: Option<&Array>, one: f64, each: Option<&Array>, dx: &Array) -> Result<()> {
    let [target, weight] = entropy_arrays(entropy);
    let run = |x: &Array, entropy: &Entropy, saved: Option<&Array>, each: Option<&Array>, dx: &Array| match saved {
        Some(saved) => cpu::cross_entropy_backward(x, entropy, saved, one, each, dx),
        None => cpu::nll_loss_backward(dx, entropy, one, each),
    };
    if place(&[Some(x), target, weight, saved, each, Some(dx)])? == Place::Host {
        return run(x, entropy, saved, each, dx);
    }
    #[cfg(feature = "gpu")]
    if rustnn_gpu::class_loss_backward(x, entropy, saved, one, each, dx)? {
        return Ok(());
    }
    let mut host = Host::new("cross_entropy_backward", Some(x.dtype()));
    let (xs, target) = (host.stage(x)?, host.stage(entropy.target)?);
    let mut option = |a: Option<&Array>| a.map(|a| host.stage(a)).transpose();
    let (weight, saved, each) = (option(entropy.weight)?, option(saved)?, option(each)?);
    let to = host.stage_written(dx)?;
    run(&xs, &Entropy { target: &target, weight: weight.as_ref(), ..*entropy }, saved.as_ref(), each.as_ref(), &to)?;
    host.finish()
}

// ------------------------------------------------------------------------------------------------------------ optimizers

fn lists_on_gpu(lists: &[&[&Array]]) -> Result<bool> {
    let mut gpu = false;
    let mut other = None;
    for array in lists.iter().flat_map(|list| list.iter()) {
        match array.device() {
            Device::Gpu(_) => gpu = true,
            _ => other = Some(*array),
        }
    }
    if gpu && let Some(other) = other {
        let on_gpu = lists.iter().flat_map(|l| l.iter()).find(|a| a.device().is_gpu()).copied();
        place(&[Some(other), on_gpu])?;
    }
    Ok(gpu)
}

fn stage_all(host: &mut Host, list: &[&Array], written: bool) -> Result<Vec<Array>> {
    list.iter().map(|a| if written { host.stage_written(a) } else { host.stage(a) }).collect()
}

fn refs(list: &[Array]) -> SmallVec<[&Array; 16]> {
    list.iter().collect()
}

/// A step of SGD; see the CPU's.
pub fn sgd(settings: &Sgd, params: &[&Array], grads: &[&Array], buffers: &[&Array], first: &[bool]) -> Result<()> {
    if !lists_on_gpu(&[params, grads, buffers])? {
        return cpu::sgd(settings, params, grads, buffers, first);
    }
    #[cfg(feature = "gpu")]
    if rustnn_gpu::sgd(settings, params, grads, buffers, first)? {
        return Ok(());
    }
    let mut host = Host::new("sgd", params.first().map(|p| p.dtype()));
    let (p, g, b) = (stage_all(&mut host, params, true)?, stage_all(&mut host, grads, false)?, stage_all(&mut host, buffers, true)?);
    cpu::sgd(settings, &refs(&p), &refs(&g), &refs(&b), first)?;
    host.finish()
}

/// A step of Adam or AdamW; see the CPU's.
pub fn adam(
    settings: &Adam,
    params: &[&Array],
    grads: &[&Array],
    averages: &[&Array],
    squares: &[&Array],
    greatest: Option<&[&Array]>,
    steps: &[f64],
) -> Result<()> {
    if !lists_on_gpu(&[params, grads, averages, squares, greatest.unwrap_or(&[])])? {
        return cpu::adam(settings, params, grads, averages, squares, greatest, steps);
    }
    #[cfg(feature = "gpu")]
    if rustnn_gpu::adam(settings, params, grads, averages, squares, greatest, steps)? {
        return Ok(());
    }
    let mut host = Host::new("adam", params.first().map(|p| p.dtype()));
    let (p, g) = (stage_all(&mut host, params, true)?, stage_all(&mut host, grads, false)?);
    let (m, v) = (stage_all(&mut host, averages, true)?, stage_all(&mut host, squares, true)?);
    let w = greatest.map(|list| stage_all(&mut host, list, true)).transpose()?;
    cpu::adam(settings, &refs(&p), &refs(&g), &refs(&m), &refs(&v), w.as_deref().map(refs).as_deref(), steps)?;
    host.finish()
}
