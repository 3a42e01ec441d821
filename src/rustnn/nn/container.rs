//! Modules made of modules.

use super::{Forward, Module, Part, PartMut};
use crate::{Result, Tensor};

/// Layers one after another; their names in state dicts are their numbers.
///
/// ```
/// # fn main() -> rustnn::Result<()> {
/// use rustnn::{Tensor, nn::{self, Forward}};
/// let net = nn::Sequential::new().add(nn::Linear::new(2, 8)?).add(nn::ReLU).add(nn::Linear::new(8, 1)?);
/// assert_eq!(net.forward(&Tensor::ones([5, 2])?)?.shape(), [5, 1]);
/// # Ok(())
/// # }
/// ```
#[derive(Default)]
pub struct Sequential(Vec<Box<dyn Forward>>);

impl Sequential {
    /// No layers: what goes in comes out.
    pub fn new() -> Sequential {
        Sequential::default()
    }

    /// With one more layer at the end.
    #[allow(clippy::should_implement_trait)]
    pub fn add(mut self, layer: impl Forward + 'static) -> Sequential {
        self.0.push(Box::new(layer));
        self
    }

    /// Puts a layer at the end.
    pub fn push(&mut self, layer: impl Forward + 'static) {
        self.0.push(Box::new(layer));
    }

    /// The layers.
    pub fn iter(&self) -> impl Iterator<Item = &dyn Forward> {
        self.0.iter().map(|layer| &**layer)
    }

    /// The number of layers.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no layer.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Module for Sequential {
    fn class_name(&self) -> &str {
        "Sequential"
    }

    fn members<'a>(&'a self, visit: &mut dyn FnMut(&str, Part<'a>)) {
        self.0.iter().enumerate().for_each(|(i, layer)| visit(&i.to_string(), Part::Module(layer)));
    }

    fn members_mut(&mut self, visit: &mut dyn FnMut(&str, PartMut<'_>)) {
        self.0.iter_mut().enumerate().for_each(|(i, layer)| visit(&i.to_string(), PartMut::Module(layer)));
    }
}

impl Forward for Sequential {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut out = x.clone();
        for layer in &self.0 {
            out = layer.forward(&out)?;
        }
        Ok(out)
    }
}
