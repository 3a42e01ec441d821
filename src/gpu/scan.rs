//! What is carried along a dimension: sums, products, extremes with their places, logarithms of sums of exponentials. Long lines
//! have a workgroup each, which joins them in one order.

use crate::call::{Call, WORKGROUP, is_float};
use crate::elementwise::copy;
use crate::reduce::wide;
use rustnn_kernels::indexing::Scan;
use rustnn_tensor::{Array, DType, Result};

/// Carries `State` along `dim` of `x` by `joined(a, b)`, which stands in `items` with `NOTHING`, `load(at, k)` and `store(at, s)`.
fn carried(mut call: Call, x: &Array, dim: usize, backwards: bool, items: &str) -> Result<bool> {
    let len = x.shape()[dim];
    let inner: usize = x.shape()[dim + 1..].iter().product();
    let lines = x.numel() / len;
    call.flag("BACKWARDS", backwards);
    call.number("len", len).number("inner", inner).number("lines", lines);
    let items = format!(
        "{items}
fn place(line: u32, k: u32) -> u32 {{
    return ((line / p.inner) * p.len + select(k, p.len - 1u - k, BACKWARDS)) * p.inner + line % p.inner;
}}
"
    );
    if len <= 64 || inner >= 32 && lines >= 1 << 12 {
        call.variant("alone", "");
        let body = "var carry = nothing();
for (var k = 0u; k < p.len; k++) {
    let at = place(i, k);
    carry = joined(carry, load(at, k));
    store(at, carry);
}";
        return call.each(lines, &items, body);
    }
    let items = format!("{items}var<workgroup> parts: array<State, 256>;\n");
    let body = "let line = group;
if (line >= p.lines) { return; }
var carry = nothing();
for (var base = 0u; base < p.len; base += 256u) {
    let k = base + lane;
    var own = nothing();
    if (k < p.len) { own = load(place(line, k), k); }
    parts[lane] = own;
    workgroupBarrier();
    for (var s = 1u; s < 256u; s = s * 2u) {
        if (lane >= s) { own = joined(parts[lane - s], own); }
        workgroupBarrier();
        parts[lane] = own;
        workgroupBarrier();
    }
    if (k < p.len) { store(place(line, k), joined(carry, own)); }
    carry = joined(carry, parts[255]);
    workgroupBarrier();
}";
    call.run(lines as u64, WORKGROUP, &items, body)
}

/// The array that a scan writes, of its dtype.
fn target(out: &Array, compute: DType) -> Result<Array> {
    if out.dtype() == compute { Ok(out.clone()) } else { Array::empty(out.shape(), compute, out.device()) }
}

fn settled(to: &Array, out: &Array) -> Result<bool> {
    if to.storage().same(out.storage()) { Ok(true) } else { copy(to, out) }
}

/// Sums or products along `dim`, from the end if `backwards`.
pub fn scan(kind: Scan, backwards: bool, x: &Array, dim: usize, out: &Array) -> Result<bool> {
    if x.numel() == 0 {
        return Ok(true);
    }
    let Some(compute) = wide(x.dtype()) else { return Ok(false) };
    let float = compute == DType::F32;
    let (nothing, join) = match (kind, float) {
        (Scan::Sum, true) => ("0.0", "a + b"),
        (Scan::Product, true) => ("1.0", "a * b"),
        (Scan::Sum, false) => ("vec2<u32>(0u, 0u)", "i64_add(a, b)"),
        (Scan::Product, false) => ("vec2<u32>(1u, 0u)", "i64_mul(a, b)"),
    };
    let value = if float { "f32" } else { "vec2<u32>" };
    let to = target(out, compute)?;
    let mut call = Call::new(&format!("scan/{kind:?}"));
    call.read_wide("x", x)?;
    call.write("out", &to)?;
    let items = format!(
        "alias State = {value};
fn nothing() -> State {{ return {nothing}; }}
fn joined(a: State, b: State) -> State {{ return {join}; }}
fn load(at: u32, k: u32) -> State {{ return x(at); }}
fn store(at: u32, s: State) {{ out_set(at, s); }}
"
    );
    carried(call, x, dim, backwards, &items)?;
    settled(&to, out)
}

/// The extreme so far along `dim` and its place: the last of equals, the last NaN before all.
pub fn running_extremes(greatest: bool, x: &Array, dim: usize, values: &Array, indices: &Array) -> Result<bool> {
    if x.numel() == 0 {
        return Ok(true);
    }
    let Some(compute) = wide(x.dtype()) else { return Ok(false) };
    let float = compute == DType::F32;
    let value = if float { "f32" } else { "vec2<u32>" };
    let worse = match (float, greatest) {
        (true, true) => "b < a",
        (true, false) => "b > a",
        (false, true) => "i64_lt(b, a)",
        (false, false) => "i64_lt(a, b)",
    };
    let nan = if float { "(bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u" } else { "false" };
    let to = target(values, compute)?;
    let mut call = Call::new(&format!("running_extremes/{greatest}"));
    call.read_wide("x", x)?;
    call.write("values", &to)?;
    call.write("indices", indices)?;
    let items = format!(
        "struct State {{ v: {value}, at: u32 }}
fn is_nan(v: {value}) -> bool {{ return {nan}; }}
fn worse(b: {value}, a: {value}) -> bool {{ return {worse}; }}
fn nothing() -> State {{ return State({value}(), 0xffffffffu); }}
fn joined(a: State, b: State) -> State {{
    if (a.at == 0xffffffffu) {{ return b; }}
    if (b.at == 0xffffffffu) {{ return a; }}
    if (is_nan(b.v)) {{ return b; }}
    if (is_nan(a.v) || worse(b.v, a.v)) {{ return a; }}
    return b;
}}
fn load(at: u32, k: u32) -> State {{ return State(x(at), k); }}
fn store(at: u32, s: State) {{ values_set(at, s.v); indices_set(at, vec2<u32>(s.at, 0u)); }}
"
    );
    carried(call, x, dim, false, &items)?;
    settled(&to, values)
}

/// `ln Σ exp` so far along `dim`.
pub fn running_log_sum_exp(backwards: bool, x: &Array, dim: usize, out: &Array) -> Result<bool> {
    if !is_float(x) {
        return Ok(false);
    }
    if x.numel() == 0 {
        return Ok(true);
    }
    let mut call = Call::new("running_log_sum_exp");
    call.read("x", x)?;
    call.write("out", out)?;
    let items = "alias State = f32;
fn is_nan(v: f32) -> bool { return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u; }
fn nothing() -> f32 { var bits = 0xff800000u; return bitcast<f32>(bits); }
fn joined(a: f32, b: f32) -> f32 {
    if (is_nan(a)) { return a; }
    if (is_nan(b)) { return b; }
    let low = min(a, b);
    let high = max(a, b);
    // Equal infinities would give NaN.
    if ((bitcast<u32>(high) & 0x7fffffffu) == 0x7f800000u || (bitcast<u32>(low) & 0x7fffffffu) == 0x7f800000u) { return high; }
    return high + log(1.0 + exp(low - high));
}
fn load(at: u32, k: u32) -> f32 { return x(at); }
fn store(at: u32, s: f32) { out_set(at, s); }
";
    carried(call, x, dim, backwards, items)
}
