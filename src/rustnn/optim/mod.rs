//! Optimizers and learning rate schedules. A step is one call of the engine for all parameters; state dicts are PyTorch's.
//!
//! ```
//! # fn main() -> rustnn::Result<()> {
//! use rustnn::nn::Parameter;
//! use rustnn::optim::{Optimizer, Sgd, SgdOptions};
//! use rustnn::Tensor;
//! let weight = Parameter::new(Tensor::ones([2])?)?;
//! let mut optimizer = Sgd::new(vec![weight.clone()], SgdOptions { lr: 0.5, ..Default::default() })?;
//! weight.square()?.sum()?.backward()?;
//! optimizer.step()?;
//! assert_eq!(weight.to_vec::<f32>()?, [0.0, 0.0]);
//! # Ok(())
//! # }
//! ```

mod adam;
mod schedule;
mod sgd;

pub use adam::{Adam, AdamOptions, AdamW};
pub use schedule::{CosineAnnealingLR, ExponentialLR, LinearLR, Rule, Schedule, StepLR};
pub use sgd::{Sgd, SgdOptions};

use crate::io::Value;
use crate::nn::Parameter;
use crate::{Error, Result, Tensor};

/// What changes parameters along their gradients.
pub trait Optimizer: Send + Sync {
    /// Changes every parameter that has a gradient.
    ///
    /// # Errors
    /// If a gradient has another shape than its parameter.
    fn step(&mut self) -> Result<()>;

    /// All parameters.
    fn parameters(&self) -> Vec<&Parameter>;

    /// The learning rate of each group of parameters.
    fn learning_rates(&self) -> Vec<f64>;

    /// Sets the learning rate of each group.
    ///
    /// # Errors
    /// If there are more or fewer groups, or a rate is negative.
    fn set_learning_rates(&mut self, rates: &[f64]) -> Result<()>;

    /// The state in PyTorch's layout: what [`crate::io::save`] writes, PyTorch's optimizer of the name loads.
    ///
    /// # Errors
    /// If memory does not suffice.
    fn state_dict(&self) -> Result<Value>;

    /// Takes over a state, which PyTorch's optimizer of the name may have written.
    ///
    /// # Errors
    /// If it belongs to other groups of parameters; nothing is changed then.
    fn load_state_dict(&mut self, state: &Value) -> Result<()>;

    /// Takes the gradients of all parameters away.
    fn zero_grad(&self) {
        for p in self.parameters() {
            p.as_op().set_grad_unchecked(None);
        }
    }
}

/// Options of one group and its parameters with their state.
struct Group<O, S> {
    options: O,
    members: Vec<(Parameter, Option<S>)>,
}

impl<O, S> Group<O, S> {
    fn new(parameters: Vec<Parameter>, options: O) -> Self {
        Group { options, members: parameters.into_iter().map(|p| (p, None)).collect() }
    }
}

/// A group's options as entries of PyTorch's `param_groups`, and the parts of a parameter's state.
trait Kept: Sized {
    type Options: Clone;

