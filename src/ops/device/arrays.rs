//! Doors to the kernels of `rustnn_kernels::arrays`.

use super::{Called, Host, Place, Scope, door, place};
use rustnn_kernels::arrays as cpu;
use rustnn_kernels::elementwise::Kernel;
use rustnn_kernels::value::Scalar;
#[cfg(feature = "gpu")]
use rustnn_tensor::Device;
use rustnn_tensor::{Array, DType, Error, Result};
use smallvec::SmallVec;

pub use rustnn_kernels::arrays::{Extreme, Finish, Fold, Operand};
pub use rustnn_kernels::complex::Map;

/// Runs a row's kernel, computing in `compute`.
#[inline]
pub fn elementwise(kernel: &Kernel, compute: DType, inputs: &[Operand], scalars: &[Scalar], out: &Array) -> Result<()> {
    if out.device().is_gpu() {
        elementwise_on_gpu(kernel, compute, inputs, scalars, out)
    } else {
        cpu::elementwise(kernel, compute, inputs, scalars, out)
    }
}

#[cold]
fn elementwise_on_gpu(kernel: &Kernel, compute: DType, inputs: &[Operand], scalars: &[Scalar], out: &Array) -> Result<()> {
    // Numbers that lie on the CPU go along as such, and complex ones, which no shader computes with, with what is brought over.
    let is_number = |a: &Array| a.is_host() && a.rank() == 0;
    let mut all: SmallVec<[Option<&Array>; 6]> = inputs
        .iter()
        .filter_map(|input| match input {
            Operand::Array(a) if !is_number(a) => Some(Some(*a)),
            _ => None,
        })
        .collect();
    all.push(Some(out));
    place(&all)?;
    #[cfg(feature = "gpu")]
    if !compute.is_complex() {
        let numbers: SmallVec<[Operand; 5]> = inputs
            .iter()
            .map(|input| match input {
                Operand::Array(a) if is_number(a) => number(a, compute).map(Operand::Scalar),
                other => Ok(*other),
            })
            .collect::<Result<_>>()?;
        if rustnn_gpu::elementwise(kernel, compute, &numbers, scalars, out)? {
            return Ok(());
        }
    }
    // Where there are no devices the table is not asked for: small programs leave out the rows that they do not use.
    let name = if cfg!(feature = "gpu") { row_of(kernel) } else { "an elementwise formula" };
    let mut host = Host::new(name, Some(compute));
    let staged: SmallVec<[Option<Array>; 5]> = inputs
        .iter()
        .map(|input| match input {
            Operand::Array(a) => host.stage(a).map(Some),
            Operand::Scalar(_) => Ok(None),
        })
        .collect::<Result<_>>()?;
    let to = host.stage_written(out)?;
    let operands: SmallVec<[Operand; 5]> =
        inputs.iter().zip(&staged).map(|(input, copy)| copy.as_ref().map_or(*input, Operand::Array)).collect();
    cpu::elementwise(kernel, compute, &operands, scalars, &to)?;
    host.finish()
}

/// A number that lies on the CPU, as the CPU's kernels read it where they compute in 16 bits: rounded to these.
#[cfg(feature = "gpu")]
fn number(a: &Array, compute: DType) -> Result<Scalar> {
    let is_half = matches!(compute, DType::F16 | DType::BF16);
    if !is_half || a.dtype() == DType::F32 || a.dtype() == compute {
        return cpu::first(a);
    }
    let rounded = Array::empty(&[], compute, Device::Cpu)?;
    cpu::copy(a, &rounded)?;
    cpu::first(&rounded)
}

/// What the row is called that a kernel, or one of its gradients', belongs to.
fn row_of(kernel: &Kernel) -> &'static str {
    let same = |other: &Kernel| other.text() as usize == kernel.text() as usize;
    let row = crate::rows::ALL.iter().find(|row| same(&row.kernel) || row.gradients.iter().flatten().any(|g| same(&g.kernel)));
    row.map_or("an elementwise formula", |row| row.name)
}

