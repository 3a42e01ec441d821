//! Learning rates over time. Rates follow from the rate before, as PyTorch computes them.

use super::Optimizer;
use crate::{Error, Result};
use std::f64::consts::PI;

/// A rule for the next learning rate.
pub trait Rule {
    /// Whether its settings make sense.
    ///
    /// # Errors
    /// If they do not.
    fn check(&self) -> Result<()> {
        Ok(())
    }

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
/// let mut schedule = Schedule::new(&mut optimizer, optim::StepLR { size: 2, gamma: 0.5 })?;
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
    /// If the rule's settings make no sense, or it gives a negative rate.
    pub fn new(optimizer: &mut (impl Optimizer + ?Sized), rule: R) -> Result<Schedule<R>> {
        rule.check()?;
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
pub struct StepLR {
    /// Steps between two falls, at least 1.
    pub size: u64,
    /// The factor.
    pub gamma: f64,
}

fn finite(name: &str, value: f64) -> Result<()> {
    if value.is_finite() { Ok(()) } else { Err(Error::value(format!("{name} should be finite, got {value}"))) }
}

fn at_least_one(name: &str, value: u64) -> Result<()> {
    if value > 0 { Ok(()) } else { Err(Error::value(format!("{name} should be at least 1"))) }
}

impl Rule for StepLR {
    fn check(&self) -> Result<()> {
        at_least_one("size", self.size)?;
        finite("gamma", self.gamma)
    }

    fn next(&self, t: u64, before: f64, _: f64) -> f64 {
        if t % self.size == 0 { before * self.gamma } else { before }
    }
}

/// The rate times `gamma` at each step: PyTorch's `ExponentialLR`.
#[derive(Clone, Copy, Debug)]
pub struct ExponentialLR {
    /// The factor.
    pub gamma: f64,
}

impl Rule for ExponentialLR {
    fn check(&self) -> Result<()> {
        finite("gamma", self.gamma)
    }

    fn next(&self, _: u64, before: f64, _: f64) -> f64 {
        before * self.gamma
    }
}

/// Half a cosine from the starting rate down to `min` in `period` steps, and up again in the next: PyTorch's
/// `CosineAnnealingLR`. Loshchilov and Hutter 2017, arXiv:1608.03983, without the restarts.
#[derive(Clone, Copy, Debug)]
pub struct CosineAnnealingLR {
    /// Steps to the lowest rate, at least 1.
    pub period: u64,
    /// The lowest rate.
    pub min: f64,
}

impl Rule for CosineAnnealingLR {
    fn check(&self) -> Result<()> {
        at_least_one("period", self.period)?;
        finite("min", self.min)
    }

    fn next(&self, t: u64, before: f64, start: f64) -> f64 {
        if t == 0 {
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
pub struct LinearLR {
    /// The first factor.
    pub from: f64,
    /// The last factor.
    pub to: f64,
    /// Steps between them, at least 1.
    pub steps: u64,
}

impl Rule for LinearLR {
    fn check(&self) -> Result<()> {
        at_least_one("steps", self.steps)?;
        finite("from", self.from)?;
        finite("to", self.to)
    }

    fn first(&self, start: f64) -> f64 {
        start * self.from
    }

    fn next(&self, t: u64, before: f64, start: f64) -> f64 {
        if t > self.steps { before } else { start * (self.from + (self.to - self.from) * t as f64 / self.steps as f64) }
    }
}
