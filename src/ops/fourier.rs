//! Fourier transforms, as PyTorch has them under `rustnn.fft`: complex to complex, real to complex, complex to real.

use crate::complex::{complex_dtype, real, real_dtype};
use crate::copy::copy_array;
use crate::device::arrays;
use crate::formula::{Formula, attach};
use crate::tensor::Tensor;
use crate::views::{narrow, narrow_array};
use rustnn_tensor::shape::wrap_dim;
use rustnn_tensor::{Array, Error, Result, Shape, ensure};
use smallvec::SmallVec;

type Dims = SmallVec<[usize; 5]>;

/// By what a transform of `n` numbers in all is multiplied: 1 for "none", 1 / √n for "root", 1 / n for "all".
fn scale(norm: &str, n: usize) -> Result<f64> {
    Ok(match norm {
        "none" => 1.0,
        "root" => 1.0 / (n as f64).sqrt(),
        "all" => 1.0 / n as f64,
        other => return Err(Error::Runtime(format!("fft: normalization is 'none', 'root' or 'all', got '{other}'"))),
    })
}

fn wrapped(dims: &[i64], rank: usize) -> Result<Dims> {
    let dims: Dims = dims.iter().map(|&d| wrap_dim(d, rank)).collect::<Result<_>>()?;
    for (i, d) in dims.iter().enumerate() {
        ensure!(!dims[..i].contains(d), Runtime, "FFT dims must be unique");
    }
    Ok(dims)
}

/// Transforms a fresh contiguous array along all of `dims`.
fn along(x: &Array, dims: &[usize], forward: bool, scale: f64) -> Result<()> {
    for (i, &d) in dims.iter().enumerate() {
        arrays::fourier(x, d, forward, if i == 0 { scale } else { 1.0 })?;
    }
    Ok(())
}

/// A fresh contiguous complex copy.
fn complex_copy(x: &Array) -> Result<Array> {
    let dtype = complex_dtype(real_dtype(x.dtype())).ok_or_else(|| Error::not_implemented("fft", x.dtype()))?;
    let out = Array::empty(x.shape(), dtype, x.device())?;
    copy_array(x, &out)?;
    Ok(out)
}

/// Complex to complex.
pub fn c2c(x: &Tensor, dims: &[i64], norm: &'static str, forward: bool) -> Result<Tensor> {
    let over = wrapped(dims, x.rank())?;
    let out = complex_copy(x.array())?;
    along(&out, &over, forward, scale(norm, over.iter().map(|&d| x.shape()[d]).product())?)?;
    let dims: SmallVec<[i64; 5]> = dims.into();
    attach(out, &[x], || Formula::one("FftC2CBackward0", &[], move |dy, _| c2c(dy, &dims, norm, !forward)))
}

/// Real to complex: the last of `dims` up to its middle where `onesided`, the rest being conjugates.
pub fn r2c(x: &Tensor, dims: &[i64], norm: &'static str, onesided: bool) -> Result<Tensor> {
    let over = wrapped(dims, x.rank())?;
    let last = *over.last().ok_or_else(|| Error::Runtime("fft_r2c: at least one dimension is needed".into()))?;
    let (n, factor) = (x.shape()[last], scale(norm, over.iter().map(|&d| x.shape()[d]).product())?);
    let out = if onesided {
        ends_last(x.array(), last, n / 2 + 1, |x, out| arrays::fourier_real_forward(x, out, factor))?
    } else {
        let whole = complex_copy(x.array())?;
        arrays::fourier(&whole, last, true, factor)?;
        whole
    };
    along(&out, &over[..over.len() - 1], true, 1.0)?;
    let dims: SmallVec<[i64; 5]> = dims.into();
    attach(out, &[x], || {
        Formula::one("FftR2CBackward0", &[], move |dy, _| {
            // Every frequency that is there came of each number once.
            let whole = if onesided { padded(dy, last, n)? } else { dy.clone() };
            real(&c2c(&whole, &dims, norm, false)?)
        })
    })
}

