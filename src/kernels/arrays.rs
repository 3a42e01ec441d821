//! The safe face of the kernels: functions on [`Array`]s, whose geometry is known to lie inside their storage. Shapes and
//! dtypes must fit as each function says (checked: a mismatch is the caller's bug and panics before memory is touched).
//! On the meta device nothing runs.

use crate::elementwise::{self, DstBytes, Kernel};
use crate::memory::{Dst, Src};
use crate::value::Scalar;
use crate::{copy as moves, reduce as folds};
use half::{bf16, f16};
use rustnn_tensor::{Array, DType, Device, Error, Result, Strides, Twin};
use smallvec::SmallVec;

/// Runs `$body` with `$t` being the Rust type of `$dtype`, one of those that kernels compute on.
#[macro_export]
macro_rules! with_number {
    ($dtype:expr, $t:ident => $body:expr, else $other:expr) => {
        match $dtype {
            rustnn_tensor::DType::F32 => {
                type $t = f32;
                $body
            }
            rustnn_tensor::DType::F64 => {
                type $t = f64;
                $body
            }
            rustnn_tensor::DType::F16 => {
                type $t = half::f16;
                $body
            }
            rustnn_tensor::DType::BF16 => {
                type $t = half::bf16;
                $body
            }
            rustnn_tensor::DType::I8 => {
                type $t = i8;
                $body
            }
            rustnn_tensor::DType::I16 => {
                type $t = i16;
                $body
            }
            rustnn_tensor::DType::I32 => {
                type $t = i32;
                $body
            }
            rustnn_tensor::DType::I64 => {
                type $t = i64;
                $body
            }
            rustnn_tensor::DType::U8 => {
                type $t = u8;
                $body
            }
            rustnn_tensor::DType::Bool => {
                type $t = bool;
                $body
            }
            _ => $other,
        }
    };
}

/// As [`with_number`], floating-point types only.
#[macro_export]
macro_rules! with_float {
    ($dtype:expr, $t:ident => $body:expr, else $other:expr) => {
        match $dtype {
            rustnn_tensor::DType::F32 => {
                type $t = f32;
                $body
            }
            rustnn_tensor::DType::F64 => {
                type $t = f64;
                $body
            }
            rustnn_tensor::DType::F16 => {
                type $t = half::f16;
                $body
            }
            rustnn_tensor::DType::BF16 => {
                type $t = half::bf16;
                $body
            }
            _ => $other,
        }
    };
}

/// What `array` holds, as elements of T.
pub fn src<T: rustnn_tensor::Element>(array: &Array) -> Src<'_, T> {
    assert!(array.dtype() == T::DTYPE && array.is_host(), "an array of another dtype, or without data");
    // SAFETY: an array's geometry lies inside its storage, which lives as long as the array; every byte pattern that a
    // storage can hold is a value of the numeric types, and bool storages hold 0 and 1 (casts and loaders see to it).
    unsafe { Src::new(array.ptr().cast(), array.shape(), array.strides()) }
}

/// `array` as a place to write elements of T to. Callers have refused arrays two of whose indices reach one element.
pub fn dst<T: rustnn_tensor::Element>(array: &Array) -> Dst<'_, T> {
    assert!(array.dtype() == T::DTYPE && array.is_host(), "an array of another dtype, or without data");
    assert!(!array.has_internal_overlap() && array.storage().is_writable(), "an array that cannot be written");
    // SAFETY: as above.
    unsafe { Dst::new(array.ptr().cast(), array.shape(), array.strides()) }
}

/// Whether there is nothing to compute. Memory of other devices is the caller's business.
fn any_meta(arrays: &[&Array]) -> bool {
    let meta = arrays.iter().any(|a| a.is_meta());
    assert!(meta || arrays.iter().all(|a| a.is_host()), "device memory in a CPU kernel");
    meta
}

/// What a row reads.
#[derive(Clone, Copy, Debug)]
pub enum Operand<'a> {
    /// Broadcasts to the output's shape.
    Array(&'a Array),
    Scalar(Scalar),
}

