//! Products, variances and norms over dimensions.

use crate::device::arrays::{self, Finish, Fold};
use crate::matmul::SavedSet;
use crate::reduce::{dims, fold, reduced, spread, sum};
use crate::registry::into_out;
use crate::row::{Operand, Scalar, call};
use crate::rows;
use crate::saved::Saved;
use crate::tape::{named, record};
use crate::tensor::{Tensor, needs_grad};
use rustnn_autograd::{Backward, Context, Grads};
use rustnn_tensor::{Array, DType, Result, ensure};
use smallvec::{SmallVec, smallvec};

type Dims = SmallVec<[usize; 5]>;

fn signed(dims: &[usize]) -> SmallVec<[i64; 5]> {
    dims.iter().map(|&d| d as i64).collect()
}

fn float_only(x: &Tensor, op: &str) -> Result<()> {
    ensure!(
        x.dtype().is_float() || x.dtype().is_complex(),
        Runtime,
        "{op}: input dtype should be either floating point or complex dtypes. Got {} instead.",
        x.dtype().scalar_name()
    );
    Ok(())
}

/// Variance (its root if `root`), and the mean.
pub fn variance(x: &Tensor, over: Option<&[i64]>, correction: f64, keep: bool, root: bool, op: &str) -> Result<(Tensor, Tensor)> {
    let complex = x.dtype().is_complex();
    ensure!(x.dtype().is_float() || complex, Runtime, "std and var only support floating point and complex dtypes");
    let over = dims(over, x.rank())?;
    let shape = reduced(x.shape(), &over, keep);
    if needs_grad(&[x]) || complex {
        let list = signed(&over);
        let n: usize = over.iter().map(|&d| x.shape()[d]).product();
        let mean = crate::reduce::mean(x, Some(&list), true, None)?;
        let centre = call(&rows::SUB, &[x.into(), (&mean).into()], &[Scalar::Int(1)])?;
        let squares = sum(&crate::complex::square_magnitude(&centre)?, Some(&list), true, None)?;
        let var = call(&rows::DIV, &[(&squares).into(), Operand::Scalar(Scalar::Float((n as f64 - correction).max(0.0)))], &[])?;
        let out = if root { call(&rows::SQRT, &[(&var).into()], &[])? } else { var };
        let name = match op {
            "std" => "StdBackward0",
            "var_mean" => "VarMeanBackward0",
            "std_mean" => "StdMeanBackward0",
            _ => "VarBackward0",
        };
        return Ok((named(crate::views::in_shape(&out, &shape)?, name), named(crate::views::in_shape(&mean, &shape)?, name)));
    }
    let (out, mean) = (Array::empty(&shape, x.dtype(), x.device())?, Array::empty(&shape, x.dtype(), x.device())?);
    arrays::variance(x.array(), &over, correction, root, &out, Some(&mean))?;
    Ok((Tensor::from_array(out), Tensor::from_array(mean)))
}

struct ProductBackward {
    saved: SavedSet<1>,
    dims: Dims,
    keep: bool,
}

impl Backward<Tensor> for ProductBackward {
    fn name(&self) -> String {
        "ProdBackward0".into()
    }

    fn backward(&self, grads: Grads<Tensor>, context: &Context<Tensor>) -> Result<Grads<Tensor>> {
        let Some(dy) = grads.into_iter().next().flatten() else { return Ok(smallvec![None]) };
        let [Some(x)] = self.saved.unpack(context)? else { return Ok(smallvec![None]) };
        let list = signed(&self.dims);
        // Without zeros each factor's share is the product over it; a single zero's is the product of the others.
        let zero = call(&rows::EQ, &[(&x).into(), 0.0.into()], &[])?;
        let zeros = sum(&zero, Some(&list), true, None)?;
        let safe = call(&rows::WHERE, &[(&zero).into(), 1.0.into(), (&x).into()], &[])?;
        let rest = product(&safe, &self.dims, true)?;
        let none = call(&rows::EQ, &[(&zeros).into(), 0.0.into()], &[])?;
        let one = call(&rows::EQ, &[(&zeros).into(), 1.0.into()], &[])?;
        let plain = call(&rows::DIV, &[(&rest).into(), (&safe).into()], &[])?;
        let lone = call(&rows::LOGICAL_AND, &[(&one).into(), (&zero).into()], &[])?;
        let full = crate::views::expand_to(&rest, x.shape())?;
        let share = call(&rows::WHERE, &[(&lone).into(), (&full).into(), 0.0.into()], &[])?;
        let share = call(&rows::WHERE, &[(&none).into(), (&plain).into(), (&share).into()], &[])?;
        let dy = spread(&dy, x.shape(), &self.dims, self.keep)?;
        Ok(smallvec![Some(crate::mul(&dy, &share)?)])
    }

