//! Pooling. Forward and backward of an average are a pair of linear maps, each the other's gradient; those of a maximum are
//! picking elements by index and putting them back.

use crate::copy::{contiguous_array, in_channels_last, is_channels_last};
use crate::device::layers;
use crate::registry::{Args, Output};
use crate::tape::record;
use crate::tensor::{Tensor, needs_grad};
use rustnn_autograd::{Backward, Context, Grads};
use rustnn_kernels::pool::{Adaptive, Divisor, Window, Windows};
use rustnn_tensor::{Array, DType, Result, Shape, Strides, bail, ensure};
use smallvec::{SmallVec, smallvec};

/// One linear map and its transpose.
#[derive(Clone, Debug)]
enum Map {
    Average {
        window: Window,
        divisor: Divisor,
    },
    Adaptive(Adaptive),
    /// Places in the planes of the input, of the output's shape.
    Pick {
        indices: Tensor,
        windows: Windows,
    },
}

#[derive(Clone, Debug)]
struct Linear {
    map: Map,
    planes: usize,
    input: Shape,
    output: Shape,
    /// Results have their channels innermost, as the input has them.
    channels_last: bool,
    name: &'static str,
}

impl Linear {
    /// The map from input to output, or its transpose.
    fn apply(&self, x: &Array, back: bool) -> Result<Array> {
        let x = contiguous_array(x)?;
        let out = Array::empty(if back { &self.input } else { &self.output }, x.dtype(), x.device())?;
        match (&self.map, back) {
            (Map::Average { window, divisor }, false) => layers::avg_pool(window, *divisor, self.planes, &x, &out)?,
            (Map::Average { window, divisor }, true) => layers::avg_pool_backward(window, *divisor, self.planes, &x, &out)?,
            (Map::Adaptive(sizes), false) => layers::adaptive_avg_pool(sizes, self.planes, &x, &out)?,
            (Map::Adaptive(sizes), true) => layers::adaptive_avg_pool_backward(sizes, self.planes, &x, &out)?,
            (Map::Pick { indices, windows }, true) => {
                layers::max_pool_backward(windows, self.planes, &x, &contiguous_array(indices.array())?, &out)?
            }
            (Map::Pick { indices, windows }, false) => {
                let [input, output] = [windows.input(), windows.output()].map(|sizes| sizes.iter().product());
                layers::pick(self.planes, input, output, &x, &contiguous_array(indices.array())?, &out)?
            }
        }
        in_channels_last(out, self.channels_last)
    }
}

impl Linear {
    /// PyTorch pools to nothing, but has no gradient of that.
    fn check_gradient(&self, g: &Tensor) -> Result<()> {
        let op = match self.name {
            "AdaptiveAvgPool1DBackward0" | "AdaptiveAvgPool2DBackward0" => "adaptive_avg_pool2d_backward",
            "AdaptiveAvgPool3DBackward0" => "adaptive_avg_pool3d_backward",
            name if name == MAX_NAMES[0] || name == MAX_NAMES[1] => "adaptive_max_pool2d_backward",
            name if name == MAX_NAMES[2] => "adaptive_max_pool3d_backward",
            _ => return Ok(()),
        };
        // Vectors are pooled as images of height 1.
        let mut shape: Shape = g.shape().into();
        if self.name == MAX_NAMES[0] || self.name.starts_with("AdaptiveAvgPool1D") {
            shape.insert(g.rank() - 1, 1);
        }
        for d in 1..shape.len() {
            ensure!(
                shape[d] > 0,
                Runtime,
                "{op}(): Expected grad_output to have non-zero size for non-batch dimensions, but grad_output has sizes {shape:?} with dimension {d} being empty"
            );
        }
        Ok(())
    }
}

fn linear(x: &Tensor, map: &Linear, back: bool, done: Option<Array>) -> Result<Tensor> {
    let out = match done {
        Some(out) => out,
        None => map.apply(x.array(), back)?,
    };
    if !needs_grad(&[x]) {
        return Ok(Tensor::from_array(out));
    }
    Ok(record(out, &[x], LinearBackward { map: map.clone(), back }))
}

struct LinearBackward {
    map: Linear,
    back: bool,
}

impl Backward<Tensor> for LinearBackward {
    fn name(&self) -> String {
        if self.back { format!("{}Backward0", self.map.name.trim_end_matches('0')) } else { self.map.name.into() }
    }

