//! Adam and AdamW.

use super::{Group, Kept, Optimizer, by_groups, check_rate, kept_tensor, read_flag, read_number, refuse_repeats};
use crate::io::Value;
use crate::nn::Parameter;
use crate::{Error, Result, Tensor};
use rustnn_ops::optimizer;

/// The settings of [`Adam`] and [`AdamW`].
#[derive(Clone, Copy, Debug)]
pub struct AdamOptions {
    /// η, the learning rate.
    pub lr: f64,
    /// How slowly the averages of gradients and squares move.
    pub betas: (f64, f64),
    /// ε, which keeps the quotient finite.
    pub eps: f64,
    /// λ.
    pub weight_decay: f64,
    /// Divide by the greatest average so far. Reddi et al. 2018.
    pub amsgrad: bool,
    /// Climb instead of descend.
    pub maximize: bool,
    /// Decay the parameter itself rather than add to the gradient. Loshchilov and Hutter 2019, arXiv:1711.05101.
    pub decoupled_weight_decay: bool,
}

impl Default for AdamOptions {
    fn default() -> AdamOptions {
        AdamOptions {
            lr: 1e-3,
            betas: (0.9, 0.999),
            eps: 1e-8,
            weight_decay: 0.0,
            amsgrad: false,
            maximize: false,
            decoupled_weight_decay: false,
        }
    }
}

impl AdamOptions {
    /// PyTorch's settings of AdamW: a decoupled decay of 0.01.
    pub const ADAM_W: AdamOptions = AdamOptions {
        lr: 1e-3,
        betas: (0.9, 0.999),
        eps: 1e-8,
        weight_decay: 0.01,
        amsgrad: false,
        maximize: false,
        decoupled_weight_decay: true,
    };

    fn check(&self) -> Result<()> {
        check_rate("learning rate", self.lr)?;
        check_rate("epsilon value", self.eps)?;
        check_rate("weight_decay value", self.weight_decay)?;
        for (i, beta) in [self.betas.0, self.betas.1].into_iter().enumerate() {
            if !(0.0..1.0).contains(&beta) {
                return Err(Error::value(format!("Invalid beta parameter at index {i}: {beta}")));
            }
        }
        Ok(())
    }
}

struct State {
    step: Tensor,
    average: Tensor,
    square: Tensor,
    greatest: Option<Tensor>,
}

impl State {
    fn new(p: &Parameter, amsgrad: bool) -> Result<State> {
        Ok(State {
            step: Tensor::scalar(0f32)?.to_device(crate::Device::Cpu)?,
            average: p.zeros_like()?,
            square: p.zeros_like()?,
            greatest: if amsgrad { Some(p.zeros_like()?) } else { None },
        })
    }
}

/// Adam: steps along the average of the gradients over the root of the average of their squares. Kingma and Ba 2015,
/// arXiv:1412.6980, algorithm 1.
pub struct Adam {
    groups: Vec<Group<AdamOptions, State>>,
}

impl Adam {
    /// One group of parameters.
    ///
    /// # Errors
    /// For settings out of range, no parameters, or one that comes twice.
    pub fn new(parameters: Vec<Parameter>, options: AdamOptions) -> Result<Adam> {
        Adam::with_groups(vec![(parameters, options)])
    }

    /// Groups of parameters, each with its settings.
    ///
    /// # Errors
    /// As [`new`](Adam::new).
    pub fn with_groups(groups: Vec<(Vec<Parameter>, AdamOptions)>) -> Result<Adam> {
        groups.iter().try_for_each(|(_, options)| options.check())?;
        let groups: Vec<_> = groups.into_iter().map(|(parameters, options)| Group::new(parameters, options)).collect();
        refuse_repeats(&groups)?;
        Ok(Adam { groups })
    }
}

impl Kept for State {
    type Options = AdamOptions;

    fn learning_rate(options: &mut AdamOptions) -> &mut f64 {
        &mut options.lr
    }

    fn options_to_value(o: &AdamOptions) -> Vec<(&'static str, Value)> {
        vec![
            ("lr", o.lr.into()),
            ("betas", Value::Tuple(vec![o.betas.0.into(), o.betas.1.into()])),
            ("eps", o.eps.into()),
            ("weight_decay", o.weight_decay.into()),
            ("amsgrad", o.amsgrad.into()),
            ("maximize", o.maximize.into()),
            ("foreach", Value::None),
            ("capturable", false.into()),
            ("differentiable", false.into()),
            ("fused", Value::None),
            ("decoupled_weight_decay", o.decoupled_weight_decay.into()),
        ]
    }

    fn options_from_value(o: &mut AdamOptions, value: &Value) -> Result<()> {
        read_number(value, "lr", &mut o.lr);
        if let Some(Value::Tuple(betas) | Value::List(betas)) = value.get("betas")
            && let [Some(first), Some(second)] = betas.iter().map(Value::as_f64).collect::<Vec<_>>()[..]
        {
            o.betas = (first, second);
        }
        read_number(value, "eps", &mut o.eps);
        read_number(value, "weight_decay", &mut o.weight_decay);
        read_flag(value, "amsgrad", &mut o.amsgrad);
        read_flag(value, "maximize", &mut o.maximize);
        read_flag(value, "decoupled_weight_decay", &mut o.decoupled_weight_decay);
        o.check()
    }

