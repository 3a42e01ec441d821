//! Folds over dimensions, variances, extremes with their places. Every sum has one order, whatever runs beside it.

use crate::call::{Call, WORKGROUP, dense, is_float, rows_of};
use crate::elementwise::copy;
use crate::rows::{Folds, LARGER, ROUNDS, Rows, State, spread};
use rustnn_kernels::arrays::{Extreme, Finish, Fold};
use rustnn_kernels::value::Scalar;
use rustnn_tensor::{Array, DType, Result, Shape, Strides};

/// Elements of a line that one workgroup folds at least, where longer ones are folded in two steps.
const PART: usize = 4 << 10;

/// The dtype that folds compute in: f32, or int64 for integers and bool.
pub(crate) fn wide(dtype: DType) -> Option<DType> {
    match dtype {
        DType::F32 | DType::F16 | DType::BF16 => Some(DType::F32),
        DType::I8 | DType::I16 | DType::I32 | DType::I64 | DType::U8 | DType::Bool => Some(DType::I64),
        _ => None,
    }
}

/// `x` row-major, with `dims` moved behind the others; and how many elements those have.
fn gathered(x: &Array, dims: &[usize]) -> Result<(Array, usize)> {
    let kept = (0..x.rank()).filter(|d| !dims.contains(d));
    let order: Vec<usize> = kept.chain(dims.iter().copied()).collect();
    let shape: Shape = order.iter().map(|&d| x.shape()[d]).collect();
    let strides: Strides = order.iter().map(|&d| x.strides()[d]).collect();
    let view = x.with_geometry(shape.clone(), strides, x.offset());
    let len = dims.iter().map(|&d| x.shape()[d]).product();
    Ok((rows_of(&view)?, len))
}

/// Text of the start value, the step and the join of a fold in f32, then in int64.
fn fold_text(fold: Fold, float: bool) -> (&'static str, &'static str, &'static str) {
    match (fold, float) {
        (Fold::Sum, true) => ("0.0", "v", "a + b"),
        (Fold::SumSquares, true) => ("0.0", "v * v", "a + b"),
        (Fold::SumAbs, true) => ("0.0", "abs(v)", "a + b"),
        (Fold::Product, true) => ("1.0", "v", "a * b"),
        (Fold::Max, true) => ("lowest()", "v", "larger(a, b)"),
        (Fold::Min, true) => ("-lowest()", "v", "-larger(-a, -b)"),
        (Fold::MaxAbs, true) => ("0.0", "abs(v)", "larger(a, b)"),
        (Fold::Any, true) => ("0.0", "select(0.0, 1.0, !(v == 0.0))", "max(a, b)"),
        (Fold::All, true) => ("1.0", "select(0.0, 1.0, !(v == 0.0))", "min(a, b)"),
        (Fold::Sum, false) => ("vec2<u32>(0u, 0u)", "v", "i64_add(a, b)"),
        (Fold::SumSquares, false) => ("vec2<u32>(0u, 0u)", "i64_mul(v, v)", "i64_add(a, b)"),
        (Fold::SumAbs, false) => ("vec2<u32>(0u, 0u)", "i64_abs(v)", "i64_add(a, b)"),
        (Fold::Product, false) => ("vec2<u32>(1u, 0u)", "v", "i64_mul(a, b)"),
        (Fold::Max, false) => ("vec2<u32>(0u, 0x80000000u)", "v", "select(a, b, i64_lt(a, b))"),
        (Fold::Min, false) => ("vec2<u32>(0xffffffffu, 0x7fffffffu)", "v", "select(a, b, i64_lt(b, a))"),
        (Fold::MaxAbs, false) => ("vec2<u32>(0u, 0u)", "i64_abs(v)", "select(a, b, i64_lt(a, b))"),
        (Fold::Any, false) => ("vec2<u32>(0u, 0u)", "select(vec2<u32>(1u, 0u), vec2<u32>(0u, 0u), all(v == vec2<u32>(0u, 0u)))", "a | b"),
        (Fold::All, false) => ("vec2<u32>(1u, 0u)", "select(vec2<u32>(1u, 0u), vec2<u32>(0u, 0u), all(v == vec2<u32>(0u, 0u)))", "a & b"),
    }
}

