//! The op registry against PyTorch's recorded values, from Rust alone: the same files in tests/golden/ops that the Python
//! tests read. A case is the text of a call, such as `sum(float32[2, 3], dim=1)`, with its inputs and results beside it.

use rustnn_io::{SafeTensors, load_safetensors};
use rustnn_ops::registry::{self, Arg, Args, Op, Output};
use rustnn_ops::schema::Schema;
use rustnn_ops::{Scalar, Tensor, read};
use std::collections::BTreeMap;
use std::path::Path;

/// An argument as the call's text has it.
#[derive(Clone, Debug)]
enum Literal {
    Tensor,
    List(Vec<Literal>),
    Text(String),
    Int(i64),
    Float(f64),
    Bool(bool),
    None,
}

struct Parser<'a>(&'a str);

impl Parser<'_> {
    fn skip(&mut self, token: &str) -> bool {
        self.0 = self.0.trim_start();
        let found = self.0.strip_prefix(token);
        self.0 = found.unwrap_or(self.0);
        found.is_some()
    }

    fn word(&mut self) -> String {
        self.0 = self.0.trim_start();
        let end = self.0.find(|c: char| !(c.is_alphanumeric() || "_.+-".contains(c))).unwrap_or(self.0.len());
        let (word, rest) = self.0.split_at(end);
        self.0 = rest;
        word.into()
    }

    fn list(&mut self, end: &str) -> Vec<Literal> {
        let mut items = Vec::new();
        while !self.skip(end) {
            items.push(self.value());
            self.skip(",");
        }
        items
    }

    fn value(&mut self) -> Literal {
        if self.skip("[") {
            return Literal::List(self.list("]"));
        }
        if self.skip("(") {
            return Literal::List(self.list(")"));
        }
        if self.skip("'") {
            let (text, rest) = self.0.split_once('\'').expect("a closing quote");
            self.0 = rest;
            return Literal::Text(text.into());
        }
        let word = self.word();
        if self.0.starts_with('[') {
            // A tensor: its shape and perhaps its layout follow; here all inputs are contiguous.
            self.skip("[");
            self.list("]");
            self.word();
            return Literal::Tensor;
        }
        match word.as_str() {
            "None" => Literal::None,
            "True" => Literal::Bool(true),
            "False" => Literal::Bool(false),
            "inf" => Literal::Float(f64::INFINITY),
            "-inf" => Literal::Float(f64::NEG_INFINITY),
            "nan" => Literal::Float(f64::NAN),
            number => number.parse().map(Literal::Int).unwrap_or_else(|_| Literal::Float(number.parse().expect(number))),
        }
    }
}

/// The positional and the named arguments of a call's text.
fn parse(call: &str) -> (Vec<Literal>, BTreeMap<String, Literal>) {
    let mut parser = Parser(call.split_once('(').expect("an opening parenthesis").1);
    let (mut positional, mut named) = (Vec::new(), BTreeMap::new());
    while !parser.skip(")") {
        let before = parser.0;
        let name = parser.word();
        if parser.skip("=") {
            named.insert(name, parser.value());
        } else {
            parser.0 = before;
            positional.push(parser.value());
        }
        parser.skip(",");
    }
    (positional, named)
}

/// The value for a parameter of that schema type; `None` if it does not fit. Tensors are taken from `tensors` in order.
fn bind(kind: &str, value: &Literal, tensors: &mut std::vec::IntoIter<Tensor>) -> Option<Arg> {
    let optional = kind.ends_with('?');
    let kind = kind.trim_end_matches('?');
    let list = kind.split_once('[').map(|(item, _)| item);
    let kind = kind.split('(').next().unwrap_or(kind);
    Some(match (value, list) {
        (Literal::None, _) if optional => Arg::None,
        (Literal::List(items), Some("Tensor")) => {
            Arg::Tensors(items.iter().map(|item| matches!(item, Literal::Tensor).then(|| tensors.next()).flatten()).collect::<Option<_>>()?)
        }
        (Literal::List(items), Some("int" | "SymInt")) => {
            Arg::Ints(items.iter().map(|item| if let Literal::Int(i) = item { Some(*i) } else { None }).collect::<Option<_>>()?)
        }
        (Literal::Int(i), Some("int" | "SymInt")) => Arg::Ints([*i].into_iter().collect()),
        (_, Some(_)) => return None,
        (Literal::Tensor, None) if matches!(kind, "Tensor" | "Operand") => Arg::Tensor(tensors.next()?),
        (Literal::Int(i), None) if matches!(kind, "Operand" | "Scalar") => Arg::Scalar(Scalar::Int(*i)),
        (Literal::Float(x), None) if matches!(kind, "Operand" | "Scalar") => Arg::Scalar(Scalar::Float(*x)),
        (Literal::Bool(b), None) if matches!(kind, "Operand" | "Scalar") => Arg::Scalar(Scalar::Bool(*b)),
        (Literal::Int(i), None) if matches!(kind, "int" | "SymInt") => Arg::Int(*i),
        (Literal::Int(i), None) if kind == "float" => Arg::Float(*i as f64),
        (Literal::Float(x), None) if kind == "float" => Arg::Float(*x),
        (Literal::Bool(b), None) if kind == "bool" => Arg::Bool(*b),
        (Literal::Text(text), None) if kind == "str" => Arg::Str(text.clone()),
        _ => return None,
    })
}

