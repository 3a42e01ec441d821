//! Sorting: keys whose order as unsigned words is the order asked for, beside the places they come from, through a bitonic network
//! in workgroup memory. Equal keys are ordered by place, so that sorts are stable and results do not depend on timing.

use crate::call::{Call, dense};
use rustnn_kernels::arrays::Extreme;
use rustnn_tensor::{Array, DType, Result};

/// Elements that one workgroup sorts.
const BLOCK: usize = 1024;
const LANES: u32 = 256;

/// Rows of keys and the places they come from, in order.
struct Sorted {
    keys: Array,
    order: Array,
    /// Elements of a row; those beyond the row's own end it.
    len: usize,
}

/// Text of keys of a dtype: the largest one, and whether `a` comes before `b`.
fn key_text(dtype: DType) -> (&'static str, &'static str, &'static str) {
    if dtype == DType::I64 {
        ("vec2<u32>", "vec2<u32>(0xffffffffu, 0xffffffffu)", "i64_below(a, b)")
    } else {
        ("u32", "0xffffffffu", "a < b")
    }
}

/// Sorts blocks of `span` in workgroup memory, several of them in one workgroup where they are small; `merge`: only the last steps of a
/// network that began outside. The first `keep` of each block stay.
fn sort_blocks(from: &Array, order: Option<&Array>, rows: usize, len: usize, span: usize, keep: usize, merge: bool) -> Result<Sorted> {
    let (value, largest, before) = key_text(from.dtype());
    let blocks = len.div_ceil(span);
    let keys = Array::empty(&[rows, blocks * keep], from.dtype(), from.device())?;
    let places = Array::empty(&[rows, blocks * keep], DType::U32, from.device())?;
    let mut call = Call::new("sort_blocks");
    call.flag("MERGE", merge).flag("FIRST", order.is_none());
    call.read("from_", from)?;
    match order {
        Some(order) => call.read("place", order)?,
        None => drop(call.variant("", "fn place(i: u32) -> u32 { return 0u; }\n")),
    }
    call.write("keys", &keys)?;
    call.write("order", &places)?;
    call.number("len", len).number("segments", rows * blocks).number("blocks", blocks).number("span", span).number("keep", keep);
    let items = format!(
        "var<workgroup> key_of: array<{value}, {BLOCK}>;
var<workgroup> place_of: array<u32, {BLOCK}>;
fn exchange(a: u32, b: u32) {{
    let ka = key_of[a];
    let kb = key_of[b];
    let pa = place_of[a];
    let pb = place_of[b];
    if (before(kb, ka) || (all(ka == kb) && pb < pa)) {{
        key_of[a] = kb;
        key_of[b] = ka;
        place_of[a] = pb;
        place_of[b] = pa;
    }}
}}
fn before(a: {value}, b: {value}) -> bool {{ return {before}; }}
"
    );
    let body = format!(
        "for (var e = lane; e < {BLOCK}u; e += {LANES}u) {{
    let slot = group * {BLOCK}u + e;
    let segment = slot / p.span;
    let at = (segment % p.blocks) * p.span + slot % p.span;
    key_of[e] = {largest};
    place_of[e] = 0xffffffffu;
    if (segment < p.segments && at < p.len) {{
        let j = (segment / p.blocks) * p.len + at;
        key_of[e] = from_(j);
        if (FIRST) {{ place_of[e] = at; }} else {{ place_of[e] = place(j); }}
    }}
}}
workgroupBarrier();
for (var size = select(2u, p.span, MERGE); size <= p.span; size = size * 2u) {{
    if (!MERGE) {{
        // Each element against its mirror: what follows ascends everywhere.
        for (var e = lane; e < {half}u; e += {LANES}u) {{
            let base = (e / (size / 2u)) * size;
            exchange(base + e % (size / 2u), base + size - 1u - e % (size / 2u));
        }}
        workgroupBarrier();
    }}
    for (var gap = select(size / 4u, size / 2u, MERGE); gap > 0u; gap = gap / 2u) {{
        for (var e = lane; e < {half}u; e += {LANES}u) {{
            let a = (e / gap) * 2u * gap + e % gap;
            exchange(a, a + gap);
        }}
        workgroupBarrier();
    }}
}}
for (var e = lane; e < {BLOCK}u; e += {LANES}u) {{
    let slot = group * {BLOCK}u + e;
    let segment = slot / p.span;
    if (segment < p.segments && slot % p.span < p.keep) {{
        let j = segment * p.keep + slot % p.span;
        keys_set(j, key_of[e]);
        order_set(j, place_of[e]);
    }}
}}",
        half = BLOCK / 2
    );
    call.run((rows * blocks * span).div_ceil(BLOCK) as u64, LANES, &items, &body)?;
    Ok(Sorted { keys, order: places, len: blocks * keep })
}

