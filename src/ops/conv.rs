//! Convolutions. The three products of a convolution (forward, gradient of the input, gradient of the weight) are one
//! family: each is linear in two operands, and the gradients of each are the other two. So one payload serves them all,
//! to any order.

use crate::copy::{contiguous_array, in_channels_last, is_channels_last};
use crate::device::layers;
use crate::matmul::{SavedSet, saved_if};
use crate::registry::{Args, Output};
use crate::tape::record;
use crate::tensor::{Tensor, needs_grad};
use rustnn_autograd::{Backward, Context, Grads};
use rustnn_kernels::conv::ConvShape;
use rustnn_tensor::{Array, DType, Result, Shape, bail, ensure};
use smallvec::{SmallVec, smallvec};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Product {
    /// (x, w) -> y
    Forward,
    /// (y, w) -> x
    Input,
    /// (x, y) -> w
    Weight,
}

/// The sizes of a call, and the shapes of its three arrays.
#[derive(Clone, Debug)]
struct Sizes {
    kernel: ConvShape,
    x: Shape,
    w: Shape,
    y: Shape,
    /// Images or weight had their channels innermost: so have the result and the gradients.
    channels_last: bool,
}

fn run(product: Product, sizes: &Sizes, a: &Array, b: &Array, bias: Option<&Array>) -> Result<Array> {
    let shape = match product {
        Product::Forward => &sizes.y,
        Product::Input => &sizes.x,
        Product::Weight => &sizes.w,
    };
    let out = Array::empty(shape, a.dtype(), a.device())?;
    let channels_last = sizes.channels_last || is_channels_last(a) || is_channels_last(b);
    let (a, b) = (contiguous_array(a)?, contiguous_array(b)?);
    match product {
        Product::Forward => layers::conv_forward(&sizes.kernel, &a, &b, bias, &out)?,
        Product::Input => layers::conv_backward_input(&sizes.kernel, &a, &b, bias, &out)?,
        Product::Weight => layers::conv_backward_weight(&sizes.kernel, &a, &b, &out)?,
    }
    in_channels_last(out, channels_last)
}

/// [`call`] of complex operands, from the four products of their parts.
#[cold]
fn call_complex(product: Product, sizes: &Sizes, a: &Tensor, b: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    use crate::complex::{as_complex, imag, real};
    let (a, b) = ([real(a)?, imag(a)?], [real(b)?, imag(b)?]);
    let of = |i: usize, j: usize| call(product, sizes, &a[i], &b[j], None);
    let re = crate::row::call(&crate::rows::SUB, &[(&of(0, 0)?).into(), (&of(1, 1)?).into()], &[1i64.into()])?;
    let im = crate::add(&of(0, 1)?, &of(1, 0)?)?;
    let out = as_complex(&crate::join::stack(&[re, im], -1)?)?;
    let out = match bias {
        None => out,
        Some(bias) => {
            let mut shape: Shape = smallvec![1; out.rank()];
            shape[1] = bias.numel();
            crate::add(&out, &crate::views::reshape_to(bias, &shape)?)?
        }
    };
    Ok(crate::tape::named(out, "ConvolutionBackward0"))
}

fn call(product: Product, sizes: &Sizes, a: &Tensor, b: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    if a.dtype().is_complex() {
        return call_complex(product, sizes, a, b, bias);
    }
    let dense_bias = bias.map(|t| contiguous_array(t.array())).transpose()?;
    let out = run(product, sizes, a.array(), b.array(), dense_bias.as_ref())?;
    let mut inputs: SmallVec<[&Tensor; 3]> = smallvec![a, b];
    inputs.extend(bias);
    if !needs_grad(&inputs) {
        return Ok(Tensor::from_array(out));
    }
    let saved = SavedSet::new([saved_if(b.requires_grad(), a)?, saved_if(a.requires_grad(), b)?]);
    let channels_last = sizes.channels_last || is_channels_last(a.array()) || is_channels_last(b.array());
    Ok(record(out, &inputs, ConvBackward { product, sizes: Sizes { channels_last, ..sizes.clone() }, saved }))
}