    fn backward(&self, grads: Grads<Tensor>, _: &Context<Tensor>) -> Result<Grads<Tensor>> {
        let Some(g) = grads.into_iter().next().flatten() else { return Ok(smallvec![None]) };
        self.map.check_gradient(&g)?;
        if let Map::Pick { indices, .. } = &self.map.map {
            // They are the caller's too, who may have written them since.
            crate::saved::check_version(indices, 0, indices)?;
        }
        Ok(smallvec![Some(linear(&g, &self.map, !self.back, None)?)])
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

fn spread(given: &[i64], n: usize, op: &str, name: &str) -> Result<SmallVec<[i64; 3]>> {
    ensure!(
        given.len() == 1 || given.len() == n,
        Runtime,
        "{op}: {name} must either be a single int, or a tuple of {n} ints; got {given:?}"
    );
    // What is computed of them stays far from overflow; a size that is to be kept is no number.
    let fits = |v: &i64| i32::try_from(*v).is_ok() || *v == WHOLE && name == "output_size";
    ensure!(given.iter().all(fits), Runtime, "{op}: {name} is out of range: {given:?}");
    Ok((0..n).map(|i| given[if given.len() == 1 { 0 } else { i }]).collect())
}

fn check_dimensions(n: usize, op: &str) -> Result<()> {
    ensure!((1..=3).contains(&n), Runtime, "{op}: pooling runs over 1 to 3 dimensions");
    Ok(())
}

fn three(sizes: impl ExactSizeIterator<Item = usize>, fill: usize) -> [usize; 3] {
    let mut out = [fill; 3];
    let start = 3 - sizes.len();
    sizes.enumerate().for_each(|(i, s)| out[start + i] = s);
    out
}

/// The window of a call over the last `n` dimensions, and the output's shape.
fn window(x: &Tensor, n: usize, op: &str, &Pooling { kernel, stride, padding, dilation, ceil }: &Pooling) -> Result<(Window, Shape)> {
    check_dimensions(n, op)?;
    // PyTorch's words, which differ by op; the kernel's size is checked after the rank and before the lengths.
    let fits = x.rank() == n + 1 || x.rank() == n + 2;
    if !fits && op == "max_pool1d" {
        bail!(
            Runtime,
            "max_pool1d: Expected 2D or 3D (batch mode) tensor with optional 0 dim batch size for input, but got:{:?}",
            x.shape()
        );
    }
    ensure!(
        fits,
        Runtime,
        "{op}(): non-empty {}D or {}D (batch mode) tensor expected for input, but got {}D: size {:?}",
        n + 1,
        n + 2,
        x.rank(),
        x.shape()
    );
    let kernel = spread(kernel, n, op, "kernel_size")?;
    let stride = match stride.filter(|s| !s.is_empty()) {
        Some(s) => spread(s, n, op, "stride")?,
        None => kernel.clone(),
    };
    let padding = spread(padding, n, op, "padding")?;
    let dilation = spread(dilation, n, op, "dilation")?;
    let input = &x.shape()[x.rank() - n..];
    ensure!(kernel.iter().all(|&k| k > 0), Runtime, "kernel size should be greater than zero, but got {kernel:?}");
    ensure!(stride.iter().all(|&s| s > 0), Runtime, "stride should not be zero, but got {stride:?}");
    ensure!(dilation.iter().all(|&d| d > 0), Runtime, "dilation should be greater than zero, but got {dilation:?}");
    ensure!(
        x.shape()[x.rank() - n - 1..].iter().all(|&s| s > 0),
        Runtime,
        "{op}(): Expected {}D or {}D (batch mode) tensor with optional 0 dim batch size for input, but got:{:?}",
        n + 1,
        n + 2,
        x.shape()
    );
    let mut shape: Shape = x.shape()[..x.rank() - n].into();
    for i in 0..n {
        ensure!(padding[i] >= 0, Runtime, "pad must be non-negative, but got pad: {}", padding[i]);
        ensure!(
            padding[i] <= ((kernel[i] - 1) * dilation[i] + 1) / 2,
            Runtime,
            "pad should be at most half of effective kernel size, but got pad={}, kernel_size={} and dilation={}",
            padding[i],
            kernel[i],
            dilation[i]
        );
        let reach = dilation[i] * (kernel[i] - 1) + 1;
        let free = input[i] as i64 + 2 * padding[i] - reach;
        let mut out = free.saturating_add(if ceil { stride[i] - 1 } else { 0 }).div_euclid(stride[i]) + 1;
        // In ceil mode a window must start inside the input or its left padding.
        if ceil && (out - 1) * stride[i] >= input[i] as i64 + padding[i] {
            out -= 1;
        }
        if out < 1 {
            bail!(
                Runtime,
                "Given input size: {:?}. Calculated output size: {out} at spatial dimension {i}. Output size is too small",
                &x.shape()[x.rank() - n - 1..]
            );
        }
        shape.push(out as usize);
    }
    let as_sizes = |v: &[i64], fill| three(v.iter().map(|&k| k as usize), fill);
    let out = Window {
        input: three(input.iter().copied(), 1),
        output: three(shape[shape.len() - n..].iter().copied(), 1),
        kernel: as_sizes(&kernel, 1),
        stride: as_sizes(&stride, 1),
        padding: as_sizes(&padding, 0),
        dilation: as_sizes(&dilation, 1),
    };
    Ok((out, shape))
}

fn planes(x: &Tensor, n: usize) -> usize {
    x.shape()[..x.rank() - n].iter().product()
}

fn refuse_integers(x: &Tensor, op: &str) -> Result<()> {
    if x.dtype().is_float() { Ok(()) } else { Err(rustnn_tensor::Error::not_implemented(op, x.dtype())) }
}

const MAX_NAMES: [&str; 3] = ["MaxPool1DWithIndicesBackward0", "MaxPool2DWithIndicesBackward0", "MaxPool3DWithIndicesBackward0"];
const AVERAGE_NAMES: [&str; 3] = ["AvgPool1DBackward0", "AvgPool2DBackward0", "AvgPool3DBackward0"];

/// A window of pooling over `n` dimensions; sizes are one number for all or `n` numbers, the stride is by default the kernel's size.
#[derive(Clone, Copy, Debug)]
pub struct Pooling<'a> {
    pub kernel: &'a [i64],
    pub stride: Option<&'a [i64]>,
    pub padding: &'a [i64],
    pub dilation: &'a [i64],
    /// Windows that reach over the end count too.
    pub ceil: bool,
}

/// The greatest of each window, and with `keep` its places.
pub fn max_pool(x: &Tensor, n: usize, pooling: &Pooling, keep: bool) -> Result<Pooled> {
    let op = format!("max_pool{n}d");
    refuse_integers(x, &op)?;
    let (window, shape) = window(x, n, &op, pooling)?;
    let record = needs_grad(&[x]);
    let dense = contiguous_array(x.array())?;
    let out = Array::empty(&shape, x.dtype(), x.device())?;
    let indices = if keep || record { Some(Array::empty(&shape, DType::I64, x.device())?) } else { None };
    layers::max_pool(&window, planes(x, n), &dense, &out, indices.as_ref())?;
    finish_max(x, n, Windows::Fixed(window), out, indices, shape, keep, true)
}

/// An array with a dimension for the batch in front, if it has none.
fn batched(a: &Array, n: usize) -> Array {
    if a.rank() != n + 1 {
        return a.clone();
    }
    let mut shape: Shape = smallvec![1];
    shape.extend_from_slice(a.shape());
    let mut strides: Strides = smallvec![(0..a.rank()).map(|d| a.strides()[d] * a.shape()[d] as isize).max().unwrap_or(1)];
    strides.extend_from_slice(a.strides());
    a.with_geometry(shape, strides, a.offset())
}

/// A pooled tensor, and the places of the greatest if asked for.
pub type Pooled = (Tensor, Option<Tensor>);

fn finish_max(
    x: &Tensor,
    n: usize,
    windows: Windows,
    out: Array,
    indices: Option<Array>,
    shape: Shape,
    keep: bool,
    keeps: bool,
) -> Result<Pooled> {
    // Of volumes also where there is but one, without a batch.
    let channels_last = keeps && (x.rank() == n + 2 && is_channels_last(x.array()) || n == 3 && is_channels_last(&batched(x.array(), n)));
    let laid_out = |a: Array, wanted: bool| -> Result<Array> {
        let shape = a.shape().to_vec();
        let last = in_channels_last(batched(&a, n), wanted)?;
        let strides = last.strides()[last.rank() - shape.len()..].into();
        Ok(last.with_geometry(shape.as_slice().into(), strides, last.offset()))
    };
    let out = laid_out(out, channels_last)?;
    let Some(indices) = indices else { return Ok((Tensor::from_array(out), None)) };
    let indices = Tensor::from_array(laid_out(indices, channels_last && keep)?);
    let map = Linear {
        map: Map::Pick { indices: indices.clone(), windows },
        planes: planes(x, n),
        input: x.shape_owned(),
        output: shape,
        channels_last: channels_last && x.rank() == n + 2,
        name: MAX_NAMES[n - 1],
    };
    let y = linear(x, &map, false, Some(out))?;
    Ok((y, keep.then_some(indices)))
}

fn pooled((y, indices): Pooled) -> Output {
    match indices {
        Some(indices) => Output::Tensors(vec![y, indices]),
        None => Output::Tensor(y),
    }
}

/// The mean of each window; `with_padding` counts padded zeros, `fixed` divides by that number instead.
pub fn avg_pool(x: &Tensor, n: usize, pooling: &Pooling, with_padding: bool, fixed: Option<i64>) -> Result<Tensor> {
    let op = format!("avg_pool{n}d");
    refuse_integers(x, &op)?;
    let (window, shape) = window(x, n, &op, pooling)?;
    ensure!(fixed != Some(0), Runtime, "divisor must be not zero");
    let divisor = match fixed {
        Some(d) => Divisor::Fixed(d),
        None if with_padding => Divisor::WithPadding,
        None => Divisor::Inside,
    };
    let map = Linear {
        map: Map::Average { window, divisor },
        planes: planes(x, n),
        input: x.shape_owned(),
        output: shape,
        // PyTorch's average over volumes is row-major.
        channels_last: n == 2 && x.rank() == 4 && is_channels_last(x.array()),
        name: AVERAGE_NAMES[n - 1],
    };
    linear(x, &map, false, None)
}

/// As an output size of an adaptive pooling: the input's.
pub const WHOLE: i64 = i64::MIN;

/// The sizes of an adaptive pooling.
fn adaptive(x: &Tensor, given: &[i64], n: usize, op: &str) -> Result<(Adaptive, Shape)> {
    ensure!(x.rank() == n + 1 || x.rank() == n + 2, Runtime, "{op}(): Expected {}D or {}D tensor, but got {:?}", n + 1, n + 2, x.shape());
    let given = spread(given, n, op, "output_size")?;
    let input = &x.shape()[x.rank() - n..];
    // An average takes no channels, but no empty planes.
    for d in x.rank() - n - usize::from(op.starts_with("adaptive_max"))..x.rank() {
        ensure!(
            x.shape()[d] > 0,
            Runtime,
            "{op}(): Expected input to have non-zero size for non-batch dimensions, but input has sizes {:?} with dimension {d} being empty",
            x.shape()
        );
    }
    let mut shape: Shape = x.shape()[..x.rank() - n].into();
    for i in 0..n {
        shape.push(match given[i] {
            WHOLE => input[i],
            k if k < 0 => bail!(Runtime, "{op}: elements of output_size must be greater than or equal to 0 but received {given:?}"),
            k => k as usize,
        });
    }
    let sizes = Adaptive { input: three(input.iter().copied(), 1), output: three(shape[shape.len() - n..].iter().copied(), 1) };
    Ok((sizes, shape))
}

/// The means of as many windows as asked for; [`WHOLE`] keeps a size.
pub fn adaptive_avg_pool(x: &Tensor, size: &[i64], n: usize) -> Result<Tensor> {
    let op = format!("adaptive_avg_pool{n}d");
    check_dimensions(n, &op)?;
    refuse_integers(x, &op)?;
    let (sizes, shape) = adaptive(x, size, n, &op)?;
    let name = ["AdaptiveAvgPool1DBackward0", "AdaptiveAvgPool2DBackward0", "AdaptiveAvgPool3DBackward0"][n - 1];
    // As PyTorch's, over volumes only where it is a mean.
    let keeps = n == 2 || sizes.output == [1; 3];
    let channels_last = keeps && x.rank() == n + 2 && is_channels_last(x.array());
    let map = Linear { map: Map::Adaptive(sizes), planes: planes(x, n), input: x.shape_owned(), output: shape, channels_last, name };
    linear(x, &map, false, None)
}

/// The greatest of as many windows as asked for; [`WHOLE`] keeps a size.
pub fn adaptive_max_pool(x: &Tensor, size: &[i64], n: usize, keep: bool) -> Result<Pooled> {
    let op = format!("adaptive_max_pool{n}d");
    check_dimensions(n, &op)?;
    refuse_integers(x, &op)?;
    let (sizes, shape) = adaptive(x, size, n, &op)?;
    let dense = contiguous_array(x.array())?;
    let out = Array::empty(&shape, x.dtype(), x.device())?;
    let indices = Array::empty(&shape, DType::I64, x.device())?;
    layers::adaptive_max_pool(&sizes, planes(x, n), &dense, &out, &indices)?;
    finish_max(x, n, Windows::Adaptive(sizes), out, Some(indices), shape, keep, n == 2)
}

fn max_called(a: &Args, n: usize) -> Result<Output> {
    let pooling = Pooling { kernel: a.ints(1)?, stride: a.opt_ints(2)?, padding: a.ints(3)?, dilation: a.ints(4)?, ceil: a.bool(5)? };
    max_pool(a.tensor(0)?, n, &pooling, a.bool(6)?).map(pooled)
}

fn avg_called(a: &Args, n: usize) -> Result<Tensor> {
    let pooling = Pooling { kernel: a.ints(1)?, stride: a.opt_ints(2)?, padding: a.ints(3)?, dilation: &[1], ceil: a.bool(4)? };
    avg_pool(a.tensor(0)?, n, &pooling, a.bool(5)?, if n == 1 { None } else { a.opt_int(6)? })
}

crate::ops! {
    "max_pool1d(Tensor self, int[1] kernel_size, int[1]? stride=None, int[1] padding=0, int[1] dilation=1, bool ceil_mode=False, bool return_indices=False)" Function "The greatest of each window." => |a| max_called(a, 1)?;
    "max_pool2d(Tensor self, int[2] kernel_size, int[2]? stride=None, int[2] padding=0, int[2] dilation=1, bool ceil_mode=False, bool return_indices=False)" Function "The greatest of each window." => |a| max_called(a, 2)?;
    "max_pool3d(Tensor self, int[3] kernel_size, int[3]? stride=None, int[3] padding=0, int[3] dilation=1, bool ceil_mode=False, bool return_indices=False)" Function "The greatest of each window." => |a| max_called(a, 3)?;
    "avg_pool1d(Tensor self, int[1] kernel_size, int[1]? stride=None, int[1] padding=0, bool ceil_mode=False, bool count_include_pad=True)" Function "The mean of each window." => |a| avg_called(a, 1)?;
    "avg_pool2d(Tensor self, int[2] kernel_size, int[2]? stride=None, int[2] padding=0, bool ceil_mode=False, bool count_include_pad=True, int? divisor_override=None)" Function "The mean of each window." => |a| avg_called(a, 2)?;
    "avg_pool3d(Tensor self, int[3] kernel_size, int[3]? stride=None, int[3] padding=0, bool ceil_mode=False, bool count_include_pad=True, int? divisor_override=None)" Function "The mean of each window." => |a| avg_called(a, 3)?;
    "adaptive_avg_pool1d(Tensor self, int?[1] output_size)" Function "The means of as many windows as asked for; None keeps a size." => |a| adaptive_avg_pool(a.tensor(0)?, a.ints(1)?, 1)?;
    "adaptive_avg_pool2d(Tensor self, int?[2] output_size)" Function "The means of as many windows as asked for; None keeps a size." => |a| adaptive_avg_pool(a.tensor(0)?, a.ints(1)?, 2)?;
    "adaptive_avg_pool3d(Tensor self, int?[3] output_size)" Function "The means of as many windows as asked for; None keeps a size." => |a| adaptive_avg_pool(a.tensor(0)?, a.ints(1)?, 3)?;
    "adaptive_max_pool1d(Tensor self, int?[1] output_size, bool return_indices=False)" Function "The greatest of as many windows as asked for; None keeps a size." => |a| pooled(adaptive_max_pool(a.tensor(0)?, a.ints(1)?, 1, a.bool(2)?)?);
    "adaptive_max_pool2d(Tensor self, int?[2] output_size, bool return_indices=False)" Function "The greatest of as many windows as asked for; None keeps a size." => |a| pooled(adaptive_max_pool(a.tensor(0)?, a.ints(1)?, 2, a.bool(2)?)?);
    "adaptive_max_pool3d(Tensor self, int?[3] output_size, bool return_indices=False)" Function "The greatest of as many windows as asked for; None keeps a size." => |a| pooled(adaptive_max_pool(a.tensor(0)?, a.ints(1)?, 3, a.bool(2)?)?);
}
