//! Programs as safetensors files: weights by their names, the graph as JSON in the header's metadata. docs/export.md is the
//! format's description.

use super::graph::{Graph, Id, Input, Node, Read, Role, Value, Weight};
use super::size::{Guard, Relation, Size, Symbol, Term};
use crate::{DType, Device, Error, Result, Tensor};
use rustnn_io::{SafeTensors, SafeView};
use serde_json::{Map, Value as Json, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// The newest version of the format that is read. It is written where a program has guards or sizes that Python read, which version 1
/// lacks; else that.
pub const VERSION: u64 = 2;

/// What the metadata's entry `format` says.
const FORMAT: &str = "rustnn.program";

/// A bound on symbols, far above what programs have: recording takes 2ⁿ + 1 runs.
const MAX_SYMBOLS: usize = 16;

fn malformed<T>(what: impl std::fmt::Display) -> Result<T> {
    Err(Error::value(format!("malformed program: {what}")))
}

// -------------------------------------------------------------------------------------------------------------- writing

fn of_terms(terms: &[Term]) -> Json {
    terms.iter().map(|t| json!([t.coefficient, t.symbols])).collect()
}

fn of_size(size: &Size) -> Json {
    match size {
        Size::Known(value) => json!(value),
        Size::Varies { terms, divisor } => json!({"terms": of_terms(terms), "divisor": divisor}),
    }
}

fn of_guard(guard: &Guard) -> Json {
    let terms = of_terms(&guard.terms);
    match guard.is {
        Relation::AtLeastZero => json!({"terms": terms, "is": ">= 0"}),
        Relation::NotZero => json!({"terms": terms, "is": "!= 0"}),
        Relation::Multiple(of) => json!({"terms": terms, "is": "multiple", "of": of}),
    }
}

/// Floats are text: JSON has no infinity, and readers differ in the last bit.
fn of_float(value: f64) -> Json {
    json!(format!("{value:?}"))
}

fn of_value(value: &Value) -> Json {
    match value {
        Value::None => Json::Null,
        Value::Tensor(id) => json!({"tensor": id}),
        Value::Tensors(ids) => json!({"tensors": ids}),
        Value::Int(size) => json!({"int": of_size(size)}),
        Value::Ints(list) => json!({"ints": list.iter().map(of_size).collect::<Vec<_>>()}),
        Value::Float(f) => json!({"float": of_float(*f)}),
        Value::Floats(list) => json!({"floats": list.iter().map(|&f| of_float(f)).collect::<Vec<_>>()}),
        Value::Bool(b) => json!({"bool": b}),
        Value::Str(text) => json!({"str": text}),
        Value::DType(dtype) => json!({"dtype": dtype.name()}),
        Value::Device(device) => json!({"device": device.map(|d| d.to_string())}),
    }
}

fn to_json(graph: &Graph) -> Json {
    let symbols = graph.symbols.iter().map(|s| json!({"name": s.name, "min": s.min, "max": s.max}));
    let inputs = graph.inputs.iter().map(
        |input| json!({"name": input.name, "dtype": input.dtype.name(), "shape": input.shape.iter().map(of_size).collect::<Vec<_>>()}),
    );
    let weights = graph.weights.iter().map(|weight| {
        let mut entry = json!({"name": weight.name, "role": weight.role.name(), "requires_grad": weight.tensor.requires_grad()});
        if !weight.aliases.is_empty() {
            entry["aliases"] = json!(weight.aliases);
        }
        if weight.written {
            entry["written"] = json!(true);
        }
        entry
    });
    let nodes = graph.nodes.iter().map(|node| {
        let args: Map<String, Json> = node.args.iter().map(|(name, value)| (name.clone(), of_value(value))).collect();
        let mut entry = json!({"op": node.op, "args": args, "out": node.outs});
        if !node.grad {
            entry["grad"] = json!(false);
        }
        if !node.reads.is_empty() {
            entry["reads"] = node.reads.iter().map(|read| json!([read.out, read.dim, of_size(&read.size)])).collect();
        }
        entry
    });
    let mut json = json!({
        "symbols": symbols.collect::<Vec<_>>(),
        "inputs": inputs.collect::<Vec<_>>(),
        "weights": weights.collect::<Vec<_>>(),
        "nodes": nodes.collect::<Vec<_>>(),
        "outputs": graph.outputs,
        "trees": graph.trees,
    });
    if !graph.guards.is_empty() {
        json["guards"] = graph.guards.iter().map(of_guard).collect();
    }
    json
}

/// Calls `write` with the tensors and the metadata of the file.
///
/// # Errors
/// If weights lie where there is no data, or have a dtype that safetensors lacks; those of `write`.
pub(super) fn write<R>(graph: &Graph, write: impl FnOnce(&[SafeView<'_>], &BTreeMap<String, String>) -> rustnn_io::Result<R>) -> Result<R> {
    let mut data = Vec::new();
    for weight in &graph.weights {
        data.push(weight.tensor.to_bytes()?);
    }
    let views: Vec<SafeView> = graph
        .weights
        .iter()
        .zip(&data)
        .map(|(w, bytes)| SafeView { name: &w.name, dtype: w.tensor.dtype(), shape: w.tensor.shape(), bytes })
        .collect();
    let plain = graph.guards.is_empty() && graph.nodes.iter().all(|node| node.reads.is_empty());
    let version = if plain { 1 } else { VERSION };
    let metadata = [
        ("format", FORMAT.to_string()),
        ("version", version.to_string()),
        ("producer", format!("rustnn {}", env!("CARGO_PKG_VERSION"))),
        ("program", to_json(graph).to_string()),
    ];
    Ok(write(&views, &metadata.map(|(key, value)| (key.into(), value)).into())?)
}

// -------------------------------------------------------------------------------------------------------------- reading

/// A JSON value and where it stands, for messages.
struct At<'a> {
    json: &'a Json,
    path: String,
}

impl<'a> At<'a> {
    fn wrong<T>(&self, wanted: &str) -> Result<T> {
        let mut got = self.json.to_string();
        if let Some((at, _)) = got.char_indices().nth(60) {
            got.truncate(at);
            got.push('…');
        }
        malformed(format!("{}: expected {wanted}, got {got}", self.path))
    }

    fn get(&self, key: &str) -> Result<At<'a>> {
        match self.json.get(key) {
            Some(json) => Ok(At { json, path: format!("{}.{key}", self.path) }),
            None => malformed(format!("{} has no {key:?}", self.path)),
        }
    }

    fn find(&self, key: &str) -> Option<At<'a>> {
        self.json.get(key).map(|json| At { json, path: format!("{}.{key}", self.path) })
    }

    fn list(&self) -> Result<impl Iterator<Item = At<'a>>> {
        match self.json.as_array() {
            Some(list) => {
                let path = self.path.clone();
                Ok(list.iter().enumerate().map(move |(i, json)| At { json, path: format!("{path}[{i}]") }))
            }
            None => self.wrong("a list"),
        }
    }

    fn each<T>(&self, read: impl Fn(&At<'a>) -> Result<T>) -> Result<Vec<T>> {
        self.list()?.map(|item| read(&item)).collect()
    }

    fn text(&self) -> Result<&'a str> {
        self.json.as_str().map_or_else(|| self.wrong("a text"), Ok)
    }

    fn bool(&self) -> Result<bool> {
        self.json.as_bool().map_or_else(|| self.wrong("true or false"), Ok)
    }

    fn int(&self) -> Result<i64> {
        self.json.as_i64().map_or_else(|| self.wrong("an integer"), Ok)
    }

    fn id(&self) -> Result<Id> {
        match self.json.as_u64().and_then(|id| usize::try_from(id).ok()) {
            Some(id) => Ok(id),
            None => self.wrong("a number of a tensor"),
        }
    }

    fn float(&self) -> Result<f64> {
        self.text()?.parse().or_else(|_| self.wrong("a float as text"))
    }

    fn dtype(&self) -> Result<DType> {
        let name = self.text()?;
        DType::ALL.into_iter().find(|d| d.name() == name).map_or_else(|| self.wrong("a dtype"), Ok)
    }

    fn size(&self, symbols: usize) -> Result<Size> {
        if self.json.is_number() {
            return self.int().map(Size::Known);
        }
        let divisor = self.get("divisor")?;
        let terms = self.get("terms")?.terms(symbols)?;
        match divisor.int()? {
            d if d >= 1 => Ok(Size::Varies { terms, divisor: d }),
            _ => divisor.wrong("a divisor of at least 1"),
        }
    }

    fn terms(&self, symbols: usize) -> Result<Vec<Term>> {
        self.each(|term| {
            let parts: Vec<At> = term.list()?.collect();
            let [coefficient, list] = parts.as_slice() else { return term.wrong("a coefficient and symbols") };
            let numbers = list.each(At::id)?;
            if numbers.len() > MAX_SYMBOLS || numbers.iter().any(|&s| s >= symbols) {
                return list.wrong("numbers of symbols");
            }
            Ok(Term { coefficient: coefficient.int()?, symbols: numbers })
        })
    }

    fn guard(&self, symbols: usize) -> Result<Guard> {
        let (terms, is) = (self.get("terms")?.terms(symbols)?, self.get("is")?);
        let is = match is.text()? {
            ">= 0" => Relation::AtLeastZero,
            "!= 0" => Relation::NotZero,
            "multiple" => Relation::Multiple(self.get("of")?.int()?),
            _ => return is.wrong("\">= 0\", \"!= 0\" or \"multiple\""),
        };
        Ok(Guard { terms, is })
    }

    fn read(&self, symbols: usize) -> Result<Read> {
        let parts: Vec<At> = self.list()?.collect();
        let [out, dim, size] = parts.as_slice() else { return self.wrong("a result, a dimension and a size") };
        Ok(Read { out: out.id()?, dim: dim.id()?, size: size.size(symbols)? })
    }

    fn value(&self, symbols: usize) -> Result<Value> {
        if self.json.is_null() {
            return Ok(Value::None);
        }
        let kind = match self.json.as_object() {
            Some(object) if object.len() == 1 => object.keys().next().map_or("", String::as_str),
            _ => return self.wrong("an argument"),
        };
        let of = self.get(kind)?;
        Ok(match kind {
            "tensor" => Value::Tensor(of.id()?),
            "tensors" => Value::Tensors(of.each(|item| if item.json.is_null() { Ok(None) } else { item.id().map(Some) })?),
            "int" => Value::Int(of.size(symbols)?),
            "ints" => Value::Ints(of.each(|item| item.size(symbols))?),
            "float" => Value::Float(of.float()?),
            "floats" => Value::Floats(of.each(At::float)?),
            "bool" => Value::Bool(of.bool()?),
            "str" => Value::Str(of.text()?.into()),
            "dtype" => Value::DType(of.dtype()?),
            "device" => Value::Device(if of.json.is_null() { None } else { Some(Device::parse(of.text()?)?) }),
            _ => return self.wrong("an argument"),
        })
    }
}

