//! Modules: trees of named parameters, buffers and modules.

use crate::io::StateDict;
use crate::{DType, Device, Error, Mismatch, Result, Tensor, autograd};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Deref;

pub use rustnn_derive::Module;

/// A tensor that training changes: a leaf that requires gradients. Clones are the same parameter.
#[derive(Clone, Debug)]
pub struct Parameter(Tensor);

impl Parameter {
    /// A leaf over the memory of a tensor of floats, without its history: no copy is made, so that what is written to one of them
    /// in place changes the other. Hand in a [`copy`](Tensor::copy) where that is not wanted. It requires gradients, whatever
    /// the tensor did.
    ///
    /// ```
    /// # fn main() -> rustnn::Result<()> {
    /// use rustnn::{Tensor, nn::Parameter};
    /// let values = Tensor::zeros([2])?;
    /// let (shared, own) = (Parameter::new(values.clone())?, Parameter::new(values.copy()?)?);
    /// assert!(shared.requires_grad() && !values.requires_grad());
    /// values.copy_(&Tensor::ones([2])?)?;
    /// assert_eq!(shared.to_vec::<f32>()?, [1.0, 1.0]);
    /// assert_eq!(own.to_vec::<f32>()?, [0.0, 0.0]);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If it has no floats.
    pub fn new(values: Tensor) -> Result<Parameter> {
        let values = values.detach();
        values.as_op().set_requires_grad(true)?;
        Ok(Parameter(values))
    }

    /// Overwrites the values, without a record.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn set(&self, values: &Tensor) -> Result<()> {
        let _quiet = autograd::no_grad();
        self.copy_(values)
    }
}

impl Deref for Parameter {
    type Target = Tensor;
    fn deref(&self) -> &Tensor {
        &self.0
    }
}

/// A tensor that belongs to a module's state, and that training does not change by gradients: running statistics, say.
#[derive(Clone, Debug)]
pub struct Buffer {
    tensor: Tensor,
    is_persistent: bool,
}

impl Buffer {
    /// A buffer that state dicts hold.
    pub fn new(values: Tensor) -> Buffer {
        Buffer { tensor: values.detach(), is_persistent: true }
    }

    /// A buffer that state dicts leave out: what the constructor makes anew.
    pub fn transient(values: Tensor) -> Buffer {
        Buffer { tensor: values.detach(), is_persistent: false }
    }

    /// Whether state dicts hold it.
    pub fn is_persistent(&self) -> bool {
        self.is_persistent
    }
}

impl Deref for Buffer {
    type Target = Tensor;
    fn deref(&self) -> &Tensor {
        &self.tensor
    }
}

/// The flag of a module that behaves differently in training: a field that [`Module::train`] and [`Module::eval`] set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Training(bool);

impl Default for Training {
    fn default() -> Training {
        Training(true)
    }
}

impl Training {
    /// Whether the module is being trained.
    pub fn is_on(self) -> bool {
        self.0
    }
}

