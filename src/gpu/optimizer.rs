//! Optimizer steps: one launch for many parameters, which reads and writes their arrays once. The formulas are those of
//! `rustnn_kernels::optimizer`, in PyTorch's order of operations.

use crate::call::{Call, WORKGROUP, are_floats};
use crate::device::buffer;
use rustnn_kernels::layers::{Adam, Sgd};
use rustnn_tensor::{Array, Result};
use std::fmt::Write;

/// Tensors that one launch updates, at most; fewer where the adapter binds fewer buffers.
const MANY: usize = 16;

macro_rules! numbered {
    ($name:literal) => {
        numbered!($name 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15)
    };
    ($name:literal $($number:literal)*) => {
        [$(concat!($name, $number)),*]
    };
}

/// What a step has one array of for each parameter; None: it has none, and the rule sees a 0.
struct List<'a> {
    name: &'static str,
    names: [&'static str; MANY],
    writes: bool,
    arrays: Option<&'a [&'a Array]>,
}

/// Runs `rule`, which changes `*NAME` of each list, on every element of the arrays at `places`.
fn step(name: &str, places: &[usize], lists: &[List], settings: &dyn Fn(&mut Call), rule: &str) -> Result<()> {
    let lists_there = lists.iter().filter(|l| l.arrays.is_some()).count();
    let Some(first) = lists.iter().find_map(|l| l.arrays.and_then(|a| a.first())) else { return Ok(()) };
    let limit = buffer(first)?.gpu().storage_buffers();
    for chunk in places.chunks((limit / lists_there.max(1)).clamp(1, MANY)) {
        let mut call = Call::new(name);
        call.key_number(chunk.len());
        settings(&mut call);
        let mut groups = 0;
        for (t, &place) in chunk.iter().enumerate() {
            let mut count = 0;
            for list in lists {
                let Some(arrays) = list.arrays else { continue };
                count = arrays[place].numel();
                if list.writes {
                    call.update(list.names[t], arrays[place])?
                } else {
                    call.read(list.names[t], arrays[place])?
                };
            }
            const COUNTS: [&str; MANY] = numbered!("n");
            const STARTS: [&str; MANY] = numbered!("start");
            call.number(COUNTS[t], count).number(STARTS[t], groups);
            groups += count.div_ceil(WORKGROUP as usize);
        }
        call.launch(groups as u64, WORKGROUP, &|| text(chunk.len(), lists, rule))?;
    }
    Ok(())
}

/// The rule as a function, and a body that finds an invocation's tensor and element and applies it.
fn text(count: usize, lists: &[List], rule: &str) -> (String, String) {
    let mut body = String::from("var t = 0u;\nvar start = 0u;\n");
    for t in 1..count {
        let _ = writeln!(body, "if (group >= p.start{t}) {{ t = {t}u; start = p.start{t}; }}");
    }
    let _ = writeln!(body, "let e = (group - start) * {WORKGROUP}u + lane;\nswitch t {{");
    for t in 0..count {
        let (mut load, mut apply, mut store) = (String::new(), String::from("rule("), String::new());
        for list in lists {
            let (name, own) = (list.name, list.names[t]);
            let value = if list.arrays.is_some() { format!("{own}(e)") } else { "0.0".into() };
            let _ = write!(load, "var {name} = {value}; ");
            let _ = write!(apply, "&{name}, ");
            if list.writes && list.arrays.is_some() {
                let _ = write!(store, "{own}_set(e, {name}); ");
            }
        }
        let _ = writeln!(body, "case {t}u: {{ if (e < p.n{t}) {{ {load}{apply}); {store}}} }}");
    }
    body += "default: {}\n}";
    let pointers: Vec<String> = lists.iter().map(|l| format!("{}: ptr<function, f32>", l.name)).collect();
    (format!("fn rule({}) {{\n{rule}\n}}\n", pointers.join(", ")), body)
}

/// Places by what differs in their settings: one launch has one setting.
fn alike<T: PartialEq>(count: usize, of: impl Fn(usize) -> T) -> Vec<(T, Vec<usize>)> {
    let mut groups: Vec<(T, Vec<usize>)> = Vec::new();
    for i in 0..count {
        let own = of(i);
        match groups.iter_mut().find(|g| g.0 == own) {
            Some(group) => group.1.push(i),
            None => groups.push((own, vec![i])),
        }
    }
    groups
}

