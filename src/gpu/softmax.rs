//! Softmax, its logarithm, and the losses on classes.

use crate::call::{Call, are_floats};
use crate::rows::{Join, Pass, Rows};
use rustnn_kernels::arrays::{Finish, Fold};
use rustnn_kernels::layers::Entropy;
use rustnn_tensor::{Array, DType, Result};
use smallvec::SmallVec;

/// Rows of `len` elements `inner` apart: where element k of a row lies.
const PLACE: &str = "
fn place(row: u32, k: u32) -> u32 { return ((row / p.inner) * p.len + k) * p.inner + row % p.inner; }
";

fn split(shape: &[usize], dim: usize) -> (usize, usize, usize) {
    if shape.is_empty() {
        return (1, 1, 1);
    }
    (shape[..dim].iter().product(), shape[dim], shape[dim + 1..].iter().product())
}

/// Softmax along `dim`, its logarithm if `log`.
pub fn softmax(log: bool, x: &Array, dim: usize, out: &Array) -> Result<bool> {
    if !are_floats(&[Some(x), Some(out)]) {
        return Ok(false);
    }
    let (outer, len, inner) = split(x.shape(), dim);
    Rows {
        name: if log { "softmax/log" } else { "softmax" },
        count: outer * inner,
        len,
        inputs: &|call| {
            call.read("x", x)?;
            call.number("inner", inner);
            Ok(())
        },
        outputs: &|call| call.write("out", out),
        items: PLACE,
        before: "",
        passes: &SOFT,
        each: if log {
            "out_set(place(row, k), x(place(row, k)) - greatest - ln);"
        } else {
            "out_set(place(row, k), exp(x(place(row, k)) - greatest) / sum);"
        },
        last: "",
    }
    .run()
}

/// The greatest of a row's `x` and the logarithm of the sum of exponentials, the greatest taken off.
const SOFT: [Pass; 2] = [
    Pass { load: "", folds: &[("greatest", Join::Max, "x(place(row, k))")], then: "" },
    Pass { load: "", folds: &[("sum", Join::Sum, "exp(x(place(row, k)) - greatest)")], then: "let ln = log(sum);" },
];

/// The gradient of [`softmax`] from its result.
pub fn softmax_backward(log: bool, dy: &Array, y: &Array, dim: usize, dx: &Array) -> Result<bool> {
    if !are_floats(&[Some(dy), Some(y), Some(dx)]) {
        return Ok(false);
    }
    let (outer, len, inner) = split(y.shape(), dim);
    let (pass, each) = match log {
        true => (
            Pass { load: "", folds: &[("sum", Join::Sum, "dy(place(row, k))")], then: "" },
            "let j = place(row, k);\ndx_set(j, dy(j) - exp(y(j)) * sum);",
        ),
        false => (
            Pass { load: "let j = place(row, k);", folds: &[("sum", Join::Sum, "dy(j) * y(j)")], then: "" },
            "let j = place(row, k);\ndx_set(j, (dy(j) - sum) * y(j));",
        ),
    };
    Rows {
        name: if log { "softmax_backward/log" } else { "softmax_backward" },
        count: outer * inner,
        len,
        inputs: &|call| {
            call.reads([("dy", dy), ("y", y)])?;
            call.number("inner", inner);
            Ok(())
        },
        outputs: &|call| call.write("dx", dx),
        items: PLACE,
        before: "",
        passes: &[pass],
        each,
        last: "",
    }
    .run()
}

/// The class of an item: -1 where it does not count; one outside is flagged and moved inside.
const CLASS: &str = "
fn class_of(item: u32) -> i32 {
    let t = target_(item);
    if (t.x == p.ignore_l && t.y == p.ignore_h) { return -1; }
    if (t.y != 0u || t.x >= p.len) { flag(t, p.len); return 0; }
    return i32(t.x);
}
";