/// Runs a row's kernel, computing in `compute`.
#[inline]
pub fn elementwise(kernel: &Kernel, compute: DType, inputs: &[Operand], scalars: &[Scalar], out: &Array) -> Result<()> {
    if any_meta(&[out]) {
        return Ok(());
    }
    let mut strides: SmallVec<[Strides; 3]> = SmallVec::new();
    for input in inputs {
        if let Operand::Array(a) = input
            && a.shape() != out.shape()
        {
            strides.push(a.strides_as(out.shape()));
        }
    }
    let mut broadcast = strides.iter();
    let mut elsewhere = None;
    let operands: SmallVec<[elementwise::Operand; 5]> = inputs
        .iter()
        .map(|input| match input {
            Operand::Scalar(s) => elementwise::Operand::value(*s),
            Operand::Array(a) if !a.is_host() => {
                elsewhere = Some(a.device());
                elementwise::Operand::value(Scalar::Int(0))
            }
            Operand::Array(a) => {
                let strides = if a.shape() == out.shape() { a.strides() } else { broadcast.next().expect("pushed above") };
                // SAFETY: strides_as keeps within the array's geometry (see `src`).
                unsafe { elementwise::Operand::tensor(a.ptr(), a.dtype(), strides) }
            }
        })
        .collect();
    // Gradients that a program's own code makes may lie anywhere.
    if let Some(device) = elsewhere {
        return Err(Error::Runtime(format!(
            "Expected all tensors to be on the same device, but found at least two devices, {device} and {}!",
            out.device()
        )));
    }
    assert!(out.storage().is_writable(), "an array that cannot be written");
    // SAFETY: as in `dst`.
    let to = unsafe { DstBytes::new(out.ptr(), out.dtype(), out.shape(), out.strides()) };
    elementwise::run(kernel, compute, &operands, scalars, to);
    Ok(())
}

/// As [`elementwise`] for the commonest call, into a fresh array: float32 or float64 arrays on the CPU of one row-major shape and
/// few elements, perhaps with numbers beside them. None: it is another call. `input(i)` is the kernel's input i.
#[inline]
pub fn elementwise_plain<'a>(kernel: &Kernel, input: impl Fn(usize) -> Operand<'a>, scalars: &[Scalar]) -> Option<Result<Twin<'a>>> {
    let count = kernel.inputs();
    let mut found: Option<&Array> = None;
    for i in 0..count {
        let Operand::Array(a) = input(i) else { continue };
        match found {
            None if matches!(a.dtype(), DType::F32 | DType::F64) && a.device() == Device::Cpu && a.is_row_major() => found = Some(a),
            Some(first) if a.dtype() == first.dtype() && a.device() == Device::Cpu && a.has_geometry_of(first) => {}
            _ => return None,
        }
    }
    let first = found?;
    let (dtype, len) = (first.dtype(), first.numel());
    if len == 0 || len > elementwise::PLAIN_ELEMENTS || scalars.len() < kernel.scalars() || !kernel.supports(dtype) {
        return None;
    }
    let out = match first.twin(kernel.result(dtype)) {
        Ok(out) => out,
        Err(error) => return Some(Err(error)),
    };
    let inputs = (0..count).map(|i| match input(i) {
        Operand::Scalar(s) => elementwise::Plain::Value(s),
        Operand::Array(a) => elementwise::Plain::Elements(a.ptr()),
    });
    // SAFETY: all arrays have `len` elements of `dtype` in a row, as was just seen; `out` is fresh and of the kernel's result.
    unsafe { elementwise::run_plain(kernel, dtype, inputs, scalars, out.ptr(), len) };
    Some(Ok(out))
}

/// `out = base ** exponent` of contiguous int64, element by element; it wraps. Only of 1 and -1 there are negative powers, of others
/// they are 0.
pub fn integer_powers(base: &Array, exponent: &Array, out: &Array) -> Result<()> {
    if any_meta(&[out]) {
        return Ok(());
    }
    let power = |b: i64, e: i64| match e {
        0.. => (0..64).rev().fold(1i64, |power, bit| {
            let square = power.wrapping_mul(power);
            if e >> bit & 1 == 1 { square.wrapping_mul(b) } else { square }
        }),
        _ if b == 1 || b == -1 && e % 2 == 0 => 1,
        _ if b == -1 => -1,
        _ => 0,
    };
    let (b, e, to) = (src::<i64>(base), src::<i64>(exponent), dst::<i64>(out));
    assert!(b.is_contiguous() && e.is_contiguous() && base.shape() == out.shape() && exponent.shape() == out.shape());
    for i in 0..out.numel() {
        // SAFETY: elements of contiguous arrays of one shape.
        unsafe { to.ptr.add(i).write(power(b.ptr.add(i).read(), e.ptr.add(i).read())) };
    }
    Ok(())
}

