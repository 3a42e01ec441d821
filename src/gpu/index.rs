//! Reading and writing by indices. Indices have been moved inside by [`move_inside`], which flags those that were not; sums go
//! through sorted segments, so that their order does not depend on what runs first.

use crate::call::{Call, dense, is_float};
use crate::elementwise::copy;
use crate::sort::sort_keys;
use rustnn_kernels::indexing::Reduce;
use rustnn_tensor::{Array, DType, Result};

/// Wraps negative indices if allowed, and moves those outside of the dimension inside, raising the flag. int64, contiguous.
pub fn move_inside(array: &Array, size: usize, negative: bool) -> Result<()> {
    if array.numel() == 0 || size == 0 {
        return Ok(());
    }
    let mut call = Call::new("move_inside");
    call.flag("NEGATIVE", negative).flagged();
    call.update("index", array)?;
    call.number("size", size);
    call.each(
        array.numel(),
        "",
        "var v = index(i);
let given = v;
if (NEGATIVE && i64_negative(v)) { v = i64_add(v, vec2<u32>(p.size, 0u)); }
if (v.y != 0u || v.x >= p.size) {
    flag(given, p.size);
    v = vec2<u32>(0u, 0u);
}
index_set(i, v);",
    )?;
    Ok(())
}

/// `a` as a kernel moves its elements, bit by bit: integers of their width, narrow ones as they lie.
fn source(a: &Array) -> Result<Option<Array>> {
    let carrier = match a.dtype().size_bytes() {
        1 => DType::U8,
        2 => DType::I16,
        4 => DType::I32,
        8 => DType::I64,
        _ => return Ok(None),
    };
    a.reinterpret(carrier).map(Some)
}

/// The same in words of their own, for kernels that write among them.
fn moved(a: &Array) -> Result<Option<Array>> {
    Ok(match a.dtype().size_bytes() {
        4 => Some(dense(&a.reinterpret(DType::I32)?)?),
        8 => Some(dense(&a.reinterpret(DType::I64)?)?),
        1 | 2 => {
            let number = if a.dtype().size_bytes() == 1 { DType::U8 } else { DType::I16 };
            let wide = Array::empty(a.shape(), DType::I32, a.device())?;
            if copy(&a.reinterpret(number)?, &wide)? { Some(wide) } else { None }
        }
        _ => None,
    })
}

/// Where a kernel writes elements of `a`, and whether they are to be brought back by [`settle`].
fn target_of(a: &Array) -> Result<Option<Array>> {
    Ok(match a.dtype().size_bytes() {
        4 if a.is_contiguous() => Some(a.reinterpret(DType::I32)?),
        8 if a.is_contiguous() => Some(a.reinterpret(DType::I64)?),
        4 => Some(Array::empty(a.shape(), DType::I32, a.device())?),
        8 => Some(Array::empty(a.shape(), DType::I64, a.device())?),
        1 | 2 => Some(Array::empty(a.shape(), DType::I32, a.device())?),
        _ => None,
    })
}

fn settle(from: &Array, a: &Array) -> Result<bool> {
    if from.storage().same(a.storage()) {
        return Ok(true);
    }
    match a.dtype().size_bytes() {
        8 | 4 => copy(from, &a.reinterpret(from.dtype())?),
        1 => copy(from, &a.reinterpret(DType::U8)?),
        2 => copy(from, &a.reinterpret(DType::I16)?),
        _ => copy(from, a),
    }
}

fn split(shape: &[usize], dim: usize) -> (usize, usize, usize) {
    if shape.is_empty() {
        return (1, 1, 1);
    }
    (shape[..dim].iter().product(), shape[dim], shape[dim + 1..].iter().product())
}

