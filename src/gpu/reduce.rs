//! Folds over dimensions, variances, extremes with their places, running sums. Every sum has one order, whatever runs beside it.

use crate::call::{Call, WORKGROUP, dense, is_float};
use crate::elementwise::copy;
use rustnn_kernels::arrays::{Extreme, Finish, Fold};
use rustnn_kernels::indexing::Scan;
use rustnn_tensor::{Array, DType, Result, Shape, Strides};

/// Elements that one workgroup folds; longer rows are folded in two steps.
const PART: usize = 16 << 10;

/// The dtype that folds compute in: f32, or int64 for integers and bool.
fn wide(dtype: DType) -> Option<DType> {
    match dtype {
        DType::F32 | DType::F16 | DType::BF16 => Some(DType::F32),
        DType::I8 | DType::I16 | DType::I32 | DType::I64 | DType::U8 | DType::Bool => Some(DType::I64),
        _ => None,
    }
}

/// `x` in another dtype, row-major, with `dims` moved behind the others; and how many elements those have.
fn gathered(x: &Array, dims: &[usize], dtype: DType) -> Result<Option<(Array, usize)>> {
    let kept = (0..x.rank()).filter(|d| !dims.contains(d));
    let order: Vec<usize> = kept.chain(dims.iter().copied()).collect();
    let shape: Shape = order.iter().map(|&d| x.shape()[d]).collect();
    let strides: Strides = order.iter().map(|&d| x.strides()[d]).collect();
    let view = x.with_geometry(shape.clone(), strides, x.offset());
    let len = dims.iter().map(|&d| x.shape()[d]).product();
    if view.is_contiguous() && view.dtype() == dtype {
        return Ok(Some((view, len)));
    }
    let out = Array::empty(&shape, dtype, x.device())?;
    Ok(if copy(&view, &out)? { Some((out, len)) } else { None })
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

/// Folds rows of `len` of a row-major array.
fn fold_rows(fold: Fold, x: &Array, len: usize, finish: Finish, out: &Array) -> Result<bool> {
    let float = x.dtype() == DType::F32;
    let rows = out.numel();
    let (start, step, join) = fold_text(fold, float);
    let value = if float { "f32" } else { "vec2<u32>" };
    let mut call = Call::new(&format!("reduce/{fold:?}"));
    call.read("x", x)?;
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
        "{finished}
fn lowest() -> f32 {{ var bits = 0xff800000u; return bitcast<f32>(bits); }}
fn step_of(v: {value}) -> {value} {{ return {step}; }}
fn joined(a: {value}, b: {value}) -> {value} {{ return {join}; }}
var<workgroup> parts: array<{value}, 256>;
"
    );
    let walk = format!(
        "var total = {start};\nfor (var k = first; k < p.len; k += STEP) {{ total = joined(total, step_of(x(row * p.len + k))); }}\n"
    );
    call.number("rows", rows).number("len", len);
    if len <= 64 || rows >= 1 << 14 {
        let items = format!("{items}const STEP = 1u;\n{LARGER}");
        let body = format!("let row = i;\nif (row >= p.rows) {{ return; }}\nlet first = 0u;\n{walk}out_set(row, finished(total));");
        call.variant("alone", "");
        return call.run((rows as u64).div_ceil(WORKGROUP as u64), WORKGROUP, &items, &body);
    }
    let body = format!(
        "let row = group;\nif (row >= p.rows) {{ return; }}\nlet first = lane;\n{walk}parts[lane] = total;\nworkgroupBarrier();\n\
         for (var s = 128u; s > 0u; s = s >> 1u) {{\n    if (lane < s) {{ parts[lane] = joined(parts[lane], parts[lane + s]); }}\n    workgroupBarrier();\n}}\n\
         if (lane == 0u) {{ out_set(row, finished(parts[0])); }}"
    );
    call.run(rows as u64, WORKGROUP, &format!("{items}const STEP = 256u;\n{LARGER}"), &body)
}

const LARGER: &str = "
fn larger(a: f32, b: f32) -> f32 {
    if ((bitcast<u32>(a) & 0x7fffffffu) > 0x7f800000u) { return a; }
    if ((bitcast<u32>(b) & 0x7fffffffu) > 0x7f800000u) { return b; }
    return max(a, b);
}
";

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
    if x.numel() == 0 {
        return Ok(false);
    }
    let Some((rows, len)) = gathered(x, dims, kind)? else { return Ok(false) };
    // Narrow results, and bool of floats, are converted at the end.
    let direct = out.dtype() == kind && out.is_contiguous();
    let to = if direct { out.clone() } else { Array::empty(out.shape(), kind, out.device())? };
    let parts = len.div_ceil(PART);
    if parts > 1 && len.is_multiple_of(parts) {
        let first = Array::empty(&[to.numel() * parts], kind, out.device())?;
        fold_rows(fold, &rows, len / parts, Finish::Plain, &first)?;
        fold_rows(again(fold), &first, parts, finish, &to)?;
    } else {
        fold_rows(fold, &rows, len, finish, &to)?;
    }
    if direct { Ok(true) } else { copy(&to, out) }
}

