//! What is carried along a dimension: sums, products, extremes with their places, logarithms of sums of exponentials. Long lines are
//! cut into parts, which are folded first, then carried on from what the parts before them come to; all in one order.

use crate::call::{Call, WORKGROUP, is_float};
use crate::elementwise::copy;
use crate::reduce::wide;
use crate::rows::{ROUNDS, State};
use rustnn_kernels::indexing::Scan;
use rustnn_tensor::{Array, DType, Result};

/// Elements of a line that have a workgroup at least, where lines are cut into parts.
const PART: usize = 16 << 10;
/// Neighbours that one invocation carries by itself.
const OWN: usize = 16;

/// What is carried, by `nothing()` and `joined(a, b)` in `join`; `load(at, k)` and `store(at, s)` read and write its elements.
struct Carried<'a> {
    name: &'a str,
    backwards: bool,
    state: State,
    read: &'a dyn Fn(&mut Call) -> Result<()>,
    write: &'a dyn Fn(&mut Call) -> Result<()>,
    join: &'a str,
    load: &'a str,
    store: &'a str,
}

/// The scan of a workgroup's states in `parts`, which then has them joined from the first on.
const SCANNED: &str = "workgroupBarrier();
    for (var s = 1u; s < 256u; s = s * 2u) {
        if (lane >= s) { own = joined(parts[lane - s], own); }
        workgroupBarrier();
        parts[lane] = own;
        workgroupBarrier();
    }";

