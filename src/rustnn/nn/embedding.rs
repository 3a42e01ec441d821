//! Tables of vectors.

use super::{Forward, Module, Parameter, init};
use crate::tensor::listed;
use crate::{DType, Error, Result, Tensor, autograd};
use rustnn_ops::embedding::embedding;
use rustnn_ops::{Scalar, index};

/// Rows of a table picked by index: (*) of int32 or int64 -> (*, embedding_dim).
///
/// ```
/// # fn main() -> rustnn::Result<()> {
/// use rustnn::{Tensor, nn::{Embedding, Forward}};
/// let table = Embedding::with_padding(10, 3, 0)?;
/// assert_eq!(table.forward(&Tensor::new(&[0i64], [1])?)?.to_vec::<f32>()?, [0.0; 3]);
/// # Ok(())
/// # }
/// ```
#[derive(Module)]
pub struct Embedding {
    /// (num_embeddings, embedding_dim).
    pub weight: Parameter,
    #[module(skip)]
    padding: Option<usize>,
}

impl Embedding {
    /// Standard normal rows.
    ///
    /// # Errors
    /// If memory does not suffice.
    pub fn new(num_embeddings: usize, embedding_dim: usize) -> Result<Embedding> {
        Ok(Embedding { weight: init::normal(&[num_embeddings, embedding_dim])?, padding: None })
    }

    /// Row `padding` starts as zeros and gets no gradient.
    ///
    /// # Errors
    /// If there is no such row.
    pub fn with_padding(num_embeddings: usize, embedding_dim: usize, padding: usize) -> Result<Embedding> {
        if padding >= num_embeddings {
            return Err(Error::value("Padding_idx must be within num_embeddings"));
        }
        let table = Embedding::new(num_embeddings, embedding_dim)?;
        let _quiet = autograd::no_grad();
        table.weight.select(0, padding as i64)?.fill_(0.0)?;
        Ok(Embedding { padding: Some(padding), ..table })
    }
}

impl Forward for Embedding {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(embedding(x.as_op(), self.weight.as_op(), self.padding.map(|p| p as i64), false)?.into())
    }
}

/// How an [`EmbeddingBag`] joins the rows of a bag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BagMode {
    /// Their sum.
    Sum,
    /// Their mean.
    #[default]
    Mean,
    /// The greatest of each element.
    Max,
}

/// Rows of a table picked by index and joined, bag by bag: (N, L) of int32 or int64 -> (N, embedding_dim); bags of different
/// lengths by [`forward_bags`](EmbeddingBag::forward_bags). Composed as the Python package composes it.
///
/// ```
/// # fn main() -> rustnn::Result<()> {
/// use rustnn::{Tensor, nn::{BagMode, EmbeddingBag, Forward}};
/// let bags = EmbeddingBag::new(10, 3, BagMode::Mean)?;
/// assert_eq!(bags.forward(&Tensor::new(&[1i64, 2, 4, 5], [2, 2])?)?.shape(), [2, 3]);
/// assert_eq!(bags.forward_bags(&Tensor::new(&[1i64, 2, 4, 5], [4])?, &[0, 1, 1], None)?.shape(), [3, 3]);
/// # Ok(())
/// # }
/// ```
#[derive(Module)]
pub struct EmbeddingBag {
    /// (num_embeddings, embedding_dim).
    pub weight: Parameter,
    #[module(skip)]
    mode: BagMode,
    #[module(skip)]
    padding: Option<usize>,
}

impl EmbeddingBag {
    /// Standard normal rows.
    ///
    /// # Errors
    /// If memory does not suffice.
    pub fn new(num_embeddings: usize, embedding_dim: usize, mode: BagMode) -> Result<EmbeddingBag> {
        Ok(EmbeddingBag { weight: init::normal(&[num_embeddings, embedding_dim])?, mode, padding: None })
    }

    /// Row `padding` starts as zeros and counts in no bag.
    ///
    /// # Errors
    /// If there is no such row.
    pub fn with_padding(num_embeddings: usize, embedding_dim: usize, mode: BagMode, padding: usize) -> Result<EmbeddingBag> {
        let table = Embedding::with_padding(num_embeddings, embedding_dim, padding)?;
        Ok(EmbeddingBag { weight: table.weight, mode, padding: Some(padding) })
    }