/// `out[.., k, ..] = x[.., index[k], ..]`.
pub fn index_select(x: &Array, dim: usize, index: &Array, out: &Array) -> Result<bool> {
    let (Some(from), Some(to)) = (source(x)?, target_of(out)?) else { return Ok(false) };
    if out.numel() == 0 {
        return Ok(true);
    }
    let (_, size, inner) = split(x.shape(), dim);
    let mut call = Call::new("index_select");
    call.reads([("x", &from), ("index", index)])?;
    call.write("out", &to)?;
    call.number("size", size).number("inner", inner).number("count", index.numel());
    call.each(
        out.numel(),
        "",
        "let k = (i / p.inner) % p.count;
let o = i / (p.inner * p.count);
out_set(i, x((o * p.size + index(k).x) * p.inner + i % p.inner));",
    )?;
    settle(&to, out)
}

/// Parameters and text that take element `i` of `shape` apart and find places by strides: `at_NAME` for each.
fn places(call: &mut Call, shape: &[usize], strides: &[(&str, Vec<usize>)]) -> String {
    let mut text = String::from("var rest = i;\n");
    for (name, _) in strides {
        text += &format!("var at_{name} = 0u;\n");
    }
    for d in (0..shape.len()).rev() {
        call.number(format!("n{d}"), shape[d]);
        text += &format!("let c{d} = rest % p.n{d};\nrest = rest / p.n{d};\n");
        for (name, s) in strides {
            call.number(format!("{name}_t{d}"), s[d]);
            text += &format!("at_{name} += c{d} * p.{name}_t{d};\n");
        }
    }
    call.variant(&format!("rank{}", shape.len()), "");
    text
}

fn row_major(shape: &[usize]) -> Vec<usize> {
    rustnn_tensor::shape::contiguous_strides(shape).iter().map(|&s| s as usize).collect()
}

/// Ranks whose places fit into a dispatch's parameters.
const MAX_RANK: usize = 24;

/// `out[i] = x[i with i[dim] = index[i]]`.
pub fn gather(x: &Array, dim: usize, index: &Array, out: &Array) -> Result<bool> {
    let (Some(from), Some(to)) = (source(x)?, target_of(out)?) else { return Ok(false) };
    if out.numel() == 0 {
        return Ok(true);
    }
    if x.rank() > MAX_RANK {
        return Ok(false);
    }
    let index = dense(index)?;
    let mut strides = row_major(x.shape());
    let step = strides.get(dim).copied().unwrap_or(0);
    if let Some(s) = strides.get_mut(dim) {
        *s = 0;
    }
    let mut call = Call::new("gather");
    call.reads([("x", &from), ("index", &index)])?;
    call.write("out", &to)?;
    let text = places(&mut call, index.shape(), &[("x", strides)]);
    call.number("step", step);
    call.each(out.numel(), "", &format!("{text}out_set(i, x(at_x + index(i).x * p.step));"))?;
    settle(&to, out)
}

/// How written values meet what is there.
#[derive(Clone, Copy)]
struct Write {
    reduce: Reduce,
    /// What added floats are multiplied by.
    alpha: f64,
    /// Divides each sum of floats by how many values it has.
    mean: bool,
}

impl From<Reduce> for Write {
    fn from(reduce: Reduce) -> Write {
        Write { reduce, alpha: 1.0, mean: false }
    }
}

/// Sorted keys that one invocation goes through at most; even.
const BLOCK: usize = 256;

/// Keys in ascending order, and the row of values that each stands for: 0xffffffff for none.
struct Runs {
    keys: Array,
    order: Array,
    count: usize,
}

/// Writes `values` to the places of `keys` (offsets into a row-major target of `columns` elements each, in u32): assigned, the last
/// of equal keys winning, or joined in order. Runs of equal keys are joined block by block; what crosses a block's border is, for
/// each block, a value at its begin and one at its end, with which it goes on in the same way.
fn write_sorted(how: Write, target: &Array, keys: &Array, count: usize, columns: usize, values: &Array) -> Result<bool> {
    let (keys, order) = sort_keys(keys, count)?;
    let first = Runs { keys, order, count };
    if how.reduce == Reduce::Assign {
        let mut call = Call::new("write_sorted/assign");
        call.read("keys", &first.keys)?;
        call.read("order", &first.order)?;
        call.read("values", values)?;
        call.update("to", target)?;
        call.number("count", count).number("columns", columns);
        return call.each(
            count * columns,
            "",
            "let s = i / p.columns;
let c = i % p.columns;
let key = keys(s);
// Keys beyond all places stand for nothing.
if (key == 0xffffffffu || (s + 1u < p.count && keys(s + 1u) == key)) { return; }
to_set(key * p.columns + c, values(order(s) * p.columns + c));",
        );
    }
    let mut runs = join_runs(how, target, &first, &first, columns, values)?;
    while let Some((next, pieces)) = runs {
        runs = join_runs(Write { alpha: 1.0, ..how }, target, &first, &next, columns, &pieces)?;
    }
    Ok(true)
}

