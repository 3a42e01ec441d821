//! The tensor.

use crate::nn::{Buffer, Parameter};
use crate::{DType, Device, Element, Error, Result};
use rustnn_ops::registry::Output;
use rustnn_ops::row::{self, Row};
use rustnn_ops::{self as ops, Operand, Scalar, rows};
use std::fmt;

/// An array of numbers with its place on the tape. Clones are the same tensor: they share memory, gradient and history.
///
/// Methods borrow and give new tensors; names ending in `_` write in place. Operators (`&a + &b`, `&a * 2.0`) are the methods
/// of their names and give a [`Result`] too. Memory is shared between threads as it is, without a lock, as in PyTorch:
/// that no thread writes in place what another is using is the program's own affair, which the types cannot check (it would be
/// a data race, undefined behaviour). Layers in training write their buffers; in evaluation `Embedding` with `max_norm` alone
/// writes. Dimensions count from the end where negative; shapes broadcast as in PyTorch.
///
/// ```
/// # fn main() -> rustnn::Result<()> {
/// use rustnn::Tensor;
/// let x = Tensor::new(&[1.0f32, 2.0, 3.0, 4.0], [2, 2])?;
/// let y = (&x * 2.0)?.sum_dim(&[0], false)?;
/// assert_eq!(y.to_vec::<f32>()?, [8.0, 12.0]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Tensor(ops::Tensor);

impl From<ops::Tensor> for Tensor {
    fn from(tensor: ops::Tensor) -> Tensor {
        Tensor(tensor)
    }
}

/// A tensor or a number, where either will do.
#[derive(Clone, Copy, Debug)]
pub enum TensorOrNumber<'a> {
    /// A tensor.
    Tensor(&'a Tensor),
    /// An integer, which does not make floats of integers.
    Int(i64),
    /// A float.
    Float(f64),
}

impl<'a> From<&'a Tensor> for TensorOrNumber<'a> {
    fn from(tensor: &'a Tensor) -> Self {
        TensorOrNumber::Tensor(tensor)
    }
}

impl<'a> From<&'a Parameter> for TensorOrNumber<'a> {
    fn from(parameter: &'a Parameter) -> Self {
        TensorOrNumber::Tensor(parameter)
    }
}

impl<'a> From<&'a Buffer> for TensorOrNumber<'a> {
    fn from(buffer: &'a Buffer) -> Self {
        TensorOrNumber::Tensor(buffer)
    }
}

macro_rules! numbers {
    ($($kind:ident $variant:ident;)*) => {
        $(impl From<$kind> for TensorOrNumber<'_> {
            fn from(value: $kind) -> Self {
                TensorOrNumber::$variant(value.into())
            }
        })*
    };
}
numbers! {
    f64 Float;
    f32 Float;
    i64 Int;
    i32 Int;
}

impl<'a> From<TensorOrNumber<'a>> for Operand<'a> {
    fn from(value: TensorOrNumber<'a>) -> Self {
        match value {
            TensorOrNumber::Tensor(t) => Operand::Tensor(&t.0),
            TensorOrNumber::Int(i) => Operand::Scalar(Scalar::Int(i)),
            TensorOrNumber::Float(f) => Operand::Scalar(Scalar::Float(f)),
        }
    }
}

/// The tensor of an op that gives one.
fn only(output: Output) -> Result<Tensor> {
    match output {
        Output::Tensor(t) | Output::Written(t) => Ok(Tensor(t)),
        other => Err(Error::value(format!("expected one tensor, got {other:?}"))),
    }
}

fn wrap(tensors: Vec<ops::Tensor>) -> Vec<Tensor> {
    tensors.into_iter().map(Tensor).collect()
}

pub(crate) fn unwrap(tensors: &[Tensor]) -> Vec<ops::Tensor> {
    tensors.iter().map(|t| t.0.clone()).collect()
}

/// Whether an integer dtype holds a number, cut off behind the point.
fn holds(dtype: DType, value: f64) -> bool {
    let bits = 8 * dtype.size_bytes() as i32;
    let range = if dtype.is_signed() { -(2f64.powi(bits - 1))..2f64.powi(bits - 1) } else { 0.0..2f64.powi(bits.min(63)) };
    range.contains(&value.trunc())
}