    /// Bags one after another in `x`, (M), which begin at the offsets; perhaps a weight for each index, (M), in sums:
    /// -> (offsets, embedding_dim). Empty bags are zeros.
    ///
    /// # Errors
    /// If the offsets do not rise from 0 to at most M, or shapes and modes do not fit.
    pub fn forward_bags(&self, x: &Tensor, offsets: &[usize], weights: Option<&Tensor>) -> Result<Tensor> {
        if x.rank() != 1 {
            return Err(Error::value(format!("input has to be 1D Tensor, but got Tensor of dimension {}", x.rank())));
        }
        let ends = [offsets.get(1..).unwrap_or(&[]), &[x.numel()]].concat();
        if offsets.first().is_some_and(|&first| first != 0) {
            return Err(Error::value("offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start from position 0."));
        }
        let mut bag: Vec<i64> = listed((0..x.numel()).map(|_| 0))?;
        for (i, (&start, &end)) in offsets.iter().zip(&ends).enumerate() {
            if start > end || end > x.numel() {
                return Err(Error::value(format!("offsets have to rise to at most the input's length {}, got {offsets:?}", x.numel())));
            }
            bag[start..end].fill(i as i64);
        }
        if offsets.is_empty() {
            // The indices belong to no bag.
            bag.clear();
        }
        let x = x.narrow(0, 0, bag.len())?;
        let weights = weights.map(|w| if w.rank() == 1 { w.narrow(0, 0, bag.len().min(w.numel())) } else { Ok(w.clone()) }).transpose()?;
        let bag = Tensor::new(&bag, [bag.len()])?.to_device(x.device())?;
        self.joined(&x, &bag, offsets.len(), weights.as_ref())
    }

    fn joined(&self, x: &Tensor, bag: &Tensor, bags: usize, weights: Option<&Tensor>) -> Result<Tensor> {
        if let Some(weights) = weights {
            if self.mode != BagMode::Sum {
                return Err(Error::value("embedding_bag: per_sample_weights is only supported for the mode sum"));
            }
            if weights.shape() != x.shape() {
                return Err(Error::value(format!(
                    "embedding_bag: per_sample_weights must have the same shape as the input {:?}, got {:?}",
                    x.shape(),
                    weights.shape()
                )));
            }
        }
        let (mut x, mut bag, mut weights) = (x.clone(), bag.clone(), weights.cloned());
        if let Some(padding) = self.padding {
            let counted = Tensor::from(index::nonzero(x.ne(padding as i64)?.as_op())?).flatten(0, -1)?;
            (x, bag) = (x.index_select(0, &counted)?, bag.index_select(0, &counted)?);
            weights = weights.map(|w| w.index_select(0, &counted)).transpose()?;
        }
        let mut rows = Tensor::from(embedding(x.as_op(), self.weight.as_op(), None, false)?);
        if rows.dtype().size_bytes() == 2 {
            rows = rows.to_dtype(DType::F32)?; // sums of halves
        }
        if let Some(weights) = &weights {
            rows = rows.mul(&weights.unsqueeze(1)?)?;
        }
        let width = self.weight.size(1)?;
        let zeros = |shape: &[usize]| Tensor::full(shape, 0.0, rows.dtype())?.to_device(rows.device());
        let out = zeros(&[bags, width])?;
        let out: Tensor = if self.mode == BagMode::Max {
            let place = bag.unsqueeze(1)?.expand([-1, i64::try_from(width).unwrap_or(i64::MAX)])?;
            index::scatter_reduce(out.as_op(), 0, place.as_op(), rows.as_op(), "amax", false)?.into()
        } else {
            index::index_add(out.as_op(), false, 0, bag.as_op(), rows.as_op(), Scalar::Int(1))?.into()
        };
        let out = if self.mode == BagMode::Mean {
            let ones = Tensor::full([bag.numel()], 1.0, rows.dtype())?.to_device(rows.device())?;
            let counts = Tensor::from(index::index_add(zeros(&[bags])?.as_op(), false, 0, bag.as_op(), ones.as_op(), Scalar::Int(1))?);
            out.div(&counts.clamp(1.0, f64::INFINITY)?.unsqueeze(1)?)?
        } else {
            out
        };
        out.to_dtype(self.weight.dtype())
    }
}

impl Forward for EmbeddingBag {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let &[bags, len] = x.shape() else {
            return Err(Error::value(format!("input has to be 2D Tensor, but got Tensor of dimension {}", x.rank())));
        };
        if self.padding.is_some() || len == 0 {
            // As many as there are indices, which may be none for very many bags.
            let bag = listed((0..x.numel()).map(|i| (i / len) as i64))?;
            let bag = Tensor::new(&bag, [bag.len()])?.to_device(x.device())?;
            return self.joined(&x.reshape([-1])?, &bag, bags, None);
        }
        let rows = Tensor::from(embedding(x.as_op(), self.weight.as_op(), None, false)?);
        match self.mode {
            BagMode::Sum => rows.sum_dim(&[1], false),
            BagMode::Mean => rows.mean_dim(&[1], false),
            BagMode::Max => Ok(rows.max_dim(1, false)?.0),
        }
    }
}