/// Joins the runs of each block, and gives the pieces of those that cross borders; `all` are the runs before any were joined.
fn join_runs(how: Write, target: &Array, all: &Runs, runs: &Runs, columns: usize, values: &Array) -> Result<Option<(Runs, Array)>> {
    let kind = match target.dtype() {
        DType::F32 => 0,
        DType::I64 => 1,
        _ => 2,
    };
    let (begin, join) = match how.reduce {
        Reduce::Assign => ("v", "v"),
        Reduce::Add => (["p.alpha * v", "v", "v"][kind], ["total + p.alpha * v", "i64_add(total, v)", "total + v"][kind]),
        Reduce::Multiply => ("v", ["total * v", "i64_mul(total, v)", "total * v"][kind]),
        Reduce::Maximum => ("v", ["larger(total, v)", "select(total, v, i64_lt(total, v))", "max(total, v)"][kind]),
        Reduce::Minimum => ("v", ["-larger(-total, -v)", "select(total, v, i64_lt(v, total))", "min(total, v)"][kind]),
    };
    let blocks = runs.count.div_ceil(BLOCK);
    let device = target.device();
    let next = match blocks > 1 {
        true => Some((
            Runs {
                keys: Array::empty(&[2 * blocks], DType::U32, device)?,
                order: Array::empty(&[2 * blocks], DType::U32, device)?,
                count: 2 * blocks,
            },
            Array::empty(&[2 * blocks, columns], target.dtype(), device)?,
        )),
        false => None,
    };
    let mut call = Call::new("join_runs");
    call.variant(&format!("{:?}", how.reduce), "").flag("MEAN", how.mean).flag("MORE", next.is_some());
    call.read("keys", &runs.keys)?;
    call.read("order", &runs.order)?;
    call.read("values", values)?;
    call.update("to", target)?;
    call.number("count", runs.count).number("columns", columns).float("alpha", how.alpha);
    let mut items = crate::rows::LARGER.to_owned();
    let mut pass_on = "";
    if let Some((next, pieces)) = &next {
        call.write("next_keys", &next.keys)?;
        call.write("next_order", &next.order)?;
        call.write("pieces", pieces)?;
        pass_on = "let slot = 2u * (s / BLOCK) + select(1u, 0u, starts);
if (open) { pieces_set(slot * p.columns + c, total); }
if (c == 0u) {
    next_keys_set(slot, select(0xffffffffu, key, open));
    next_order_set(slot, slot);
    if (starts && j == end) {
        // The block is one piece: the other slot holds the run together.
        next_keys_set(slot + 1u, select(0xffffffffu, key, open));
        next_order_set(slot + 1u, 0xffffffffu);
    }
}";
    }
    if how.mean {
        call.read("all_keys", &all.keys)?;
        call.number("all_count", all.count);
        items += "fn first_at_least(key: u32) -> u32 {
    var low = 0u;
    var high = p.all_count;
    while (low < high) {
        let middle = (low + high) / 2u;
        if (all_keys(middle) < key) { low = middle + 1u; } else { high = middle; }
    }
    return low;
}
";
    }
    let body = format!(
        "const BLOCK = {BLOCK}u;
let s = i / p.columns;
let c = i % p.columns;
let key = keys(s);
let starts = s % BLOCK == 0u;
let goes_on = s > 0u && keys(s - 1u) == key;
// The first of a run's elements in a block has them all.
if (goes_on && !starts) {{ return; }}
let end = min(p.count, (s / BLOCK + 1u) * BLOCK);
// Keys beyond all places stand for nothing.
let counts = key != 0xffffffffu;
let open = MORE && counts && (goes_on || (end < p.count && keys(end) == key));
let at = key * p.columns + c;
var total = to(select(0u, at, counts && !open));
var j = s;
for (; j < end && keys(j) == key; j++) {{
    let row = order(j);
    if (!counts || row == 0xffffffffu) {{ continue; }}
    let v = values(row * p.columns + c);
    if (open && j == s) {{ total = {begin}; }} else {{ total = {join}; }}
}}
if (counts && !open) {{
    {mean}
    to_set(at, total);
}}
{pass_on}",
        mean = if how.mean { "total = total / f32(first_at_least(key + 1u) - first_at_least(key));" } else { "" },
        pass_on = if pass_on.is_empty() { String::new() } else { format!("if (starts || j == end) {{\n{pass_on}\n}}") }
    );
    call.each(runs.count * columns, &items, &body)?;
    Ok(next)
}

