//! Recordings at several sizes of the inputs, made one program for all sizes.

use super::graph::{Graph, Node, Value};
use super::size::{Size, Symbol};
use crate::{Error, Result, Tensor};

/// Returns an error with that text.
macro_rules! refuse {
    ($($arg:tt)*) => { return Err(Error::value(format!($($arg)*))) };
}

/// The program of which `recordings` are instances: they differ in integers alone, each of which is a polynomial of the
/// symbols. Recording `m` of the first 2ⁿ was made with the symbols' first values but for those in the bits of `m`; the
/// last proves the rest. `points` are the symbols' values in each.
///
/// # Errors
/// If the recordings differ in more; the message names the node.
pub fn merge(recordings: &[Graph], symbols: Vec<Symbol>, points: &[Vec<i64>]) -> Result<Graph> {
    let expected = 1usize.checked_shl(symbols.len() as u32).and_then(|n| n.checked_add(1)).unwrap_or(usize::MAX);
    let complete = recordings.len() == expected && points.len() == expected && points.iter().all(|p| p.len() == symbols.len());
    let Some((first, others)) = recordings.split_first().filter(|_| complete) else {
        refuse!("{} symbols need {expected} recordings, got {}", symbols.len(), recordings.len())
    };
    let at = Merge { points, symbols: &symbols };
    let mut graph = first.clone();
    for (i, input) in graph.inputs.iter_mut().enumerate() {
        for d in 0..input.shape.len() {
            let values: Option<Vec<&Size>> = recordings.iter().map(|r| r.inputs.get(i)?.shape.get(d)).collect();
            input.shape[d] = at.size(&values.unwrap_or_default(), &|| format!("size {d} of input {}", input.name))?;
        }
    }
    for (n, node) in graph.nodes.iter_mut().enumerate() {
        let same: Option<Vec<&Node>> = others.iter().map(|r| r.nodes.get(n).filter(|other| at.is_alike(node, other))).collect();
        let Some(same) = same else {
            let other = others.iter().filter_map(|r| r.nodes.get(n)).find(|other| !at.is_alike(node, other));
            refuse!(
                "export: the module does not run the same ops for every size of its inputs: call {n} is {} with {} and {} with {}. \
                 A loop over a dimension that varies, or a branch on its size, cannot be recorded; name the sizes that vary in \
                 dynamic_shapes, or none",
                describe(Some(node)),
                at.at(0),
                describe(other),
                at.at(others.iter().position(|r| r.nodes.get(n).is_none_or(|other| !at.is_alike(node, other))).map_or(0, |i| i + 1)),
            );
        };
        let op = node.op.clone();
        for (a, (name, value)) in node.args.iter_mut().enumerate() {
            let all: Vec<Value> = std::iter::once(value.clone()).chain(same.iter().map(|s| s.args[a].1.clone())).collect();
            *value = at.value(&all, &|| format!("argument {name:?} of {op} (call {n})"))?;
        }
    }
    let longer = others.iter().find(|r| r.nodes.len() != graph.nodes.len());
    if let Some(longer) = longer {
        refuse!(
            "export: the module runs {} ops with {} and {} with other sizes of its inputs: a loop over a dimension that varies, or a \
             branch on its size, cannot be recorded",
            graph.nodes.len(),
            at.at(0),
            longer.nodes.len()
        );
    }
    for other in others {
        if other.outputs != graph.outputs || other.trees != graph.trees {
            refuse!("export: what the module returns is made in another way for other sizes of its inputs");
        }
        same_weights(&graph, other)?;
    }
    graph.symbols = symbols;
    Ok(graph)
}

fn describe(node: Option<&Node>) -> String {
    node.map_or("none".into(), |node| format!("{}()", node.op))
}

fn same_weights(graph: &Graph, other: &Graph) -> Result<()> {
    if graph.weights.len() != other.weights.len() {
        refuse!("export: forward uses other tensors for other sizes of its inputs");
    }
    for (weight, twin) in graph.weights.iter().zip(&other.weights) {
        let (a, b) = (&weight.tensor, &twin.tensor);
        let bytes = |t: &Tensor| t.to_bytes();
        if a.shape() != b.shape() || a.dtype() != b.dtype() || (!a.same(b) && bytes(a)? != bytes(b)?) {
            refuse!(
                "export: forward makes {} of Python numbers that depend on the sizes of its inputs: shape {:?} here and {:?} there. \
                 Make it with an op such as arange or full",
                weight.name,
                a.shape(),
                b.shape()
            );
        }
    }
    Ok(())
}

struct Merge<'a> {
    points: &'a [Vec<i64>],
    symbols: &'a [Symbol],
}

impl Merge<'_> {
    /// The symbols' values in recording `i`: `batch = 3`.
    fn at(&self, i: usize) -> String {
        let pairs = self.symbols.iter().zip(&self.points[i]).map(|(symbol, value)| format!("{} = {value}", symbol.name));
        pairs.collect::<Vec<_>>().join(", ")
    }

    fn is_alike(&self, a: &Node, b: &Node) -> bool {
        let args = |node: &Node| node.args.iter().map(|(name, value)| (name.clone(), std::mem::discriminant(value))).collect::<Vec<_>>();
        a.op == b.op && a.outs == b.outs && a.grad == b.grad && args(a) == args(b)
    }

    fn size(&self, sizes: &[&Size], what: &dyn Fn() -> String) -> Result<Size> {
        let values: Vec<i64> = sizes.iter().filter_map(|s| if let Size::Known(v) = s { Some(*v) } else { None }).collect();
        let found = if values.len() == self.points.len() { Size::through(self.points, &values) } else { None };
        match found {
            Some(size) => Ok(size),
            None => refuse!(
                "export: {} is no polynomial of the sizes that vary: it is {} with {}",
                what(),
                values.iter().map(i64::to_string).collect::<Vec<_>>().join(", "),
                (0..self.points.len()).map(|i| self.at(i)).collect::<Vec<_>>().join("; "),
            ),
        }
    }

    fn value(&self, values: &[Value], what: &dyn Fn() -> String) -> Result<Value> {
        let first = &values[0];
        if values.iter().all(|v| v.is_same(first)) {
            return Ok(first.clone());
        }
        match first {
            Value::Int(_) => {
                let sizes: Vec<&Size> = values.iter().filter_map(|v| if let Value::Int(s) = v { Some(s) } else { None }).collect();
                self.size(&sizes, what).map(Value::Int)
            }
            Value::Ints(list) => {
                let lists: Vec<&Vec<Size>> = values.iter().filter_map(|v| if let Value::Ints(s) = v { Some(s) } else { None }).collect();
                if lists.iter().any(|other| other.len() != list.len()) {
                    refuse!("export: {} has more or fewer numbers for other sizes of the inputs", what());
                }
                (0..list.len())
                    .map(|i| self.size(&lists.iter().map(|l| &l[i]).collect::<Vec<_>>(), what))
                    .collect::<Result<_>>()
                    .map(Value::Ints)
            }
            _ => refuse!(
                "export: {} is {first:?} with {} and {:?} with other sizes of the inputs: only integers may depend on them. \
                 Compute it with tensors",
                what(),
                self.at(0),
                values.iter().find(|v| *v != first).unwrap_or(first)
            ),
        }
    }
}