fn default(kind: &str, text: &str) -> Option<Literal> {
    Some(match text {
        "None" => Literal::None,
        "False" | "false" => Literal::Bool(false),
        "True" | "true" => Literal::Bool(true),
        "" => return None,
        _ if kind.starts_with("str") => Literal::Text(text.trim_matches(['\'', '"']).into()),
        _ => Parser(text).value(),
    })
}

/// The call's arguments in the order of the schema; `None` if the schema is of another overload.
fn arguments(op: &Op, call: &str, inputs: &[Tensor]) -> Option<Vec<Arg>> {
    let (positional, mut named) = parse(call);
    let mut positional = positional.into_iter();
    let owned: Vec<Tensor> = inputs.into();
    let mut tensors = owned.into_iter();
    let (_, parameters) = op.schema.split_once('(')?;
    let parameters = parameters.rsplit_once("->").map_or(parameters, |(before, _)| before).trim().strip_suffix(')')?;
    let mut bound = Vec::new();
    let mut depth = 0;
    for part in parameters.split(|c: char| {
        depth += i32::from(matches!(c, '[' | '(')) - i32::from(matches!(c, ']' | ')'));
        c == ',' && depth == 0
    }) {
        let part = part.trim();
        if part == "*" || part.is_empty() {
            continue;
        }
        let (declared, default_text) = part.split_once('=').unwrap_or((part, ""));
        let (kind, name) = declared.trim().rsplit_once(' ')?;
        let name = if name == "self" { "input" } else { name };
        let value = positional.next().or_else(|| named.remove(name)).or_else(|| default(kind, default_text))?;
        bound.push(bind(kind, &value, &mut tensors)?);
    }
    (positional.next().is_none() && named.is_empty() && tensors.next().is_none()).then_some(bound)
}

/// A recorded tensor; `None` for the dtypes left to the Python tests.
fn tensor(file: &SafeTensors, index: &BTreeMap<&str, usize>, key: &str) -> Option<Tensor> {
    fn numbers<const N: usize, T>(bytes: &[u8], read: impl Fn([u8; N]) -> T) -> Vec<T> {
        bytes.chunks_exact(N).map(|chunk| read(chunk.try_into().unwrap())).collect()
    }
    let found = &file.tensors[*index.get(key)?];
    let bytes = file.read(found).unwrap();
    let shape = &found.shape;
    let made = match found.dtype.name() {
        "float32" => Tensor::from_slice(&numbers(&bytes, f32::from_le_bytes), shape),
        "float64" => Tensor::from_slice(&numbers(&bytes, f64::from_le_bytes), shape),
        "int64" => Tensor::from_slice(&numbers(&bytes, i64::from_le_bytes), shape),
        "int32" => Tensor::from_slice(&numbers(&bytes, i32::from_le_bytes), shape),
        "uint8" => Tensor::from_slice(&bytes, shape),
        "bool" => Tensor::from_slice(&bytes.iter().map(|b| *b != 0).collect::<Vec<_>>(), shape),
        _ => return None,
    };
    Some(made.unwrap())
}

fn results(output: Output) -> Vec<Tensor> {
    match output {
        Output::Tensor(tensor) | Output::Written(tensor) => vec![tensor],
        Output::Tensors(tensors) | Output::Named(_, _, tensors) | Output::WrittenNamed(_, _, tensors) => tensors,
        _ => Vec::new(),
    }
}