/// What a sum is computed in, for the dtypes that have one here.
fn adds(dtype: DType) -> bool {
    matches!(dtype, DType::F32 | DType::F16 | DType::BF16 | DType::I32 | DType::I64 | DType::I8 | DType::I16 | DType::U8)
}

/// Values and target of a write, as the kernel takes them: moved for an assignment, numbers for a sum.
fn prepared(add: bool, target: &Array, values: &Array) -> Result<Option<(Array, Array)>> {
    if add {
        if !adds(target.dtype()) || values.dtype() != target.dtype() {
            return Ok(None);
        }
        if target.dtype().size_bytes() >= 4 || is_float(target) {
            return Ok(Some((dense(target)?, dense(values)?)));
        }
        // Narrow integers wrap when they are brought back.
        let widened = |a: &Array| -> Result<Option<Array>> {
            let wide = Array::empty(a.shape(), DType::I32, a.device())?;
            Ok(if copy(a, &wide)? { Some(wide) } else { None })
        };
        return Ok(match (widened(target)?, widened(values)?) {
            (Some(t), Some(v)) => Some((t, v)),
            _ => None,
        });
    }
    Ok(match (moved(target)?, moved(values)?) {
        (Some(t), Some(v)) => Some((t, v)),
        _ => None,
    })
}

fn brought_back(add: bool, from: &Array, target: &Array) -> Result<bool> {
    if from.storage().same(target.storage()) {
        return Ok(true);
    }
    if add { copy(from, target) } else { settle(from, target) }
}

/// `target[i with i[dim] = index[i]] (=, +=) values[i]`.
pub fn scatter(reduce: Reduce, target: &Array, dim: usize, index: &Array, values: &Array) -> Result<bool> {
    let joins = reduce != Reduce::Assign;
    let count = index.numel();
    if count == 0 {
        return Ok(true);
    }
    if target.rank() > MAX_RANK || target.numel() >= u32::MAX as usize {
        return Ok(false);
    }
    let index = dense(index)?;
    let part = values.with_geometry(index.shape().into(), values.strides().into(), values.offset());
    let Some((to, from)) = prepared(joins, target, &part)? else { return Ok(false) };
    let mut strides = row_major(target.shape());
    let step = strides.get(dim).copied().unwrap_or(0);
    if let Some(s) = strides.get_mut(dim) {
        *s = 0;
    }
    let keys = Array::empty(&[count], DType::U32, target.device())?;
    let mut call = Call::new("scatter_keys");
    call.read("index", &index)?;
    call.write("keys", &keys)?;
    let text = places(&mut call, index.shape(), &[("to", strides)]);
    call.number("step", step);
    call.each(count, "", &format!("{text}keys_set(i, at_to + index(i).x * p.step);"))?;
    Ok(write_sorted(reduce.into(), &to, &keys, count, 1, &from)? && brought_back(joins, &to, target)?)
}