/// What a second step folds the results of the first with.
fn again(fold: Fold) -> Fold {
    match fold {
        Fold::SumSquares | Fold::SumAbs => Fold::Sum,
        Fold::MaxAbs => Fold::Max,
        other => other,
    }
}

/// A fold of the middle of a row-major array, `outer x len x inner`, in pieces of `part` of the middle: a piece's fold of each line.
struct Lines {
    outer: usize,
    len: usize,
    inner: usize,
    part: usize,
}

impl Lines {
    fn parts(&self) -> usize {
        self.len.div_ceil(self.part).max(1)
    }
}

/// Folds into `outer x parts x inner`.
fn fold_lines(fold: Fold, x: &Array, lines: &Lines, finish: Finish, out: &Array) -> Result<bool> {
    let float = is_float(x);
    let (start, step, join) = fold_text(fold, float);
    let value = if float { "f32" } else { "vec2<u32>" };
    let mut call = Call::new(&format!("reduce/{fold:?}"));
    call.read_wide("x", x)?;
    call.write("out", out)?;
    let (divisor, root) = match finish {
        Finish::Plain => (1.0, false),
        Finish::Over(d) => (d, false),
        Finish::OverRoot(d) => (d, true),
    };
    call.flag("OVER", finish != Finish::Plain && float).flag("ROOT", root);
    call.float("divisor", divisor);
    let finished = if float {
        "fn finished(v: f32) -> f32 {\n    if (ROOT) { return sqrt(v / p.divisor); }\n    if (OVER) { return v / p.divisor; }\n    return v;\n}\n"
    } else {
        "fn finished(v: vec2<u32>) -> vec2<u32> { return v; }\n"
    };
    let items = format!(
        "{finished}{LARGER}
fn step_of(v: {value}) -> {value} {{ return {step}; }}
fn joined(a: {value}, b: {value}) -> {value} {{ return {join}; }}
// Every STEP-th element of a piece, from `first` on; in groups of 64, whose sums lose fewer digits than one long sum.
fn walk(line: u32, piece: u32, first: u32) -> {value} {{
    let base = (line / p.inner) * p.len * p.inner + line % p.inner;
    let end = min(p.len, (piece + 1u) * p.part);
    var total = {start};
    for (var at = piece * p.part + first; at < end; at += 64u * STEP) {{
        let stop = min(end, at + 64u * STEP);
        var own = {start};
        for (var k = at; k < stop; k += STEP) {{ own = joined(own, step_of(x(base + k * p.inner))); }}
        total = joined(total, own);
    }}
    return total;
}}
fn place(line: u32, piece: u32) -> u32 {{ return ((line / p.inner) * p.parts + piece) * p.inner + line % p.inner; }}
var<workgroup> parts: array<{value}, 256>;
"
    );
    let parts = lines.parts();
    let count = lines.outer * lines.inner;
    call.number("len", lines.len).number("inner", lines.inner).number("part", lines.part);
    call.number("parts", parts).number("lines", count);
    let width = lines.len.min(lines.part);
    if width <= 32 || lines.inner >= 32 && count * parts >= 1 << 14 {
        call.variant("alone", "const STEP = 1u;\n");
        let body = "let line = i % p.lines;\nlet piece = i / p.lines;\nout_set(place(line, piece), finished(walk(line, piece, 0u)));";
        return call.each(count * parts, &items, body);
    }
    if lines.inner == 1 {
        call.variant("rows", "const STEP = 256u;\n");
        let body = "let line = group % p.lines;
let piece = group / p.lines;
if (piece >= p.parts) { return; }
parts[lane] = walk(line, piece, lane);
workgroupBarrier();
for (var s = 128u; s > 0u; s = s >> 1u) {
    if (lane < s) { parts[lane] = joined(parts[lane], parts[lane + s]); }
    workgroupBarrier();
}
if (lane == 0u) { out_set(place(line, piece), finished(parts[0])); }";
        return call.run((count * parts) as u64, WORKGROUP, &items, body);
    }
    // Neighbouring lines side by side, 8 invocations each.
    call.variant("columns", "const STEP = 8u;\n");
    let across = count.div_ceil(32);
    call.number("across", across);
    let body = "let line = (group % p.across) * 32u + lane % 32u;
let piece = group / p.across;
if (piece >= p.parts) { return; }
let inside = line < p.lines;
if (inside) { parts[lane] = walk(line, piece, lane / 32u); }
workgroupBarrier();
for (var s = 128u; s >= 32u; s = s >> 1u) {
    if (lane < s && inside) { parts[lane] = joined(parts[lane], parts[lane + s]); }
    workgroupBarrier();
}
if (lane < 32u && inside) { out_set(place(line, piece), finished(parts[lane])); }";
    call.run((across * parts) as u64, WORKGROUP, &items, body)
}

