//! Unsigned integers wider than 8 bits. No kernel knows them: what is the same on the bits of the signed type of their width is
//! done there, and order is that of the signed numbers once the highest bit is flipped.

use crate::row::{Operand, Row, Scalar, call, run};
use crate::rows;
use crate::tensor::Tensor;
use rustnn_tensor::{Array, DType, Result};
use smallvec::SmallVec;

/// The signed dtype of the same width; None for every other dtype.
#[inline]
pub(crate) const fn twin(dtype: DType) -> Option<DType> {
    match dtype {
        DType::U16 => Some(DType::I16),
        DType::U32 => Some(DType::I32),
        DType::U64 => Some(DType::I64),
        _ => None,
    }
}

/// Whether a row does to these numbers what it does to the bits of their twins.
#[cold]
pub(crate) fn runs(row: &Row, dtype: DType) -> bool {
    let same = [
        &rows::MUL,
        &rows::EQ,
        &rows::NE,
        &rows::BITWISE_AND,
        &rows::BITWISE_OR,
        &rows::BITWISE_XOR,
        &rows::WHERE,
        &rows::MASKED_FILL,
        &rows::ISNAN,
    ];
    twin(dtype).is_some() && same.iter().any(|known| std::ptr::eq(*known, row))
}

/// The same memory under another dtype of its width.
fn seen(x: &Array, dtype: DType) -> Result<Array> {
    Array::from_storage(x.storage().clone(), dtype, x.shape(), x.strides(), x.offset())
}

/// The same memory as its twin, anything else as it is.
pub(crate) fn as_twin(x: &Array) -> Result<Array> {
    twin(x.dtype()).map_or_else(|| Ok(x.clone()), |dtype| seen(x, dtype))
}

/// A row that [`runs`] in `compute`.
#[cold]
pub(crate) fn run_as_twin(row: &Row, compute: DType, inputs: &[Operand], scalars: &[Scalar], out: &Array) -> Result<()> {
    let seen: SmallVec<[Option<Tensor>; 3]> =
        inputs.iter().map(|o| o.tensor().map(|t| as_twin(t.array()).map(Tensor::from_array)).transpose()).collect::<Result<_>>()?;
    let operands: SmallVec<[Operand; 3]> =
        inputs.iter().zip(&seen).map(|(given, seen)| seen.as_ref().map_or(*given, Operand::Tensor)).collect();
    run(row, twin(compute).unwrap_or(compute), &operands, scalars, &as_twin(out)?)
}

/// Signed numbers in the order of `x`; None where `x` is of another dtype.
pub(crate) fn keys(x: &Tensor) -> Result<Option<Tensor>> {
    if twin(x.dtype()).is_none() {
        return Ok(None);
    }
    flipped(&as_twin(x.array())?).map(Some)
}

/// The numbers of `dtype` behind [`keys`].
pub(crate) fn of_keys(keys: &Tensor, dtype: DType) -> Result<Tensor> {
    seen(flipped(keys.array())?.array(), dtype).map(Tensor::from_array)
}

/// All bits but the highest as they are.
fn flipped(x: &Array) -> Result<Tensor> {
    let highest = i64::MIN >> (64 - 8 * x.dtype().size_bytes());
    call(&rows::BITWISE_XOR, &[(&Tensor::from_array(x.clone())).into(), Scalar::Int(highest).into()], &[])
}