/// A list of as many elements as a caller asks for: too many are an error, not an abort.
pub(crate) fn listed<T>(elements: impl ExactSizeIterator<Item = T>) -> Result<Vec<T>> {
    let mut list = Vec::new();
    let len = elements.len();
    list.try_reserve_exact(len).map_err(|_| Error::value(format!("not enough memory for {len} elements")))?;
    list.extend(elements);
    Ok(list)
}

pub(crate) fn signed(sizes: &[usize]) -> Vec<i64> {
    sizes.iter().map(|&n| i64::try_from(n).unwrap_or(i64::MAX)).collect()
}

/// Making tensors.
impl Tensor {
    /// A tensor of elements in row-major order.
    ///
    /// # Errors
    /// If the shape has another number of elements.
    pub fn new<T: Element>(data: &[T], shape: impl AsRef<[usize]>) -> Result<Tensor> {
        let tensor = ops::Tensor::from_slice(data, shape.as_ref())?;
        Ok(Tensor(ops::to_device(&tensor, ops::default_device())?))
    }

    /// A tensor of one element and no dimensions.
    pub fn scalar<T: Element>(value: T) -> Result<Tensor> {
        Tensor::new(&[value], [])
    }

    /// A tensor of raw little-endian bytes in row-major order.
    ///
    /// # Errors
    /// If shape and dtype need another number of bytes.
    pub fn from_bytes(bytes: &[u8], shape: impl AsRef<[usize]>, dtype: DType) -> Result<Tensor> {
        let array = rustnn_tensor::Array::from_bytes(bytes, shape.as_ref(), dtype)?;
        Ok(Tensor(ops::to_device(&ops::Tensor::from_array(array), ops::default_device())?))
    }

    /// Zeros, float32.
    pub fn zeros(shape: impl AsRef<[usize]>) -> Result<Tensor> {
        Tensor::full(shape, 0.0, DType::F32)
    }

    /// Ones, float32.
    pub fn ones(shape: impl AsRef<[usize]>) -> Result<Tensor> {
        Tensor::full(shape, 1.0, DType::F32)
    }

    /// One value everywhere.
    ///
    /// # Errors
    /// If an integer dtype does not hold the value.
    pub fn full(shape: impl AsRef<[usize]>, value: f64, dtype: DType) -> Result<Tensor> {
        let value = if !dtype.is_integral() {
            Scalar::Float(value)
        } else if dtype == DType::Bool {
            Scalar::Bool(value != 0.0)
        } else if holds(dtype, value) {
            Scalar::Int(value as i64)
        } else {
            return Err(Error::value(format!("value {value} cannot be converted to type {} without overflow", dtype.name())));
        };
        let array = ops::create::full_array(shape.as_ref(), value, dtype, ops::default_device())?;
        Ok(Tensor(ops::Tensor::from_array(array)))
    }

    /// Zeros of the shape, dtype and device of this one.
    pub fn zeros_like(&self) -> Result<Tensor> {
        Ok(Tensor(ops::create::zeros_like(&self.0)?))
    }

    /// Ones of the shape, dtype and device of this one.
    pub fn ones_like(&self) -> Result<Tensor> {
        Ok(Tensor(ops::create::ones_like(&self.0)?))
    }

    /// The integers of `range`, int64.
    pub fn arange(range: std::ops::Range<i64>) -> Result<Tensor> {
        let (start, end) = (Scalar::Int(range.start), Scalar::Int(range.end.max(range.start)));
        Ok(Tensor(ops::create::arange(start, end, Scalar::Int(1), None, ops::default_device())?))
    }

    /// `steps` numbers from `start` to `end`, both included, float32.
    pub fn linspace(start: f64, end: f64, steps: usize) -> Result<Tensor> {
        Ok(Tensor(ops::create::linspace(start, end, signed(&[steps])[0], None, ops::default_device())?))
    }

    /// The identity matrix, float32.
    pub fn eye(n: usize) -> Result<Tensor> {
        let n = signed(&[n])[0];
        Ok(Tensor(ops::create::eye(n, n, None, ops::default_device())?))
    }

    /// Uniform in [0, 1), float32.
    pub fn rand(shape: impl AsRef<[usize]>) -> Result<Tensor> {
        Ok(Tensor(ops::random::rand(shape.as_ref(), DType::F32)?))
    }

    /// Normal with mean 0 and variance 1, float32.
    pub fn randn(shape: impl AsRef<[usize]>) -> Result<Tensor> {
        Ok(Tensor(ops::random::randn(shape.as_ref(), DType::F32)?))
    }

