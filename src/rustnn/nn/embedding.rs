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