struct ConvBackward {
    product: Product,
    sizes: Sizes,
    saved: SavedSet<2>,
}

impl Backward<Tensor> for ConvBackward {
    fn name(&self) -> String {
        "ConvolutionBackward0".into()
    }

    fn backward(&self, grads: Grads<Tensor>, context: &Context<Tensor>) -> Result<Grads<Tensor>> {
        let mut out: Grads<Tensor> = smallvec![None; context.node.edges.len()];
        let Some(g) = grads.into_iter().next().flatten() else { return Ok(out) };
        let [a, b] = self.saved.unpack(context)?;
        let s = &self.sizes;
        if let (Some(b), true) = (b, context.wants(0)) {
            out[0] = Some(match self.product {
                Product::Forward => call(Product::Input, s, &g, &b, None)?,
                Product::Input => call(Product::Forward, s, &g, &b, None)?,
                Product::Weight => call(Product::Input, s, &b, &g, None)?,
            });
        }
        if let (Some(a), true) = (a, context.wants(1)) {
            out[1] = Some(match self.product {
                Product::Forward => call(Product::Weight, s, &a, &g, None)?,
                Product::Input => call(Product::Weight, s, &g, &a, None)?,
                Product::Weight => call(Product::Forward, s, &a, &g, None)?,
            });
        }
        if out.len() > 2 && context.wants(2) {
            let dims: SmallVec<[i64; 5]> = (0..g.rank() as i64).filter(|&d| d != 1).collect();
            out[2] = Some(crate::reduce::sum(&g, Some(&dims), false, None)?);
        }
        Ok(out)
    }