/// `target[.., index[k], ..] (=, += alpha *) values[.., k, ..]`; both contiguous, `alpha` one number on the CPU.
pub fn index_update(reduce: Reduce, alpha: Option<&Array>, target: &Array, dim: usize, index: &Array, values: &Array) -> Result<bool> {
    let joins = reduce != Reduce::Assign;
    let alpha = match alpha {
        Some(a) if !a.is_host() || !is_float(target) => return Ok(false),
        Some(a) => rustnn_kernels::arrays::first(a)?.to_f64(),
        None => 1.0,
    };
    if values.numel() == 0 {
        return Ok(true);
    }
    let Some((to, from)) = prepared(joins, target, values)? else { return Ok(false) };
    let (outer, size, inner) = split(target.shape(), dim);
    let count = index.numel();
    if outer * size >= u32::MAX as usize {
        return Ok(false);
    }
    let keys = Array::empty(&[outer * count], DType::U32, target.device())?;
    let mut call = Call::new("index_keys");
    call.read("index", &dense(index)?)?;
    call.write("keys", &keys)?;
    call.number("count", count).number("size", size);
    call.each(outer * count, "", "keys_set(i, (i / p.count) * p.size + index(i % p.count).x);")?;
    let how = Write { alpha, ..reduce.into() };
    Ok(write_sorted(how, &to, &keys, outer * count, inner, &from)? && brought_back(joins, &to, target)?)
}

/// `out[k, c] = (c == index[k])`, int64.
pub fn one_hot(index: &Array, classes: usize, out: &Array) -> Result<bool> {
    if out.numel() == 0 {
        return Ok(true);
    }
    let mut call = Call::new("one_hot");
    call.read("index", &dense(index)?)?;
    call.write("out", out)?;
    call.number("classes", classes);
    call.each(out.numel(), "", "out_set(i, vec2<u32>(select(0u, 1u, index(i / p.classes).x == i % p.classes), 0u));")
}

/// The gradient of an embedding's weight: one row of `dy` for each index.
pub fn embedding_backward(dy: &Array, index: &Array, padding: Option<i64>, by_frequency: bool, dweight: &Array) -> Result<bool> {
    if !is_float(dy) || !dweight.is_contiguous() {
        return Ok(false);
    }
    let (rows, columns) = (dweight.shape()[0], dweight.shape()[1]);
    let count = index.numel();
    let to = if dweight.dtype() == DType::F32 { dweight.clone() } else { Array::empty(dweight.shape(), DType::F32, dweight.device())? };
    crate::elementwise::fill(&to, 0.0.into())?;
    if count > 0 && columns > 0 && rows > 0 {
        let keys = Array::empty(&[count], DType::U32, dy.device())?;
        let mut call = Call::new("embedding_keys");
        call.read("index", &dense(index)?)?;
        call.write("keys", &keys)?;
        call.number("padding", padding.map_or(u32::MAX as usize, |p| p as usize));
        call.each(count, "", "let k = index(i).x;\nkeys_set(i, select(k, 0xffffffffu, k == p.padding));")?;
        let how = Write { mean: by_frequency, ..Reduce::Add.into() };
        write_sorted(how, &to, &keys, count, columns, &dense(dy)?)?;
    }
    if to.storage().same(dweight.storage()) { Ok(true) } else { copy(&to, dweight) }
}