/// Sorts rows of keys (u32, or int64 read as unsigned).
fn sort_rows(keys: &Array, rows: usize, len: usize) -> Result<Sorted> {
    let padded = len.next_power_of_two().max(2);
    if padded <= BLOCK {
        return sort_blocks(keys, None, rows, len, padded, padded, false);
    }
    // The blocks beyond the row's end are sorted with the others.
    let mut sorted = sort_blocks(&padded_rows(keys, rows, len, padded)?, None, rows, padded, BLOCK, BLOCK, false)?;
    let (value, _, before) = key_text(keys.dtype());
    let mut size = 2 * BLOCK;
    while size <= padded {
        let mut gap = size / 2;
        while gap >= BLOCK {
            let mut call = Call::new("sort_step");
            call.flag("MIRROR", gap == size / 2);
            call.update("keys", &sorted.keys)?;
            call.update("order", &sorted.order)?;
            call.number("gap", gap);
            let items = format!("fn before(a: {value}, b: {value}) -> bool {{ return {before}; }}\n");
            call.each(
                rows * padded / 2,
                &items,
                "let base = (i / p.gap) * 2u * p.gap;
let a = base + i % p.gap;
let b = select(a + p.gap, base + 2u * p.gap - 1u - i % p.gap, MIRROR);
let ka = keys(a);
let kb = keys(b);
let pa = order(a);
let pb = order(b);
if (before(kb, ka) || (all(ka == kb) && pb < pa)) {
    keys_set(a, kb);
    keys_set(b, ka);
    order_set(a, pb);
    order_set(b, pa);
}",
            )?;
            gap /= 2;
        }
        sorted = sort_blocks(&sorted.keys, Some(&sorted.order), rows, padded, BLOCK, BLOCK, true)?;
        size *= 2;
    }
    Ok(sorted)
}

/// Rows of `len` keys as rows of `padded`, the largest key in the new places.
fn padded_rows(keys: &Array, rows: usize, len: usize, padded: usize) -> Result<Array> {
    if len == padded {
        return Ok(keys.clone());
    }
    let out = Array::empty(&[rows, padded], keys.dtype(), keys.device())?;
    let mut call = Call::new("sort_pad");
    call.read("keys", keys)?;
    call.write("out", &out)?;
    call.number("len", len).number("padded", padded);
    let body = format!(
        "let at = i % p.padded;
if (at < p.len) {{ out_set(i, keys((i / p.padded) * p.len + at)); }} else {{ out_set(i, {}); }}",
        key_text(keys.dtype()).1
    );
    call.each(rows * padded, "", &body)?;
    Ok(out)
}

/// The first `k` of each row in order: blocks keep their own first ones until there is one block.
fn first_of_rows(keys: &Array, rows: usize, len: usize, k: usize) -> Result<Sorted> {
    let keep = k.next_power_of_two().max(2);
    if 4 * keep > BLOCK || len <= BLOCK {
        return sort_rows(keys, rows, len);
    }
    let mut sorted = sort_blocks(keys, None, rows, len, BLOCK, keep, false)?;
    while sorted.len > keep {
        let span = sorted.len.next_power_of_two().min(BLOCK);
        sorted = sort_blocks(&sorted.keys, Some(&sorted.order), rows, sorted.len, span, keep, false)?;
    }
    Ok(sorted)
}