/// Between real and complex lines along `dim`, which `run` has as the last dimension of dense arrays; the others become `size` long.
fn ends_last(x: &Array, dim: usize, size: usize, run: impl FnOnce(&Array, &Array) -> Result<()>) -> Result<Array> {
    let mut order: SmallVec<[usize; 5]> = (0..x.rank()).collect();
    order.swap(dim, x.rank() - 1);
    let turned = |a: &Array| if dim + 1 == x.rank() { a.clone() } else { crate::views::permute_array(a, &order) };
    let from = crate::copy::contiguous_array(&turned(x))?;
    let mut shape: Shape = from.shape().into();
    shape[x.rank() - 1] = size;
    let dtype = if x.dtype().is_complex() { real_dtype(x.dtype()) } else { complex_dtype(x.dtype()).unwrap_or(x.dtype()) };
    let to = Array::empty(&shape, dtype, x.device())?;
    run(&from, &to)?;
    crate::copy::contiguous_array(&turned(&to))
}

/// Zeros up to `n` along a dimension.
fn padded(x: &Tensor, dim: usize, n: usize) -> Result<Tensor> {
    let have = x.shape()[dim];
    if have >= n {
        return Ok(x.clone());
    }
    let mut shape: Shape = x.shape().into();
    shape[dim] = n - have;
    crate::join::cat(&[x.clone(), crate::formula::zeros(x, &shape)?], dim as i64)
}

/// Complex to real: of conjugate-symmetric lines, of whose last dimension only the first half is read; that becomes `n` long.
pub fn c2r(x: &Tensor, dims: &[i64], norm: &'static str, n: i64) -> Result<Tensor> {
    let over = wrapped(dims, x.rank())?;
    let last = *over.last().ok_or_else(|| Error::Runtime("fft_c2r: at least one dimension is needed".into()))?;
    let n = usize::try_from(n)
        .ok()
        .filter(|&n| n >= 1)
        .ok_or_else(|| Error::Runtime(format!("Invalid number of data points ({n}) specified")))?;
    let half = n / 2 + 1;
    ensure!(x.shape()[last] >= half, Runtime, "fft_c2r: {half} numbers are needed for {n}, got {}", x.shape()[last]);
    let source = complex_copy(&narrow_array(x.array(), last, 0, half))?;
    let points = over.iter().map(|&d| if d == last { n } else { x.shape()[d] }).product();
    along(&source, &over[..over.len() - 1], false, 1.0)?;
    let factor = scale(norm, points)?;
    let out = ends_last(&source, last, n, |x, out| arrays::fourier_real_inverse(x, out, factor))?;
    let (dims, size): (SmallVec<[i64; 5]>, usize) = (dims.into(), x.shape()[last]);
    attach(out, &[x], || {
        Formula::one("FftC2RBackward0", &[], move |dy, _| {
            // Numbers that stand for themselves and for their mirrors count twice.
            let part = r2c(dy, &dims, norm, true)?;
            let twice = n - half;
            let dx = if twice == 0 {
                part
            } else {
                let (d, len) = (last as i64, half as i64);
                let ends = [narrow(&part, d, 0, 1)?, crate::mul_scalar(&narrow(&part, d, 1, twice as i64)?, 2.0)?];
                let tail = narrow(&part, d, 1 + twice as i64, len - 1 - twice as i64)?;
                let [first, middle] = ends;
                crate::join::cat(&[first, middle, tail], d)?
            };
            padded(&dx, last, size)
        })
    })
}

fn norm_of(text: &str) -> Result<&'static str> {
    ["none", "root", "all"].into_iter().find(|name| *name == text).ok_or_else(|| Error::Runtime(format!("fft: unknown norm {text}")))
}

crate::ops! {
    "_fft_c2c(Tensor self, int[] dim, str norm, bool forward)" Function "The Fourier transform of complex numbers." =>
        |a| c2c(a.tensor(0)?, a.ints(1)?, norm_of(a.str(2)?)?, a.bool(3)?)?;
    "_fft_r2c(Tensor self, int[] dim, str norm, bool onesided)" Function "The Fourier transform of real numbers." =>
        |a| r2c(a.tensor(0)?, a.ints(1)?, norm_of(a.str(2)?)?, a.bool(3)?)?;
    "_fft_c2r(Tensor self, int[] dim, str norm, int last_dim_size)" Function "The inverse Fourier transform of what real numbers have." =>
        |a| c2r(a.tensor(0)?, a.ints(1)?, norm_of(a.str(2)?)?, a.int(3)?)?;
}
