//! Embeddings: rows of a table looked up by index.

use crate::device::indexing::{self, Indices};
use crate::formula::{Formula, attach};
use crate::index::index_select;
use crate::mode;
use crate::row::{Scalar, call};
use crate::rows;
use crate::tensor::Tensor;
use rustnn_tensor::{Array, DType, Error, Result, bail, ensure};

fn places(index: &Tensor, weight: &Tensor) -> Result<Indices> {
    ensure!(weight.rank() == 2, Runtime, "'weight' must be 2-D");
    ensure!(
        matches!(index.dtype(), DType::I32 | DType::I64),
        Runtime,
        "Expected tensor for argument #1 'indices' to have one of the following scalar types: Long, Int; but got torch.{} instead (while \
         checking arguments for embedding)",
        crate::names::legacy_type(index.dtype())
    );
    match Indices::new(index.array(), weight.array(), weight.shape()[0], false)? {
        Ok(places) => Ok(places),
        Err(_) => bail!(Index, "index out of range in self"),
    }
}

/// `weight[index]`. The gradient is dense; rows looked up by `padding` (an index below the number of rows) get none, and with
/// `by_frequency` each row's is divided by how often it was looked up.
pub fn embedding(index: &Tensor, weight: &Tensor, padding: Option<i64>, by_frequency: bool) -> Result<Tensor> {
    let places = places(index, weight)?;
    let mut shape = index.shape_owned();
    shape.push(weight.shape()[1]);
    let out = Array::empty(&shape, weight.dtype(), weight.device())?;
    indexing::index_select(&crate::copy::contiguous_array(weight.array())?, 0, &places, &out)?;
    attach(out, &[weight], || {
        let rows = weight.shape()[0];
        Formula::one("EmbeddingBackward0", &[index], move |dy, saved| embedding_backward(dy, &saved[0], rows, padding, by_frequency))
    })
}

/// The gradient of a table of `rows` rows. Linear in `dy`: its own gradient looks the rows up again.
fn embedding_backward(dy: &Tensor, index: &Tensor, rows: usize, padding: Option<i64>, by_frequency: bool) -> Result<Tensor> {
    let columns = dy.shape()[dy.rank() - 1];
    let out = Array::empty(&[rows, columns], dy.dtype(), dy.device())?;
    let Ok(places) = Indices::new(index.array(), dy.array(), rows, false)? else { bail!(Index, "index out of range in self") };
    indexing::embedding_backward(&crate::copy::contiguous_array(dy.array())?, &places, padding, by_frequency, &out)?;
    attach(out, &[dy], || {
        Formula::one("EmbeddingDenseBackwardBackward0", &[index], move |ddy, saved| {
            let index = &saved[0];
            let mut out = embedding(index, ddy, None, false)?;
            if let Some(padding) = padding {
                let skipped = call(&rows::EQ, &[index.into(), Scalar::Int(padding).into()], &[])?;
                out = call(&rows::MASKED_FILL, &[(&crate::unsqueeze(&skipped, -1)?).into(), (&out).into()], &[Scalar::Int(0)])?;
            }
            if by_frequency {
                let ones = crate::create::full_like(index, Scalar::Int(1), out.dtype())?;
                let ones = crate::views::reshape_to(&ones, &[index.numel()])?;
                let flat = crate::views::reshape_to(index, &[index.numel()])?;
                let start = crate::formula::zeros(&out, &[rows])?;
                let counts = crate::index::index_add(&start, false, 0, &flat, &ones, Scalar::Int(1))?;
                let counts = crate::views::reshape_to(&index_select(&counts, 0, &flat)?, index.shape())?;
                out = call(&rows::DIV, &[(&out).into(), (&crate::unsqueeze(&counts, -1)?).into()], &[])?;
            }
            Ok(out)
        })
    })
}

/// Scales the rows of `weight` that are looked up and whose `p`-norm exceeds `max_norm` down to it, in place.
pub fn renorm(weight: &Tensor, index: &Tensor, max_norm: f64, p: f64) -> Result<()> {
    if weight.array().is_meta() || index.numel() == 0 {
        return Ok(());
    }
    places(index, weight)?;
    mode::no_grad(|| {
        let flat = crate::copy::contiguous_array(index.array())?;
        let used = if flat.device().is_gpu() {
            // A row that is named twice is written twice, the same, which takes less than to wait for their number.
            crate::views::reshape_to(&Tensor::from_array(flat), &[index.numel()])?
        } else {
            let found = indexing::unique(&flat, false)?;
            let all = indexing::integers(&flat)?;
            let used: Vec<i64> = found.firsts.iter().map(|&i| all[i]).collect();
            Tensor::from_slice(&used, &[used.len()])?
        };
        let rows_used = index_select(&weight.detach(), 0, &used)?;
        let absolute = call(&rows::ABS, &[(&rows_used).into()], &[])?;
        let norms = if p == f64::INFINITY {
            crate::reduce::extreme(&absolute, crate::device::arrays::Fold::Max, Some(&[1]), true, "", "amax")?
        } else {
            let powers = crate::arithmetic::pow((&absolute).into(), p.into())?;
            crate::arithmetic::pow((&crate::reduce::sum(&powers, Some(&[1]), true, None)?).into(), (1.0 / p).into())?
        };
        let above = call(&rows::GT, &[(&norms).into(), max_norm.into()], &[])?;
        // PyTorch's own guard against a division by zero.
        let safe = call(&rows::ADD, &[(&norms).into(), 1e-7.into()], &[Scalar::Int(1)])?;
        let factor = call(&rows::MUL, &[(&call(&rows::RECIPROCAL, &[(&safe).into()], &[])?).into(), max_norm.into()], &[])?;
        let scaled = crate::mul(&rows_used, &factor)?;
        let new = call(&rows::WHERE, &[(&above).into(), (&scaled).into(), (&rows_used).into()], &[])?;
        crate::index::index_copy(weight, true, 0, &used, &new).map(drop)
    })
}

/// `padding_idx` counted from the front.
fn padding_row(padding: Option<i64>, rows: usize) -> Result<Option<i64>> {
    let n = rows as i64;
    match padding {
        None => Ok(None),
        Some(p) if (0..n).contains(&p) => Ok(Some(p)),
        Some(p) if (-n..0).contains(&p) => Ok(Some(p + n)),
        Some(_) => Err(Error::Assertion("Padding_idx must be within num_embeddings".into())),
    }
}

crate::ops! {
    "embedding(Tensor self, Tensor weight, int? padding_idx=None, float? max_norm=None, float norm_type=2.0, bool scale_grad_by_freq=False, bool sparse=False)"
        Function "Rows of `weight` looked up by index; the gradient is dense, whatever `sparse` says." => |a| {
        let (index, weight) = (a.tensor(0)?, a.tensor(1)?);
        ensure!(weight.rank() == 2, Runtime, "'weight' must be 2-D");
        let padding = padding_row(a.opt_int(2)?, weight.shape()[0])?;
        if let Some(max_norm) = a.opt_float(3)? {
            renorm(weight, index, max_norm, a.float(4)?)?;
        }
        embedding(index, weight, padding, a.bool(5)?)?
    };
}