/// Reads a program's file: weights on the CPU. The graph is of the right form, but not yet checked against the ops.
pub(super) fn read(file: &SafeTensors) -> Result<Graph> {
    let entry = |key: &str| file.metadata.get(key).map(String::as_str);
    if entry("format") != Some(FORMAT) {
        return malformed("the file is no program: its metadata has no \"format\" \"rustnn.program\"");
    }
    match entry("version").map(str::parse::<u64>) {
        Some(Ok(version)) if (1..=VERSION).contains(&version) => {}
        _ => return malformed(format!("version {:?} is not known here, the newest is {VERSION}", entry("version").unwrap_or("?"))),
    }
    let Some(text) = entry("program") else { return malformed("the metadata has no \"program\"") };
    let json: Json = serde_json::from_str(text).or_else(malformed)?;
    let root = At { json: &json, path: "program".into() };
    let symbols = root
        .get("symbols")?
        .each(|s| Ok(Symbol { name: s.get("name")?.text()?.into(), min: s.get("min")?.int()?, max: s.get("max")?.int()? }))?;
    if symbols.len() > MAX_SYMBOLS {
        return malformed(format!("{} symbols, more than {MAX_SYMBOLS}", symbols.len()));
    }
    let count = symbols.len();
    let guards = root.find("guards").map_or(Ok(Vec::new()), |list| list.each(|guard| guard.guard(count)))?;
    let inputs = root.get("inputs")?.each(|input| {
        let shape = input.get("shape")?.each(|size| size.size(count))?;
        Ok(Input { name: input.get("name")?.text()?.into(), dtype: input.get("dtype")?.dtype()?, shape })
    })?;
    let stored: HashMap<&str, _> = file.tensors.iter().map(|tensor| (tensor.name.as_str(), tensor)).collect();
    let mut names = BTreeSet::new();
    let mut weights = Vec::new();
    for at in root.get("weights")?.list()? {
        let name = at.get("name")?.text()?;
        let role = at.get("role")?;
        let word = role.text()?;
        let Some(&(known, _)) = Role::ALL.iter().find(|(_, name)| *name == word) else { return role.wrong("a role") };
        let aliases = match at.find("aliases") {
            Some(list) => list.each(|alias| alias.text().map(String::from))?,
            None => Vec::new(),
        };
        if !names.insert(name.to_string()) || aliases.iter().any(|alias| !names.insert(alias.clone())) {
            return malformed(format!("{} has a name that is used twice", at.path));
        }
        let Some(&found) = stored.get(name) else { return malformed(format!("the file has no tensor {name:?}")) };
        let tensor = Tensor::from_bytes(&file.read(found)?, &found.shape, found.dtype)?.requires_grad_(at.get("requires_grad")?.bool()?)?;
        let written = at.find("written").map_or(Ok(false), |w| w.bool())?;
        weights.push(Weight { name: name.into(), aliases, role: known, written, tensor });
    }
    if let Some(extra) = file.tensors.iter().find(|tensor| !names.contains(&tensor.name)) {
        return malformed(format!("the tensor {:?} is no weight of the program", extra.name));
    }
    let nodes = root.get("nodes")?.each(|node| {
        let args = node.get("args")?;
        let Some(object) = args.json.as_object() else { return args.wrong("arguments by name") };
        let args = object
            .iter()
            .map(|(name, json)| Ok((name.clone(), At { json, path: format!("{}.{name}", args.path) }.value(count)?)))
            .collect::<Result<_>>()?;
        let grad = node.find("grad").map_or(Ok(true), |g| g.bool())?;
        let reads = node.find("reads").map_or(Ok(Vec::new()), |list| list.each(|read| read.read(count)))?;
        Ok(Node { op: node.get("op")?.text()?.into(), args, outs: node.get("out")?.each(At::id)?, grad, reads })
    })?;
    let outputs = root.get("outputs")?.each(At::id)?;
    let trees = root.get("trees")?.text()?.into();
    Ok(Graph { symbols, guards, inputs, weights, nodes, outputs, trees })
}