/// Copies `from` to `to`, broadcasting and converting, from any device to any.
pub fn copy(from: &Array, to: &Array) -> Result<()> {
    match (from.device().is_gpu(), to.device().is_gpu()) {
        (false, false) => cpu::copy(from, to),
        _ if to.is_meta() => Ok(()),
        _ if from.is_meta() => Err(Error::NotImplemented("Cannot copy out of meta tensor; no data!".into())),
        (true, true) if from.device() == to.device() => copy_on_gpu(from, to),
        (true, true) => copy(&super::download(from)?, to),
        (false, true) => {
            // Converted here, then moved as bytes.
            let dense = Array::empty(from.shape(), to.dtype(), from.device())?;
            cpu::copy(from, &dense)?;
            if to.is_contiguous() && to.shape() == from.shape() {
                return super::upload(&dense, to);
            }
            let there = Array::empty(from.shape(), to.dtype(), to.device())?;
            super::upload(&dense, &there)?;
            copy_on_gpu(&there, to)
        }
        (true, false) => {
            if from.is_contiguous() || from.numel() <= 1 {
                return cpu::copy(&super::download(from)?, to);
            }
            let dense = Array::empty(from.shape(), from.dtype(), from.device())?;
            copy_on_gpu(from, &dense)?;
            cpu::copy(&super::download(&dense)?, to)
        }
    }
}

fn copy_on_gpu(from: &Array, to: &Array) -> Result<()> {
    place(&[Some(from), Some(to)])?;
    #[cfg(feature = "gpu")]
    if rustnn_gpu::copy(from, to)? {
        return Ok(());
    }
    let name = if from.dtype() == to.dtype() { "copy".into() } else { format!("copy to {}", to.dtype().name()) };
    let mut host = Host::new(&name, Some(from.dtype()));
    let (here, there) = (host.stage(from)?, host.stage_written(to)?);
    cpu::copy(&here, &there)?;
    host.finish()
}

/// Writes one number everywhere.
pub fn fill(out: &Array, value: Scalar) -> Result<()> {
    door!([] [out] arrays::fill(out, value) gpu)
}

/// `out = base ** exponent` of contiguous int64.
pub fn integer_powers(base: &Array, exponent: &Array, out: &Array) -> Result<()> {
    door!([base, exponent] [out] arrays::integer_powers(base, exponent, out) gpu)
}

/// `out[i] = map(x[i])` over two contiguous arrays of as many elements.
pub fn map_complex(map: Map, x: &Array, out: &Array) -> Result<()> {
    // Some of these are reached from rows' ways, which name nothing.
    let _scope = Scope::new(Called::Op(match map {
        Map::Conjugate => "conj",
        Map::Direction => "sgn",
        Map::Magnitude => "abs",
        Map::Angle => "angle",
    }));
    door!([x] [out] complex::map(map, x, out))
}

/// Fourier transforms of the lines of a contiguous complex array along `dim`, in place, scaled.
#[cfg(feature = "complex")]
pub fn fourier(x: &Array, dim: usize, forward: bool, scale: f64) -> Result<()> {
    door!([] [x] fourier::transform(x, dim, forward, scale))
}

/// The first half of the transforms of real lines, the last dimension of `x`.
#[cfg(feature = "complex")]
pub fn fourier_real_forward(x: &Array, out: &Array, scale: f64) -> Result<()> {
    door!([x] [out] fourier::real_forward(x, out, scale))
}

/// Back to the real lines, the last dimension of `out`; `x` is overwritten.
#[cfg(feature = "complex")]
pub fn fourier_real_inverse(x: &Array, out: &Array, scale: f64) -> Result<()> {
    door!([] [x, out] fourier::real_inverse(x, out, scale))
}

/// Folds `x` over `dims` into the contiguous `out`.
pub fn reduce(fold: Fold, x: &Array, dims: &[usize], finish_with: Finish, out: &Array) -> Result<()> {
    door!([x] [out] arrays::reduce(fold, x, dims, finish_with, out) gpu)
}

/// Variance over `dims` (its root if `root`) and, if asked, the mean; both contiguous.
pub fn variance(x: &Array, dims: &[usize], correction: f64, root: bool, out: &Array, mean: Option<&Array>) -> Result<()> {
    door!([x] [out, mean] arrays::variance(x, dims, correction, root, out, mean) gpu)
}

/// The first index of the extreme value along `dim`, and the value if asked; both contiguous.
pub fn arg_extreme(extreme: Extreme, x: &Array, dim: usize, values: Option<&Array>, indices: &Array) -> Result<()> {
    door!([x] [values, indices] arrays::arg_extreme(extreme, x, dim, values, indices) gpu)
}

/// The first element: waits for a GPU. Preconditions: there is one.
pub fn first(x: &Array) -> Result<Scalar> {
    if place(&[Some(x)])? == Place::Host {
        return cpu::first(x);
    }
    cpu::first(&super::download(&x.with_geometry(Default::default(), Default::default(), x.offset()))?)
}

/// The elements of a contiguous array: waits for a GPU.
pub fn elements(x: &Array) -> Result<Vec<Scalar>> {
    if place(&[Some(x)])? == Place::Host {
        return cpu::elements(x);
    }
    cpu::elements(&super::download(x)?)
}