    /// Random integers of `range`, int64.
    pub fn randint(range: std::ops::Range<i64>, shape: impl AsRef<[usize]>) -> Result<Tensor> {
        Ok(Tensor(ops::random::integers_between(range.start, range.end, shape.as_ref())?))
    }

    /// A random order of the integers below `n`, int64.
    pub fn randperm(n: usize) -> Result<Tensor> {
        Ok(Tensor(ops::random::permutation(n, None)?))
    }

    /// Tensors one after another along a dimension that they have.
    pub fn cat(tensors: &[Tensor], dim: i64) -> Result<Tensor> {
        Ok(Tensor(ops::join::cat(&unwrap(tensors), dim)?))
    }

    /// Tensors of one shape along a new dimension.
    pub fn stack(tensors: &[Tensor], dim: i64) -> Result<Tensor> {
        Ok(Tensor(ops::join::stack(&unwrap(tensors), dim)?))
    }

    /// `self` where `condition` holds, else `other`.
    pub fn where_<'a>(&self, condition: &Tensor, other: impl Into<TensorOrNumber<'a>>) -> Result<Tensor> {
        only(ops::arithmetic::choose(&condition.0, (&self.0).into(), other.into().into(), None)?)
    }
}

/// What a tensor is.
impl Tensor {
    /// The size of each dimension.
    pub fn shape(&self) -> &[usize] {
        self.0.shape()
    }

    /// The size of one dimension.
    ///
    /// # Errors
    /// If there is no such dimension.
    pub fn size(&self, dim: i64) -> Result<usize> {
        let dim = rustnn_tensor::shape::wrap_dim(dim, self.rank())?;
        self.shape().get(dim).copied().ok_or_else(|| Error::value("a tensor without dimensions has no sizes"))
    }

    /// The number of dimensions.
    pub fn rank(&self) -> usize {
        self.0.rank()
    }

    /// The number of elements.
    pub fn numel(&self) -> usize {
        self.0.numel()
    }

    /// The type of the elements.
    pub fn dtype(&self) -> DType {
        self.0.dtype()
    }

    /// Where the memory lies.
    pub fn device(&self) -> Device {
        self.0.device()
    }

    /// Whether the elements lie in row-major order without gaps.
    pub fn is_contiguous(&self) -> bool {
        self.0.is_contiguous()
    }

    /// Whether both are clones of one tensor.
    pub fn same(&self, other: &Tensor) -> bool {
        self.0.same(&other.0)
    }

    /// The tensor of the crate below, whose ops are more than the methods here.
    pub fn as_op(&self) -> &ops::Tensor {
        &self.0
    }

    pub(crate) fn as_op_mut(&mut self) -> &mut ops::Tensor {
        &mut self.0
    }

    /// The only element.
    ///
    /// # Errors
    /// If there is not exactly one element, or it is no `T`.
    pub fn item<T: Element>(&self) -> Result<T> {
        if self.numel() != 1 {
            return Err(Error::value(format!("a Tensor with {} elements cannot be converted to Scalar", self.numel())));
        }
        Ok(self.to_vec()?[0])
    }

    /// The elements in row-major order.
    ///
    /// # Errors
    /// If the dtype is not `T`'s ([`to_dtype`](Tensor::to_dtype) converts).
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        Ok(self.host()?.to_vec()?)
    }

    /// The elements as little-endian bytes, in row-major order.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        Ok(self.host()?.to_bytes()?)
    }

    fn host(&self) -> Result<rustnn_tensor::Array> {
        if self.0.array().is_meta() {
            return Err(rustnn_tensor::Error::NotImplemented("Cannot copy out of meta tensor; no data!".into()).into());
        }
        Ok(ops::copy::contiguous_array(&ops::copy::array_on(self.0.array(), Device::Cpu)?)?)
    }
}

/// Gradients.
impl Tensor {
    /// Whether gradients with respect to this tensor, or through it, are recorded.
    pub fn requires_grad(&self) -> bool {
        self.0.requires_grad()
    }

    /// Asks for gradients with respect to this leaf, and gives it back.
    ///
    /// # Errors
    /// If it is no leaf or not of floats, and in a build without the feature `train`, which has no gradients.
    pub fn requires_grad_(self, on: bool) -> Result<Tensor> {
        if on && cfg!(not(feature = "train")) {
            return Err(Error::value("gradients need the crate's feature `train`, which this build lacks"));
        }
        self.0.set_requires_grad(on)?;
        Ok(self)
    }