/// What differs, in words. Floats may be 32 units of the last place of the largest number apart; tighter bounds, an op at a
/// time, stand in tests/references.py.
fn difference(actual: &Tensor, expected: &Tensor) -> Option<String> {
    if actual.dtype() != expected.dtype() || actual.shape() != expected.shape() {
        let kinds = (actual.dtype().name(), actual.shape(), expected.dtype().name(), expected.shape());
        return Some(format!("{} {:?}, expected {} {:?}", kinds.0, kinds.1, kinds.2, kinds.3));
    }
    let values = |tensor: &Tensor| -> Vec<f64> { read::elements(tensor.array()).unwrap().into_iter().map(Scalar::to_f64).collect() };
    let (actual_values, expected_values) = (values(actual), values(expected));
    let largest = expected_values.iter().filter(|x| x.is_finite()).fold(0.0f64, |most, x| most.max(x.abs())).min(1024.0);
    let unit = match expected.dtype().name() {
        "float32" => f64::from(f32::EPSILON),
        "float64" => f64::EPSILON,
        _ => 0.0,
    };
    actual_values
        .iter()
        .zip(&expected_values)
        .position(|(a, b)| {
            let both_nan = a.is_nan() && b.is_nan();
            !(both_nan || a == b || (a - b).abs() <= 32.0 * unit * largest.max(b.abs()))
        })
        .map(|i| format!("element {i} is {}, expected {}", actual_values[i], expected_values[i]))
}

/// Runs every case of a family that the registry has; returns how many ran.
fn version(arg: &Arg) -> Option<u32> {
    if let Arg::Tensor(t) = arg { Some(t.version()) } else { None }
}

fn check_family(family: &str) -> usize {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/ops/{family}.safetensors"));
    let file = load_safetensors(&path).unwrap();
    let index: BTreeMap<&str, usize> = file.tensors.iter().enumerate().map(|(i, tensor)| (tensor.name.as_str(), i)).collect();
    let ops = registry::all();
    let (mut ran, mut wrong) = (0, Vec::new());
    for (case, about) in &file.metadata {
        let call = about.split_once("\"call\":\"").unwrap().1.split("\",\"out\"").next().unwrap().replace("\\\"", "\"");
        let name = call.split('(').next().unwrap();
        let inputs: Option<Vec<Tensor>> = (0..)
            .map(|k| format!("{case}.in{k}"))
            .take_while(|key| index.contains_key(key.as_str()))
            .map(|key| tensor(&file, &index, &key))
            .collect();
        let (Some(inputs), Some(expected)) = (inputs, tensor(&file, &index, &format!("{case}.out0"))) else { continue };
        let Some((op, bound)) = ops.iter().filter(|op| op.name() == name).find_map(|op| Some((op, arguments(op, &call, &inputs)?))) else {
            continue;
        };
        ran += 1;
        let versions: Vec<Option<u32>> = bound.iter().map(version).collect();
        let schema = Schema::parse(op).unwrap();
        let is_on = |at: usize| !matches!(bound[at], Arg::None | Arg::Bool(false));
        match op.run.call(&Args(&bound)) {
            Err(error) => wrong.push(format!("{case} {call}: {error}")),
            Ok(output) => match results(output).first() {
                None => wrong.push(format!("{case} {call}: no tensor")),
                Some(actual) => wrong.extend(difference(actual, &expected).map(|text| format!("{case} {call}: {text}"))),
            },
        }
        let hidden = (0..bound.len()).filter(|&at| version(&bound[at]) != versions[at] && !schema.may_write(at, is_on));
        wrong.extend(hidden.map(|at| format!("{case} {call}: writes argument {at}, of which its schema does not know")));
    }
    assert!(wrong.is_empty(), "{} of {ran} cases of {family}:\n{}", wrong.len(), wrong.join("\n"));
    ran
}

macro_rules! families {
    ($($name:ident $family:literal at least $count:literal;)*) => { $(
        #[test]
        fn $name() {
            let ran = check_family($family);
            assert!(ran >= $count, "only {ran} cases of {} ran", $family);
        }
    )* };
}
families! {
    elementwise_ops_give_what_pytorch_recorded "elementwise" at least 400;
    binary_ops_give_what_pytorch_recorded "elementwise_binary" at least 300;
    reductions_give_what_pytorch_recorded "reductions" at least 100;
    products_give_what_pytorch_recorded "linear_algebra" at least 30;
    convolutions_and_pools_give_what_pytorch_recorded "convolution" at least 30;
    shape_ops_give_what_pytorch_recorded "shape" at least 60;
    sorts_give_what_pytorch_recorded "sorting" at least 10;
}

#[test]
fn calls_are_read_as_they_are_written() {
    let (positional, named) = parse("f([float32[2, 3] transposed, bool[]], (0, -1), 'max', 1.5, dim=None, p=inf)");
    assert_eq!(format!("{positional:?}"), r#"[List([Tensor, Tensor]), List([Int(0), Int(-1)]), Text("max"), Float(1.5)]"#);
    assert_eq!(format!("{named:?}"), r#"{"dim": None, "p": Float(inf)}"#);
}
