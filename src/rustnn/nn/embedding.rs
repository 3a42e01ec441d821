//! Tables of vectors.

use super::{Forward, Module, Parameter, init};
use crate::tensor::{listed, signed};
use crate::{DType, Error, Result, Tensor, autograd};
use rustnn_ops::embedding::{embedding, renorm};
use rustnn_ops::{Scalar, index};

/// The settings of an [`Embedding`] or an [`EmbeddingBag`] beside its sizes.
#[derive(Clone, Copy, Debug)]
pub struct EmbeddingOptions {
    /// This row starts as zeros and gets no gradient; it counts in no bag.
    pub padding_idx: Option<usize>,
    /// Rows that are looked up and longer are scaled down to this length first, in the table itself.
    pub max_norm: Option<f64>,
    /// Length by the norm of this order.
    pub norm_type: f64,
    /// Divide the gradient of each row by how often it was looked up.
    pub scale_grad_by_freq: bool,
}

impl Default for EmbeddingOptions {
    fn default() -> EmbeddingOptions {
        EmbeddingOptions { padding_idx: None, max_norm: None, norm_type: 2.0, scale_grad_by_freq: false }
    }
}

impl EmbeddingOptions {
    fn table(&self, rows: usize, width: usize) -> Result<Parameter> {
        if self.padding_idx.is_some_and(|padding| padding >= rows) {
            return Err(Error::value("Padding_idx must be within num_embeddings"));
        }
        let table = init::normal(&[rows, width])?;
        if let Some(padding) = self.padding_idx {
            let _quiet = autograd::no_grad();
            table.select(0, signed(&[padding])[0])?.fill_(0.0)?;
        }
        Ok(table)
    }

    fn rows(&self, x: &Tensor, table: &Tensor, padding: Option<usize>) -> Result<Tensor> {
        if let Some(max_norm) = self.max_norm {
            renorm(table.as_op(), x.as_op(), max_norm, self.norm_type)?;
        }
        Ok(embedding(x.as_op(), table.as_op(), padding.map(|p| signed(&[p])[0]), self.scale_grad_by_freq)?.into())
    }
}

/// Rows of a table picked by index: (*) of int32 or int64 -> (*, embedding_dim).
///
/// ```
/// # fn main() -> rustnn::Result<()> {
/// use rustnn::{Tensor, nn::{Embedding, EmbeddingOptions, Forward}};
/// let table = Embedding::with(10, 3, EmbeddingOptions { padding_idx: Some(0), ..Default::default() })?;
/// assert_eq!(table.forward(&Tensor::new(&[0i64], [1])?)?.to_vec::<f32>()?, [0.0; 3]);
/// # Ok(())
/// # }
/// ```
#[derive(Module)]
pub struct Embedding {
    /// (num_embeddings, embedding_dim).
    pub weight: Parameter,
    #[module(skip)]
    options: EmbeddingOptions,
}

impl Embedding {
    /// Standard normal rows.
    ///
    /// # Errors
    /// If memory does not suffice.
    pub fn new(num_embeddings: usize, embedding_dim: usize) -> Result<Embedding> {
        Embedding::with(num_embeddings, embedding_dim, EmbeddingOptions::default())
    }

    /// [`new`](Embedding::new) with other settings.
    ///
    /// # Errors
    /// If there is no row `padding_idx`.
    pub fn with(num_embeddings: usize, embedding_dim: usize, options: EmbeddingOptions) -> Result<Embedding> {
        Ok(Embedding { weight: options.table(num_embeddings, embedding_dim)?, options })
    }
}

impl Forward for Embedding {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.options.rows(x, &self.weight, self.options.padding_idx)
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
    options: EmbeddingOptions,
}

impl EmbeddingBag {
    /// Standard normal rows.
    ///
    /// # Errors
    /// If memory does not suffice.
    pub fn new(num_embeddings: usize, embedding_dim: usize, mode: BagMode) -> Result<EmbeddingBag> {
        EmbeddingBag::with(num_embeddings, embedding_dim, mode, EmbeddingOptions::default())
    }

    /// [`new`](EmbeddingBag::new) with other settings.
    ///
    /// # Errors
    /// If there is no row `padding_idx`, or gradients of a maximum are to be scaled.
    pub fn with(num_embeddings: usize, embedding_dim: usize, mode: BagMode, options: EmbeddingOptions) -> Result<EmbeddingBag> {
        if mode == BagMode::Max && options.scale_grad_by_freq {
            return Err(Error::value("max mode does not support scaling the gradient by the frequency"));
        }
        Ok(EmbeddingBag { weight: options.table(num_embeddings, embedding_dim)?, mode, options })
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
        if let Some(padding) = self.options.padding_idx {
            let counted = Tensor::from(index::nonzero(x.ne(signed(&[padding])[0])?.as_op())?).flatten(0, -1)?;
            (x, bag) = (x.index_select(0, &counted)?, bag.index_select(0, &counted)?);
            weights = weights.map(|w| w.index_select(0, &counted)).transpose()?;
        }
        let mut rows = self.options.rows(&x, &self.weight, None)?;
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
        // As many as there are indices, which may be none for very many bags.
        let bag = listed((0..x.numel()).map(|i| (i / len) as i64))?;
        let bag = Tensor::new(&bag, [bag.len()])?.to_device(x.device())?;
        self.joined(&x.reshape([-1])?, &bag, bags, None)
    }
}