    /// Whether this tensor is no result of recorded ops.
    pub fn is_leaf(&self) -> bool {
        self.0.is_leaf()
    }

    /// The gradient that [`backward`](Tensor::backward) left.
    pub fn grad(&self) -> Option<Tensor> {
        self.0.grad().map(Tensor)
    }

    /// Sets the gradient, or takes it away.
    ///
    /// # Errors
    /// If it has another shape, dtype or device.
    pub fn set_grad(&self, grad: Option<&Tensor>) -> Result<()> {
        Ok(self.0.set_grad(grad.map(|g| g.0.clone()))?)
    }

    /// Keeps the gradient of a tensor that is no leaf.
    pub fn retain_grad(&self) -> Result<()> {
        Ok(self.0.retain_grad()?)
    }

    /// Adds the gradients of this element to the `grad` of every leaf it depends on.
    ///
    /// ```
    /// # fn main() -> rustnn::Result<()> {
    /// let x = rustnn::Tensor::new(&[1.0f32, 2.0], [2])?.requires_grad_(true)?;
    /// x.square()?.sum()?.backward()?;
    /// assert_eq!(x.grad().unwrap().to_vec::<f32>()?, [2.0, 4.0]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If there is more than one element, or nothing was recorded.
    pub fn backward(&self) -> Result<()> {
        Ok(ops::backward(&self.0)?)
    }

    /// The same memory without history.
    pub fn detach(&self) -> Tensor {
        Tensor(self.0.detach())
    }
}

fn unary(row: &'static Row, x: &Tensor, scalars: &[Scalar]) -> Result<Tensor> {
    Ok(Tensor(row::call(row, &[(&x.0).into()], scalars)?))
}

fn binary(row: &'static Row, x: &Tensor, y: TensorOrNumber, scalars: &[Scalar]) -> Result<Tensor> {
    Ok(Tensor(row::call(row, &[(&x.0).into(), y.into()], scalars)?))
}

