//! What the outside world can call, each op once: names, PyTorch-style schemas, docs, and the function behind them. Python
//! methods and functions, the stub and the docs are made from this list, and programs name their calls by it.
//!
//! A schema reads like PyTorch's: `sum(Tensor self, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None)`.
//! `Operand` is a Tensor or a number. An argument named `out` takes the result.

use crate::device::{Called, Scope};
use crate::row::{Operand, Row, Scalar};
use crate::tensor::Tensor;
use rustnn_tensor::{DType, Device, Error, Result, bail};
use smallvec::SmallVec;

/// A value given for a schema's argument.
#[derive(Clone, Debug)]
pub enum Arg {
    None,
    Tensor(Tensor),
    Tensors(Vec<Tensor>),
    OptionalTensors(Vec<Option<Tensor>>),
    Scalar(Scalar),
    /// A number, given by its parts; becomes a tensor of the precision of those beside it before the call.
    Complex(f64, f64),
    Int(i64),
    Ints(SmallVec<[i64; 5]>),
    Float(f64),
    Floats(Vec<f64>),
    Bool(bool),
    Str(String),
    DType(DType),
    Device(Device),
    Generator(crate::random::Generator),
}

/// What an op gives back.
#[derive(Clone, Debug)]
pub enum Output {
    None,
    Tensor(Tensor),
    /// A tuple.
    Tensors(Vec<Tensor>),
    /// A named tuple `torch.return_types.NAME` with fields.
    Named(&'static str, &'static [&'static str], Vec<Tensor>),
    /// An argument that was written in place, possibly with a new header (shape, strides, memory).
    Written(Tensor),
    WrittenNamed(&'static str, &'static [&'static str], Vec<Tensor>),
    Bool(bool),
    Int(i64),
    Ints(SmallVec<[i64; 5]>),
    Scalar(Scalar),
    DType(DType),
}

/// The arguments of a call, in the schema's order.
#[derive(Debug)]
pub struct Args<'a>(pub &'a [Arg]);

fn wrong<T>(i: usize, wanted: &str, got: Option<&Arg>) -> Result<T> {
    bail!(Runtime, "argument {i} is no {wanted}: {got:?}")
}

impl<'a> Args<'a> {
    pub fn is_none(&self, i: usize) -> bool {
        matches!(self.0.get(i), None | Some(Arg::None))
    }

    pub fn tensor(&self, i: usize) -> Result<&'a Tensor> {
        match self.0.get(i) {
            Some(Arg::Tensor(t)) => Ok(t),
            other => wrong(i, "tensor", other),
        }
    }

    pub fn opt_tensor(&self, i: usize) -> Result<Option<&'a Tensor>> {
        if self.is_none(i) { Ok(None) } else { self.tensor(i).map(Some) }
    }

    pub fn tensors(&self, i: usize) -> Result<&'a [Tensor]> {
        match self.0.get(i) {
            Some(Arg::Tensors(t)) => Ok(t),
            other => wrong(i, "list of tensors", other),
        }
    }