    fn release(&self) {
        self.saved.release();
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// Of a stride, a padding, a dilation: what the kernels compute of them stays far from overflow.
const LARGEST: i64 = i32::MAX as i64;

/// One number for each spatial dimension, from one for all or a list.
fn spread(given: &[i64], n: usize, name: &str) -> Result<SmallVec<[usize; 3]>> {
    ensure!(
        given.len() == 1 || given.len() == n,
        Runtime,
        "expected {name} to be a single integer value or a list of {n} values to match the convolution dimensions, but got {name}={given:?}"
    );
    (0..n)
        .map(|i| {
            let v = given[if given.len() == 1 { 0 } else { i }];
            let refusal = || match name {
                "stride" => "non-positive stride is not supported".into(),
                "dilation" => format!("dilation should be greater than zero, but got {given:?}"),
                _ => format!("negative {name} is not supported"),
            };
            ensure!(v >= 0, Runtime, "{}", refusal());
            ensure!(v <= LARGEST, Runtime, "{name}={v} is out of range");
            Ok(v as usize)
        })
        .collect()
}

/// Spatial sizes as the kernels want them: depth, height, width, 1 in front.
fn three(sizes: &[usize]) -> [usize; 3] {
    let mut out = [1; 3];
    out[3 - sizes.len()..].copy_from_slice(sizes);
    out
}

fn three_padding(sizes: &[usize]) -> [usize; 3] {
    let mut out = [0; 3];
    out[3 - sizes.len()..].copy_from_slice(sizes);
    out
}

/// Zeros around the input.
#[derive(Clone, Copy, Debug)]
pub enum Padding<'a> {
    Sizes(&'a [i64]),
    /// `same` or `valid`.
    Named(&'a str),
}

fn check_operands(x: &Tensor, w: &Tensor, bias: Option<&Tensor>, n: usize, transposed: bool) -> Result<()> {
    let name = format!("conv{}{n}d", if transposed { "_transpose" } else { "" });
    ensure!((1..=3).contains(&n), Runtime, "{name}: convolutions run over 1 to 3 dimensions");
    ensure!(
        w.rank() == n + 2,
        Runtime,
        "weight should have at least three dimensions: expected a {}-dimensional weight for {name}, but got one of size {:?}",
        n + 2,
        w.shape()
    );
    ensure!(
        x.rank() == n + 1 || x.rank() == n + 2,
        Runtime,
        "Expected {}D (unbatched) or {}D (batched) input to {name}, but got input of size: {:?}",
        n + 1,
        n + 2,
        x.shape()
    );
    for (t, what) in [(Some(w), "weight"), (bias, "bias")] {
        let Some(t) = t else { continue };
        ensure!(
            t.dtype() == x.dtype(),
            Runtime,
            "Input type ({}) and {what} type ({}) should be the same",
            crate::names::type_meta(x.dtype()),
            crate::names::type_meta(t.dtype())
        );
        ensure!(
            t.device() == x.device(),
            Runtime,
            "Expected all tensors to be on the same device, but found at least two devices, {} and {}!",
            x.device(),
            t.device()
        );
    }
    if !x.dtype().is_float() && !matches!(x.dtype(), DType::C64 | DType::C128) {
        return Err(rustnn_tensor::Error::not_implemented("conv", x.dtype()));
    }
    Ok(())
}

/// The convolution of (N, C, …) or (C, …) with a weight (O, C / groups, K, …) over `n` spatial dimensions; sizes are one number for
/// all or `n` numbers.
pub fn conv(
    x: &Tensor,
    w: &Tensor,
    bias: Option<&Tensor>,
    stride: &[i64],
    padding: Padding,
    dilation: &[i64],
    groups: i64,
    n: usize,
) -> Result<Tensor> {
    check_operands(x, w, bias, n, false)?;
    if x.rank() == n + 1 {
        let batch = conv(&crate::unsqueeze(x, 0)?, w, bias, stride, padding, dilation, groups, n)?;
        return crate::views::squeeze(&batch, Some(&[0]));
    }
    let stride = spread(stride, n, "stride")?;
    let dilation = spread(dilation, n, "dilation")?;
    ensure!(stride.iter().all(|&s| s > 0), Runtime, "non-positive stride is not supported");
    ensure!(dilation.iter().all(|&d| d > 0), Runtime, "dilation should be greater than zero, but got {dilation:?}");
    ensure!(groups > 0, Runtime, "non-positive groups is not supported");
    let groups = groups as usize;
    let (out_channels, in_group) = (w.shape()[0], w.shape()[1]);
    ensure!(
        out_channels % groups == 0,
        Runtime,
        "Given groups={groups}, expected weight to be divisible by {groups} at dimension 0, but got weight of size {:?} instead",
        w.shape()
    );
    ensure!(
        x.shape()[1] == in_group.saturating_mul(groups),
        Runtime,
        "Given groups={groups}, weight of size {:?}, expected input{:?} to have {} channels, but got {} channels instead",
        w.shape(),
        x.shape(),
        in_group.saturating_mul(groups),
        x.shape()[1]
    );
    if let Some(b) = bias {
        ensure!(
            b.rank() == 1 && b.numel() == out_channels,
            Runtime,
            "Given weight of size {:?}, expected bias to be 1-dimensional with {out_channels} elements, but got bias of size {:?} instead",
            w.shape(),
            b.shape()
        );
    }
    let kernel = &w.shape()[2..];
    let input = &x.shape()[2..];
    let reach = |i: usize| dilation[i].saturating_mul(kernel[i].max(1) - 1).saturating_add(1);
    let (low, total): (SmallVec<[usize; 3]>, SmallVec<[usize; 3]>) = match padding {
        Padding::Sizes(p) => {
            let p = spread(p, n, "padding")?;
            (p.clone(), p.iter().map(|p| 2 * p).collect())
        }
        Padding::Named("valid") => (smallvec![0; n], smallvec![0; n]),
        Padding::Named("same") => {
            ensure!(stride.iter().all(|&s| s == 1), Runtime, "padding='same' is not supported for strided convolutions");
            ((0..n).map(|i| (reach(i) - 1) / 2).collect(), (0..n).map(|i| reach(i) - 1).collect())
        }
        Padding::Named(other) => bail!(Runtime, "Invalid padding string: '{other}'"),
    };
    ensure!(!kernel.contains(&0), Runtime, "kernel size should be greater than zero, but got shape {kernel:?}");
    let mut y: Shape = smallvec![x.shape()[0], out_channels];
    for i in 0..n {
        let padded = input[i].saturating_add(total[i]);
        if padded < reach(i) {
            let sizes = |s: &dyn Fn(usize) -> usize| (0..n).map(|i| s(i).to_string()).collect::<Vec<_>>().join(" x ");
            bail!(
                Runtime,
                "Calculated padded input size per channel: ({}). Kernel size: ({}). Kernel size can't be greater than actual input size",
                sizes(&|i| input[i].saturating_add(total[i])),
                sizes(&reach)
            );
        }
        y.push((padded - reach(i)) / stride[i] + 1);
    }
    let shape = ConvShape {
        batch: x.shape()[0],
        in_channels: x.shape()[1],
        out_channels,
        groups,
        input: three(input),
        kernel: three(kernel),
        stride: three(&stride),
        padding: three_padding(&low),
        dilation: three(&dilation),
        output: three(&y[2..]),
    };
    let sizes = Sizes { kernel: shape, x: x.shape_owned(), w: w.shape_owned(), y, channels_last: false };
    call(Product::Forward, &sizes, x, w, bias)
}

/// The gradient of [`conv`] with respect to its input, as an op; the weight is (C, O / groups, K, …), `extra` the output padding.
#[allow(clippy::too_many_arguments)]
pub fn conv_transpose(
    x: &Tensor,
    w: &Tensor,
    bias: Option<&Tensor>,
    stride: &[i64],
    padding: &[i64],
    extra: &[i64],
    groups: i64,
    dilation: &[i64],
    n: usize,
) -> Result<Tensor> {
    check_operands(x, w, bias, n, true)?;
    if x.rank() == n + 1 {
        let batch = conv_transpose(&crate::unsqueeze(x, 0)?, w, bias, stride, padding, extra, groups, dilation, n)?;
        return crate::views::squeeze(&batch, Some(&[0]));
    }
    let (stride, padding) = (spread(stride, n, "stride")?, spread(padding, n, "padding")?);
    let (extra, dilation) = (spread(extra, n, "output_padding")?, spread(dilation, n, "dilation")?);
    ensure!(stride.iter().all(|&s| s > 0), Runtime, "non-positive stride is not supported");
    ensure!(dilation.iter().all(|&d| d > 0), Runtime, "dilation should be greater than zero, but got {dilation:?}");
    ensure!(groups > 0, Runtime, "non-positive groups is not supported");
    let groups = groups as usize;
    ensure!(
        x.shape()[1] == w.shape()[0] && w.shape()[0] % groups == 0,
        Runtime,
        "Given transposed=1, weight of size {:?}, expected input{:?} to have {} channels, but got {} channels instead",
        w.shape(),
        x.shape(),
        w.shape()[0],
        x.shape()[1]
    );
    let channels = w.shape()[1].saturating_mul(groups);
    if let Some(b) = bias {
        ensure!(
            b.rank() == 1 && b.numel() == channels,
            Runtime,
            "Given transposed=1, weight of size {:?}, expected bias to be 1-dimensional with {channels} elements, but got bias of size {:?} instead",
            w.shape(),
            b.shape()
        );
    }
    let mut big: Shape = smallvec![x.shape()[0], channels];
    for i in 0..n {
        ensure!(
            extra[i] < stride[i] || extra[i] < dilation[i],
            Runtime,
            "output padding must be smaller than either stride or dilation, but got output_padding_height: {}",
            extra[i]
        );
        let steps = |count: usize, by: usize| (count.max(1) - 1) as i128 * by as i128;
        let size =
            steps(x.shape()[2 + i], stride[i]) - 2 * padding[i] as i128 + steps(w.shape()[2 + i], dilation[i]) + extra[i] as i128 + 1;
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        ensure!(
            size > 0,
            Runtime,
            "Given input size per channel: {:?}. Calculated output size per channel: ({size}). Output size is too small",
            &x.shape()[2..]
        );
        big.push(size as usize);
    }
    let shape = ConvShape {
        batch: x.shape()[0],
        in_channels: channels,
        out_channels: w.shape()[0],
        groups,
        input: three(&big[2..]),
        kernel: three(&w.shape()[2..]),
        stride: three(&stride),
        padding: three_padding(&padding),
        dilation: three(&dilation),
        output: three(&x.shape()[2..]),
    };
    let sizes = Sizes { kernel: shape, x: big, w: w.shape_owned(), y: x.shape_owned(), channels_last: false };
    call(Product::Input, &sizes, x, w, bias)
}

fn sized(a: &Args, n: usize) -> Result<Output> {
    conv(a.tensor(0)?, a.tensor(1)?, a.opt_tensor(2)?, a.ints(3)?, Padding::Sizes(a.ints(4)?), a.ints(5)?, a.int(6)?, n).map(Output::Tensor)
}

fn named(a: &Args, n: usize) -> Result<Output> {
    conv(a.tensor(0)?, a.tensor(1)?, a.opt_tensor(2)?, a.ints(3)?, Padding::Named(a.str(4)?), a.ints(5)?, a.int(6)?, n).map(Output::Tensor)
}

fn transposed(a: &Args, n: usize) -> Result<Output> {
    conv_transpose(a.tensor(0)?, a.tensor(1)?, a.opt_tensor(2)?, a.ints(3)?, a.ints(4)?, a.ints(5)?, a.int(6)?, a.ints(7)?, n)
        .map(Output::Tensor)
}

crate::ops! {
    "conv1d(Tensor self, Tensor weight, Tensor? bias=None, int[1] stride=1, int[1] padding=0, int[1] dilation=1, int groups=1)" Function "Convolution over one dimension: (N, C, L) with weight (O, C / groups, K)." => |a| sized(a, 1)?;
    "conv1d(Tensor self, Tensor weight, Tensor? bias=None, int[1] stride=1, str padding='valid', int[1] dilation=1, int groups=1)" Function "Convolution over one dimension, padding 'same' or 'valid'." => |a| named(a, 1)?;
    "conv2d(Tensor self, Tensor weight, Tensor? bias=None, int[2] stride=1, int[2] padding=0, int[2] dilation=1, int groups=1)" Function "Convolution over two dimensions: (N, C, H, W) with weight (O, C / groups, K, K)." => |a| sized(a, 2)?;
    "conv2d(Tensor self, Tensor weight, Tensor? bias=None, int[2] stride=1, str padding='valid', int[2] dilation=1, int groups=1)" Function "Convolution over two dimensions, padding 'same' or 'valid'." => |a| named(a, 2)?;
    "conv3d(Tensor self, Tensor weight, Tensor? bias=None, int[3] stride=1, int[3] padding=0, int[3] dilation=1, int groups=1)" Function "Convolution over three dimensions." => |a| sized(a, 3)?;
    "conv3d(Tensor self, Tensor weight, Tensor? bias=None, int[3] stride=1, str padding='valid', int[3] dilation=1, int groups=1)" Function "Convolution over three dimensions, padding 'same' or 'valid'." => |a| named(a, 3)?;
    "conv_transpose1d(Tensor self, Tensor weight, Tensor? bias=None, int[1] stride=1, int[1] padding=0, int[1] output_padding=0, int groups=1, int[1] dilation=1)" Function "The gradient of conv1d with respect to its input, as a layer." => |a| transposed(a, 1)?;
    "conv_transpose2d(Tensor self, Tensor weight, Tensor? bias=None, int[2] stride=1, int[2] padding=0, int[2] output_padding=0, int groups=1, int[2] dilation=1)" Function "The gradient of conv2d with respect to its input, as a layer." => |a| transposed(a, 2)?;
    "conv_transpose3d(Tensor self, Tensor weight, Tensor? bias=None, int[3] stride=1, int[3] padding=0, int[3] output_padding=0, int groups=1, int[3] dilation=1)" Function "The gradient of conv3d with respect to its input, as a layer." => |a| transposed(a, 3)?;
}
