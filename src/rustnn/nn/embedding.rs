//! Tables of vectors.

use super::{Forward, Module, Parameter, init};
use crate::{Error, Result, Tensor, autograd};
use rustnn_ops::embedding::embedding;

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

/// Rows of a table picked by index and joined, bag by bag: (N, L) of int32 or int64 -> (N, embedding_dim). PyTorch's
/// `EmbeddingBag` for bags of one length; composed of the look-up and a reduction.
///
/// ```
/// # fn main() -> rustnn::Result<()> {
/// use rustnn::{Tensor, nn::{BagMode, EmbeddingBag, Forward}};
/// let bags = EmbeddingBag::new(10, 3, BagMode::Mean)?;
/// assert_eq!(bags.forward(&Tensor::new(&[1i64, 2, 4, 5], [2, 2])?)?.shape(), [2, 3]);
/// # Ok(())
/// # }
/// ```
#[derive(Module)]
pub struct EmbeddingBag {
    /// (num_embeddings, embedding_dim).
    pub weight: Parameter,
    #[module(skip)]
    mode: BagMode,
}

impl EmbeddingBag {
    /// Standard normal rows.
    ///
    /// # Errors
    /// If memory does not suffice.
    pub fn new(num_embeddings: usize, embedding_dim: usize, mode: BagMode) -> Result<EmbeddingBag> {
        Ok(EmbeddingBag { weight: init::normal(&[num_embeddings, embedding_dim])?, mode })
    }
}

impl Forward for EmbeddingBag {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        if x.rank() != 2 {
            return Err(Error::value(format!("input has to be 2D Tensor, but got Tensor of dimension {}", x.rank())));
        }
        let rows = Tensor::from(embedding(x.as_op(), self.weight.as_op(), None, false)?);
        match self.mode {
            BagMode::Sum => rows.sum_dim(&[1], false),
            BagMode::Mean => rows.mean_dim(&[1], false),
            BagMode::Max => Ok(rows.max_dim(1, false)?.0),
        }
    }
}