    pub fn optional_tensors(&self, i: usize) -> Result<&'a [Option<Tensor>]> {
        match self.0.get(i) {
            Some(Arg::OptionalTensors(t)) => Ok(t),
            other => wrong(i, "list of tensors", other),
        }
    }

    /// A tensor or a number.
    pub fn operand(&self, i: usize) -> Result<Operand<'a>> {
        match self.0.get(i) {
            Some(Arg::Tensor(t)) => Ok(Operand::Tensor(t)),
            _ => self.scalar(i).map(Operand::Scalar),
        }
    }

    pub fn scalar(&self, i: usize) -> Result<Scalar> {
        match self.0.get(i) {
            Some(Arg::Scalar(s)) => Ok(*s),
            Some(Arg::Int(i)) => Ok(Scalar::Int(*i)),
            Some(Arg::Float(f)) => Ok(Scalar::Float(*f)),
            Some(Arg::Bool(b)) => Ok(Scalar::Bool(*b)),
            Some(Arg::Tensor(t)) if t.dtype().is_complex() => bail!(Runtime, "argument {i}: a complex number is not supported here"),
            other => wrong(i, "number", other),
        }
    }

    pub fn opt_scalar(&self, i: usize) -> Result<Option<Scalar>> {
        if self.is_none(i) { Ok(None) } else { self.scalar(i).map(Some) }
    }

    pub fn int(&self, i: usize) -> Result<i64> {
        match self.0.get(i) {
            Some(Arg::Int(v)) => Ok(*v),
            other => wrong(i, "int", other),
        }
    }

    pub fn opt_int(&self, i: usize) -> Result<Option<i64>> {
        if self.is_none(i) { Ok(None) } else { self.int(i).map(Some) }
    }

    pub fn float(&self, i: usize) -> Result<f64> {
        match self.0.get(i) {
            Some(Arg::Float(v)) => Ok(*v),
            _ => self.scalar(i).map(Scalar::to_f64),
        }
    }

    pub fn opt_float(&self, i: usize) -> Result<Option<f64>> {
        if self.is_none(i) { Ok(None) } else { self.float(i).map(Some) }
    }

    pub fn bool(&self, i: usize) -> Result<bool> {
        match self.0.get(i) {
            Some(Arg::Bool(v)) => Ok(*v),
            other => wrong(i, "bool", other),
        }
    }

    pub fn opt_bool(&self, i: usize) -> Result<Option<bool>> {
        if self.is_none(i) { Ok(None) } else { self.bool(i).map(Some) }
    }

    pub fn ints(&self, i: usize) -> Result<&'a [i64]> {
        match self.0.get(i) {
            Some(Arg::Ints(v)) => Ok(v),
            other => wrong(i, "list of ints", other),
        }
    }

    pub fn opt_ints(&self, i: usize) -> Result<Option<&'a [i64]>> {
        if self.is_none(i) { Ok(None) } else { self.ints(i).map(Some) }
    }

    pub fn opt_floats(&self, i: usize) -> Result<Option<&'a [f64]>> {
        match self.0.get(i) {
            None | Some(Arg::None) => Ok(None),
            Some(Arg::Floats(v)) => Ok(Some(v)),
            other => wrong(i, "list of floats", other),
        }
    }

    pub fn str(&self, i: usize) -> Result<&'a str> {
        match self.0.get(i) {
            Some(Arg::Str(v)) => Ok(v),
            other => wrong(i, "str", other),
        }
    }

    pub fn opt_str(&self, i: usize) -> Result<Option<&'a str>> {
        if self.is_none(i) { Ok(None) } else { self.str(i).map(Some) }
    }

    pub fn opt_dtype(&self, i: usize) -> Result<Option<DType>> {
        match self.0.get(i) {
            None | Some(Arg::None) => Ok(None),
            Some(Arg::DType(v)) => Ok(Some(*v)),
            other => wrong(i, "dtype", other),
        }
    }

    pub fn opt_device(&self, i: usize) -> Result<Option<Device>> {
        match self.0.get(i) {
            None | Some(Arg::None) => Ok(None),
            Some(Arg::Device(v)) => {
                crate::device::register();
                Ok(Some(*v))
            }
            other => wrong(i, "device", other),
        }
    }

    pub fn generator(&self, i: usize) -> Result<Option<&'a crate::random::Generator>> {
        match self.0.get(i) {
            None | Some(Arg::None) => Ok(None),
            Some(Arg::Generator(v)) => Ok(Some(v)),
            other => wrong(i, "Generator", other),
        }
    }
}

/// Where an op is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Function,
    Method,
    Both,
}