/// Variance over `dims` (its root if `root`) and, if asked, the mean.
pub fn variance(x: &Array, dims: &[usize], correction: f64, root: bool, out: &Array, mean: Option<&Array>) -> Result<bool> {
    if !is_float(x) || x.numel() == 0 {
        return Ok(false);
    }
    let Some((rows, len)) = gathered(x, dims, DType::F32)? else { return Ok(false) };
    let mut call = Call::new("variance");
    call.flag("ROOT", root);
    call.read("x", &rows)?;
    call.write("out", out)?;
    call.write_or("mean", mean, "f32")?;
    call.float("divisor", (len as f64 - correction).max(0.0));
    call.rows(
        out.numel(),
        len,
        "",
        "var sum = 0.0;
for (var k = first; k < p.len; k += STEP) { sum += x(row * p.len + k); }
let centre = all_sum(sum, lane) / f32(p.len);
var squares = 0.0;
for (var k = first; k < p.len; k += STEP) { let d = x(row * p.len + k) - centre; squares += d * d; }
squares = all_sum(squares, lane) / p.divisor;
if (first == 0u) {
    mean_set(row, centre);
    if (ROOT) { out_set(row, sqrt(squares)); } else { out_set(row, squares); }
}",
    )
}

/// The first index of the extreme value along `dim`, and the value if asked.
pub fn arg_extreme(extreme: Extreme, x: &Array, dim: usize, values: Option<&Array>, indices: &Array) -> Result<bool> {
    let Some(kind) = wide(x.dtype()) else { return Ok(false) };
    if x.numel() == 0 || indices.dtype() != DType::I64 {
        return Ok(false);
    }
    let dims: &[usize] = if x.rank() == 0 { &[] } else { &[dim] };
    let Some((rows, len)) = gathered(x, dims, kind)? else { return Ok(false) };
    let float = kind == DType::F32;
    let greatest = extreme == Extreme::Max;
    let beats = match (float, greatest) {
        (true, true) => "v > best || (is_nan(v) && !is_nan(best))",
        (true, false) => "v < best || (is_nan(v) && !is_nan(best))",
        (false, true) => "i64_lt(best, v)",
        (false, false) => "i64_lt(v, best)",
    };
    let nan = "fn is_nan(v: f32) -> bool { return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u; }\n";
    let value = if float { "f32" } else { "vec2<u32>" };
    let stop = if float { "if (is_nan(best)) { break; }" } else { "" };
    let mut call = Call::new(&format!("arg_extreme/{greatest}"));
    call.read("x", &rows)?;
    let wide_values =
        values.map(|v| if v.dtype() == kind { Ok(v.clone()) } else { Array::empty(v.shape(), kind, v.device()) }).transpose()?;
    call.write("indices", indices)?;
    call.write_or("values", wide_values.as_ref(), value)?;
    call.number("len", len);
    let body = format!(
        "var best = x(i * p.len);
var at = 0u;
for (var k = 1u; k < p.len; k++) {{
    {stop}
    let v = x(i * p.len + k);
    if ({beats}) {{ best = v; at = k; }}
}}
values_set(i, best);
indices_set(i, vec2<u32>(at, 0u));"
    );
    call.each(indices.numel(), nan, &body)?;
    if let (Some(wide), Some(values)) = (&wide_values, values)
        && !wide.storage().same(values.storage())
    {
        copy(wide, values)?;
    }
    Ok(true)
}

/// Sums or products along `dim`, from the end if `backwards`.
pub fn scan(kind: Scan, backwards: bool, x: &Array, dim: usize, out: &Array) -> Result<bool> {
    let Some(compute) = wide(x.dtype()) else { return Ok(false) };
    if x.numel() == 0 {
        return Ok(true);
    }
    let from = if x.dtype() == compute && x.is_contiguous() {
        x.clone()
    } else {
        let from = Array::empty(x.shape(), compute, x.device())?;
        if !copy(x, &from)? {
            return Ok(false);
        }
        from
    };
    let float = compute == DType::F32;
    let fold = match kind {
        Scan::Sum => Fold::Sum,
        Scan::Product => Fold::Product,
    };
    let (start, _, join) = fold_text(fold, float);
    let to = if out.dtype() == compute { out.clone() } else { Array::empty(out.shape(), compute, out.device())? };
    let value = if float { "f32" } else { "vec2<u32>" };
    let len = x.shape()[dim];
    let inner: usize = x.shape()[dim + 1..].iter().product();
    let mut call = Call::new(&format!("scan/{kind:?}"));
    call.flag("BACKWARDS", backwards);
    call.read("x", &from)?;
    call.write("out", &to)?;
    call.number("len", len).number("inner", inner);
    let body = format!(
        "var total = {start};
for (var k = 0u; k < p.len; k++) {{
    let at = ((i / p.inner) * p.len + select(k, p.len - 1u - k, BACKWARDS)) * p.inner + i % p.inner;
    total = joined(total, x(at));
    out_set(at, total);
}}"
    );
    let items = format!("fn joined(a: {value}, b: {value}) -> {value} {{ return {join}; }}\n");
    call.each(x.numel() / len, &items, &body)?;
    if to.storage().same(out.storage()) { Ok(true) } else { copy(&to, out) }
}

/// Keeps one half of the last two dimensions and zeros the other.
pub fn triangle(half: rustnn_kernels::indexing::Half, diagonal: i64, x: &Array, out: &Array) -> Result<bool> {
    let carrier = match x.dtype().size_bytes() {
        4 => DType::I32,
        8 => DType::I64,
        _ => return Ok(false),
    };
    let (from, to) = (dense(&x.reinterpret(carrier)?)?, out.reinterpret(carrier)?);
    let (rows, columns) = (x.shape()[x.rank() - 2], x.shape()[x.rank() - 1]);
    let lower = half == rustnn_kernels::indexing::Half::Lower;
    let zero = if carrier == DType::I32 { "0" } else { "vec2<u32>(0u, 0u)" };
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