/// Copies `from` to `to`, broadcasting and converting.
pub fn copy(from: &Array, to: &Array) -> Result<()> {
    if any_meta(&[to]) {
        return Ok(());
    }
    if from.is_meta() {
        return Err(Error::NotImplemented("Cannot copy out of meta tensor; no data!".into()));
    }
    if !moves::can_convert(from.dtype(), to.dtype()) {
        return Err(Error::NotImplemented(format!("conversion from {} to {}", from.dtype().name(), to.dtype().name())));
    }
    let strides = from.strides_as(to.shape());
    // SAFETY: both geometries lie inside their storages.
    unsafe { moves::copy(from.dtype(), from.ptr(), &strides, to.dtype(), to.ptr(), to.strides(), to.shape()) };
    Ok(())
}

/// Writes one number everywhere.
pub fn fill(out: &Array, value: Scalar) -> Result<()> {
    if any_meta(&[out]) {
        return Ok(());
    }
    let mut bytes = [0u64; 2];
    let width = out.dtype().size_bytes();
    macro_rules! put {
        ($v:expr) => {
            bytemuck_bytes(&mut bytes, &$v)
        };
    }
    match out.dtype() {
        DType::F32 => put!((value.to_f64() as f32).to_ne_bytes()),
        DType::F64 => put!(value.to_f64().to_ne_bytes()),
        DType::F16 => put!(f16::from_f64(value.to_f64()).to_ne_bytes()),
        DType::BF16 => put!(bf16::from_f64(value.to_f64()).to_ne_bytes()),
        DType::I8 | DType::U8 => put!((value.to_i64() as u8).to_ne_bytes()),
        DType::I16 | DType::U16 => put!((value.to_i64() as u16).to_ne_bytes()),
        DType::I32 | DType::U32 => put!((value.to_i64() as u32).to_ne_bytes()),
        // Beyond an i64's range: `as` saturates at the u64's.
        DType::U64 if matches!(value, Scalar::Float(f) if f >= i64::MAX as f64) => put!((value.to_f64() as u64).to_ne_bytes()),
        DType::I64 | DType::U64 => put!(value.to_i64().to_ne_bytes()),
        DType::Bool => put!([value.to_bool() as u8]),
        DType::C32 => put!(f16::from_f64(value.to_f64()).to_ne_bytes()),
        DType::C64 => put!((value.to_f64() as f32).to_ne_bytes()),
        DType::C128 => put!(value.to_f64().to_ne_bytes()),
        other if value.to_f64() != 0.0 => return Err(Error::not_implemented("fill_", other)),
        _ => {}
    }
    // SAFETY: the geometry lies inside the storage; `bytes` holds an element.
    unsafe { moves::fill(width, bytes.as_ptr().cast(), out.ptr(), out.strides(), out.shape()) };
    Ok(())
}

fn bytemuck_bytes<const N: usize>(to: &mut [u64; 2], from: &[u8; N]) {
    let mut all = [0u8; 16];
    all[..N].copy_from_slice(from);
    *to = [u64::from_ne_bytes(all[..8].try_into().expect("8 bytes")), u64::from_ne_bytes(all[8..].try_into().expect("8 bytes"))];
}

pub use folds::{Extreme, Finish, Fold};

/// Folds `x` over `dims` into the contiguous `out`, whose dtype is `x`'s, or i64 or bool for folds that count or ask.
pub fn reduce(fold: Fold, x: &Array, dims: &[usize], finish_with: Finish, out: &Array) -> Result<()> {
    if any_meta(&[x, out]) {
        return Ok(());
    }
    assert!(out.is_contiguous());
    let unsupported = || Err(Error::not_implemented("reduce", x.dtype()));
    match (x.dtype(), out.dtype()) {
        (a, b) if a == b => {
            with_number!(a, T => folds::reduce::<T, T>(fold, src(x), dims, finish_with, dst(out)), else return unsupported())
        }
        (DType::F16, DType::F32) => folds::reduce::<f16, f32>(fold, src(x), dims, finish_with, dst(out)),
        (DType::BF16, DType::F32) => folds::reduce::<bf16, f32>(fold, src(x), dims, finish_with, dst(out)),
        (DType::I8, DType::I64) => folds::reduce::<i8, i64>(fold, src(x), dims, finish_with, dst(out)),
        (DType::I16, DType::I64) => folds::reduce::<i16, i64>(fold, src(x), dims, finish_with, dst(out)),
        (DType::I32, DType::I64) => folds::reduce::<i32, i64>(fold, src(x), dims, finish_with, dst(out)),
        (DType::U8, DType::I64) => folds::reduce::<u8, i64>(fold, src(x), dims, finish_with, dst(out)),
        (DType::Bool, DType::I64) => folds::reduce::<bool, i64>(fold, src(x), dims, finish_with, dst(out)),
        _ => return unsupported(),
    }
    Ok(())
}