/// `x` row-major as `outer x len x inner` around the dimensions to be folded, which are neighbours; None: they are not.
fn middle(x: &Array, dims: &[usize]) -> Option<(usize, usize, usize)> {
    let sorted = dims.windows(2).all(|d| d[0] + 1 == d[1]);
    if !sorted || !x.is_contiguous() {
        return None;
    }
    let (first, last) = (*dims.first()?, *dims.last()?);
    let count = |d: std::ops::Range<usize>| x.shape()[d].iter().product::<usize>();
    Some((count(0..first), count(first..last + 1), count(last + 1..x.rank())))
}

/// Folds `x` over `dims` into the contiguous `out`.
pub fn reduce(fold: Fold, x: &Array, dims: &[usize], finish: Finish, out: &Array) -> Result<bool> {
    let (Some(kind), Some(out_kind)) = (wide(x.dtype()), wide(out.dtype())) else { return Ok(false) };
    if kind == DType::I64 && finish != Finish::Plain
        || kind == DType::F32 && out_kind == DType::I64 && !matches!(fold, Fold::Any | Fold::All)
    {
        return Ok(false);
    }
    if out.numel() == 0 {
        return Ok(true);
    }
    let (rows, (outer, len, inner)) = match middle(x, dims) {
        Some(sizes) => (x.clone(), sizes),
        None => {
            let (rows, len) = gathered(x, dims)?;
            (rows, (out.numel(), len, 1))
        }
    };
    // Narrow results, and bool of floats, are converted at the end.
    let direct = out.dtype() == kind && out.is_contiguous();
    let to = if direct { out.clone() } else { Array::empty(out.shape(), kind, out.device())? };
    // Long lines of which there are few are folded in two steps.
    let busy = if inner == 1 { outer } else { outer * inner.div_ceil(32) };
    let steps = [8, 256, 1][usize::from(inner == 1) + 2 * usize::from(inner >= 32)];
    let parts = (len / PART).min(256 / busy.max(1)).max(len.div_ceil(steps * ROUNDS)).max(1);
    let lines = Lines { outer, len, inner, part: len.div_ceil(parts).max(1) };
    if lines.parts() > 1 {
        let first = Array::empty(&[to.numel() * lines.parts()], kind, out.device())?;
        fold_lines(fold, &rows, &lines, Finish::Plain, &first)?;
        let second = Lines { outer, len: lines.parts(), inner, part: lines.parts() };
        fold_lines(again(fold), &first, &second, finish, &to)?;
    } else {
        fold_lines(fold, &rows, &lines, finish, &to)?;
    }
    if direct { Ok(true) } else { copy(&to, out) }
}

/// Variance over `dims` (its root if `root`) and, if asked, the mean.
pub fn variance(x: &Array, dims: &[usize], correction: f64, root: bool, out: &Array, mean: Option<&Array>) -> Result<bool> {
    if !is_float(x) {
        return Ok(false);
    }
    if x.numel() == 0 {
        // Of nothing, if there are results at all.
        let nan = |to: &Array| crate::elementwise::fill(to, Scalar::Float(f64::NAN));
        return Ok(nan(out)? && mean.map_or(Ok(true), nan)?);
    }
    let (rows, len) = gathered(x, dims)?;
    Rows {
        name: "variance",
        count: out.numel(),
        len,
        inputs: &|call| {
            call.flag("ROOT", root).float("divisor", (len as f64 - correction).max(0.0));
            call.read("x", &rows)
        },
        outputs: &|call| {
            call.write("out", out)?;
            call.write_or("mean", mean, "f32")
        },
        items: "",
        before: "",
        passes: &spread!("x(row * p.len + k)", "let v = squares / p.divisor;"),
        each: "",
        last: "mean_set(row, centre);
if (ROOT) { out_set(row, sqrt(v)); } else { out_set(row, v); }",
    }
    .run()
}