impl Carried<'_> {
    /// Along `dim` of `x`.
    fn run(&self, x: &Array, dim: usize) -> Result<bool> {
        let len = x.shape()[dim];
        let inner: usize = x.shape()[dim + 1..].iter().product();
        let lines = x.numel() / len;
        let alone = len <= 64 || inner >= 32 && lines >= 1 << 12;
        // Each step of a workgroup is some ten rounds of its loops.
        let parts = if alone { len.div_ceil(ROUNDS) } else { (len / PART).min(256 / lines).max(len.div_ceil(32 * ROUNDS)).max(1) };
        let part = len.div_ceil(parts);
        let parts = len.div_ceil(part);
        let call = |step: &str| {
            let mut call = Call::new(self.name);
            call.variant(if alone { "alone" } else { "together" }, "")
                .variant(step, "")
                .key_number(self.state.words())
                .flag("BACKWARDS", self.backwards);
            call.number("len", len).number("inner", inner).number("lines", lines).number("part", part).number("parts", parts);
            call.number("own", len.div_ceil(WORKGROUP as usize).clamp(1, OWN));
            call
        };
        if parts == 1 {
            let mut whole = call("whole");
            (self.read)(&mut whole)?;
            (self.write)(&mut whole)?;
            return self.walk(whole, alone, lines, None);
        }
        let held = Array::empty(&[lines * parts * self.state.words()], DType::U32, x.device())?;
        let mut fold = call("fold");
        (self.read)(&mut fold)?;
        fold.write("held", &held)?;
        self.walk(fold, alone, lines * parts, Some(false))?;
        let mut between = call("between");
        between.update("held", &held)?;
        self.between(between, lines)?;
        let mut carry = call("carry");
        (self.read)(&mut carry)?;
        carry.read("held", &held)?;
        (self.write)(&mut carry)?;
        self.walk(carry, alone, lines * parts, Some(true))
    }

    /// Walks over parts; whole lines, or lines of which it keeps what the parts come to, or (true) carries on from that.
    fn walk(&self, call: Call, alone: bool, pieces: usize, carries: Option<bool>) -> Result<bool> {
        let stores = carries != Some(false);
        let held = carries.map_or(String::new(), |carries| self.state.held_text(!carries));
        let store = if stores { self.store } else { "" };
        let mut items = format!(
            "{}{held}{}{}{store}
fn place(line: u32, k: u32) -> u32 {{
    return ((line / p.inner) * p.len + select(k, p.len - 1u - k, BACKWARDS)) * p.inner + line % p.inner;
}}
",
            self.state.text(),
            self.join,
            self.load
        );
        let begin = match carries {
            Some(true) => "kept(line * p.parts + part)",
            _ => "nothing()",
        };
        let each = if stores { "store(at, carry);" } else { "" };
        let keep = if stores { "" } else { "keep(line * p.parts + part, carry);" };
        if alone {
            let body = format!(
                "let line = i % p.lines;
let part = i / p.lines;
let end = min(p.len, (part + 1u) * p.part);
var carry = {begin};
for (var k = part * p.part; k < end; k++) {{
    let at = place(line, k);
    carry = joined(carry, load(at, k));
    {each}
}}
{keep}"
            );
            return call.each(pieces, &items, &body);
        }
        items += "var<workgroup> parts: array<State, 256>;\n";
        let walk = "for (var k = from_; k < until; k++) {
        let at = place(line, k);
        BEFORE = joined(BEFORE, load(at, k));
        EACH
    }";
        let write = match stores {
            true => format!(
                "var before = carry;\n    if (lane > 0u) {{ before = joined(carry, parts[lane - 1u]); }}\n    {}",
                walk.replace("BEFORE", "before").replace("EACH", "store(at, before);")
            ),
            false => String::new(),
        };
        let body = format!(
            "let line = group / p.parts;
let part = group % p.parts;
if (line >= p.lines) {{ return; }}
let end = min(p.len, (part + 1u) * p.part);
var carry = {begin};
for (var base = part * p.part; base < end; base += 256u * p.own) {{
    let from_ = base + lane * p.own;
    let until = min(end, from_ + p.own);
    var own = nothing();
    {}
    parts[lane] = own;
    {SCANNED}
    {write}
    carry = joined(carry, parts[255]);
    workgroupBarrier();
}}
if (lane == 0u) {{ {keep} }}",
            walk.replace("BEFORE", "own").replace("EACH", "")
        );
        call.run(pieces as u64, WORKGROUP, &items, &body)
    }

    /// In place of what each part of a line comes to, what those before it do.
    fn between(&self, call: Call, lines: usize) -> Result<bool> {
        let items = format!("{}{}{}var<workgroup> parts: array<State, 256>;\n", self.state.text(), self.state.held_text(true), self.join);
        let body = format!(
            "let line = group;
if (line >= p.lines) {{ return; }}
var carry = nothing();
for (var base = 0u; base < p.parts; base += 256u) {{
    let k = base + lane;
    var own = nothing();
    if (k < p.parts) {{ own = kept(line * p.parts + k); }}
    parts[lane] = own;
    {SCANNED}
    var before = carry;
    if (lane > 0u) {{ before = joined(carry, parts[lane - 1u]); }}
    if (k < p.parts) {{ keep(line * p.parts + k, before); }}
    carry = joined(carry, parts[255]);
    workgroupBarrier();
}}"
        );
        call.run(lines as u64, WORKGROUP, &items, &body)
    }
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
    let to = target(out, compute)?;
    Carried {
        name: if kind == Scan::Sum { "scan/sum" } else { "scan/product" },
        backwards,
        state: State::Value(if float { "f32" } else { "vec2<u32>" }),
        read: &|call| call.read_wide("x", x),
        write: &|call| call.write("out", &to),
        join: &format!("fn nothing() -> State {{ return {nothing}; }}\nfn joined(a: State, b: State) -> State {{ return {join}; }}\n"),
        load: "fn load(at: u32, k: u32) -> State { return x(at); }\n",
        store: "fn store(at: u32, s: State) { out_set(at, s); }\n",
    }
    .run(x, dim)?;
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
    Carried {
        name: if greatest { "running_extremes/max" } else { "running_extremes/min" },
        backwards: false,
        state: State::Placed(value),
        read: &|call| call.read_wide("x", x),
        write: &|call| {
            call.write("values", &to)?;
            call.write("indices", indices)
        },
        join: &format!(
            "fn is_nan(v: {value}) -> bool {{ return {nan}; }}
fn worse(b: {value}, a: {value}) -> bool {{ return {worse}; }}
fn nothing() -> State {{ return State({value}(), 0xffffffffu); }}
fn joined(a: State, b: State) -> State {{
    if (a.at == 0xffffffffu) {{ return b; }}
    if (b.at == 0xffffffffu) {{ return a; }}
    if (is_nan(b.v)) {{ return b; }}
    if (is_nan(a.v) || worse(b.v, a.v)) {{ return a; }}
    return b;
}}
"
        ),
        load: "fn load(at: u32, k: u32) -> State { return State(x(at), k); }\n",
        store: "fn store(at: u32, s: State) { values_set(at, s.v); indices_set(at, vec2<u32>(s.at, 0u)); }\n",
    }
    .run(x, dim)?;
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
    Carried {
        name: "running_log_sum_exp",
        backwards,
        state: State::Value("f32"),
        read: &|call| call.read("x", x),
        write: &|call| call.write("out", out),
        join: "fn is_nan(v: f32) -> bool { return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u; }
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
",
        load: "fn load(at: u32, k: u32) -> f32 { return x(at); }\n",
        store: "fn store(at: u32, s: f32) { out_set(at, s); }\n",
    }
    .run(x, dim)
}
