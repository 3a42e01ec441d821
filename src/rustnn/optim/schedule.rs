//! Learning rates over time. Rates follow from the rate before, as PyTorch computes them.

use super::Optimizer;
use crate::{Error, Result};
use std::f64::consts::PI;

/// A rule for the next learning rate.
pub trait Rule {
    /// The rate of the first step.
    fn first(&self, start: f64) -> f64 {
        start
    }

    /// The rate of step `t` (1 after the first), from the rate of the step before and the one at the start.
    fn next(&self, t: u64, before: f64, start: f64) -> f64;
}

/// A schedule at work: [`step`](Schedule::step) after each step of the optimizer (or after each epoch) sets its rates.
///
/// ```
/// # fn main() -> rustnn::Result<()> {
/// use rustnn::{nn::{Linear, Module}, optim::{self, Optimizer, Schedule}};
/// let mut optimizer = optim::Sgd::new(Linear::new(2, 2)?.parameters(), optim::SgdOptions { lr: 0.8, ..Default::default() })?;
/// let mut schedule = Schedule::new(&mut optimizer, optim::Step { size: 2, gamma: 0.5 })?;
/// for _ in 0..4 {
///     optimizer.step()?;
///     schedule.step(&mut optimizer)?;
/// }
/// assert_eq!(optimizer.learning_rates(), [0.2]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Schedule<R> {
    rule: R,
    start: Vec<f64>,
    steps: u64,
}

impl<R: Rule> Schedule<R> {
    /// Starts at the optimizer's rates, and sets those of the first step.
    ///
    /// # Errors
    /// If the rule gives a negative rate.
    pub fn new(optimizer: &mut (impl Optimizer + ?Sized), rule: R) -> Result<Schedule<R>> {
        let start = optimizer.learning_rates();
        let first: Vec<f64> = start.iter().map(|&start| rule.first(start)).collect();
        optimizer.set_learning_rates(&first)?;
        Ok(Schedule { rule, start, steps: 0 })
    }

    /// Goes one step on.
    ///
    /// # Errors
    /// If the optimizer has other groups than at the start, or the rule gives a negative rate.
    pub fn step(&mut self, optimizer: &mut (impl Optimizer + ?Sized)) -> Result<()> {
        let rates = optimizer.learning_rates();
        if rates.len() != self.start.len() {
            return Err(Error::value(format!("the schedule began with {} groups, the optimizer has {}", self.start.len(), rates.len())));
        }
        let t = self.steps.saturating_add(1);
        let next: Vec<f64> = rates.iter().zip(&self.start).map(|(&before, &start)| self.rule.next(t, before, start)).collect();
        optimizer.set_learning_rates(&next)?;
        self.steps = t;
        Ok(())
    }

    /// Steps so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Goes on after `steps` steps: with the optimizer's state loaded, the next rate follows.
    pub fn set_steps(&mut self, steps: u64) {
        self.steps = steps;
    }
}

/// The rate times `gamma` every `size` steps: PyTorch's `StepLR`.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// Steps between two falls; 0 for none.
    pub size: u64,
    /// The factor.
    pub gamma: f64,
}

impl Rule for Step {
    fn next(&self, t: u64, before: f64, _: f64) -> f64 {
        if self.size > 0 && t % self.size == 0 { before * self.gamma } else { before }
    }
}

/// The rate times `gamma` at each step: PyTorch's `ExponentialLR`.
#[derive(Clone, Copy, Debug)]
pub struct Exponential {
    /// The factor.
    pub gamma: f64,
}

impl Rule for Exponential {
    fn next(&self, _: u64, before: f64, _: f64) -> f64 {
        before * self.gamma
    }
}

/// Half a cosine from the starting rate down to `min` in `period` steps, and up again in the next: PyTorch's
/// `CosineAnnealingLR`. Loshchilov and Hutter 2017, arXiv:1608.03983, without the restarts.
#[derive(Clone, Copy, Debug)]
pub struct CosineAnnealing {
    /// Steps to the lowest rate; 0 keeps the rate.
    pub period: u64,
    /// The lowest rate.
    pub min: f64,
}

impl Rule for CosineAnnealing {
    fn next(&self, t: u64, before: f64, start: f64) -> f64 {
        if self.period == 0 || t == 0 {
            return before;
        }
        let period = self.period as f64;
        // Leaving the lowest point, where the ratio below is 0 / 0.
        if t > self.period && (t - 1 - self.period) % self.period.saturating_mul(2) == 0 {
            return before + (start - self.min) * (1.0 - (PI / period).cos()) / 2.0;
        }
        let height = |t: u64| 1.0 + (PI * t as f64 / period).cos();
        height(t) / height(t - 1) * (before - self.min) + self.min
    }
}

/// The factor of the starting rate goes from `from` to `to` in `steps` steps: PyTorch's `LinearLR`, for warming up.
#[derive(Clone, Copy, Debug)]
pub struct Linear {
    /// The first factor.
    pub from: f64,
    /// The last factor.
    pub to: f64,
    /// Steps between them.
    pub steps: u64,
}

impl Rule for Linear {
    fn first(&self, start: f64) -> f64 {
        start * self.from
    }

    fn next(&self, t: u64, before: f64, start: f64) -> f64 {
        if t > self.steps || self.steps == 0 { before } else { start * (self.from + (self.to - self.from) * t as f64 / self.steps as f64) }
    }
}