/// The first index of the extreme value along `dim`, and the value if asked.
pub fn arg_extreme(extreme: Extreme, x: &Array, dim: usize, values: Option<&Array>, indices: &Array) -> Result<bool> {
    let Some(kind) = wide(x.dtype()) else { return Ok(false) };
    if indices.dtype() != DType::I64 {
        return Ok(false);
    }
    if x.numel() == 0 {
        // Extremes of nothing are refused before: there are no results.
        return Ok(true);
    }
    let dims: &[usize] = if x.rank() == 0 { &[] } else { &[dim] };
    let (rows, len) = gathered(x, dims)?;
    let float = kind == DType::F32;
    let greatest = extreme == Extreme::Max;
    let beats = match (float, greatest) {
        (true, true) => "v > best || (is_nan(v) && !is_nan(best))",
        (true, false) => "v < best || (is_nan(v) && !is_nan(best))",
        (false, true) => "i64_lt(best, v)",
        (false, false) => "i64_lt(v, best)",
    };
    let value = if float { "f32" } else { "vec2<u32>" };
    let nan = if float { "(bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u" } else { "false" };
    let wide_values =
        values.map(|v| if v.dtype() == kind { Ok(v.clone()) } else { Array::empty(v.shape(), kind, v.device()) }).transpose()?;
    Folds {
        name: if greatest { "arg_extreme/max" } else { "arg_extreme/min" },
        count: indices.numel(),
        len,
        state: State::Placed(value),
        inputs: &|call| call.read_wide("x", &rows),
        outputs: &|call| {
            call.write("indices", indices)?;
            call.write_or("values", wide_values.as_ref(), value)
        },
        join: &format!(
            "fn is_nan(v: {value}) -> bool {{ return {nan}; }}
fn beats(v: {value}, best: {value}) -> bool {{ return {beats}; }}
fn nothing() -> State {{ return State({value}(), 0xffffffffu); }}
fn joined(a: State, b: State) -> State {{
    if (a.at == 0xffffffffu) {{ return b; }}
    if (b.at == 0xffffffffu) {{ return a; }}
    if (beats(b.v, a.v) || (b.at < a.at && !beats(a.v, b.v))) {{ return b; }}
    return a;
}}
"
        ),
        load: "fn load(row: u32, k: u32) -> State { return State(x(row * p.len + k), k); }\n",
        done: "indices_set(row, vec2<u32>(s.at, 0u));\nvalues_set(row, s.v);",
    }
    .run()?;
    if let (Some(wide), Some(values)) = (&wide_values, values)
        && !wide.storage().same(values.storage())
    {
        copy(wide, values)?;
    }
    Ok(true)
}

/// Keeps one half of the last two dimensions and zeros the other.
pub fn triangle(half: rustnn_kernels::indexing::Half, diagonal: i64, x: &Array, out: &Array) -> Result<bool> {
    let carrier = match x.dtype().size_bytes() {
        1 => DType::U8,
        2 => DType::I16,
        4 => DType::I32,
        8 => DType::I64,
        _ => return Ok(false),
    };
    let (from, to) = (dense(&x.reinterpret(carrier)?)?, out.reinterpret(carrier)?);
    let (rows, columns) = (x.shape()[x.rank() - 2], x.shape()[x.rank() - 1]);
    let lower = half == rustnn_kernels::indexing::Half::Lower;
    let zero = if carrier == DType::I64 { "vec2<u32>(0u, 0u)" } else { "0" };
    let mut call = Call::new("triangle");
    call.flag("LOWER", lower);
    call.read("x", &from)?;
    call.write("out", &to)?;
    let limit = 1 << 30;
    call.number("count", rows).number("columns", columns).integer("diagonal", diagonal.clamp(-limit, limit));
    let body = format!(
        "let c = i32(i % p.columns);
let r = i32((i / p.columns) % p.count);
let kept = select(c - r >= p.diagonal, c - r <= p.diagonal, LOWER);
if (kept) {{ out_set(i, x(i)); }} else {{ out_set(i, {zero}); }}"
    );
    call.each(x.numel(), "", &body)
}
