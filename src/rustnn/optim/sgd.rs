//! Stochastic gradient descent.

use super::{Group, Kept, Optimizer, by_groups, check_rate, kept_tensor, read_flag, read_number, refuse_repeats};
use crate::io::Value;
use crate::nn::Parameter;
use crate::{Error, Result, Tensor};
use rustnn_ops::optimizer;

/// The settings of [`Sgd`].
#[derive(Clone, Copy, Debug)]
pub struct SgdOptions {
    /// η, the learning rate.
    pub lr: f64,
    /// μ.
    pub momentum: f64,
    /// τ.
    pub dampening: f64,
    /// λ.
    pub weight_decay: f64,
    /// Look ahead along the momentum.
    pub nesterov: bool,
    /// Climb instead of descend.
    pub maximize: bool,
}

impl Default for SgdOptions {
    fn default() -> SgdOptions {
        SgdOptions { lr: 1e-3, momentum: 0.0, dampening: 0.0, weight_decay: 0.0, nesterov: false, maximize: false }
    }
}

impl SgdOptions {
    fn check(&self) -> Result<()> {
        check_rate("learning rate", self.lr)?;
        check_rate("momentum value", self.momentum)?;
        check_rate("weight_decay value", self.weight_decay)?;
        if self.nesterov && (self.momentum <= 0.0 || self.dampening != 0.0) {
            return Err(Error::value("Nesterov momentum requires a momentum and zero dampening"));
        }
        Ok(())
    }
}

struct State {
    momentum_buffer: Option<Tensor>,
}

/// Stochastic gradient descent, optionally with momentum: `g ← ∇f(θ) + λ θ; b ← μ b + (1 - τ) g; θ ← θ - η b`, where the
/// first `b` is `g`. Sutskever et al. 2013, in PyTorch's variant.
pub struct Sgd {
    groups: Vec<Group<SgdOptions, State>>,
}

impl Sgd {
    /// One group of parameters.
    ///
    /// # Errors
    /// For settings that contradict each other, no parameters, or one that comes twice.
    pub fn new(parameters: Vec<Parameter>, options: SgdOptions) -> Result<Sgd> {
        Sgd::with_groups(vec![(parameters, options)])
    }

    /// Groups of parameters, each with its settings.
    ///
    /// # Errors
    /// As [`new`](Sgd::new).
    pub fn with_groups(groups: Vec<(Vec<Parameter>, SgdOptions)>) -> Result<Sgd> {
        groups.iter().try_for_each(|(_, options)| options.check())?;
        let groups: Vec<_> = groups.into_iter().map(|(parameters, options)| Group::new(parameters, options)).collect();
        refuse_repeats(&groups)?;
        Ok(Sgd { groups })
    }
}

impl Kept for State {
    type Options = SgdOptions;

    fn learning_rate(options: &mut SgdOptions) -> &mut f64 {
        &mut options.lr
    }

    fn options_to_value(o: &SgdOptions) -> Vec<(&'static str, Value)> {
        vec![
            ("lr", o.lr.into()),
            ("momentum", o.momentum.into()),
            ("dampening", o.dampening.into()),
            ("weight_decay", o.weight_decay.into()),
            ("nesterov", o.nesterov.into()),
            ("maximize", o.maximize.into()),
            ("foreach", Value::None),
            ("differentiable", false.into()),
            ("fused", Value::None),
        ]
    }

    fn options_from_value(o: &mut SgdOptions, value: &Value) -> Result<()> {
        read_number(value, "lr", &mut o.lr);
        read_number(value, "momentum", &mut o.momentum);
        read_number(value, "dampening", &mut o.dampening);
        read_number(value, "weight_decay", &mut o.weight_decay);
        read_flag(value, "nesterov", &mut o.nesterov);
        read_flag(value, "maximize", &mut o.maximize);
        o.check()
    }

    fn to_value(&self) -> Result<Value> {
        let buffer = match &self.momentum_buffer {
            Some(buffer) => Value::Tensor(buffer.copy()?),
            None => Value::None,
        };
        Ok(Value::dict([("momentum_buffer", buffer)]))
    }

    fn from_value(parameter: &Parameter, value: &Value) -> Result<State> {
        let momentum_buffer = match value.get("momentum_buffer") {
            None | Some(Value::None) => None,
            Some(_) => Some(kept_tensor(parameter, value, "momentum_buffer")?),
        };
        Ok(State { momentum_buffer })
    }
}

impl Optimizer for Sgd {
    fn step(&mut self) -> Result<()> {
        for group in &mut self.groups {
            let o = group.options;
            let (mut params, mut grads, mut buffers, mut first) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
            for (p, state) in &mut group.members {
                let Some(grad) = p.grad() else { continue };
                if o.momentum != 0.0 {
                    let known = state.get_or_insert(State { momentum_buffer: None });
                    first.push(known.momentum_buffer.is_none());
                    let buffer = match &known.momentum_buffer {
                        Some(buffer) => buffer.clone(),
                        None => p.zeros_like()?,
                    };
                    buffers.push(buffer.as_op().clone());
                    known.momentum_buffer = Some(buffer);
                }
                params.push(p.as_op().clone());
                grads.push(grad.as_op().clone());
            }
            let settings = optimizer::Sgd {
                lr: o.lr,
                momentum: o.momentum,
                dampening: o.dampening,
                weight_decay: o.weight_decay,
                nesterov: o.nesterov,
                maximize: o.maximize,
            };
            optimizer::sgd(&settings, &params, &grads, &buffers, &first)?;
        }
        Ok(())
    }

    by_groups!(groups);
}
