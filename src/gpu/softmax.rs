//! Softmax, its logarithm, and the losses on classes.

use crate::call::{Call, are_floats};
use rustnn_kernels::arrays::{Finish, Fold};
use rustnn_kernels::layers::Entropy;
use rustnn_tensor::{Array, DType, Result};

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
    let mut call = Call::new("softmax");
    call.flag("LOG", log);
    call.read("x", x)?;
    call.write("out", out)?;
    call.number("inner", inner);
    call.rows(
        outer * inner,
        len,
        PLACE,
        "var bits = 0xff800000u;
var greatest = bitcast<f32>(bits);
for (var k = first; k < p.len; k += STEP) { greatest = larger(greatest, x(place(row, k))); }
greatest = all_max(greatest, lane);
var sum = 0.0;
for (var k = first; k < p.len; k += STEP) { sum += exp(x(place(row, k)) - greatest); }
sum = all_sum(sum, lane);
let ln = log(sum);
for (var k = first; k < p.len; k += STEP) {
    let v = x(place(row, k)) - greatest;
    if (LOG) { out_set(place(row, k), v - ln); } else { out_set(place(row, k), exp(v) / sum); }
}",
    )
}

/// The gradient of [`softmax`] from its result.
pub fn softmax_backward(log: bool, dy: &Array, y: &Array, dim: usize, dx: &Array) -> Result<bool> {
    if !are_floats(&[Some(dy), Some(y), Some(dx)]) {
        return Ok(false);
    }
    let (outer, len, inner) = split(y.shape(), dim);
    let mut call = Call::new("softmax_backward");
    call.flag("LOG", log);
    call.read("dy", dy)?;
    call.read("y", y)?;
    call.write("dx", dx)?;
    call.number("inner", inner);
    call.rows(
        outer * inner,
        len,
        PLACE,
        "var sum = 0.0;
for (var k = first; k < p.len; k += STEP) {
    let j = place(row, k);
    if (LOG) { sum += dy(j); } else { sum += dy(j) * y(j); }
}
sum = all_sum(sum, lane);
for (var k = first; k < p.len; k += STEP) {
    let j = place(row, k);
    if (LOG) { dx_set(j, dy(j) - exp(y(j)) * sum); } else { dx_set(j, (dy(j) - sum) * y(j)); }
}",
    )
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

/// What both losses and their gradients bind; false where there is no kernel.
fn entropy_call(name: &str, entropy: &Entropy, logits: bool) -> Result<Option<Call>> {
    if !are_floats(&[entropy.weight]) || entropy.target.dtype() == DType::F64 {
        return Ok(None);
    }
    let mut call = Call::new(name);
    let classes = entropy.target.dtype() == DType::I64;
    call.flag("CLASSES", classes).flag("LOGITS", logits).flag("SMOOTH", entropy.smoothing != 0.0);
    call.read(if classes { "target_" } else { "likely" }, entropy.target)?;
    if classes {
        call.variant("classes", CLASS).flagged();
        call.variant("", "fn likely(i: u32) -> f32 { return 0.0; }\n");
    } else {
        call.variant("probabilities", "fn class_of(item: u32) -> i32 { return 0; }\n");
    }
    call.read_or("weight", entropy.weight, "1.0")?;
    call.number("ignore_l", entropy.ignore_index as usize).number("ignore_h", (entropy.ignore_index >> 32) as usize);
    call.float("smoothing", entropy.smoothing);
    Ok(Some(call))
}

/// Cross-entropy of logits (with what its backward wants in `saved`), or the negative log-likelihood: the losses, and as a result
/// their sum and the sum of the weights of the items that count.
pub fn class_loss(x: &Array, entropy: &Entropy, losses: &Array, saved: Option<&Array>) -> Result<Option<Array>> {
    if !are_floats(&[Some(x), Some(losses), saved]) {
        return Ok(None);
    }
    let Some(mut call) = entropy_call("class_loss", entropy, saved.is_some())? else { return Ok(None) };
    let (n, classes, inner) = (x.shape()[0], x.shape()[1], x.shape()[2..].iter().product::<usize>());
    let items = n * inner;
    let both = Array::empty(&[2, items], DType::F32, x.device())?;
    call.read("x", x)?;
    call.write("losses", losses)?;
    call.write_or("saved", saved, "f32")?;
    call.write("both", &both)?;
    call.number("inner", inner).number("items", items);
    call.rows(
        items,
        classes,
        PLACE,
        "var greatest = 0.0;
var ln = 0.0;
if (LOGITS) {
    var bits = 0xff800000u;
    greatest = bitcast<f32>(bits);
    for (var k = first; k < p.len; k += STEP) { greatest = larger(greatest, x(place(row, k))); }
    greatest = all_max(greatest, lane);
    var sum = 0.0;
    for (var k = first; k < p.len; k += STEP) { sum += exp(x(place(row, k)) - greatest); }
    ln = log(all_sum(sum, lane));
}
var loss = 0.0;
var counted = 1.0;
if (CLASSES) {
    let kind = class_of(row);
    counted = 0.0;
    if (kind >= 0) {
        counted = weight(u32(kind));
        loss = counted * (ln - (x(place(row, u32(kind))) - greatest));
    }
    if (SMOOTH) {
        var even = 0.0;
        for (var k = first; k < p.len; k += STEP) { even += (ln - (x(place(row, k)) - greatest)) * weight(k); }
        even = all_sum(even, lane);
        if (kind >= 0) { loss = loss * (1.0 - p.smoothing) + even * (p.smoothing / f32(p.len)); }
    }
} else {
    for (var k = first; k < p.len; k += STEP) {
        let t = (likely(place(row, k)) * (1.0 - p.smoothing) + p.smoothing / f32(p.len)) * weight(k);
        loss += (ln - (x(place(row, k)) - greatest)) * t;
    }
    loss = all_sum(loss, lane);
}
if (first == 0u) {
    losses_set(row, loss);
    saved_set(row, greatest);
    saved_set(p.items + row, ln);
    both_set(row, loss);
    both_set(p.items + row, counted);
}",
    )?;
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
    if !are_floats(&[Some(x), saved, each, Some(dx)]) {
        return Ok(false);
    }
    let Some(mut call) = entropy_call("class_loss_backward", entropy, saved.is_some())? else { return Ok(false) };
    let (n, classes, inner) = (x.shape()[0], x.shape()[1], x.shape()[2..].iter().product::<usize>());
    let items = n * inner;
    call.read_or("each", each, "p.one")?;
    call.write("dx", dx)?;
    match saved {
        Some(saved) => {
            call.read("x", x)?;
            call.read("saved", saved)?;
        }
        None => {
            call.variant("", "fn x(i: u32) -> f32 { return 0.0; }\nfn saved(i: u32) -> f32 { return 0.0; }\n");
        }
    }
    call.float("one", one).number("inner", inner).number("items", items);
    call.rows(
        items,
        classes,
        PLACE,
        "let dloss = each(row);
let greatest = saved(row);
let ln = saved(p.items + row);
if (CLASSES) {
    let kind = class_of(row);
    var w = 0.0;
    if (kind >= 0) { w = weight(u32(kind)); }
    var total = w * (1.0 - p.smoothing);
    if (SMOOTH) {
        var sum = 0.0;
        for (var k = first; k < p.len; k += STEP) { sum += weight(k); }
        sum = all_sum(sum, lane);
        total += sum * (p.smoothing / f32(p.len));
    }
    for (var k = first; k < p.len; k += STEP) {
        let j = place(row, k);
        var t = 0.0;
        if (i32(k) == kind) { t = w * (1.0 - p.smoothing); }
        var d = -t;
        if (LOGITS) {
            if (SMOOTH) { t += weight(k) * (p.smoothing / f32(p.len)); }
            d = exp(x(j) - greatest - ln) * total - t;
        }
        if (kind < 0) { d = 0.0; } else { d = d * dloss; }
        dx_set(j, d);
    }
} else {
    var total = 0.0;
    for (var k = first; k < p.len; k += STEP) {
        total += (likely(place(row, k)) * (1.0 - p.smoothing) + p.smoothing / f32(p.len)) * weight(k);
    }
    total = all_sum(total, lane);
    for (var k = first; k < p.len; k += STEP) {
        let j = place(row, k);
        let t = (likely(j) * (1.0 - p.smoothing) + p.smoothing / f32(p.len)) * weight(k);
        dx_set(j, (exp(x(j) - greatest - ln) * total - t) * dloss);
    }
}",
    )
}
