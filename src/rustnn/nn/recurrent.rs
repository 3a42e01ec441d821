//! Recurrent layers over sequences. The steps are composed of ops, as the Python package composes them.

use super::{Module, Parameter, Part, PartMut, Training, init};
use crate::{Error, Result, Tensor};
use rustnn_ops::row::{Row, call};
use rustnn_ops::{matmul, random, rows};

/// The settings of a recurrent layer beside its sizes.
#[derive(Clone, Copy, Debug)]
pub struct RecurrentOptions {
    /// Layers on top of each other.
    pub num_layers: usize,
    /// Whether to add biases.
    pub bias: bool,
    /// Inputs and outputs are (N, L, …) instead of (L, N, …).
    pub batch_first: bool,
    /// The probability of zero between layers, in training.
    pub dropout: f64,
    /// A second network runs backwards; both outputs are joined.
    pub bidirectional: bool,
    /// The length of a projected output of an [`LSTM`]; 0 for none.
    pub proj_size: usize,
}

impl Default for RecurrentOptions {
    fn default() -> RecurrentOptions {
        RecurrentOptions { num_layers: 1, bias: true, batch_first: false, dropout: 0.0, bidirectional: false, proj_size: 0 }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Tanh,
    Relu,
    Gru,
    Lstm,
}

impl Kind {
    /// Blocks of `hidden_size` rows in the weights.
    fn gates(self) -> usize {
        match self {
            Kind::Tanh | Kind::Relu => 1,
            Kind::Gru => 3,
            Kind::Lstm => 4,
        }
    }
}

impl Kind {
    /// The next state (h, and c of an LSTM) from the input's and the state's part of the gates.
    fn step(self, part: &Tensor, own: &Tensor, state: &mut [Tensor]) -> Result<()> {
        match self {
            Kind::Lstm => {
                let [i, f, g, o] = pieces(&part.add(own)?)?;
                state[1] = row(&rows::GATED_SUM, &[&f, &state[1], &row(&rows::GATED_TANH, &[&i, &g])?])?;
                state[0] = row(&rows::GATED_TANH, &[&o, &state[1]])?;
            }
            Kind::Gru => {
                let ([r1, z1, n1], [r2, z2, n2]) = (pieces(part)?, pieces(own)?);
                let n = row(&rows::GATED_CANDIDATE, &[&n1, &r1.add(&r2)?, &n2])?;
                state[0] = row(&rows::GATED_MIX, &[&n, &z1.add(&z2)?, &state[0]])?;
            }
            Kind::Tanh => state[0] = part.add(own)?.tanh()?,
            Kind::Relu => state[0] = part.add(own)?.relu()?,
        }
        Ok(())
    }
}

/// The weights of one layer in one direction.
struct Cell {
    suffix: String,
    weight_ih: Parameter,
    weight_hh: Parameter,
    bias: Option<(Parameter, Parameter)>,
    weight_hr: Option<Parameter>,
}

struct Recurrent {
    kind: Kind,
    input_size: usize,
    hidden_size: usize,
    options: RecurrentOptions,
    cells: Vec<Cell>,
    training: Training,
}

fn row(row: &'static Row, inputs: &[&Tensor]) -> Result<Tensor> {
    let inputs: Vec<_> = inputs.iter().map(|x| x.as_op().into()).collect();
    Ok(call(row, &inputs, &[])?.into())
}

fn linear(x: &Tensor, weight: &Parameter, bias: Option<&Parameter>) -> Result<Tensor> {
    Ok(matmul::linear(x.as_op(), weight.as_op(), bias.map(|b| b.as_op()))?.into())
}

fn pieces<const N: usize>(x: &Tensor) -> Result<[Tensor; N]> {
    let found = x.chunk(N, -1)?;
    found.try_into().map_err(|_| Error::value("a recurrent layer's weights do not have its number of gates"))
}

impl Recurrent {
    fn new(kind: Kind, input_size: usize, hidden_size: usize, options: RecurrentOptions) -> Result<Recurrent> {
        for (name, value) in [("input_size", input_size), ("hidden_size", hidden_size), ("num_layers", options.num_layers)] {
            if value == 0 {
                return Err(Error::value(format!("{name} must be greater than zero")));
            }
        }
        if !(0.0..=1.0).contains(&options.dropout) {
            return Err(Error::value("dropout should be a number in range [0, 1] representing the probability of an element being zeroed"));
        }
        if options.proj_size > 0 && kind != Kind::Lstm {
            return Err(Error::value("proj_size argument is only supported for LSTM, not RNN or GRU"));
        }
        if options.proj_size >= hidden_size {
            return Err(Error::value("proj_size has to be smaller than hidden_size"));
        }
        let width = if options.proj_size > 0 { options.proj_size } else { hidden_size };
        let (rows, directions) = (kind.gates().saturating_mul(hidden_size), 1 + usize::from(options.bidirectional));
        let bound = 1.0 / (hidden_size as f64).sqrt();
        let inputs = input_size.max(width.saturating_mul(directions)).saturating_add(width);
        super::check_available(options.num_layers.saturating_mul(directions), rows.saturating_mul(inputs))?;
        let mut cells = Vec::new();
        for layer in 0..options.num_layers {
            let inputs = if layer == 0 { input_size } else { width.saturating_mul(directions) };
            for suffix in &["", "_reverse"][..directions] {
                cells.push(Cell {
                    suffix: format!("_l{layer}{suffix}"),
                    weight_ih: init::uniform(&[rows, inputs], bound)?,
                    weight_hh: init::uniform(&[rows, width], bound)?,
                    bias: if options.bias { Some((init::uniform(&[rows], bound)?, init::uniform(&[rows], bound)?)) } else { None },
                    weight_hr: if options.proj_size > 0 { Some(init::uniform(&[options.proj_size, hidden_size], bound)?) } else { None },
                });
            }
        }
        Ok(Recurrent { kind, input_size, hidden_size, options, cells, training: Training::default() })
    }