/// Binds what both losses and their gradients read.
fn entropy_inputs(call: &mut Call, entropy: &Entropy) -> Result<()> {
    let classes = entropy.target.dtype() == DType::I64;
    call.flag("CLASSES", classes).flag("SMOOTH", entropy.smoothing != 0.0);
    call.read(if classes { "target_" } else { "likely" }, entropy.target)?;
    if classes {
        call.variant("classes", CLASS).flagged();
    }
    call.read_or("weight", entropy.weight, "1.0")?;
    call.number("ignore_l", entropy.ignore_index as usize).number("ignore_h", (entropy.ignore_index >> 32) as usize);
    call.float("smoothing", entropy.smoothing);
    Ok(())
}

/// Whether shaders compute a loss with these classes or probabilities.
fn has_loss(entropy: &Entropy) -> bool {
    are_floats(&[entropy.weight]) && entropy.target.dtype() != DType::F64
}

/// Cross-entropy of logits (with what its backward wants in `saved`), or the negative log-likelihood: the losses, and as a result
/// their sum and the sum of the weights of the items that count.
pub fn class_loss(x: &Array, entropy: &Entropy, losses: &Array, saved: Option<&Array>) -> Result<Option<Array>> {
    if !are_floats(&[Some(x), Some(losses), saved]) || !has_loss(entropy) {
        return Ok(None);
    }
    let (n, classes, inner) = (x.shape()[0], x.shape()[1], x.shape()[2..].iter().product::<usize>());
    let items = n * inner;
    let both = Array::empty(&[2, items], DType::F32, x.device())?;
    const EVEN: Pass = Pass { load: "", folds: &[("even", Join::Sum, "(ln - (x(place(row, k)) - greatest)) * weight(k)")], then: "" };
    const LIKELY: Pass = Pass {
        load: "let t = (likely(place(row, k)) * (1.0 - p.smoothing) + p.smoothing / f32(p.len)) * weight(k);",
        folds: &[("loss", Join::Sum, "(ln - (x(place(row, k)) - greatest)) * t")],
        then: "",
    };
    let (of_classes, smooth) = (entropy.target.dtype() == DType::I64, entropy.smoothing != 0.0);
    let mut passes: SmallVec<[Pass; 3]> = SmallVec::new();
    if saved.is_some() {
        passes.extend(SOFT);
    }
    match (of_classes, smooth) {
        (true, false) => {}
        (true, true) => passes.push(EVEN),
        (false, _) => passes.push(LIKELY),
    }
    const OF_CLASS: &str = "let kind = class_of(row);
var counted = 0.0;
var loss = 0.0;
if (kind >= 0) {
    counted = weight(u32(kind));
    loss = counted * (ln - (x(place(row, u32(kind))) - greatest));
";
    const KEEP: &str = "losses_set(row, loss);
saved_set(row, greatest);
saved_set(p.items + row, ln);
both_set(row, loss);
";
    let last = match (of_classes, smooth) {
        (true, false) => format!("{OF_CLASS}}}\n{KEEP}both_set(p.items + row, counted);"),
        (true, true) => format!(
            "{OF_CLASS}    loss = loss * (1.0 - p.smoothing) + even * (p.smoothing / f32(p.len));\n}}\n{KEEP}both_set(p.items + row, counted);"
        ),
        (false, _) => format!("{KEEP}both_set(p.items + row, 1.0);"),
    };
    Rows {
        name: if saved.is_some() { "class_loss/logits" } else { "class_loss" },
        count: items,
        len: classes,
        inputs: &|call| {
            entropy_inputs(call, entropy)?;
            call.read("x", x)?;
            call.number("inner", inner).number("items", items);
            Ok(())
        },
        outputs: &|call| {
            call.write("losses", losses)?;
            call.write_or("saved", saved, "f32")?;
            call.write("both", &both)
        },
        items: PLACE,
        before: if saved.is_some() { "" } else { "let greatest = 0.0;\nlet ln = 0.0;\n" },
        passes: &passes,
        each: "",
        last: &last,
    }
    .run()?;
    let sums = Array::empty(&[2], DType::F32, x.device())?;
    if items == 0 {
        crate::elementwise::fill(&sums, 0.0.into())?;
    } else {
        crate::reduce::reduce(Fold::Sum, &both, &[1], Finish::Plain, &sums)?;
    }
    Ok(Some(sums))
}

/// The gradient of [`class_loss`] for `x`; `one` is that of every loss, or `each` has one per item.
pub fn class_loss_backward(
    x: &Array,
    entropy: &Entropy,
    saved: Option<&Array>,
    one: f64,
    each: Option<&Array>,
    dx: &Array,
) -> Result<bool> {
    if !are_floats(&[Some(x), saved, each, Some(dx)]) || !has_loss(entropy) {
        return Ok(false);
    }
    let (n, classes, inner) = (x.shape()[0], x.shape()[1], x.shape()[2..].iter().product::<usize>());
    let items = n * inner;
    const WEIGHTS: Pass = Pass { load: "", folds: &[("weights", Join::Sum, "weight(k)")], then: "" };
    const LIKELY: Pass = Pass {
        load: "",
        folds: &[("total", Join::Sum, "(likely(place(row, k)) * (1.0 - p.smoothing) + p.smoothing / f32(p.len)) * weight(k)")],
        then: "",
    };
    let (passes, body): (&[Pass], &str) = match (entropy.target.dtype() == DType::I64, entropy.smoothing != 0.0) {
        (false, _) => (
            &[LIKELY],
            "let j = place(row, k);
let t = (likely(j) * (1.0 - p.smoothing) + p.smoothing / f32(p.len)) * weight(k);
dx_set(j, (exp(x(j) - greatest - ln) * total - t) * dloss);",
        ),
        (true, true) => (
            &[WEIGHTS],
            "let j = place(row, k);
let even = p.smoothing / f32(p.len);
let t = select(0.0, w * (1.0 - p.smoothing), i32(k) == kind);
var d = -t;
if (LOGITS) { d = exp(x(j) - greatest - ln) * (w * (1.0 - p.smoothing) + weights * even) - (t + weight(k) * even); }
if (kind < 0) { d = 0.0; } else { d = d * dloss; }
dx_set(j, d);",
        ),
        (true, false) => (
            &[],
            "let j = place(row, k);
let t = select(0.0, w * (1.0 - p.smoothing), i32(k) == kind);
var d = -t;
if (LOGITS) { d = exp(x(j) - greatest - ln) * (w * (1.0 - p.smoothing)) - t; }
if (kind < 0) { d = 0.0; } else { d = d * dloss; }
dx_set(j, d);",
        ),
    };
    const BEFORE: &str = "let dloss = each(row);\nlet greatest = saved(row);\nlet ln = saved(p.items + row);\n";
    let before = match entropy.target.dtype() == DType::I64 {
        true => format!("{BEFORE}let kind = class_of(row);\nvar w = 0.0;\nif (kind >= 0) {{ w = weight(u32(kind)); }}\n"),
        false => BEFORE.to_owned(),
    };
    Rows {
        name: "class_loss_backward",
        count: items,
        len: classes,
        inputs: &|call| {
            entropy_inputs(call, entropy)?;
            call.flag("LOGITS", saved.is_some());
            call.read_or("each", each, "p.one")?;
            match saved {
                Some(saved) => {
                    call.reads([("x", x), ("saved", saved)])?;
                }
                None => {
                    call.variant("", "fn x(i: u32) -> f32 { return 0.0; }\nfn saved(i: u32) -> f32 { return 0.0; }\n");
                }
            }
            call.float("one", one).number("inner", inner).number("items", items);
            Ok(())
        },
        outputs: &|call| call.write("dx", dx),
        items: PLACE,
        before: &before,
        passes,
        each: body,
        last: "",
    }
    .run()
}
