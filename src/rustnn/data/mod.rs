//! Data sets and loaders. A seed gives the orders that the Python package's `DataLoader` gives.
//!
//! ```
//! # fn main() -> rustnn::Result<()> {
//! use rustnn::{Tensor, data::{DataLoader, TensorDataset}};
//! let data = TensorDataset::new(vec![Tensor::rand([10, 3])?, Tensor::arange(0..10)?])?;
//! let loader = DataLoader::new(data, 4)?.shuffled();
//! for batch in loader.iter()? {
//!     let [inputs, labels] = &batch?[..] else { unreachable!("two tensors a sample") };
//!     assert_eq!(inputs.shape()[0], labels.shape()[0]);
//! }
//! assert_eq!(loader.len(), 3);
//! # Ok(())
//! # }
//! ```

mod digits;

pub use digits::digits;

use crate::random::Generator;
use crate::tensor::listed;
use crate::{Error, Result, Tensor};
use rustnn_ops::random;

/// Samples by number, each a few tensors.
pub trait Dataset: Send + Sync {
    /// The number of samples.
    fn len(&self) -> usize;

    /// One sample.
    ///
    /// # Errors
    /// If there is no such sample.
    fn get(&self, index: usize) -> Result<Vec<Tensor>>;

    /// Whether there is no sample.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Some samples, each of their tensors stacked.
    ///
    /// # Errors
    /// As [`get`](Dataset::get); and if samples have different shapes or numbers of tensors.
    fn batch(&self, indices: &[usize]) -> Result<Vec<Tensor>> {
        let samples = indices.iter().map(|&i| self.get(i)).collect::<Result<Vec<_>>>()?;
        let count = samples.first().map_or(0, Vec::len);
        if samples.iter().any(|sample| sample.len() != count) {
            return Err(Error::value("samples of one batch have different numbers of tensors"));
        }
        (0..count).map(|part| Tensor::stack(&samples.iter().map(|sample| sample[part].clone()).collect::<Vec<_>>(), 0)).collect()
    }
}

/// The rows of tensors as samples.
#[derive(Clone, Debug)]
pub struct TensorDataset {
    tensors: Vec<Tensor>,
    len: usize,
}

impl TensorDataset {
    /// Sample i is row i of each tensor.
    ///
    /// # Errors
    /// If there is no tensor, or their first sizes differ.
    pub fn new(tensors: Vec<Tensor>) -> Result<TensorDataset> {
        let sizes: Vec<Option<usize>> = tensors.iter().map(|t| t.shape().first().copied()).collect();
        match sizes[..] {
            [Some(len), ..] if sizes.iter().all(|&n| n == Some(len)) => Ok(TensorDataset { tensors, len }),
            _ => Err(Error::value(format!("Size mismatch between tensors: first sizes are {sizes:?}"))),
        }
    }

    /// The tensors.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }
}

impl Dataset for TensorDataset {
    fn len(&self) -> usize {
        self.len
    }

    fn get(&self, index: usize) -> Result<Vec<Tensor>> {
        self.tensors.iter().map(|t| t.select(0, index_of(index)?)).collect()
    }

    fn batch(&self, indices: &[usize]) -> Result<Vec<Tensor>> {
        let places = indices.iter().map(|&i| index_of(i)).collect::<Result<Vec<i64>>>()?;
        let places = Tensor::new(&places, [places.len()])?;
        self.tensors.iter().map(|t| t.index_select(0, &places)).collect()
    }
}

fn index_of(index: usize) -> Result<i64> {
    i64::try_from(index).map_err(|_| Error::value(format!("index {index} is out of range")))
}

/// Batches of a data set, in order or shuffled anew in each pass.
#[derive(Debug)]
pub struct DataLoader<D> {
    dataset: D,
    batch_size: usize,
    shuffle: bool,
    drop_last: bool,
    generator: Option<Generator>,
}

impl<D: Dataset> DataLoader<D> {
    /// Batches of `batch_size` samples in order; the last may be smaller.
    ///
    /// # Errors
    /// If the size is 0.
    pub fn new(dataset: D, batch_size: usize) -> Result<DataLoader<D>> {
        if batch_size == 0 {
            return Err(Error::value("batch_size should be a positive integer value, but got batch_size=0"));
        }
        Ok(DataLoader { dataset, batch_size, shuffle: false, drop_last: false, generator: None })
    }

    /// In a new random order in each pass.
    pub fn shuffled(self) -> Self {
        DataLoader { shuffle: true, ..self }
    }

    /// Without a last batch that is smaller.
    pub fn without_rest(self) -> Self {
        DataLoader { drop_last: true, ..self }
    }

    /// With orders from this generator rather than the [current](Generator::current) one.
    pub fn with_generator(self, generator: Generator) -> Self {
        DataLoader { generator: Some(generator), ..self }
    }

    /// The data set.
    pub fn dataset(&self) -> &D {
        &self.dataset
    }

    /// The number of batches of a pass.
    pub fn len(&self) -> usize {
        let n = self.dataset.len();
        if self.drop_last { n / self.batch_size } else { n.div_ceil(self.batch_size) }
    }

    /// Whether there is no batch.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Starts a pass, whose order is drawn now.
    ///
    /// # Errors
    /// If memory does not suffice.
    pub fn iter(&self) -> Result<Batches<'_, D>> {
        let own = self.generator.as_ref().map(|g| &g.0);
        let draw = |generator: Option<&random::Generator>| -> Result<i64> {
            let draw = || Tensor::randint(0..i64::MAX, [])?.to_device(crate::Device::Cpu)?.item::<i64>();
            generator.map_or_else(draw, |g| random::with_generator(g, draw))
        };
        // PyTorch draws a seed for its workers in each pass, with or without workers.
        draw(own)?;
        let order = if self.shuffle {
            let seeded;
            let generator = match own {
                Some(own) => own,
                None => {
                    seeded = random::Generator::new(draw(None)?.unsigned_abs());
                    &seeded
                }
            };
            let order = Tensor::from(random::permutation(self.dataset.len(), Some(generator))?);
            Some(order.to_vec::<i64>()?.into_iter().map(|i| i.unsigned_abs() as usize).collect())
        } else {
            None
        };
        Ok(Batches { loader: self, order, next: 0 })
    }
}

/// One pass over a [`DataLoader`].
#[derive(Debug)]
pub struct Batches<'a, D> {
    loader: &'a DataLoader<D>,
    /// None for 0, 1, 2, …
    order: Option<Vec<usize>>,
    next: usize,
}

impl<D: Dataset> Iterator for Batches<'_, D> {
    type Item = Result<Vec<Tensor>>;

    fn next(&mut self) -> Option<Self::Item> {
        let size = self.loader.batch_size;
        let start = self.next.saturating_mul(size);
        let end = start.saturating_add(size).min(self.loader.dataset.len());
        if start >= end || (self.loader.drop_last && end - start < size) {
            return None;
        }
        self.next += 1;
        Some(match &self.order {
            Some(order) => match order.get(start..end) {
                Some(indices) => self.loader.dataset.batch(indices),
                None => Err(Error::value("the data set has grown while its samples were read in an order")),
            },
            None => listed(start..end).and_then(|indices| self.loader.dataset.batch(&indices)),
        })
    }
}