    fn learning_rate(options: &mut Self::Options) -> &mut f64;
    fn options_to_value(options: &Self::Options) -> Vec<(&'static str, Value)>;
    fn options_from_value(options: &mut Self::Options, value: &Value) -> Result<()>;
    fn to_value(&self) -> Result<Value>;
    fn from_value(parameter: &Parameter, value: &Value) -> Result<Self>;
}

fn check_rate(name: &str, value: f64) -> Result<()> {
    if value >= 0.0 { Ok(()) } else { Err(Error::value(format!("Invalid {name}: {value}"))) }
}

fn parameters_of<O, S>(groups: &[Group<O, S>]) -> Vec<&Parameter> {
    groups.iter().flat_map(|group| group.members.iter().map(|(p, _)| p)).collect()
}

fn refuse_repeats<O, S>(groups: &[Group<O, S>]) -> Result<()> {
    let mut seen = std::collections::HashSet::new();
    for p in parameters_of(groups) {
        if !seen.insert(p.as_op().meta().address()) {
            return Err(Error::value("some parameters appear in more than one parameter group"));
        }
    }
    if seen.is_empty() { Err(Error::value("optimizer got an empty parameter list")) } else { Ok(()) }
}

fn rates_of<S: Kept>(groups: &[Group<S::Options, S>]) -> Vec<f64> {
    groups.iter().map(|group| *S::learning_rate(&mut group.options.clone())).collect()
}

fn set_rates<S: Kept>(groups: &mut [Group<S::Options, S>], rates: &[f64]) -> Result<()> {
    if rates.len() != groups.len() {
        return Err(Error::value(format!("got {} learning rates for {} groups of parameters", rates.len(), groups.len())));
    }
    rates.iter().try_for_each(|&rate| check_rate("learning rate", rate))?;
    groups.iter_mut().zip(rates).for_each(|(group, &rate)| *S::learning_rate(&mut group.options) = rate);
    Ok(())
}

fn state_of<S: Kept>(groups: &[Group<S::Options, S>]) -> Result<Value> {
    let (mut state, mut listed) = (Vec::new(), Vec::new());
    let mut number = 0;
    for group in groups {
        let first = number;
        for (_, kept) in &group.members {
            if let Some(kept) = kept {
                state.push((Value::Int(number), kept.to_value()?));
            }
            number += 1;
        }
        let mut entries: Vec<(Value, Value)> =
            S::options_to_value(&group.options).into_iter().map(|(name, value)| (Value::from(name), value)).collect();
        entries.push((Value::from("params"), Value::List((first..number).map(Value::Int).collect())));
        listed.push(Value::Dict(entries));
    }
    Ok(Value::Dict(vec![(Value::from("state"), Value::Dict(state)), (Value::from("param_groups"), Value::List(listed))]))
}

fn load_state<S: Kept>(groups: &mut [Group<S::Options, S>], value: &Value) -> Result<()> {
    let (Some(Value::Dict(state)), Some(Value::List(listed))) = (value.get("state"), value.get("param_groups")) else {
        return Err(Error::value("an optimizer's state has a dict `state` and a list `param_groups`"));
    };
    if listed.len() != groups.len() {
        return Err(Error::value("loaded state dict has a different number of parameter groups"));
    }
    // Numbers in the file's order; all is read before anything is changed.
    let mut new = Vec::new();
    for (group, from) in groups.iter().zip(listed) {
        let Some(Value::List(numbers) | Value::Tuple(numbers)) = from.get("params") else {
            return Err(Error::value("a parameter group of an optimizer's state has a list `params`"));
        };
        if numbers.len() != group.members.len() {
            return Err(Error::value("loaded state dict contains a parameter group that doesn't match the size of optimizer's group"));
        }
        let mut options = group.options.clone();
        S::options_from_value(&mut options, from)?;
        let mut kept = Vec::new();
        for ((p, _), number) in group.members.iter().zip(numbers) {
            let found = state.iter().find(|(key, _)| matches!((key, number), (Value::Int(a), Value::Int(b)) if a == b));
            kept.push(found.map(|(_, value)| S::from_value(p, value)).transpose()?);
        }
        new.push((options, kept));
    }
    for (group, (options, kept)) in groups.iter_mut().zip(new) {
        group.options = options;
        group.members.iter_mut().zip(kept).for_each(|(member, kept)| member.1 = kept);
    }
    Ok(())
}

/// A tensor of a parameter's state, in its dtype and on its device, with memory of its own.
fn kept_tensor(parameter: &Parameter, value: &Value, name: &str) -> Result<Tensor> {
    match value.get(name) {
        Some(Value::Tensor(t)) if t.shape() == parameter.shape() => {
            t.detach().to_device(parameter.device())?.to_dtype(parameter.dtype())?.copy()
        }
        Some(Value::Tensor(t)) => {
            Err(Error::value(format!("{name} of shape {:?} for a parameter of shape {:?}", t.shape(), parameter.shape())))
        }
        _ => Err(Error::value(format!("the state of a parameter lacks the tensor {name}"))),
    }
}

fn read_number(value: &Value, name: &str, to: &mut f64) {
    if let Some(x) = value.get(name).and_then(Value::as_f64) {
        *to = x;
    }
}

fn read_flag(value: &Value, name: &str, to: &mut bool) {
    if let Some(Value::Bool(b)) = value.get(name) {
        *to = *b;
    }
}

macro_rules! by_groups {
    ($name:ident) => {
        fn parameters(&self) -> Vec<&crate::nn::Parameter> {
            super::parameters_of(&self.$name)
        }

        fn learning_rates(&self) -> Vec<f64> {
            super::rates_of(&self.$name)
        }

        fn set_learning_rates(&mut self, rates: &[f64]) -> crate::Result<()> {
            super::set_rates(&mut self.$name, rates)
        }

        fn state_dict(&self) -> crate::Result<crate::io::Value> {
            super::state_of(&self.$name)
        }

        fn load_state_dict(&mut self, state: &crate::io::Value) -> crate::Result<()> {
            super::load_state(&mut self.$name, state)
        }
    };
}
use by_groups;