    fn to_value(&self) -> Result<Value> {
        let mut entries = vec![
            ("step", Value::Tensor(self.step.copy()?)),
            ("exp_avg", Value::Tensor(self.average.copy()?)),
            ("exp_avg_sq", Value::Tensor(self.square.copy()?)),
        ];
        if let Some(greatest) = &self.greatest {
            entries.push(("max_exp_avg_sq", Value::Tensor(greatest.copy()?)));
        }
        Ok(Value::dict(entries))
    }

    fn from_value(parameter: &Parameter, value: &Value) -> Result<State> {
        let step = match value.get("step") {
            Some(Value::Tensor(t)) => t.to_dtype(crate::DType::F32)?.item::<f32>()?,
            // Checkpoints of early versions hold a number.
            Some(number) if number.as_f64().is_some() => number.as_f64().unwrap_or_default() as f32,
            _ => return Err(Error::value("the state of a parameter lacks its `step`")),
        };
        let greatest = match value.get("max_exp_avg_sq") {
            None | Some(Value::None) => None,
            Some(_) => Some(kept_tensor(parameter, value, "max_exp_avg_sq")?),
        };
        Ok(State {
            step: Tensor::scalar(step)?.to_device(crate::Device::Cpu)?,
            average: kept_tensor(parameter, value, "exp_avg")?,
            square: kept_tensor(parameter, value, "exp_avg_sq")?,
            greatest,
        })
    }
}

impl Optimizer for Adam {
    fn step(&mut self) -> Result<()> {
        for group in &mut self.groups {
            let o = group.options;
            let [mut params, mut grads, mut averages, mut squares, mut greatest, mut steps] = [const { Vec::new() }; 6];
            for (p, state) in &mut group.members {
                let Some(grad) = p.grad() else { continue };
                let state = match state {
                    Some(state) => state,
                    None => state.insert(State::new(p, o.amsgrad)?),
                };
                params.push(p.as_op().clone());
                grads.push(grad.as_op().clone());
                averages.push(state.average.as_op().clone());
                squares.push(state.square.as_op().clone());
                steps.push(state.step.as_op().clone());
                if o.amsgrad {
                    let most = match &state.greatest {
                        Some(most) => most,
                        None => state.greatest.insert(p.zeros_like()?),
                    };
                    greatest.push(most.as_op().clone());
                }
            }
            let settings = optimizer::Adam {
                lr: o.lr,
                beta1: o.betas.0,
                beta2: o.betas.1,
                eps: o.eps,
                weight_decay: o.weight_decay,
                decoupled: o.decoupled_weight_decay,
                maximize: o.maximize,
            };
            let greatest = o.amsgrad.then_some(&greatest[..]);
            optimizer::adam(&settings, &params, &grads, &averages, &squares, greatest, &steps)?;
        }
        Ok(())
    }

    by_groups!(groups);
}

/// [`Adam`] with a decoupled weight decay: `AdamW::new(parameters, AdamOptions::ADAM_W)`.
pub struct AdamW(Adam);

impl AdamW {
    /// One group of parameters; the decay is decoupled, whatever the options say.
    ///
    /// # Errors
    /// As [`Adam::new`].
    pub fn new(parameters: Vec<Parameter>, options: AdamOptions) -> Result<AdamW> {
        AdamW::with_groups(vec![(parameters, options)])
    }

    /// Groups of parameters, each with its settings.
    ///
    /// # Errors
    /// As [`Adam::new`].
    pub fn with_groups(groups: Vec<(Vec<Parameter>, AdamOptions)>) -> Result<AdamW> {
        let decoupled = |(parameters, o)| (parameters, AdamOptions { decoupled_weight_decay: true, ..o });
        Ok(AdamW(Adam::with_groups(groups.into_iter().map(decoupled).collect())?))
    }
}

impl Optimizer for AdamW {
    fn step(&mut self) -> Result<()> {
        self.0.step()
    }

    fn parameters(&self) -> Vec<&Parameter> {
        self.0.parameters()
    }

    fn learning_rates(&self) -> Vec<f64> {
        self.0.learning_rates()
    }

    fn set_learning_rates(&mut self, rates: &[f64]) -> Result<()> {
        self.0.set_learning_rates(rates)
    }

    fn state_dict(&self) -> Result<Value> {
        self.0.state_dict()
    }

    fn load_state_dict(&mut self, state: &Value) -> Result<()> {
        self.0.load_state_dict(state)?;
        // A checkpoint of Adam's says otherwise.
        self.0.groups.iter_mut().for_each(|group| group.options.decoupled_weight_decay = true);
        Ok(())
    }
}