/// The code behind a schema; a function goes with the schema that it was written for.
#[derive(Clone, Copy)]
pub enum Run {
    Call(&'static str, fn(&Args) -> Result<Output>),
    /// Inputs, then scalars, then perhaps `out`.
    Row(&'static Row),
    /// The same, the first tensor being written.
    RowInPlace(&'static Row),
}

/// One op of the outside world. Several entries of one name are its overloads, tried in order.
#[derive(Clone)]
pub struct Op {
    pub schema: std::borrow::Cow<'static, str>,
    pub place: Place,
    pub doc: &'static str,
    pub run: Run,
}

impl Op {
    pub fn name(&self) -> &str {
        self.schema.split('(').next().unwrap_or_default()
    }
}

/// Makes a list of ops: `"schema" Place "doc" => |args| result;`
#[macro_export]
macro_rules! ops {
    ($($schema:literal $place:ident $doc:literal => |$a:ident| $body:expr;)*) => {
        pub static OPS: &[(&str, $crate::registry::Place, &str, fn(&$crate::registry::Args) -> rustnn_tensor::Result<$crate::registry::Output>)] = &[$(
            ($schema, $crate::registry::Place::$place, $doc, |$a| Ok($crate::registry::Output::from($body))),
        )*];
    };
}

impl From<Tensor> for Output {
    fn from(t: Tensor) -> Self {
        Output::Tensor(t)
    }
}
impl From<Vec<Tensor>> for Output {
    fn from(t: Vec<Tensor>) -> Self {
        Output::Tensors(t)
    }
}
impl From<()> for Output {
    fn from(_: ()) -> Self {
        Output::None
    }
}
impl From<bool> for Output {
    fn from(b: bool) -> Self {
        Output::Bool(b)
    }
}
impl From<i64> for Output {
    fn from(i: i64) -> Self {
        Output::Int(i)
    }
}
impl From<DType> for Output {
    fn from(d: DType) -> Self {
        Output::DType(d)
    }
}

/// `result` moved into `out`, if one was given: copied, so that `out` keeps its dtype and memory where they fit.
pub fn into_out(name: &str, inputs: &[&Tensor], result: impl FnOnce() -> Result<Tensor>, out: Option<&Tensor>) -> Result<Output> {
    let Some(out) = out else { return result().map(Output::Tensor) };
    let operands: SmallVec<[Operand; 4]> = inputs.iter().map(|t| Operand::Tensor(t)).collect();
    crate::row::check_out_grad(name, &operands, out)?;
    let result = result()?;
    if !result.dtype().can_cast(out.dtype()) {
        return Err(Error::result_cast(result.dtype(), out.dtype()));
    }
    let mut out = out.clone();
    crate::row::resize_out(&mut out, result.shape())?;
    out.check_writable()?;
    crate::copy::copy_array(result.array(), out.array())?;
    out.bump_version();
    Ok(Output::Written(out))
}

impl Run {
    pub fn call(self, args: &Args) -> Result<Output> {
        match self {
            Run::Call(schema, f) => {
                let _scope = Scope::new(Called::Op(schema));
                f(args)
            }
            Run::Row(row) => {
                let n = row.inputs.len();
                let inputs: SmallVec<[Operand; 3]> = (0..n).map(|i| args.operand(i)).collect::<Result<_>>()?;
                let scalars: SmallVec<[Scalar; 3]> = (0..row.scalars.len()).map(|i| args.scalar(n + i)).collect::<Result<_>>()?;
                match args.opt_tensor(n + row.scalars.len())? {
                    None => crate::row::call(row, &inputs, &scalars).map(Output::Tensor),
                    Some(out) => {
                        let mut out = out.clone();
                        crate::row::call_out(row, &inputs, &scalars, &mut out)?;
                        Ok(Output::Written(out))
                    }
                }
            }
            Run::RowInPlace(row) => {
                let n = row.inputs.len();
                let others: SmallVec<[Operand; 3]> = (1..n).map(|i| args.operand(i)).collect::<Result<_>>()?;
                let scalars: SmallVec<[Scalar; 3]> = (0..row.scalars.len()).map(|i| args.scalar(n + i)).collect::<Result<_>>()?;
                let target = args.tensor(0)?;
                crate::row::call_inplace(row, target, &others, &scalars)?;
                Ok(Output::Tensor(target.clone()))
            }
        }
    }
}

/// A row whose inputs and scalars make its Python signature: all but the conditions, whose order is another, and the rows
/// that only other ops use (their names start with an underscore).
fn row_ops(row: &'static Row) -> Vec<Op> {
    if row.name.starts_with('_') || row.rule == crate::row::Rule::Select {
        return Vec::new();
    }
    let mut inputs = String::new();
    for name in &row.inputs[1..] {
        inputs += &format!(", Operand {name}");
    }
    let mut scalars = String::new();
    for (i, (name, default)) in row.scalars.iter().enumerate() {
        let star = if i == 0 && matches!(*name, "alpha" | "value") && row.inputs.len() > 1 { "*, " } else { "" };
        scalars += &match default {
            Some(v) => format!(", {star}Scalar {name}={}", if v.fract() == 0.0 { format!("{v:.0}") } else { v.to_string() }),
            None => format!(", {star}Scalar {name}"),
        };
    }
    let out = if scalars.contains('*') { ", Tensor? out=None" } else { ", *, Tensor? out=None" };
    // torch.add(2, x) is fine, so is torch.mul(2, 3): a number may come first where there is another input.
    let first = if row.inputs.len() > 1 { "Operand" } else { "Tensor" };
    let new = format!("{}({first} self{inputs}{scalars}{out})", row.name);
    let in_place = format!("{}_(Tensor self{inputs}{scalars})", row.name);
    let op = |schema: String, run| Op { schema: schema.into(), place: Place::Both, doc: row.doc, run };
    let mut ops = vec![op(new, Run::Row(row))];
    if !matches!(row.name, "isnan" | "isinf" | "isfinite" | "isposinf" | "isneginf" | "signbit") {
        ops.push(op(in_place, Run::RowInPlace(row)));
    }
    ops
}

/// Every op, overloads of one name next to each other only by chance.
pub fn all() -> Vec<Op> {
    let mut ops: Vec<Op> = crate::rows::ALL.iter().flat_map(|row| row_ops(row)).collect();
    let files = crate::OP_FILES;
    for &(schema, place, doc, run) in files.iter().copied().flatten() {
        ops.push(Op { schema: schema.into(), place, doc, run: Run::Call(schema, run) });
    }
    for (alias, of) in crate::ALIASES {
        for suffix in ["", "_"] {
            let (alias, of) = (format!("{alias}{suffix}("), format!("{of}{suffix}("));
            let found: Vec<Op> = ops.iter().filter(|op| op.schema.starts_with(&of)).cloned().collect();
            ops.extend(found.into_iter().map(|op| Op { schema: op.schema.replacen(&of, &alias, 1).into(), ..op }));
        }
    }
    ops
}