/// Variance over `dims` (its root if `root`) and, if asked, the mean; both contiguous.
pub fn variance(x: &Array, dims: &[usize], correction: f64, root: bool, out: &Array, mean: Option<&Array>) -> Result<()> {
    if any_meta(&[x, out]) {
        return Ok(());
    }
    with_float!(
        x.dtype(),
        T => folds::variance::<T>(src(x), dims, correction, root, dst(out), mean.map(dst)),
        else return Err(Error::not_implemented("var", x.dtype()))
    );
    Ok(())
}

/// The first index of the extreme value along `dim`, and the value if asked; both contiguous.
pub fn arg_extreme(extreme: Extreme, x: &Array, dim: usize, values: Option<&Array>, indices: &Array) -> Result<()> {
    if any_meta(&[x, indices]) {
        return Ok(());
    }
    with_number!(
        x.dtype(),
        T => folds::arg_extreme::<T>(extreme, src(x), dim, values.map(dst), dst(indices)),
        else return Err(Error::not_implemented("max", x.dtype()))
    );
    Ok(())
}

/// The first element. Preconditions: there is one.
pub fn first(x: &Array) -> Result<Scalar> {
    assert!(x.numel() > 0 && x.is_host());
    read(x, 0)
}

/// The elements of a contiguous array.
pub fn elements(x: &Array) -> Result<Vec<Scalar>> {
    assert!(x.is_contiguous() && x.is_host());
    (0..x.numel()).map(|i| read(x, i)).collect()
}

fn read(x: &Array, i: usize) -> Result<Scalar> {
    macro_rules! get {
        ($t:ty, $v:ident => $value:expr) => {{
            // SAFETY: the caller checked that element `i` exists.
            let $v = unsafe { x.ptr().cast::<$t>().add(i).read() };
            $value
        }};
    }
    Ok(match x.dtype() {
        DType::F32 => get!(f32, v => Scalar::Float(v as f64)),
        DType::F64 => get!(f64, v => Scalar::Float(v)),
        DType::F16 => get!(f16, v => Scalar::Float(v.to_f64())),
        DType::BF16 => get!(bf16, v => Scalar::Float(v.to_f64())),
        DType::I8 => get!(i8, v => Scalar::Int(v as i64)),
        DType::I16 => get!(i16, v => Scalar::Int(v as i64)),
        DType::I32 => get!(i32, v => Scalar::Int(v as i64)),
        DType::I64 => get!(i64, v => Scalar::Int(v)),
        DType::U8 => get!(u8, v => Scalar::Int(v as i64)),
        DType::U16 => get!(u16, v => Scalar::Int(v as i64)),
        DType::U32 => get!(u32, v => Scalar::Int(v as i64)),
        DType::U64 => get!(u64, v => Scalar::Int(v as i64)),
        DType::Bool => get!(u8, v => Scalar::Bool(v != 0)),
        other => return Err(Error::not_implemented("item", other)),
    })
}

/// The bytes of a contiguous array, to be moved to another device.
pub fn bytes(x: &Array) -> &[u8] {
    assert!(x.is_contiguous() && x.is_host());
    if x.numel() == 0 {
        return &[];
    }
    // SAFETY: the elements lie inside the storage, one behind the other; other writers are the caller's business.
    unsafe { std::slice::from_raw_parts(x.ptr(), x.len_bytes()) }
}

/// Runs `write` on the bytes of a fresh contiguous array, all of which it overwrites.
pub fn with_bytes_mut(x: &Array, write: impl FnOnce(&mut [u8]) -> Result<()>) -> Result<()> {
    assert!(x.is_contiguous() && x.is_host() && x.storage().is_writable());
    if x.numel() == 0 {
        return Ok(());
    }
    // SAFETY: as in `bytes`; nobody else has the fresh array yet. Any byte is a value, and none is read before it is written.
    write(unsafe { std::slice::from_raw_parts_mut(x.ptr(), x.len_bytes()) })
}

/// `x` in another dtype, contiguous; itself where it is so already.
pub fn cast(x: &Array, dtype: DType) -> Result<Array> {
    if x.dtype() == dtype && x.is_contiguous() {
        return Ok(x.clone());
    }
    let out = Array::empty(x.shape(), dtype, x.device())?;
    copy(x, &out)?;
    Ok(out)
}