/// The places that an index by several arrays reaches in `indexed`, one for each element of the result (`plain`'s shape).
fn advanced_keys(indexed: &Array, dims: &[usize], indices: &[Array], at: usize, shape: &[usize]) -> Result<Option<Array>> {
    const NAMES: [&str; 4] = ["index0", "index1", "index2", "index3"];
    if dims.len() > NAMES.len() || shape.len() > MAX_RANK || indexed.numel() >= u32::MAX as usize {
        return Ok(None);
    }
    let strides = row_major(indexed.shape());
    let index_shape = indices[0].shape();
    let rest: Vec<usize> = (0..indexed.rank()).filter(|d| !dims.contains(d)).collect();
    // Of the result's dimensions those of the index, and what the others step over in `indexed`.
    let rank = index_shape.len();
    let index_strides = row_major(index_shape);
    let (mut of_index, mut of_indexed) = (vec![0; shape.len()], vec![0; shape.len()]);
    for d in 0..shape.len() {
        if (at..at + rank).contains(&d) {
            of_index[d] = index_strides[d - at];
        } else {
            of_indexed[d] = strides[rest[if d < at { d } else { d - rank }]];
        }
    }
    let keys = Array::empty(shape, DType::U32, indexed.device())?;
    let mut call = Call::new("advanced_keys");
    let mut sum = String::from("at_x");
    for (m, (index, &d)) in indices.iter().zip(dims).enumerate() {
        call.read(NAMES[m], &dense(index)?)?;
        call.number(format!("step{m}"), strides[d]);
        sum += &format!(" + index{m}(at_index).x * p.step{m}");
    }
    call.write("keys", &keys)?;
    let text = places(&mut call, shape, &[("index", of_index), ("x", of_indexed)]);
    call.variant(&format!("{} arrays", dims.len()), "");
    call.each(keys.numel(), "", &format!("{text}keys_set(i, {sum});"))?;
    Ok(Some(keys))
}

/// `out = x[indices]`.
pub fn index_get(x: &Array, dims: &[usize], indices: &[Array], at: usize, out: &Array) -> Result<bool> {
    if out.numel() == 0 {
        return Ok(true);
    }
    let (Some(from), Some(to)) = (source(x)?, target_of(out)?) else { return Ok(false) };
    let Some(keys) = advanced_keys(x, dims, indices, at, out.shape())? else { return Ok(false) };
    let mut call = Call::new("index_get");
    call.reads([("x", &from), ("keys", &keys)])?;
    call.write("out", &to)?;
    call.each(out.numel(), "", "out_set(i, x(keys(i)));")?;
    settle(&to, out)
}

/// `target[indices] (=, +=) values`.
pub fn index_put(reduce: Reduce, target: &Array, dims: &[usize], indices: &[Array], at: usize, values: &Array) -> Result<bool> {
    let joins = reduce != Reduce::Assign;
    if values.numel() == 0 {
        return Ok(true);
    }
    let Some((to, from)) = prepared(joins, target, values)? else { return Ok(false) };
    let Some(keys) = advanced_keys(target, dims, indices, at, values.shape())? else { return Ok(false) };
    Ok(write_sorted(reduce.into(), &to, &keys, values.numel(), 1, &from)? && brought_back(joins, &to, target)?)
}

/// Where running counts step up: place `k` is that of the element after which the count is `k + 1`.
pub fn counted_places(counts: &Array, places: &Array) -> Result<bool> {
    if places.numel() == 0 {
        return Ok(true);
    }
    let mut call = Call::new("counted_places");
    call.read("counts", counts)?;
    call.write("places", places)?;
    call.each(
        counts.numel(),
        "",
        "let now = counts(i).x;
var before = 0u;
if (i > 0u) { before = counts(i - 1u).x; }
if (now > before) { places_set(now - 1u, vec2<u32>(i, 0u)); }",
    )
}

/// Row `k` of `out` is place `k` taken apart by the dimensions of `shape`.
pub fn coordinates(places: &Array, shape: &[usize], out: &Array) -> Result<bool> {
    if out.numel() == 0 {
        return Ok(true);
    }
    if shape.len() > MAX_RANK {
        return Ok(false);
    }
    let mut call = Call::new("coordinates");
    call.read("at", places)?;
    call.write("out", out)?;
    call.key_number(shape.len());
    let mut text = format!("let d = i % {0}u;\nvar rest = at(i / {0}u).x;\nvar own = 0u;\n", shape.len());
    for d in (0..shape.len()).rev() {
        call.number(format!("n{d}"), shape[d]);
        text += &format!("if (d == {d}u) {{ own = rest % p.n{d}; }}\nrest = rest / p.n{d};\n");
    }
    call.each(out.numel(), "", &format!("{text}out_set(i, vec2<u32>(own, 0u));"))
}