/// Keys (u32) in ascending order, and where each was.
pub fn sort_keys(keys: &Array, count: usize) -> Result<(Array, Array)> {
    let sorted = sort_rows(keys, 1, count)?;
    Ok((sorted.keys, sorted.order))
}

/// Whether elements of a dtype have keys.
fn has_keys(dtype: DType) -> bool {
    matches!(dtype, DType::F32 | DType::F16 | DType::BF16 | DType::I8 | DType::I16 | DType::I32 | DType::I64 | DType::U8 | DType::Bool)
}

/// Keys in whose order the elements are ordered: NaN greatest, zeros equal.
fn keys_of(x: &Array, descending: bool) -> Result<Array> {
    let dtype = if x.dtype() == DType::I64 { DType::I64 } else { DType::U32 };
    let keys = Array::empty(x.shape(), dtype, x.device())?;
    let mut call = Call::new("sort_key");
    call.flag("DESCENDING", descending);
    call.read("x", x)?;
    call.write("keys", &keys)?;
    let key = match x.dtype() {
        DType::F32 | DType::F16 | DType::BF16 => {
            "var b = bitcast<u32>(x(i));
if ((b & 0x7fffffffu) == 0u) { b = 0u; }
var key = select(b | 0x80000000u, ~b, (b >> 31u) == 1u);
if ((b & 0x7fffffffu) > 0x7f800000u) { key = 0xffffffffu; }"
        }
        DType::I64 => "let v = x(i);\nvar key = vec2<u32>(v.x, v.y ^ 0x80000000u);",
        _ => "var key = bitcast<u32>(x(i)) ^ 0x80000000u;",
    };
    call.each(x.numel(), "", &format!("{key}\nif (DESCENDING) {{ key = ~key; }}\nkeys_set(i, key);"))?;
    Ok(keys)
}

fn rows_of(x: &Array) -> (usize, usize) {
    let len = x.shape().last().copied().unwrap_or(1);
    (x.numel().checked_div(len).unwrap_or(0), len)
}

/// Elements `from .. from + count` of each sorted row, and their places.
fn take(x: &Array, sorted: &Sorted, from: usize, count: usize, values: Option<&Array>, indices: Option<&Array>) -> Result<bool> {
    let (rows, len) = rows_of(x);
    let mut call = Call::new("sort_take");
    call.read("x", x)?;
    call.read("order", &sorted.order)?;
    let value = crate::shader::value_type(x.dtype());
    call.write_or("values", values, value)?;
    call.write_or("indices", indices, "vec2<u32>")?;
    call.number("len", len).number("sorted", sorted.len).number("first", from).number("count", count);
    call.each(
        rows * count,
        "",
        "let row = i / p.count;
let at = order(row * p.sorted + p.first + i % p.count);
values_set(i, x(row * p.len + at));
indices_set(i, vec2<u32>(at, 0u));",
    )
}

/// Sorts the last dimension of contiguous `x`, stably.
pub fn sort(descending: bool, x: &Array, values: Option<&Array>, indices: Option<&Array>) -> Result<bool> {
    if !has_keys(x.dtype()) {
        return Ok(false);
    }
    let (rows, len) = rows_of(x);
    if x.numel() == 0 {
        return Ok(true);
    }
    let sorted = sort_rows(&keys_of(x, descending)?, rows, len)?;
    take(x, &sorted, 0, len, values, indices)
}

/// The `k` greatest (or least) of the last dimension of contiguous `x`, in order.
pub fn topk(greatest: bool, k: usize, x: &Array, values: &Array, indices: &Array) -> Result<bool> {
    if !has_keys(x.dtype()) {
        return Ok(false);
    }
    let (rows, len) = rows_of(x);
    if rows * k == 0 {
        return Ok(true);
    }
    let sorted = first_of_rows(&keys_of(x, greatest)?, rows, len, k)?;
    take(x, &sorted, 0, k, Some(values), Some(indices))
}

