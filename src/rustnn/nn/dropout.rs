//! Dropout.

use super::{Forward, Module, Training};
use crate::{Error, Result, Tensor};
use rustnn_ops::random;

pub(super) fn probability(p: f64) -> Result<f64> {
    if (0.0..=1.0).contains(&p) {
        return Ok(p);
    }
    Err(Error::value(format!("dropout probability has to be between 0 and 1, but got {p}")))
}

/// In training, elements are zero with probability `p` and the others divided by `1 - p`. Srivastava et al. 2014.
#[derive(Clone, Copy, Debug, Module)]
pub struct Dropout {
    p: f64,
    training: Training,
}

impl Dropout {
    /// # Errors
    /// If `p` is no probability.
    pub fn new(p: f64) -> Result<Dropout> {
        Ok(Dropout { p: probability(p)?, training: Training::default() })
    }
}

impl Forward for Dropout {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(random::dropout(x.as_op(), self.p, self.training.is_on(), false)?.into())
    }
}

/// [`Dropout`] of whole channels of (N, C, …). Tompson et al. 2015, arXiv:1411.4280.
#[derive(Clone, Copy, Debug, Module)]
pub struct ChannelDropout {
    p: f64,
    training: Training,
}

impl ChannelDropout {
    /// # Errors
    /// If `p` is no probability.
    pub fn new(p: f64) -> Result<ChannelDropout> {
        Ok(ChannelDropout { p: probability(p)?, training: Training::default() })
    }
}

impl Forward for ChannelDropout {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(random::feature_dropout(x.as_op(), self.p, self.training.is_on(), false)?.into())
    }
}
