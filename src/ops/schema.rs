//! Schemas of the registry's ops, parsed: what an op's arguments are called, which kinds they are and what they default to.

use crate::registry::{Arg, Op, Run};
use crate::row::Scalar;
use smallvec::SmallVec;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Tensor,
    Tensors,
    OptionalTensors,
    Operand,
    Scalar,
    Int,
    /// A list of ints; `size` is what one int stands for (0: not allowed), `rest`: given one by one too.
    Ints {
        single: bool,
        rest: bool,
    },
    /// A list of ints, or one for all; None is passed on as [`crate::pool::WHOLE`].
    OptionalInts,
    Float,
    Floats,
    Bool,
    Str,
    DType,
    Device,
    Layout,
    MemoryFormat,
    Generator,
}

#[derive(Clone, Debug)]
pub struct Param {
    pub name: String,
    pub kind: Kind,
    pub optional: bool,
    /// None: required.
    pub default: Option<Arg>,
    pub keyword_only: bool,
}

/// One overload.
#[derive(Clone)]
pub struct Schema {
    pub text: String,
    pub name: String,
    pub params: Vec<Param>,
    pub run: Run,
    pub doc: &'static str,
}

fn parse_default(kind: Kind, text: &str) -> Option<Arg> {
    Some(match (kind, text) {
        (_, "None") => Arg::None,
        (Kind::Bool, t) => Arg::Bool(t == "True"),
        (Kind::Int, t) => Arg::Int(t.parse().ok()?),
        (Kind::Float, t) => Arg::Float(t.parse().ok()?),
        (Kind::Str, t) => Arg::Str(t.trim_matches('\'').into()),
        (Kind::Ints { .. }, "[]") => Arg::Ints(SmallVec::new()),
        (Kind::Ints { .. }, t) => match t.strip_prefix('[') {
            Some(list) => Arg::Ints(list.trim_end_matches(']').split(',').map(|n| n.trim().parse().ok()).collect::<Option<_>>()?),
            None => Arg::Ints(SmallVec::from_slice(&[t.parse().ok()?])),
        },
        (Kind::Operand | Kind::Scalar, t) => match t.parse::<i64>() {
            Ok(i) => Arg::Scalar(Scalar::Int(i)),
            Err(_) => Arg::Scalar(Scalar::Float(t.parse().ok()?)),
        },
        _ => return None,
    })
}

impl Schema {
    /// Whether a call may write the argument at `place`. `is_on`: whether the one at a place is neither None nor False.
    pub fn may_write(&self, place: usize, is_on: impl Fn(usize) -> bool) -> bool {
        let asked = |name: &str| self.params.iter().position(|p| p.name == name).is_some_and(&is_on);
        match (self.name.as_str(), self.params[place].name.as_str()) {
            (_, "out") => true,
            ("batch_norm", "running_mean" | "running_var") => asked("training"),
            ("instance_norm", "running_mean" | "running_var") => asked("use_input_stats"),
            ("embedding", "weight") => asked("max_norm"),
            (name, _) => place == 0 && name.ends_with('_') && !name.ends_with("__"),
        }
    }

    /// Parses `name(Type name=default, *, …)`. A schema that does not parse is a bug of the table, which the tests find.
    pub fn parse(op: &Op) -> Result<Schema, String> {
        let text = op.schema.to_string();
        let bad = |what: &str| format!("{what} in schema {text}");
        let (name, rest) = text.split_once('(').ok_or_else(|| bad("no parameters"))?;
        let list = rest.rsplit_once(')').ok_or_else(|| bad("no end of parameters"))?.0;
        let mut params = Vec::new();
        let mut keyword_only = false;
        let mut depth = 0;
        for item in list.split(|c| {
            match c {
                '[' => depth += 1,
                ']' => depth -= 1,
                _ => {}
            }
            c == ',' && depth == 0
        }) {
            let item = item.trim();
            match item {
                "" => continue,
                "*" => {
                    keyword_only = true;
                    continue;
                }
                _ => {}
            }
            let (kind, rest) = item.split_once(' ').ok_or_else(|| bad("a parameter without a type"))?;
            let (name, default) = match rest.split_once('=') {
                Some((name, default)) => (name, Some(default)),
                None => (rest, None),
            };
            let (kind, optional) = match kind.strip_suffix('?') {
                Some(kind) => (kind, true),
                None => (kind, false),
            };
            let kind = match kind {
                "Tensor" => Kind::Tensor,
                "Tensor[]" => Kind::Tensors,
                "Tensor?[]" => Kind::OptionalTensors,
                "Operand" => Kind::Operand,
                "Scalar" => Kind::Scalar,
                "int" => Kind::Int,
                "int[]" => Kind::Ints { single: false, rest: false },
                "int[...]" => Kind::Ints { single: true, rest: true },
                "float" => Kind::Float,
                "float[]" => Kind::Floats,
                "bool" => Kind::Bool,
                "str" => Kind::Str,
                "ScalarType" => Kind::DType,
                "Device" => Kind::Device,
                "Layout" => Kind::Layout,
                "MemoryFormat" => Kind::MemoryFormat,
                "Generator" => Kind::Generator,
                k if k.starts_with("int?[") => Kind::OptionalInts,
                k if k.starts_with("int[") => Kind::Ints { single: true, rest: false },
                other => return Err(bad(&format!("unknown type {other}"))),
            };
            let default = match default {
                None => None,
                Some(d) => Some(parse_default(kind, d).ok_or_else(|| bad(&format!("bad default {d}")))?),
            };
            params.push(Param { name: name.into(), kind, optional, default, keyword_only });
        }
        Ok(Schema { name: name.into(), params, run: op.run, doc: op.doc, text: text.clone() })
    }
}