    fn visit<'a>(&'a self, visit: &mut dyn FnMut(&str, Part<'a>)) {
        for cell in &self.cells {
            let mut named = |name: &str, p: &'a Parameter| visit(&format!("{name}{}", cell.suffix), Part::Parameter(p));
            named("weight_ih", &cell.weight_ih);
            named("weight_hh", &cell.weight_hh);
            if let Some((ih, hh)) = &cell.bias {
                named("bias_ih", ih);
                named("bias_hh", hh);
            }
            if let Some(hr) = &cell.weight_hr {
                named("weight_hr", hr);
            }
        }
        visit("training", Part::Training(self.training));
    }

    fn visit_mut(&mut self, visit: &mut dyn FnMut(&str, PartMut<'_>)) {
        for cell in &mut self.cells {
            let suffix = &cell.suffix;
            let mut named = |name: &str, p: &mut Parameter| visit(&format!("{name}{suffix}"), PartMut::Parameter(p));
            named("weight_ih", &mut cell.weight_ih);
            named("weight_hh", &mut cell.weight_hh);
            if let Some((ih, hh)) = &mut cell.bias {
                named("bias_ih", ih);
                named("bias_hh", hh);
            }
            if let Some(hr) = &mut cell.weight_hr {
                named("weight_hr", hr);
            }
        }
        visit("training", PartMut::Training(&mut self.training));
    }

    /// The widths of the states: of h, and of c.
    fn widths(&self) -> Vec<usize> {
        let h = if self.options.proj_size > 0 { self.options.proj_size } else { self.hidden_size };
        if self.kind == Kind::Lstm { vec![h, self.hidden_size] } else { vec![h] }
    }

    /// Outputs (L, N, …) and the last states (layers · directions, N, …), one for each kind of state.
    fn forward(&self, x: &Tensor, states: Option<&[&Tensor]>) -> Result<(Tensor, Vec<Tensor>)> {
        if !matches!(x.rank(), 2 | 3) {
            return Err(Error::value(format!("Expected input to be 2D or 3D, got {}D instead", x.rank())));
        }
        if x.rank() == 2 {
            let lone = |t: &Tensor| t.unsqueeze(1);
            let states = states.map(|s| s.iter().map(|t| lone(t)).collect::<Result<Vec<_>>>()).transpose()?;
            let states = states.as_ref().map(|s| s.iter().collect::<Vec<_>>());
            let dim = if self.options.batch_first { 0 } else { 1 };
            let (out, last) = self.forward(&x.unsqueeze(dim)?, states.as_deref())?;
            return Ok((out.squeeze(dim)?, last.iter().map(|t| t.squeeze(1)).collect::<Result<_>>()?));
        }
        let x = if self.options.batch_first { x.transpose(0, 1)? } else { x.clone() };
        let (length, batch) = (x.shape()[0], x.shape()[1]);
        if x.shape()[2] != self.input_size {
            let (wanted, got) = (self.input_size, x.shape()[2]);
            return Err(Error::value(format!("input.size(-1) must be equal to input_size. Expected {wanted}, got {got}")));
        }
        if length == 0 {
            return Err(Error::value("Expected sequence length to be larger than 0 in RNN"));
        }
        let mut given = Vec::new();
        for (part, width) in self.widths().into_iter().enumerate() {
            let shape = [self.cells.len(), batch, width];
            given.push(match states.and_then(|s| s.get(part)) {
                Some(state) if state.shape() == shape => (*state).clone(),
                Some(state) => {
                    return Err(Error::value(format!("Expected hidden[{part}] size {shape:?}, got {:?}", state.shape())));
                }
                None => Tensor::full(shape, 0.0, x.dtype())?.to_device(x.device())?,
            });
        }
        let directions = 1 + usize::from(self.options.bidirectional);
        let mut steps = x.unbind(0)?;
        let mut last: Vec<Vec<Tensor>> = vec![Vec::new(); given.len()];
        for layer in 0..self.options.num_layers {
            let mut results = Vec::new();
            for direction in 0..directions {
                let number = layer * directions + direction;
                let state = given.iter().map(|s| s.select(0, number as i64)).collect::<Result<Vec<_>>>()?;
                let (outputs, end) = self.run(&self.cells[number], &steps, state, direction == 1)?;
                results.push(outputs);
                last.iter_mut().zip(end).for_each(|(all, state)| all.push(state));
            }
            let mut joined = Tensor::stack(&results[0], 0)?;
            if let Some(reverse) = results.get(1) {
                joined = Tensor::cat(&[joined, Tensor::stack(reverse, 0)?], -1)?;
            }
            if self.options.dropout > 0.0 && layer + 1 < self.options.num_layers {
                joined = random::dropout(joined.as_op(), self.options.dropout, self.training.is_on(), false)?.into();
            }
            if layer + 1 == self.options.num_layers {
                let out = if self.options.batch_first { joined.transpose(0, 1)? } else { joined };
                return Ok((out, last.iter().map(|all| Tensor::stack(all, 0)).collect::<Result<_>>()?));
            }
            steps = joined.unbind(0)?;
        }
        Err(Error::value("num_layers must be greater than zero"))
    }

    /// One layer in one direction; outputs in the order of the steps.
    fn run(&self, cell: &Cell, steps: &[Tensor], mut state: Vec<Tensor>, reverse: bool) -> Result<(Vec<Tensor>, Vec<Tensor>)> {
        let (b_ih, b_hh) = cell.bias.as_ref().map_or((None, None), |(ih, hh)| (Some(ih), Some(hh)));
        // The inputs' part of all steps is one product.
        let parts = linear(&Tensor::cat(steps, 0)?, &cell.weight_ih, b_ih)?.chunk(steps.len(), 0)?;
        if parts.len() != steps.len() {
            return Err(Error::value("a recurrent layer runs over at least one sequence"));
        }
        let mut outputs = Vec::with_capacity(steps.len());
        for i in 0..steps.len() {
            let part = &parts[if reverse { steps.len() - 1 - i } else { i }];
            let own = linear(&state[0], &cell.weight_hh, b_hh)?;
            self.kind.step(part, &own, &mut state)?;
            if let Some(hr) = &cell.weight_hr {
                state[0] = linear(&state[0], hr, None)?;
            }
            outputs.push(state[0].clone());
        }
        if reverse {
            outputs.reverse();
        }
        Ok((outputs, state))
    }
}

macro_rules! recurrent_cell {
    ($($(#[$doc:meta])* $name:ident $kind:expr;)*) => {$(
        $(#[$doc])*
        pub struct $name(Weights);

        impl $name {
            /// With biases; weights uniform in ±1/√hidden_size.
            ///
            /// # Errors
            /// If `hidden_size` is 0.
            pub fn new(input_size: usize, hidden_size: usize) -> Result<$name> {
                $name::with(input_size, hidden_size, true)
            }

            /// [`new`](Self::new), with or without biases.
            ///
            /// # Errors
            /// If `hidden_size` is 0.
            pub fn with(input_size: usize, hidden_size: usize, bias: bool) -> Result<$name> {
                Ok($name(Weights::new($kind, input_size, hidden_size, bias)?))
            }
        }

        impl Module for $name {
            fn class_name(&self) -> &str {
                stringify!($name)
            }

            fn members<'a>(&'a self, visit: &mut dyn FnMut(&str, Part<'a>)) {
                self.0.members(visit);
            }

            fn members_mut(&mut self, visit: &mut dyn FnMut(&str, PartMut<'_>)) {
                self.0.members_mut(visit);
            }
        }
    )*};
}

macro_rules! recurrent {
    ($name:ident) => {
        impl Module for $name {
            fn class_name(&self) -> &str {
                stringify!($name)
            }

            fn members<'a>(&'a self, visit: &mut dyn FnMut(&str, Part<'a>)) {
                self.0.visit(visit);
            }

            fn members_mut(&mut self, visit: &mut dyn FnMut(&str, PartMut<'_>)) {
                self.0.visit_mut(visit);
            }
        }
    };
}
recurrent!(RNN);
recurrent!(GRU);
recurrent!(LSTM);

/// An Elman network over a sequence: `h' = tanh(W_ih x + b_ih + W_hh h + b_hh)`. Elman 1990.
pub struct RNN(Recurrent);

impl RNN {
    /// One layer with tanh.
    ///
    /// # Errors
    /// If a size is 0.
    pub fn new(input_size: usize, hidden_size: usize) -> Result<RNN> {
        RNN::with(input_size, hidden_size, false, RecurrentOptions::default())
    }

    /// Other settings; `relu` in place of tanh.
    ///
    /// # Errors
    /// For settings that contradict each other.
    pub fn with(input_size: usize, hidden_size: usize, relu: bool, options: RecurrentOptions) -> Result<RNN> {
        Ok(RNN(Recurrent::new(if relu { Kind::Relu } else { Kind::Tanh }, input_size, hidden_size, options)?))
    }

    /// (L, N, input_size) or (L, input_size), and perhaps a state (layers · directions, N, hidden_size) -> outputs (L, N,
    /// directions · hidden_size) and the last state.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn forward(&self, x: &Tensor, state: Option<&Tensor>) -> Result<(Tensor, Tensor)> {
        one_state(&self.0, x, state)
    }
}

/// A gated recurrent unit over a sequence: `r, z = sigmoid(…); n = tanh(W_in x + b_in + r (W_hn h + b_hn)); h' = (1 - z) n +
/// z h`. Cho et al. 2014, arXiv:1406.1078.
///
/// ```
/// # fn main() -> rustnn::Result<()> {
/// use rustnn::{Tensor, nn::GRU};
/// let (output, state) = GRU::new(10, 20)?.forward(&Tensor::ones([5, 3, 10])?, None)?;
/// assert_eq!((output.shape(), state.shape()), (&[5, 3, 20][..], &[1, 3, 20][..]));
/// # Ok(())
/// # }
/// ```
pub struct GRU(Recurrent);

impl GRU {
    /// One layer.
    ///
    /// # Errors
    /// If a size is 0.
    pub fn new(input_size: usize, hidden_size: usize) -> Result<GRU> {
        GRU::with(input_size, hidden_size, RecurrentOptions::default())
    }

    /// Other settings.
    ///
    /// # Errors
    /// For settings that contradict each other.
    pub fn with(input_size: usize, hidden_size: usize, options: RecurrentOptions) -> Result<GRU> {
        Ok(GRU(Recurrent::new(Kind::Gru, input_size, hidden_size, options)?))
    }

    /// As [`RNN::forward`].
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn forward(&self, x: &Tensor, state: Option<&Tensor>) -> Result<(Tensor, Tensor)> {
        one_state(&self.0, x, state)
    }
}

fn one_state(layer: &Recurrent, x: &Tensor, state: Option<&Tensor>) -> Result<(Tensor, Tensor)> {
    let (output, mut last) = layer.forward(x, state.as_ref().map(std::slice::from_ref))?;
    Ok((output, last.remove(0)))
}

/// A long short-term memory over a sequence: `i, f, o = sigmoid(…); g = tanh(…); c' = f c + i g; h' = o tanh(c')`, times
/// W_hr with a projection. Hochreiter and Schmidhuber 1997.
///
/// ```
/// # fn main() -> rustnn::Result<()> {
/// use rustnn::{Tensor, nn::{LSTM, RecurrentOptions}};
/// let layer = LSTM::with(10, 20, RecurrentOptions { num_layers: 2, bidirectional: true, ..Default::default() })?;
/// let (output, (h, c)) = layer.forward(&Tensor::ones([5, 3, 10])?, None)?;
/// assert_eq!((output.shape(), h.shape(), c.shape()), (&[5, 3, 40][..], &[4, 3, 20][..], &[4, 3, 20][..]));
/// # Ok(())
/// # }
/// ```
pub struct LSTM(Recurrent);

impl LSTM {
    /// One layer.
    ///
    /// # Errors
    /// If a size is 0.
    pub fn new(input_size: usize, hidden_size: usize) -> Result<LSTM> {
        LSTM::with(input_size, hidden_size, RecurrentOptions::default())
    }

    /// Other settings.
    ///
    /// # Errors
    /// For settings that contradict each other.
    pub fn with(input_size: usize, hidden_size: usize, options: RecurrentOptions) -> Result<LSTM> {
        Ok(LSTM(Recurrent::new(Kind::Lstm, input_size, hidden_size, options)?))
    }

    /// (L, N, input_size) or (L, input_size), and perhaps states h and c (layers · directions, N, …) -> outputs (L, N,
    /// directions · hidden_size) and the last states.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn forward(&self, x: &Tensor, state: Option<(&Tensor, &Tensor)>) -> Result<(Tensor, (Tensor, Tensor))> {
        let state = state.map(|(h, c)| [h, c]);
        let (output, mut last) = self.0.forward(x, state.as_ref().map(|s| &s[..]))?;
        let c = last.remove(1);
        Ok((output, (last.remove(0), c)))
    }
}

/// What the cells share.
#[derive(Module)]
struct Weights {
    weight_ih: Parameter,
    weight_hh: Parameter,
    bias_ih: Option<Parameter>,
    bias_hh: Option<Parameter>,
    #[module(skip)]
    kind: Kind,
}

impl Weights {
    fn new(kind: Kind, input_size: usize, hidden_size: usize, bias: bool) -> Result<Weights> {
        if hidden_size == 0 {
            return Err(Error::value("hidden_size must be greater than zero"));
        }
        let (rows, bound) = (kind.gates().saturating_mul(hidden_size), 1.0 / (hidden_size as f64).sqrt());
        let drawn = |wanted: bool| if wanted { init::uniform(&[rows], bound).map(Some) } else { Ok(None) };
        Ok(Weights {
            weight_ih: init::uniform(&[rows, input_size], bound)?,
            weight_hh: init::uniform(&[rows, hidden_size], bound)?,
            bias_ih: drawn(bias)?,
            bias_hh: drawn(bias)?,
            kind,
        })
    }

    /// One step from `states`, zeros where there are none: (N, input_size) or (input_size).
    fn step(&self, x: &Tensor, states: [Option<&Tensor>; 2]) -> Result<Vec<Tensor>> {
        let ([lead @ .., _], [_, hidden]) = (x.shape(), self.weight_hh.shape()) else {
            return Err(Error::value("a cell's input has one or two dimensions, got none"));
        };
        if lead.len() > 1 {
            return Err(Error::value(format!("Expected input to be 1D or 2D, got {}D instead", x.rank())));
        }
        let shape = [lead, &[*hidden]].concat();
        let mut state = Vec::new();
        for given in &states[..if self.kind == Kind::Lstm { 2 } else { 1 }] {
            state.push(match given {
                Some(t) if t.shape() == shape => (*t).clone(),
                Some(t) => return Err(Error::value(format!("Expected hidden size {shape:?}, got {:?}", t.shape()))),
                None => Tensor::full(&shape, 0.0, x.dtype())?.to_device(x.device())?,
            });
        }
        let part = linear(x, &self.weight_ih, self.bias_ih.as_ref())?;
        let own = linear(&state[0], &self.weight_hh, self.bias_hh.as_ref())?;
        self.kind.step(&part, &own, &mut state)?;
        Ok(state)
    }
}

recurrent_cell! {
    /// One step of an [`RNN`].
    RNNCell Kind::Tanh;
    /// One step of a [`GRU`].
    GRUCell Kind::Gru;
    /// One step of an [`LSTM`].
    ///
    /// ```
    /// # fn main() -> rustnn::Result<()> {
    /// use rustnn::{Tensor, nn::LSTMCell};
    /// let (h, c) = LSTMCell::new(10, 20)?.forward(&Tensor::ones([3, 10])?, None)?;
    /// assert_eq!((h.shape(), c.shape()), (&[3, 20][..], &[3, 20][..]));
    /// # Ok(())
    /// # }
    /// ```
    LSTMCell Kind::Lstm;
}

macro_rules! one_state_cell {
    ($($name:ident)*) => {$(
        impl $name {
            /// The next state, from zeros or a state: (N, input_size) or (input_size) -> (…, hidden_size).
            ///
            /// # Errors
            /// If the shapes do not fit.
            pub fn forward(&self, x: &Tensor, state: Option<&Tensor>) -> Result<Tensor> {
                Ok(self.0.step(x, [state, None])?.remove(0))
            }
        }
    )*};
}
one_state_cell!(RNNCell GRUCell);

impl LSTMCell {
    /// The next states h and c, from zeros or states: (N, input_size) or (input_size) -> (…, hidden_size) twice.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn forward(&self, x: &Tensor, state: Option<(&Tensor, &Tensor)>) -> Result<(Tensor, Tensor)> {
        let mut next = self.0.step(x, [state.map(|s| s.0), state.map(|s| s.1)])?;
        let c = next.remove(1);
        Ok((next.remove(0), c))
    }
}