/// A step of SGD; `first` tells which momentum buffers have just been made.
pub fn sgd(settings: &Sgd, params: &[&Array], grads: &[&Array], buffers: &[&Array], first: &[bool]) -> Result<bool> {
    if !params.iter().chain(grads).chain(buffers).all(|a| are_floats(&[Some(a)])) {
        return Ok(false);
    }
    let momentum = !buffers.is_empty();
    for (first, places) in alike(params.len(), |i| first.get(i).copied().unwrap_or(false)) {
        let lists = [
            List { name: "param", names: numbered!("param"), writes: true, arrays: Some(params) },
            List { name: "grad", names: numbered!("grad"), writes: false, arrays: Some(grads) },
            List { name: "buffer", names: numbered!("buffer"), writes: true, arrays: momentum.then_some(buffers) },
        ];
        let numbers = |call: &mut Call| {
            call.flag("MOMENTUM", momentum).flag("FIRST", first).flag("NESTEROV", settings.nesterov);
            call.flag("DECAY", settings.weight_decay != 0.0).flag("MAXIMIZE", settings.maximize);
            call.float("lr", -settings.lr).float("momentum", settings.momentum).float("undamped", 1.0 - settings.dampening);
            call.float("decay", settings.weight_decay);
        };
        step(
            "sgd",
            &places,
            &lists,
            &numbers,
            "var g = *grad;
if (MAXIMIZE) { g = -g; }
if (DECAY) { g = g + p.decay * *param; }
if (MOMENTUM) {
    var b = g;
    if (!FIRST) { b = *buffer * p.momentum + p.undamped * g; }
    *buffer = b;
    if (NESTEROV) { g = g + p.momentum * b; } else { g = b; }
}
*param = *param + p.lr * g;",
        )?;
    }
    Ok(true)
}

/// A step of Adam or AdamW; `steps` counts this one too. With `greatest` it is AMSGrad.
pub fn adam(
    settings: &Adam,
    params: &[&Array],
    grads: &[&Array],
    averages: &[&Array],
    squares: &[&Array],
    greatest: Option<&[&Array]>,
    steps: &[f64],
) -> Result<bool> {
    let all = params.iter().chain(grads).chain(averages).chain(squares).chain(greatest.unwrap_or(&[]));
    if !all.copied().all(|a| are_floats(&[Some(a)])) {
        return Ok(false);
    }
    for (count, places) in alike(params.len(), |i| steps[i]) {
        let lists = [
            List { name: "param", names: numbered!("param"), writes: true, arrays: Some(params) },
            List { name: "grad", names: numbered!("grad"), writes: false, arrays: Some(grads) },
            List { name: "average", names: numbered!("average"), writes: true, arrays: Some(averages) },
            List { name: "square", names: numbered!("square"), writes: true, arrays: Some(squares) },
            List { name: "largest", names: numbered!("largest"), writes: true, arrays: greatest },
        ];
        let bias = [1.0 - settings.beta1.powf(count), 1.0 - settings.beta2.powf(count)];
        let numbers = |call: &mut Call| {
            call.flag("AMSGRAD", greatest.is_some()).flag("DECAY", settings.weight_decay != 0.0);
            call.flag("DECOUPLED", settings.decoupled).flag("MAXIMIZE", settings.maximize);
            call.float("weight1", 1.0 - settings.beta1).float("beta2", settings.beta2).float("weight2", 1.0 - settings.beta2);
            call.float("eps", settings.eps).float("decay", settings.weight_decay);
            call.float("shrink", 1.0 - settings.lr * settings.weight_decay);
            call.float("step_size", -(settings.lr / bias[0])).float("root", bias[1].sqrt());
        };
        step(
            "adam",
            &places,
            &lists,
            &numbers,
            "var w = *param;
var g = *grad;
if (MAXIMIZE) { g = -g; }
if (DECAY) {
    if (DECOUPLED) { w = w * p.shrink; } else { g = g + p.decay * w; }
}
let m = *average;
let mean = select(g - (g - m) * (1.0 - p.weight1), m + p.weight1 * (g - m), p.weight1 < 0.5);
*average = mean;
var v = *square * p.beta2 + p.weight2 * g * g;
*square = v;
if (AMSGRAD) {
    let l = *largest;
    if (l > v || (bitcast<u32>(l) & 0x7fffffffu) > 0x7f800000u) { v = l; }
    *largest = v;
}
*param = w + p.step_size * mean / (sqrt(v) / p.root + p.eps);",
        )?;
    }
    Ok(true)
}