macro_rules! unary {
    ($($(#[$doc:meta])* $name:ident $row:ident;)*) => {
        /// Functions of each element.
        impl Tensor {
            $($(#[$doc])* pub fn $name(&self) -> Result<Tensor> {
                unary(&rows::$row, self, &[])
            })*
        }
    };
}
unary! {
    /// The absolute value.
    abs ABS;
    /// Rounded up.
    ceil CEIL;
    /// The cosine.
    cos COS;
    /// The error function.
    erf ERF;
    /// e to the power of each element.
    exp EXP;
    /// Rounded down.
    floor FLOOR;
    /// Whether neither infinite nor NaN.
    isfinite ISFINITE;
    /// Whether NaN.
    isnan ISNAN;
    /// The natural logarithm.
    log LOG;
    /// `ln(1 + x)`, accurate near 0.
    log1p LOG1P;
    /// `-x`.
    neg NEG;
    /// `1 / x`.
    reciprocal RECIPROCAL;
    /// `max(x, 0)`.
    relu RELU;
    /// Rounded to the nearest integer, halves to even.
    round ROUND;
    /// `1 / √x`.
    rsqrt RSQRT;
    /// `1 / (1 + exp(-x))`.
    sigmoid SIGMOID;
    /// -1, 0 or 1.
    sign SIGN;
    /// `x sigmoid(x)`.
    silu SILU;
    /// The sine.
    sin SIN;
    /// The square root.
    sqrt SQRT;
    /// `x²`.
    square SQUARE;
    /// The hyperbolic tangent.
    tanh TANH;
    /// Whether 0.
    logical_not LOGICAL_NOT;
}

macro_rules! binary {
    ($($(#[$doc:meta])* $name:ident $row:ident [$($scalar:expr),*];)*) => {
        /// Functions of two tensors, or of a tensor and a number, that broadcast.
        impl Tensor {
            $($(#[$doc])* pub fn $name<'a>(&self, other: impl Into<TensorOrNumber<'a>>) -> Result<Tensor> {
                binary(&rows::$row, self, other.into(), &[$($scalar),*])
            })*
        }
    };
}
binary! {
    /// `self + other`.
    add ADD [Scalar::Int(1)];
    /// `self - other`.
    sub SUB [Scalar::Int(1)];
    /// `self * other`.
    mul MUL [];
    /// `self / other`; integers become floats.
    div DIV [];
    /// The larger one; NaN where either is.
    maximum MAXIMUM [];
    /// The smaller one; NaN where either is.
    minimum MINIMUM [];
    /// The remainder with the sign of `other`.
    remainder REMAINDER [];
    /// Whether equal.
    eq EQ [];
    /// Whether different.
    ne NE [];
    /// Whether less.
    lt LT [];
    /// Whether less or equal.
    le LE [];
    /// Whether greater.
    gt GT [];
    /// Whether greater or equal.
    ge GE [];
    /// Whether both hold.
    logical_and LOGICAL_AND [];
    /// Whether either holds.
    logical_or LOGICAL_OR [];
}

/// More functions of elements.
impl Tensor {
    /// `self` to a power.
    pub fn pow<'a>(&self, exponent: impl Into<TensorOrNumber<'a>>) -> Result<Tensor> {
        Ok(Tensor(ops::arithmetic::pow((&self.0).into(), exponent.into().into())?))
    }

    /// Elements held between two numbers.
    pub fn clamp(&self, min: f64, max: f64) -> Result<Tensor> {
        only(ops::arithmetic::clamp(&self.0, Some(Scalar::Float(min)), Some(Scalar::Float(max)), None)?)
    }

    /// `value` where `mask` holds, else `self`.
    pub fn masked_fill(&self, mask: &Tensor, value: f64) -> Result<Tensor> {
        Ok(Tensor(ops::arithmetic::masked_fill(&self.0, &mask.0, value.into())?))
    }

    /// `e^x` over its sum along a dimension.
    pub fn softmax(&self, dim: i64) -> Result<Tensor> {
        Ok(Tensor(ops::softmax::softmax(&self.0, dim, false, None)?))
    }

    /// The logarithm of [`softmax`](Tensor::softmax), accurate for small probabilities.
    pub fn log_softmax(&self, dim: i64) -> Result<Tensor> {
        Ok(Tensor(ops::softmax::softmax(&self.0, dim, true, None)?))
    }
}

/// Sums, means and extremes.
impl Tensor {
    /// The sum of all elements.
    pub fn sum(&self) -> Result<Tensor> {
        Ok(Tensor(ops::reduce::sum(&self.0, None, false, None)?))
    }

    /// Sums along dimensions.
    pub fn sum_dim(&self, dims: &[i64], keepdim: bool) -> Result<Tensor> {
        Ok(Tensor(ops::reduce::sum(&self.0, Some(dims), keepdim, None)?))
    }

    /// The mean of all elements.
    pub fn mean(&self) -> Result<Tensor> {
        Ok(Tensor(ops::reduce::mean(&self.0, None, false, None)?))
    }

    /// Means along dimensions.
    pub fn mean_dim(&self, dims: &[i64], keepdim: bool) -> Result<Tensor> {
        Ok(Tensor(ops::reduce::mean(&self.0, Some(dims), keepdim, None)?))
    }

    /// Variances along dimensions; `correction` is 1 for the unbiased one.
    pub fn var_dim(&self, dims: &[i64], correction: f64, keepdim: bool) -> Result<Tensor> {
        Ok(Tensor(ops::moments::variance(&self.0, Some(dims), correction, keepdim, false, "var")?.0))
    }

    /// The greatest along a dimension, and where.
    pub fn max_dim(&self, dim: i64, keepdim: bool) -> Result<(Tensor, Tensor)> {
        let (value, place) = ops::extremes::extreme_at(&self.0, ops::extremes::Extreme::Max, dim, keepdim)?;
        Ok((Tensor(value), Tensor(place)))
    }

    /// The least along a dimension, and where.
    pub fn min_dim(&self, dim: i64, keepdim: bool) -> Result<(Tensor, Tensor)> {
        let (value, place) = ops::extremes::extreme_at(&self.0, ops::extremes::Extreme::Min, dim, keepdim)?;
        Ok((Tensor(value), Tensor(place)))
    }

    /// The 2-norm of all elements.
    pub fn norm(&self) -> Result<Tensor> {
        Ok(Tensor(ops::moments::vector_norm(&self.0, 2.0, None, false, None)?))
    }

    /// Sums up to each index of a dimension.
    pub fn cumsum(&self, dim: i64) -> Result<Tensor> {
        Ok(Tensor(ops::extremes::cumsum(&self.0, dim, None)?))
    }

    /// In order along a dimension, and where each element was.
    pub fn sort(&self, dim: i64, descending: bool) -> Result<(Tensor, Tensor)> {
        let (values, places) = ops::sort::sort(&self.0, dim, descending)?;
        Ok((Tensor(values), Tensor(places)))
    }

    /// The `k` greatest along a dimension in falling order, and where each was.
    ///
    /// ```
    /// # fn main() -> rustnn::Result<()> {
    /// let scores = rustnn::Tensor::new(&[0.1f32, 0.7, 0.2], [3])?;
    /// let (best, places) = scores.topk(2, 0)?;
    /// assert_eq!((best.to_vec::<f32>()?, places.to_vec::<i64>()?), (vec![0.7, 0.2], vec![1, 2]));
    /// # Ok(())
    /// # }
    /// ```
    pub fn topk(&self, k: usize, dim: i64) -> Result<(Tensor, Tensor)> {
        let (values, places) = ops::sort::topk(&self.0, signed(&[k])[0], dim, true)?;
        Ok((Tensor(values), Tensor(places)))
    }

    /// Where along a dimension the least is, int64.
    pub fn argmin(&self, dim: i64) -> Result<Tensor> {
        Ok(Tensor(ops::extremes::arg_extreme(&self.0, ops::extremes::Extreme::Min, Some(dim), false)?))
    }

    /// Where along a dimension the greatest is, int64.
    pub fn argmax(&self, dim: i64) -> Result<Tensor> {
        Ok(Tensor(ops::extremes::arg_extreme(&self.0, ops::extremes::Extreme::Max, Some(dim), false)?))
    }

    /// Whether both have one shape and all elements differ by at most `atol + rtol |other|`.
    pub fn allclose(&self, other: &Tensor, rtol: f64, atol: f64) -> Result<bool> {
        if self.shape() != other.shape() {
            return Ok(false);
        }
        let close = Tensor(ops::arithmetic::isclose(&self.0, &other.0, rtol, atol, false)?);
        Ok(close.to_vec::<bool>()?.into_iter().all(|c| c))
    }
}

/// Products.
impl Tensor {
    /// The product of vectors, matrices or stacks of matrices.
    pub fn matmul(&self, other: &Tensor) -> Result<Tensor> {
        Ok(Tensor(ops::matmul::matmul(&self.0, &other.0)?))
    }

    /// The sums of products that an equation such as `"bij,bjk->bik"` says.
    pub fn einsum(equation: &str, operands: &[Tensor]) -> Result<Tensor> {
        Ok(Tensor(ops::matmul::einsum(equation, &unwrap(operands))?))
    }
}

/// Views, which share memory, and copies of other shapes.
impl Tensor {
    /// The elements under another shape, in which one size may be -1: whatever is left.
    pub fn reshape(&self, shape: impl AsRef<[i64]>) -> Result<Tensor> {
        Ok(Tensor(ops::views::reshape(&self.0, shape.as_ref())?))
    }

    /// Dimensions `start` to `end` become one.
    pub fn flatten(&self, start: i64, end: i64) -> Result<Tensor> {
        Ok(Tensor(ops::views::flatten(&self.0, start, end)?))
    }

    /// One dimension becomes several, of which one may be -1.
    pub fn unflatten(&self, dim: i64, sizes: impl AsRef<[i64]>) -> Result<Tensor> {
        Ok(Tensor(ops::views::unflatten(&self.0, dim, sizes.as_ref())?))
    }

    /// Two dimensions change places.
    pub fn transpose(&self, a: i64, b: i64) -> Result<Tensor> {
        Ok(Tensor(ops::views::transpose(&self.0, a, b)?))
    }

    /// The dimensions in another order.
    pub fn permute(&self, dims: impl AsRef<[i64]>) -> Result<Tensor> {
        Ok(Tensor(ops::views::permute(&self.0, dims.as_ref())?))
    }

    /// A new dimension of size 1.
    pub fn unsqueeze(&self, dim: i64) -> Result<Tensor> {
        Ok(Tensor(ops::views::unsqueeze(&self.0, dim)?))
    }

    /// Without a dimension, if its size is 1.
    pub fn squeeze(&self, dim: i64) -> Result<Tensor> {
        Ok(Tensor(ops::views::squeeze(&self.0, Some(&[dim]))?))
    }

    /// Dimensions of size 1 repeated to a shape, in which -1 keeps a size.
    pub fn expand(&self, shape: impl AsRef<[i64]>) -> Result<Tensor> {
        Ok(Tensor(ops::views::expand(&self.0, shape.as_ref())?))
    }

    /// One index of a dimension, which goes.
    pub fn select(&self, dim: i64, index: i64) -> Result<Tensor> {
        Ok(Tensor(ops::views::select(&self.0, dim, index)?))
    }

    /// `len` indices of a dimension, from `start`.
    pub fn narrow(&self, dim: i64, start: i64, len: usize) -> Result<Tensor> {
        Ok(Tensor(ops::views::narrow(&self.0, dim, start, signed(&[len])[0])?))
    }

    /// Pieces of `size` along a dimension; the last may be smaller.
    pub fn split(&self, size: usize, dim: i64) -> Result<Vec<Tensor>> {
        Ok(wrap(ops::views::split(&self.0, signed(&[size])[0], dim)?))
    }

    /// As many pieces along a dimension.
    pub fn chunk(&self, chunks: usize, dim: i64) -> Result<Vec<Tensor>> {
        Ok(wrap(ops::views::chunk(&self.0, signed(&[chunks])[0], dim)?))
    }

    /// The indices of a dimension as tensors.
    pub fn unbind(&self, dim: i64) -> Result<Vec<Tensor>> {
        Ok(wrap(ops::views::unbind(&self.0, dim)?))
    }

    /// The given indices of a dimension, an int64 vector, copied.
    pub fn index_select(&self, dim: i64, index: &Tensor) -> Result<Tensor> {
        Ok(Tensor(ops::index::index_select(&self.0, dim, &index.0)?))
    }

    /// This tensor plus the rows of `source` at the given indices of a dimension; an index that comes twice counts twice.
    pub fn index_add(&self, dim: i64, index: &Tensor, source: &Tensor) -> Result<Tensor> {
        Ok(Tensor(ops::index::index_add(&self.0, false, dim, &index.0, &source.0, Scalar::Int(1))?))
    }

    /// The places of what is not 0: (count, rank), int64.
    pub fn nonzero(&self) -> Result<Tensor> {
        Ok(Tensor(ops::index::nonzero(&self.0)?))
    }

    /// The elements where `mask` holds, a vector.
    pub fn masked_select(&self, mask: &Tensor) -> Result<Tensor> {
        Ok(Tensor(ops::index::masked_select(&self.0, &mask.0)?))
    }

    /// Integers as rows of zeros with a one: (*) -> (*, classes), int64.
    pub fn one_hot(&self, classes: usize) -> Result<Tensor> {
        Ok(Tensor(ops::index::one_hot(&self.0, signed(&[classes])[0])?))
    }

    /// As often along each dimension, copied.
    pub fn repeat(&self, times: impl AsRef<[i64]>) -> Result<Tensor> {
        Ok(Tensor(ops::arrange::repeat(&self.0, times.as_ref())?))
    }

    /// Along a dimension the element that `index` says, for each place of `index`.
    pub fn gather(&self, dim: i64, index: &Tensor) -> Result<Tensor> {
        Ok(Tensor(ops::index::gather(&self.0, dim, &index.0)?))
    }

    /// The upper triangle of matrices, from a diagonal on.
    pub fn triu(&self, diagonal: i64) -> Result<Tensor> {
        Ok(Tensor(ops::arrange::triangle(&self.0, rustnn_kernels::indexing::Half::Upper, diagonal, false)?))
    }

    /// The lower triangle of matrices, up to a diagonal.
    pub fn tril(&self, diagonal: i64) -> Result<Tensor> {
        Ok(Tensor(ops::arrange::triangle(&self.0, rustnn_kernels::indexing::Half::Lower, diagonal, false)?))
    }

    /// In the reverse order along dimensions.
    pub fn flip(&self, dims: &[i64]) -> Result<Tensor> {
        Ok(Tensor(ops::arrange::flip(&self.0, dims)?))
    }

    /// In another dtype; itself where it has it.
    pub fn to_dtype(&self, dtype: DType) -> Result<Tensor> {
        Ok(Tensor(ops::to_dtype(&self.0, dtype)?))
    }

    /// On another device; itself where it lies there.
    pub fn to_device(&self, device: Device) -> Result<Tensor> {
        Ok(Tensor(ops::to_device(&self.0, device)?))
    }

    /// In row-major order; itself where it is.
    pub fn contiguous(&self) -> Result<Tensor> {
        Ok(Tensor(ops::contiguous(&self.0)?))
    }

    /// The same values in memory of their own; [`clone`](Clone::clone) is the tensor itself.
    pub fn copy(&self) -> Result<Tensor> {
        Ok(Tensor(ops::clone(&self.0)?))
    }
}

/// Writing in place.
impl Tensor {
    /// Overwritten by another tensor, which broadcasts and is converted.
    ///
    /// # Errors
    /// If the shapes do not fit, or a gradient forbids the write.
    pub fn copy_(&self, source: &Tensor) -> Result<()> {
        Ok(ops::copy::copy_(&self.0, &source.0)?)
    }

    /// Overwritten by one value.
    pub fn fill_(&self, value: f64) -> Result<()> {
        Ok(ops::copy::fill_(&self.0, Scalar::Float(value))?)
    }

    /// `self += alpha * other`.
    pub fn add_<'a>(&self, other: impl Into<TensorOrNumber<'a>>, alpha: f64) -> Result<()> {
        // Integers take integers alone; above 2⁵³ floats are whole without meaning it.
        let is_whole = alpha.fract() == 0.0 && alpha.abs() < 9e15;
        let alpha = if is_whole { Scalar::Int(alpha as i64) } else { Scalar::Float(alpha) };
        Ok(row::call_inplace(&rows::ADD, &self.0, &[other.into().into()], &[alpha])?)
    }

    /// `self *= other`.
    pub fn mul_<'a>(&self, other: impl Into<TensorOrNumber<'a>>) -> Result<()> {
        Ok(row::call_inplace(&rows::MUL, &self.0, &[other.into().into()], &[])?)
    }
}

macro_rules! operators {
    ($($operator:ident $function:ident;)*) => {$(
        impl std::ops::$operator<&Tensor> for &Tensor {
            type Output = Result<Tensor>;
            fn $function(self, other: &Tensor) -> Result<Tensor> {
                Tensor::$function(self, other)
            }
        }
        impl std::ops::$operator<f64> for &Tensor {
            type Output = Result<Tensor>;
            fn $function(self, other: f64) -> Result<Tensor> {
                Tensor::$function(self, other)
            }
        }
        impl std::ops::$operator<&Parameter> for &Tensor {
            type Output = Result<Tensor>;
            fn $function(self, other: &Parameter) -> Result<Tensor> {
                Tensor::$function(self, &**other)
            }
        }
        impl std::ops::$operator<&Parameter> for Tensor {
            type Output = Result<Tensor>;
            fn $function(self, other: &Parameter) -> Result<Tensor> {
                Tensor::$function(&self, &**other)
            }
        }
        impl std::ops::$operator<Tensor> for Tensor {
            type Output = Result<Tensor>;
            fn $function(self, other: Tensor) -> Result<Tensor> {
                Tensor::$function(&self, &other)
            }
        }
        impl std::ops::$operator<&Tensor> for Tensor {
            type Output = Result<Tensor>;
            fn $function(self, other: &Tensor) -> Result<Tensor> {
                Tensor::$function(&self, other)
            }
        }
        impl std::ops::$operator<f64> for Tensor {
            type Output = Result<Tensor>;
            fn $function(self, other: f64) -> Result<Tensor> {
                Tensor::$function(&self, other)
            }
        }
    )*};
}
operators! {
    Add add;
    Sub sub;
    Mul mul;
    Div div;
}

impl std::ops::Neg for &Tensor {
    type Output = Result<Tensor>;
    fn neg(self) -> Result<Tensor> {
        Tensor::neg(self)
    }
}

/// Few elements show; the rest is counted.
impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        const SHOWN: usize = 8;
        write!(f, "Tensor({:?}, {}, {}", self.shape(), self.dtype().name(), self.device())?;
        let start = if self.0.array().is_meta() || !self.dtype().has_arithmetic() {
            None
        } else {
            self.detach().reshape([-1]).and_then(|flat| flat.narrow(0, 0, SHOWN.min(self.numel()))).ok()
        };
        if let Some(values) = start.and_then(|flat| ops::read::elements(flat.0.array()).ok()) {
            let texts: Vec<String> = values
                .iter()
                .map(|v| match v {
                    Scalar::Int(i) => i.to_string(),
                    Scalar::Float(x) => format!("{}", *x as f32),
                    Scalar::Bool(b) => b.to_string(),
                })
                .collect();
            write!(f, ", [{}{}]", texts.join(", "), if self.numel() > SHOWN { ", …" } else { "" })?;
        }
        f.write_str(")")
    }
}