/// The `k`-th least (from 1) of the last dimension of contiguous `x`.
pub fn kthvalue(k: usize, x: &Array, values: &Array, indices: &Array) -> Result<bool> {
    if !has_keys(x.dtype()) || k == 0 {
        return Ok(false);
    }
    let (rows, len) = rows_of(x);
    if rows == 0 {
        return Ok(true);
    }
    let sorted = sort_rows(&keys_of(x, false)?, rows, len)?;
    take(x, &sorted, k - 1, 1, Some(values), Some(indices))
}

/// The most frequent element (the least of several) of ascending rows, the last dimension of contiguous `sorted`, and the place in
/// the row where its run ends.
pub fn modes(sorted: &Array, values: &Array, ends: &Array) -> Result<bool> {
    if !has_keys(sorted.dtype()) {
        return Ok(false);
    }
    let (rows, len) = rows_of(sorted);
    if rows == 0 {
        return Ok(true);
    }
    // A run that ends here begins at the first element equal to this one; NaN equals nothing.
    let lengths = Array::empty(sorted.shape(), DType::I32, sorted.device())?;
    let mut call = Call::new("run_lengths");
    call.read("x", sorted)?;
    call.write("lengths", &lengths)?;
    call.number("len", len);
    call.each(
        rows * len,
        "",
        "let base = i - i % p.len;
let k = i % p.len;
let v = x(i);
if (k + 1u < p.len && all(x(i + 1u) == v)) { lengths_set(i, 0); return; }
var low = 0u;
var high = k;
while (low < high) {
    let middle = (low + high) / 2u;
    if (all(x(base + middle) == v)) { high = middle; } else { low = middle + 1u; }
}
lengths_set(i, i32(k - low + 1u));",
    )?;
    let last = sorted.rank().saturating_sub(1);
    if !crate::reduce::arg_extreme(Extreme::Max, &lengths, last, None, ends)? {
        return Ok(false);
    }
    let mut call = Call::new("modes");
    call.reads([("x", sorted), ("ends", ends)])?;
    call.write("values", values)?;
    call.number("len", len);
    call.each(rows, "", "values_set(i, x(i * p.len + ends(i).x));")
}

/// Where `values` would enter `sequence` (rows in the last dimensions, or one for all), ascending in the order of `sorter` if given.
pub fn searchsorted(right: bool, sequence: &Array, sorter: Option<&Array>, values: &Array, out: &Array) -> Result<bool> {
    if !has_keys(sequence.dtype()) || values.dtype() != sequence.dtype() {
        return Ok(false);
    }
    if values.numel() == 0 {
        return Ok(true);
    }
    let shared = sequence.rank() == 1;
    let len = sequence.shape()[sequence.rank() - 1];
    let per_row = if shared { values.numel() } else { values.shape().last().copied().unwrap_or(1) };
    let mut call = Call::new("searchsorted");
    call.flag("RIGHT", right).flag("SORTER", sorter.is_some());
    let keys = keys_of(sequence, false)?;
    let wanted = keys_of(values, false)?;
    let (value, _, before) = key_text(keys.dtype());
    call.reads([("keys", &keys), ("wanted", &wanted)])?;
    match sorter {
        Some(sorter) => call.read("sorter", &dense(sorter)?)?,
        None => drop(call.variant("", "fn sorter(i: u32) -> vec2<u32> { return vec2<u32>(); }\n")),
    }
    call.write("out", out)?;
    call.number("len", len).number("per_row", per_row);
    let items = format!("fn before(a: {value}, b: {value}) -> bool {{ return {before}; }}\n");
    call.each(
        values.numel(),
        &items,
        "let base = (i / p.per_row) * p.len;
let v = wanted(i);
var low = 0u;
var high = p.len;
while (low < high) {
    let middle = (low + high) / 2u;
    var at = middle;
    if (SORTER) { at = sorter(base + middle).x; }
    let k = keys(base + at);
    if (before(k, v) || (RIGHT && !before(v, k))) { low = middle + 1u; } else { high = middle; }
}
out_set(i, vec2<u32>(low, 0u));",
    )
}