/// What a module has under a name.
pub enum Part<'a> {
    /// A parameter.
    Parameter(&'a Parameter),
    /// A buffer.
    Buffer(&'a Buffer),
    /// A module of its own.
    Module(&'a dyn Module),
    /// The training flag.
    Training(Training),
}

/// [`Part`], to be changed.
pub enum PartMut<'a> {
    /// A parameter.
    Parameter(&'a mut Parameter),
    /// A buffer.
    Buffer(&'a mut Buffer),
    /// A module of its own.
    Module(&'a mut dyn Module),
    /// The training flag.
    Training(&'a mut Training),
}

/// A tree of named parameters, buffers and modules. Derive it: the fields are the members.
///
/// ```
/// use rustnn::nn::{self, Forward, Module};
/// use rustnn::{Result, Tensor};
///
/// #[derive(Module)]
/// struct Net {
///     hidden: nn::Linear,
///     digit: nn::Linear,
///     dropout: nn::Dropout,
/// }
///
/// impl Forward for Net {
///     fn forward(&self, x: &Tensor) -> Result<Tensor> {
///         self.digit.forward(&self.dropout.forward(&self.hidden.forward(x)?.relu()?)?)
///     }
/// }
///
/// # fn main() -> Result<()> {
/// let mut net = Net { hidden: nn::Linear::new(8, 16)?, digit: nn::Linear::new(16, 10)?, dropout: nn::Dropout::new(0.5)? };
/// let names: Vec<String> = net.state_dict()?.names().map(String::from).collect();
/// assert_eq!(names, ["hidden.weight", "hidden.bias", "digit.weight", "digit.bias"]);
/// net.eval();
/// assert_eq!(net.forward(&Tensor::ones([3, 8])?)?.shape(), [3, 10]);
/// # Ok(())
/// # }
/// ```
///
/// Of a generic or a hand-written module the two `members` functions are all that is needed.
pub trait Module: Send + Sync {
    /// The class, for messages.
    fn class_name(&self) -> &str;

    /// Calls `visit` with each member and its name.
    fn members<'a>(&'a self, visit: &mut dyn FnMut(&str, Part<'a>));

    /// Calls `visit` with each member, to be changed, and its name.
    fn members_mut(&mut self, visit: &mut dyn FnMut(&str, PartMut<'_>));

    /// The modules directly below, by their names.
    fn named_children(&self) -> Vec<(String, &dyn Module)> {
        let mut out = Vec::new();
        self.members(&mut |name, part| {
            if let Part::Module(module) = part {
                out.push((name.to_string(), module));
            }
        });
        out
    }

    /// All modules below, by their dotted names, wholes before parts.
    fn named_modules(&self) -> Vec<(String, &dyn Module)> {
        let mut out = Vec::new();
        let mut pending = self.named_children();
        pending.reverse();
        while let Some((path, module)) = pending.pop() {
            out.push((path.clone(), module));
            let children = module.named_children();
            pending.extend(children.into_iter().rev().map(|(name, child)| (format!("{path}.{name}"), child)));
        }
        out
    }

    /// All parameters here and below, by their dotted names; one that several modules share comes once.
    fn named_parameters(&self) -> Vec<(String, Parameter)> {
        let mut seen = HashSet::new();
        let mut out = Vec::new();
        walk(&|visit| self.members(visit), "", &mut |path, part| {
            if let Part::Parameter(p) = part
                && seen.insert(p.as_op().meta().address())
            {
                out.push((path, p.clone()));
            }
        });
        out
    }

    /// All parameters here and below, as an optimizer takes them.
    fn parameters(&self) -> Vec<Parameter> {
        self.named_parameters().into_iter().map(|(_, p)| p).collect()
    }

    /// All buffers here and below, by their dotted names.
    fn named_buffers(&self) -> Vec<(String, Buffer)> {
        let mut out = Vec::new();
        walk(&|visit| self.members(visit), "", &mut |path, part| {
            if let Part::Buffer(b) = part {
                out.push((path, b.clone()));
            }
        });
        out
    }

    /// Parameters and persistent buffers by PyTorch's names, sharing the module's memory.
    ///
    /// # Errors
    /// If two of them have one name.
    fn state_dict(&self) -> Result<StateDict> {
        let mut out = StateDict::new();
        for (name, tensor) in state(&|visit| self.members(visit)) {
            out.insert(name, tensor)?;
        }
        Ok(out)
    }

    /// Takes over the values of a state dict, which has to fit exactly; nothing is changed where it does not.
    ///
    /// # Errors
    /// [`Error::StateDict`] names all that does not fit.
    fn load_state_dict(&self, state: &StateDict) -> Result<()> {
        let mismatch = fit(&|visit| self.members(visit), state);
        if !mismatch.is_empty() {
            return Err(Error::StateDict { class: self.class_name().into(), mismatch });
        }
        self.load_state_dict_partly(state).map(drop)
    }

    /// Takes over what fits, and tells what is missing or unexpected: PyTorch's `strict=False`.
    ///
    /// # Errors
    /// [`Error::StateDict`] for shapes that differ; nothing is changed then.
    fn load_state_dict_partly(&self, given: &StateDict) -> Result<Mismatch> {
        let mismatch = fit(&|visit| self.members(visit), given);
        if !mismatch.incompatible.is_empty() {
            return Err(Error::StateDict { class: self.class_name().into(), mismatch });
        }
        let _quiet = autograd::no_grad();
        for (name, tensor) in state(&|visit| self.members(visit)) {
            if let Some(source) = given.get(&name) {
                tensor.copy_(source)?;
            }
        }
        Ok(mismatch)
    }

    /// Turns the training behaviour on, here and below: dropout, batch statistics.
    fn train(&mut self) {
        set_training(&mut |visit| self.members_mut(visit), true);
    }

    /// Turns the training behaviour off, here and below.
    fn eval(&mut self) {
        set_training(&mut |visit| self.members_mut(visit), false);
    }

    /// Takes all gradients away.
    fn zero_grad(&self) {
        for p in self.parameters() {
            p.as_op().set_grad_unchecked(None);
        }
    }

    /// Freezes (or thaws) all parameters.
    ///
    /// # Errors
    /// None for parameters as they are made here.
    fn set_requires_grad(&self, on: bool) -> Result<()> {
        self.parameters().iter().try_for_each(|p| Ok(p.as_op().set_requires_grad(on)?))
    }

    /// The number of elements of all parameters.
    fn num_parameters(&self) -> usize {
        self.parameters().iter().map(|p| p.numel()).sum()
    }

    /// Moves floats to another dtype. Before an optimizer takes the parameters: their memory is new.
    ///
    /// # Errors
    /// If the dtype has no floats.
    fn to_dtype(&mut self, dtype: DType) -> Result<()> {
        if !dtype.is_float() {
            return Err(Error::value(format!("a module's dtype is one of floats, not {}", dtype.name())));
        }
        let to = |t: &Tensor| if t.dtype().is_float() { t.to_dtype(dtype) } else { Ok(t.clone()) };
        convert(&mut |visit| self.members_mut(visit), &to)
    }

    /// Moves all memory to another device. Before an optimizer takes the parameters: their memory is new.
    ///
    /// # Errors
    /// If there is no such device.
    fn to_device(&mut self, device: Device) -> Result<()> {
        convert(&mut |visit| self.members_mut(visit), &|t| t.to_device(device))
    }
}

/// A module that maps a tensor to a tensor, as those in a [`Sequential`](super::Sequential) do.
pub trait Forward: Module {
    /// The result for `x`.
    ///
    /// # Errors
    /// If shape or dtype do not fit.
    fn forward(&self, x: &Tensor) -> Result<Tensor>;
}

/// Of a layer over `n` dimensions the class, as Python calls it: of any number, of one, two and three.
pub(super) fn class_over(n: usize, names: [&'static str; 4]) -> &'static str {
    names[if n > 3 { 0 } else { n }]
}

type Members<'f, 'a> = &'f dyn Fn(&mut dyn FnMut(&str, Part<'a>));
type MembersMut<'f> = &'f mut dyn FnMut(&mut dyn FnMut(&str, PartMut<'_>));

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_string() } else { format!("{path}.{name}") }
}

/// Whether a part comes with the modules below: those of a list or map are a module's in PyTorch, its `ParameterList`.
fn is_below(name: &str, part: &Part) -> bool {
    matches!(part, Part::Module(_)) || name.contains('.')
}

/// A module's own parts first, then those of the modules below, as PyTorch orders them.
fn walk<'a>(members: Members<'_, 'a>, path: &str, visit: &mut dyn FnMut(String, Part<'a>)) {
    let mut below = Vec::new();
    members(&mut |name, part| {
        let path = join(path, name);
        if is_below(name, &part) { below.push((path, part)) } else { visit(path, part) }
    });
    for (path, part) in below {
        match part {
            Part::Module(module) => walk(&|visit| module.members(visit), &path, visit),
            part => visit(path, part),
        }
    }
}

/// What a state dict holds: parameters before buffers in each module.
fn state<'a>(members: Members<'_, 'a>) -> Vec<(String, Tensor)> {
    let mut out: Vec<(String, Tensor)> = Vec::new();
    fn add<'a>(members: Members<'_, 'a>, path: &str, out: &mut Vec<(String, Tensor)>) {
        let (mut buffers, mut below) = (Vec::new(), Vec::new());
        members(&mut |name, part| match part {
            part if is_below(name, &part) => below.push((join(path, name), part)),
            Part::Parameter(p) => out.push((join(path, name), Tensor::clone(p))),
            Part::Buffer(b) if b.is_persistent => buffers.push((join(path, name), Tensor::clone(b))),
            _ => {}
        });
        out.extend(buffers);
        for (path, part) in below {
            match part {
                Part::Module(module) => add(&|visit| module.members(visit), &path, out),
                Part::Parameter(p) => out.push((path, Tensor::clone(p))),
                Part::Buffer(b) if b.is_persistent => out.push((path, Tensor::clone(b))),
                _ => {}
            }
        }
    }
    add(members, "", &mut out);
    out
}

fn fit<'a>(members: Members<'_, 'a>, given: &StateDict) -> Mismatch {
    let mut mismatch = Mismatch::default();
    let own: HashMap<String, Tensor> = {
        let list = state(members);
        mismatch.missing = list.iter().filter(|(name, _)| given.get(name).is_none()).map(|(name, _)| name.clone()).collect();
        list.into_iter().collect()
    };
    for (name, tensor) in given.iter() {
        match own.get(name) {
            None => mismatch.unexpected.push(name.to_string()),
            Some(own) if own.shape() != tensor.shape() => mismatch.incompatible.push(format!(
                "size mismatch for {name}: copying a param with shape torch.Size({:?}) from checkpoint, the shape in current model is torch.Size({:?}).",
                tensor.shape(),
                own.shape()
            )),
            Some(own) if !tensor.dtype().has_arithmetic() && own.dtype() != tensor.dtype() => mismatch.incompatible.push(format!(
                "dtype mismatch for {name}: {} in the checkpoint cannot be converted to {}.",
                tensor.dtype().name(),
                own.dtype().name()
            )),
            Some(_) if tensor.device() == Device::Meta => {
                mismatch.incompatible.push(format!("{name} is on the meta device in the checkpoint: it has no data."));
            }
            Some(_) => {}
        }
    }
    mismatch
}

fn set_training(members: MembersMut<'_>, on: bool) {
    members(&mut |_, part| match part {
        PartMut::Training(flag) => *flag = Training(on),
        PartMut::Module(module) => set_training(&mut |visit| module.members_mut(visit), on),
        PartMut::Parameter(_) | PartMut::Buffer(_) => {}
    });
}

/// Moves every tensor; a shared one stays shared.
fn convert(members: MembersMut<'_>, to: &dyn Fn(&Tensor) -> Result<Tensor>) -> Result<()> {
    let mut done = Ok(());
    move_parts(members, &mut Move { to, moved: HashMap::new() }, &mut done);
    done
}

struct Move<'a> {
    to: &'a dyn Fn(&Tensor) -> Result<Tensor>,
    /// By the address of the tensors' common meta, which they keep.
    moved: HashMap<usize, Tensor>,
}

impl Move<'_> {
    fn replace(&mut self, tensor: &mut Tensor) -> Result<()> {
        let key = tensor.as_op().meta().address();
        let new = match self.moved.get(&key) {
            Some(new) => new.clone(),
            None => (self.to)(&tensor.detach())?,
        };
        tensor.as_op_mut().set_data(new.as_op())?;
        self.moved.insert(key, new);
        Ok(())
    }
}

fn move_parts(members: MembersMut<'_>, by: &mut Move, done: &mut Result<()>) {
    members(&mut |_, part| {
        if done.is_err() {
            return;
        }
        match part {
            PartMut::Parameter(p) => {
                // A gradient has its parameter's dtype and place.
                p.as_op().set_grad_unchecked(None);
                *done = by.replace(&mut p.0);
            }
            PartMut::Buffer(b) => *done = by.replace(&mut b.tensor),
            PartMut::Module(module) => move_parts(&mut |visit| module.members_mut(visit), by, done),
            PartMut::Training(_) => {}
        }
    });
}

/// What a field of a module may be. Implemented for parameters, buffers, modules, options, boxes, lists and maps of these,
/// and for settings (numbers, strings, …), which have no parts.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no member of a module",
    note = "derive `Module` for it if it holds parameters, or mark the field `#[module(skip)]` if it holds none"
)]
pub trait Member {
    /// Calls `visit` with the parts of this member, which is called `name`.
    fn visit<'a>(&'a self, name: &str, visit: &mut dyn FnMut(&str, Part<'a>));

    /// Calls `visit` with the parts of this member, to be changed.
    fn visit_mut(&mut self, name: &str, visit: &mut dyn FnMut(&str, PartMut<'_>));
}

impl<M: Module> Member for M {
    fn visit<'a>(&'a self, name: &str, visit: &mut dyn FnMut(&str, Part<'a>)) {
        visit(name, Part::Module(self));
    }

    fn visit_mut(&mut self, name: &str, visit: &mut dyn FnMut(&str, PartMut<'_>)) {
        visit(name, PartMut::Module(self));
    }
}

impl<M: Module + ?Sized> Module for Box<M> {
    fn class_name(&self) -> &str {
        (**self).class_name()
    }

    fn members<'a>(&'a self, visit: &mut dyn FnMut(&str, Part<'a>)) {
        (**self).members(visit);
    }

    fn members_mut(&mut self, visit: &mut dyn FnMut(&str, PartMut<'_>)) {
        (**self).members_mut(visit);
    }
}

impl<M: Forward + ?Sized> Forward for Box<M> {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        (**self).forward(x)
    }
}

macro_rules! part {
    ($kind:ident, $($by:tt)*) => {
        impl Member for $kind {
            fn visit<'a>(&'a self, name: &str, visit: &mut dyn FnMut(&str, Part<'a>)) {
                visit(name, Part::$kind($($by)* self));
            }

            fn visit_mut(&mut self, name: &str, visit: &mut dyn FnMut(&str, PartMut<'_>)) {
                visit(name, PartMut::$kind(self));
            }
        }
    };
}
part!(Parameter,);
part!(Buffer,);
part!(Training, *);

impl<M: Member> Member for Option<M> {
    fn visit<'a>(&'a self, name: &str, visit: &mut dyn FnMut(&str, Part<'a>)) {
        if let Some(member) = self {
            member.visit(name, visit);
        }
    }

    fn visit_mut(&mut self, name: &str, visit: &mut dyn FnMut(&str, PartMut<'_>)) {
        if let Some(member) = self {
            member.visit_mut(name, visit);
        }
    }
}

/// The members are called `name.0`, `name.1`, …, as in PyTorch's `ModuleList`.
impl<M: Member> Member for Vec<M> {
    fn visit<'a>(&'a self, name: &str, visit: &mut dyn FnMut(&str, Part<'a>)) {
        self.iter().enumerate().for_each(|(i, member)| member.visit(&format!("{name}.{i}"), visit));
    }

    fn visit_mut(&mut self, name: &str, visit: &mut dyn FnMut(&str, PartMut<'_>)) {
        self.iter_mut().enumerate().for_each(|(i, member)| member.visit_mut(&format!("{name}.{i}"), visit));
    }
}

/// As a list.
impl<M: Member, const N: usize> Member for [M; N] {
    fn visit<'a>(&'a self, name: &str, visit: &mut dyn FnMut(&str, Part<'a>)) {
        self.iter().enumerate().for_each(|(i, member)| member.visit(&format!("{name}.{i}"), visit));
    }

    fn visit_mut(&mut self, name: &str, visit: &mut dyn FnMut(&str, PartMut<'_>)) {
        self.iter_mut().enumerate().for_each(|(i, member)| member.visit_mut(&format!("{name}.{i}"), visit));
    }
}

/// The members are called `name.key`, as in PyTorch's `ModuleDict`, here in the order of the keys.
impl<M: Member> Member for BTreeMap<String, M> {
    fn visit<'a>(&'a self, name: &str, visit: &mut dyn FnMut(&str, Part<'a>)) {
        self.iter().for_each(|(key, member)| member.visit(&format!("{name}.{key}"), visit));
    }

    fn visit_mut(&mut self, name: &str, visit: &mut dyn FnMut(&str, PartMut<'_>)) {
        self.iter_mut().for_each(|(key, member)| member.visit_mut(&format!("{name}.{key}"), visit));
    }
}

macro_rules! settings {
    ($($kind:ty),* $(,)?) => {
        $(impl Member for $kind {
            fn visit<'a>(&'a self, _: &str, _: &mut dyn FnMut(&str, Part<'a>)) {}
            fn visit_mut(&mut self, _: &str, _: &mut dyn FnMut(&str, PartMut<'_>)) {}
        })*
    };
}
settings!(bool, char, f32, f64, i8, i16, i32, i64, isize, u8, u16, u32, u64, usize, String, &'static str, DType, Device, ());

impl<T: Send + Sync> Member for std::marker::PhantomData<T> {
    fn visit<'a>(&'a self, _: &str, _: &mut dyn FnMut(&str, Part<'a>)) {}
    fn visit_mut(&mut self, _: &str, _: &mut dyn FnMut(&str, PartMut<'_>)) {}
}