    fn release(&self) {
        self.saved.release();
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// The product of complex numbers over dimensions: halves multiplied until one is left.
fn complex_product(x: &Tensor, over: &[usize], keep: bool) -> Result<Tensor> {
    let mut out = x.clone();
    for &d in over {
        if out.shape()[d] == 0 {
            let mut shape = out.shape_owned();
            shape[d] = 1;
            out = Tensor::from_array(crate::create::full_array(&shape, Scalar::Int(1), x.dtype(), x.device())?);
        }
        while out.shape()[d] > 1 {
            let n = out.shape()[d] as i64;
            let part = |start: i64, len: i64| crate::views::narrow(&out, d as i64, start, len);
            let half = crate::mul(&part(0, n / 2)?, &part(n / 2, n / 2)?)?;
            out = if n % 2 == 0 { half } else { crate::join::cat(&[half, part(n - 1, 1)?], d as i64)? };
        }
    }
    let out = if std::ptr::eq(out.array().storage(), x.array().storage()) || over.is_empty() { crate::clone(&out)? } else { out };
    Ok(named(crate::views::in_shape(&out, &reduced(x.shape(), over, keep))?, "ProdBackward0"))
}

fn product(x: &Tensor, over: &[usize], keep: bool) -> Result<Tensor> {
    if x.dtype().is_complex() {
        return complex_product(x, over, keep);
    }
    let out = fold(Fold::Product, x.array(), over, keep, Finish::Plain, x.dtype())?;
    if !needs_grad(&[x]) {
        return Ok(Tensor::from_array(out));
    }
    Ok(record(out, &[x], ProductBackward { saved: SavedSet::new([Saved::input(x)?]), dims: over.into(), keep }))
}

fn prod(x: &Tensor, over: Option<&[i64]>, keep: bool, dtype: Option<DType>) -> Result<Tensor> {
    let dtype = dtype.unwrap_or(if x.dtype().is_integral() { DType::I64 } else { x.dtype() });
    product(&crate::to_dtype(x, dtype)?, &dims(over, x.rank())?, keep)
}

struct NormBackward {
    saved: SavedSet<2>,
    p: f64,
    dims: Dims,
    keep: bool,
}

impl Backward<Tensor> for NormBackward {
    fn name(&self) -> String {
        "LinalgVectorNormBackward0".into()
    }

    fn backward(&self, grads: Grads<Tensor>, context: &Context<Tensor>) -> Result<Grads<Tensor>> {
        let Some(dy) = grads.into_iter().next().flatten() else { return Ok(smallvec![None]) };
        let [Some(x), Some(y)] = self.saved.unpack(context)? else { return Ok(smallvec![None]) };
        let dy = spread(&dy, x.shape(), &self.dims, self.keep)?;
        let y = spread(&y, x.shape(), &self.dims, self.keep)?;
        let sign = call(&rows::SIGN, &[(&x).into()], &[])?;
        let abs = call(&rows::ABS, &[(&x).into()], &[])?;
        let zero = |t: &Tensor| call(&rows::EQ, &[t.into(), 0.0.into()], &[]);
        let without = |mask: &Tensor, t: &Tensor| call(&rows::MASKED_FILL, &[mask.into(), t.into()], &[Scalar::Float(0.0)]);
        let dx = if self.p == 0.0 {
            crate::create::zeros_like(&x)?
        } else if self.p == 1.0 {
            crate::mul(&dy, &sign)?
        } else if self.p == 2.0 {
            // At the origin the gradient is 0.
            let share = without(&zero(&y)?, &call(&rows::DIV, &[(&x).into(), (&y).into()], &[])?)?;
            crate::mul(&dy, &share)?
        } else if self.p.is_infinite() {
            let hit = crate::to_dtype(&call(&rows::EQ, &[(&abs).into(), (&y).into()], &[])?, x.dtype())?;
            let count = sum(&hit, Some(&signed(&self.dims)), true, None)?;
            crate::mul(&crate::mul(&dy, &sign)?, &call(&rows::DIV, &[(&hit).into(), (&count).into()], &[])?)?
        } else {
            // sign(x) |x|^(p-1) / y^(p-1)
            let power = |t: &Tensor| call(&rows::POW_NUMBER, &[t.into()], &[Scalar::Float(self.p - 1.0)]);
            let share = call(&rows::DIV, &[(&power(&abs)?).into(), (&power(&y)?).into()], &[])?;
            let mask = call(&rows::LOGICAL_OR, &[(&zero(&y)?).into(), (&zero(&x)?).into()], &[])?;
            crate::mul(&crate::mul(&dy, &sign)?, &without(&mask, &share)?)?
        };
        Ok(smallvec![Some(dx)])
    }

    fn release(&self) {
        self.saved.release();
    }

    fn as_any(&self) -> &dyn std::any::Any {
        self
    }
}

/// `(Σ |x|^p)^(1/p)`; the greatest and least magnitude for p = ±inf, the number of non-zeros for p = 0.
pub fn vector_norm(x: &Tensor, p: f64, over: Option<&[i64]>, keep: bool, dtype: Option<DType>) -> Result<Tensor> {
    float_only(x, "linalg.vector_norm")?;
    if x.dtype().is_complex() {
        // A norm asks for magnitudes alone.
        let norm = vector_norm(&crate::complex::abs(x)?, p, over, keep, dtype.map(crate::complex::real_dtype))?;
        return Ok(named(norm, "LinalgVectorNormBackward0"));
    }
    let x = &crate::to_dtype(x, dtype.unwrap_or(x.dtype()))?;
    let over = dims(over, x.rank())?;
    let plain =
        |kind, t: &Tensor| -> Result<Tensor> { Ok(Tensor::from_array(fold(kind, t.array(), &over, keep, Finish::Plain, x.dtype())?)) };
    let abs = || crate::mode::no_grad(|| call(&rows::ABS, &[x.into()], &[]));
    let y = if p == 2.0 {
        Tensor::from_array(fold(Fold::SumSquares, x.array(), &over, keep, Finish::OverRoot(1.0), x.dtype())?)
    } else if p == 1.0 {
        plain(Fold::SumAbs, x)?
    } else if p == f64::INFINITY {
        plain(Fold::MaxAbs, x)?
    } else if p == f64::NEG_INFINITY {
        plain(Fold::Min, &abs()?)?
    } else {
        crate::mode::no_grad(|| -> Result<Tensor> {
            if p == 0.0 {
                let some = crate::to_dtype(&call(&rows::NE, &[x.into(), 0.0.into()], &[])?, x.dtype())?;
                return plain(Fold::Sum, &some);
            }
            let powers = call(&rows::POW_NUMBER, &[(&abs()?).into()], &[Scalar::Float(p)])?;
            call(&rows::POW_NUMBER, &[(&plain(Fold::Sum, &powers)?).into()], &[Scalar::Float(1.0 / p)])
        })?
    };
    if !needs_grad(&[x]) {
        return Ok(y);
    }
    let saved = SavedSet::new([Saved::input(x)?, Saved::output(&y, 0)?]);
    Ok(record(y.array().clone(), &[x], NormBackward { saved, p, dims: over, keep }))
}

fn correction(unbiased: bool) -> f64 {
    unbiased as u8 as f64
}

/// NaN counted as 0.
fn without_nan(x: &Tensor) -> Result<Tensor> {
    let nan = call(&rows::ISNAN, &[x.into()], &[])?;
    call(&rows::MASKED_FILL, &[(&nan).into(), x.into()], &[Scalar::Float(0.0)])
}

crate::ops! {
    "var(Tensor self, bool unbiased=True)" Both "Variance of all elements." => |a| variance(a.tensor(0)?, None, correction(a.bool(1)?), false, false, "var")?.0;
    "var(Tensor self, int[1]? dim=None, *, Scalar? correction=1, bool keepdim=False, Tensor? out=None)" Both "Variance over dimensions, the sum of squares divided by n - correction." =>
        |a| into_out("var", &[a.tensor(0)?], || Ok(variance(a.tensor(0)?, a.opt_ints(1)?, a.opt_scalar(2)?.map_or(1.0, Scalar::to_f64), a.bool(3)?, false, "var")?.0), a.opt_tensor(4)?)?;
    "var(Tensor self, int[1]? dim, bool unbiased=True, bool keepdim=False, *, Tensor? out=None)" Both "Variance over dimensions." =>
        |a| into_out("var", &[a.tensor(0)?], || Ok(variance(a.tensor(0)?, a.opt_ints(1)?, correction(a.bool(2)?), a.bool(3)?, false, "var")?.0), a.opt_tensor(4)?)?;
    "std(Tensor self, bool unbiased=True)" Both "Standard deviation of all elements." => |a| variance(a.tensor(0)?, None, correction(a.bool(1)?), false, true, "std")?.0;
    "std(Tensor self, int[1]? dim=None, *, Scalar? correction=1, bool keepdim=False, Tensor? out=None)" Both "Standard deviation over dimensions." =>
        |a| into_out("std", &[a.tensor(0)?], || Ok(variance(a.tensor(0)?, a.opt_ints(1)?, a.opt_scalar(2)?.map_or(1.0, Scalar::to_f64), a.bool(3)?, true, "std")?.0), a.opt_tensor(4)?)?;
    "std(Tensor self, int[1]? dim, bool unbiased=True, bool keepdim=False, *, Tensor? out=None)" Both "Standard deviation over dimensions." =>
        |a| into_out("std", &[a.tensor(0)?], || Ok(variance(a.tensor(0)?, a.opt_ints(1)?, correction(a.bool(2)?), a.bool(3)?, true, "std")?.0), a.opt_tensor(4)?)?;
    "var_mean(Tensor self, bool unbiased=True)" Function "Variance and mean of all elements." => |a| {
        let (v, m) = variance(a.tensor(0)?, None, correction(a.bool(1)?), false, false, "var_mean")?;
        vec![v, m]
    };
    "var_mean(Tensor self, int[1]? dim, bool unbiased=True, bool keepdim=False)" Function "Variance and mean over dimensions." => |a| {
        let (v, m) = variance(a.tensor(0)?, a.opt_ints(1)?, correction(a.bool(2)?), a.bool(3)?, false, "var_mean")?;
        vec![v, m]
    };
    "var_mean(Tensor self, int[1]? dim=None, *, Scalar? correction=1, bool keepdim=False)" Function "Variance and mean." => |a| {
        let (v, m) = variance(a.tensor(0)?, a.opt_ints(1)?, a.opt_scalar(2)?.map_or(1.0, Scalar::to_f64), a.bool(3)?, false, "var_mean")?;
        vec![v, m]
    };
    "std_mean(Tensor self, bool unbiased=True)" Function "Standard deviation and mean of all elements." => |a| {
        let (v, m) = variance(a.tensor(0)?, None, correction(a.bool(1)?), false, true, "std_mean")?;
        vec![v, m]
    };
    "std_mean(Tensor self, int[1]? dim, bool unbiased=True, bool keepdim=False)" Function "Standard deviation and mean over dimensions." => |a| {
        let (v, m) = variance(a.tensor(0)?, a.opt_ints(1)?, correction(a.bool(2)?), a.bool(3)?, true, "std_mean")?;
        vec![v, m]
    };
    "std_mean(Tensor self, int[1]? dim=None, *, Scalar? correction=1, bool keepdim=False)" Function "Standard deviation and mean." => |a| {
        let (v, m) = variance(a.tensor(0)?, a.opt_ints(1)?, a.opt_scalar(2)?.map_or(1.0, Scalar::to_f64), a.bool(3)?, true, "std_mean")?;
        vec![v, m]
    };
    "prod(Tensor self, *, ScalarType? dtype=None)" Both "Product of all elements." => |a| prod(a.tensor(0)?, None, false, a.opt_dtype(1)?)?;
    "prod(Tensor self, int dim, bool keepdim=False, *, ScalarType? dtype=None, Tensor? out=None)" Both "Product along a dimension." =>
        |a| into_out("prod", &[a.tensor(0)?], || prod(a.tensor(0)?, Some(&[a.int(1)?]), a.bool(2)?, a.opt_dtype(3)?), a.opt_tensor(4)?)?;
    "_vector_norm(Tensor self, float p=2, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None)" Function "`(Σ |x|^p)^(1/p)` over dimensions." =>
        |a| vector_norm(a.tensor(0)?, a.float(1)?, a.opt_ints(2)?, a.bool(3)?, a.opt_dtype(4)?)?;
    "nansum(Tensor self, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None, Tensor? out=None)" Both "Sum, NaN counted as 0." => |a| {
        ensure!(!a.tensor(0)?.dtype().is_complex(), Runtime, "nansum on CPU does not support complex inputs");
        let made = || Ok(named(sum(&without_nan(a.tensor(0)?)?, a.opt_ints(1)?, a.bool(2)?, a.opt_dtype(3)?)?, "NansumBackward0"));
        into_out("nansum", &[a.tensor(0)?], made, a.opt_tensor(4)?)?
    };
    "nanmean(Tensor self, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None, Tensor? out=None)" Both "Mean of what is not NaN." => |a| {
        let x = a.tensor(0)?;
        let made = || {
            let valid = call(&rows::EQ, &[x.into(), x.into()], &[])?;
            let total = sum(&without_nan(x)?, a.opt_ints(1)?, a.bool(2)?, a.opt_dtype(3)?)?;
            call(&rows::DIV, &[(&total).into(), (&sum(&valid, a.opt_ints(1)?, a.bool(2)?, None)?).into()], &[])
        };
        into_out("nanmean", &[x], made, a.opt_tensor(4)?)?
    };
    "trace(Tensor self)" Both "Sum of a matrix's diagonal." => |a| {
        ensure!(a.tensor(0)?.rank() == 2, Runtime, "trace: expected a matrix, but got tensor with dim {}", a.tensor(0)?.rank());
        named(sum(&crate::views::diagonal(a.tensor(0)?, 0, 0, 1)?, None, false, None)?, "TraceBackward0")
    };
    "positive(Tensor self)" Both "The tensor itself." => |a| {
        ensure!(a.tensor(0)?.dtype() != DType::Bool, Runtime, "The `+` operator, on a bool tensor is not supported.");
        a.tensor(0)?.clone()
    };
    "cross(Tensor self, Tensor other, int? dim=None)" Both "Vector products along a dimension of size 3." => |a| {
        let (x, y) = (a.tensor(0)?, a.tensor(1)?);
        ensure!(x.rank() == y.rank(), Runtime, "linalg.cross: inputs must have the same number of dimensions.");
        let shape = rustnn_tensor::shape::broadcast(x.shape(), y.shape())?;
        let d = match a.opt_int(2)? {
            Some(d) => rustnn_tensor::shape::wrap_dim(d, shape.len())?,
            None => shape.iter().position(|&n| n == 3).ok_or_else(|| rustnn_tensor::Error::Runtime("no dimension of size 3 in input".into()))?,
        };
        ensure!(x.shape()[d] == 3 && y.shape()[d] == 3, Runtime, "linalg.cross: inputs dimension {d} must have length 3. Got {} and {}", x.shape()[d], y.shape()[d]);
        let part = |t: &Tensor, i: i64| crate::views::select(t, d as i64, i);
        let term = |i: i64, j: i64| -> Result<Tensor> {
            call(&rows::SUB, &[(&crate::mul(&part(x, i)?, &part(y, j)?)?).into(), (&crate::mul(&part(x, j)?, &part(y, i)?)?).into()], &[Scalar::Int(1)])
        };
        named(crate::join::stack(&[term(1, 2)?, term(2, 0)?, term(0, 1)?], d as i64)?, "LinalgCrossBackward0")
    };
    "count_nonzero(Tensor self, int[1]? dim=None)" Both "How many elements are not zero." =>
        |a| sum(&call(&rows::NE, &[a.operand(0)?, Operand::Scalar(Scalar::Int(0))], &[])?, a.opt_ints(1)?, false, None)?;
}
