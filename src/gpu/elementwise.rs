//! Elementwise formulas, casts, strided copies and fills: one kernel, whose text is made from the formula, the dtypes and
//! whether its operands are dense.

use crate::device::{Buffer, Gpu, buffer};
use crate::shader::{Binding, Shader, value_type};
use rustnn_kernels::arrays::Operand;
use rustnn_kernels::elementwise::Kernel;
use rustnn_kernels::text::{Kind, Lines, Text};
use rustnn_kernels::value::Scalar;
use rustnn_tensor::{Array, DType, Result, Shape, Strides};
use smallvec::{SmallVec, smallvec};
use std::fmt::Write;
use std::sync::Arc;

/// Dimensions that an index is taken apart into, at most; neighbours that can be are merged first.
const MAX_DIMS: usize = 8;
const INPUTS: [&str; 5] = ["x0", "x1", "x2", "x3", "x4"];

/// Converts `v` of a dtype's value type to what a kind computes with.
fn to_kind(from: DType, to: Kind, v: &str) -> String {
    let cut = |e: String| match to {
        Kind::I8 => format!("((({e}) << 24u) >> 24u)"),
        Kind::I16 => format!("((({e}) << 16u) >> 16u)"),
        Kind::U8 => format!("(({e}) & 255)"),
        _ => e,
    };
    match (value_type(from), to) {
        ("f32", Kind::F32) => v.into(),
        ("f32", Kind::Bool) => format!("select(0, 1, !({v} == 0.0))"),
        ("f32", Kind::I64) => format!("i64_from_f32({v})"),
        ("f32", _) => cut(format!("i32_from_f32({v})")),
        ("i32", Kind::F32) => format!("f32({v})"),
        ("i32", Kind::I64) => format!("i64_of({v})"),
        ("i32", Kind::Bool) => format!("select(0, 1, {v} != 0)"),
        ("i32", _) => cut(v.into()),
        ("u32", Kind::F32) => format!("f32({v})"),
        ("u32", Kind::I64) => format!("vec2<u32>({v}, 0u)"),
        ("u32", Kind::Bool) => format!("select(0, 1, {v} != 0u)"),
        ("u32", _) => cut(format!("bitcast<i32>({v})")),
        (_, Kind::F32) if from == DType::U64 => format!("u64_to_f32({v})"),
        (_, Kind::F32) => format!("i64_to_f32({v})"),
        (_, Kind::I64) => v.into(),
        (_, Kind::Bool) => format!("select(0, 1, any({v} != vec2<u32>(0u, 0u)))"),
        (_, _) => cut(format!("bitcast<i32>({v}.x)")),
    }
}

/// A float32 rounded to a dtype of 16 bits.
fn rounded(half: DType, v: &str) -> String {
    if half == DType::F16 { format!("f16_decode(f16_encode({v}))") } else { format!("bitcast<f32>(bf16_encode({v}) << 16u)") }
}

/// Whether formulas take elements of the dtype; they compute in none of the unsigned ones but uint8.
fn is_read(dtype: DType) -> bool {
    Kind::of(dtype).is_some() || signed(dtype) != dtype
}

/// The dtype of as many bits by which unsigned elements are written: a conversion keeps the low bits.
fn signed(dtype: DType) -> DType {
    match dtype {
        DType::U16 => DType::I16,
        DType::U32 => DType::I32,
        DType::U64 => DType::I64,
        other => other,
    }
}

/// The dtype whose values a kind computes with.
fn dtype_of(kind: Kind) -> DType {
    match kind {
        Kind::F32 => DType::F32,
        Kind::I8 => DType::I8,
        Kind::I16 => DType::I16,
        Kind::I32 => DType::I32,
        Kind::U8 => DType::U8,
        Kind::I64 => DType::I64,
        Kind::Bool => DType::Bool,
    }
}

/// A number as a kind's parameters: one word, two for 64-bit integers.
fn words(kind: Kind, scalar: Scalar) -> SmallVec<[u32; 2]> {
    match kind {
        Kind::F32 => smallvec![match scalar {
            Scalar::Int(i) => (i as f32).to_bits(),
            other => (other.to_f64() as f32).to_bits(),
        }],
        Kind::I64 => smallvec![scalar.to_i64() as u32, (scalar.to_i64() >> 32) as u32],
        Kind::Bool => smallvec![scalar.to_bool() as u32],
        Kind::I8 => smallvec![scalar.to_i64() as i8 as i32 as u32],
        Kind::I16 => smallvec![scalar.to_i64() as i16 as i32 as u32],
        Kind::U8 => smallvec![scalar.to_i64() as u8 as u32],
        Kind::I32 => smallvec![scalar.to_i64() as u32],
    }
}

/// Declares a number's parameters and gives the expression that reads it.
fn number(kind: Kind, name: &str, params: &mut Vec<String>) -> String {
    match kind {
        Kind::I64 => {
            params.push(format!("{name}l: u32"));
            params.push(format!("{name}h: u32"));
            return format!("vec2<u32>(p.{name}l, p.{name}h)");
        }
        Kind::F32 => params.push(format!("{name}: f32")),
        _ => params.push(format!("{name}: i32")),
    }
    format!("p.{name}")
}

/// Shape and strides with dimensions of 1 dropped and neighbours merged where all operands allow it.
fn merge(shape: &[usize], strides: &[Strides]) -> (SmallVec<[usize; 8]>, Vec<SmallVec<[isize; 8]>>) {
    let mut sizes: SmallVec<[usize; 8]> = SmallVec::new();
    let mut merged: Vec<SmallVec<[isize; 8]>> = vec![SmallVec::new(); strides.len()];
    for d in 0..shape.len() {
        if shape[d] == 1 {
            continue;
        }
        let joins = !sizes.is_empty() && strides.iter().zip(&merged).all(|(s, m)| m[m.len() - 1] == s[d] * shape[d] as isize);
        if joins {
            *sizes.last_mut().expect("not empty") *= shape[d];
            merged.iter_mut().zip(strides).for_each(|(m, s)| *m.last_mut().expect("not empty") = s[d]);
        } else {
            sizes.push(shape[d]);
            merged.iter_mut().zip(strides).for_each(|(m, s)| m.push(s[d]));
        }
    }
    (sizes, merged)
}

fn on_gpu(array: &Array) -> Result<&Buffer> {
    buffer(array)
}

/// How a kernel's text begins in the cache, and the formula: its result's name, from inputs and numbers.
struct Formula<'f> {
    name: &'static str,
    /// Tells formulas of one name apart.
    id: usize,
    kind: Kind,
    /// float16 or bfloat16, which operands of other dtypes are rounded to first, as on the CPU; None: all are taken as they are.
    half: Option<DType>,
    is_test: bool,
    read: &'f dyn for<'a> Fn(&'a Lines, &[Text<'a>], &[Text<'a>]) -> String,
}

fn dims(flat: bool, rank: usize) -> String {
    if flat { "flat".into() } else { format!("{rank}d") }
}

/// Runs a formula; false where shaders cannot.
fn launch(formula: &Formula, inputs: &[Operand], scalars: &[Scalar], out: &Array) -> Result<bool> {
    if out.numel() == 0 {
        return Ok(true);
    }
    let narrow = out.dtype().size_bytes() < 4;
    if narrow && !out.is_contiguous() {
        let dense = Array::empty(out.shape(), out.dtype(), out.device())?;
        return Ok(launch(formula, inputs, scalars, &dense)? && scatter_narrow(&dense, out)?);
    }
    let to = on_gpu(out)?;
    // Operands that share the result's buffer are read through its binding; those of another dtype are copied.
    let mut arrays: SmallVec<[Option<Array>; 5]> = SmallVec::new();
    for input in inputs {
        arrays.push(match input {
            Operand::Scalar(_) => None,
            Operand::Array(a) => {
                let shares = on_gpu(a)?.id() == to.id();
                if shares && a.dtype() != out.dtype() {
                    let copy = Array::empty(a.shape(), a.dtype(), a.device())?;
                    if !copy_elements(a, &copy)? {
                        return Ok(false);
                    }
                    Some(copy)
                } else {
                    Some((*a).clone())
                }
            }
        });
    }
    let mut strides: Vec<Strides> = arrays.iter().flatten().map(|a| a.strides_as(out.shape())).collect();
    strides.push(out.strides().into());
    let (sizes, strides) = merge(out.shape(), &strides);
    if sizes.len() > MAX_DIMS {
        return launch_rows(formula, inputs, scalars, out);
    }
    let flat = sizes.len() <= 1 && strides.iter().all(|s| s.first().is_none_or(|&s| s == 1));
    let lanes = if narrow { 4 / out.dtype().size_bytes() } else { 1 };

    let mut key: SmallVec<[u8; 48]> = formula.name.as_bytes().into();
    key.extend_from_slice(&formula.id.to_le_bytes());
    key.extend([
        formula.kind as u8,
        formula.half.map_or(u8::MAX, |half| half as u8),
        out.dtype() as u8,
        if flat { u8::MAX } else { sizes.len() as u8 },
    ]);
    for array in &arrays {
        match array {
            Some(a) => key.extend([a.dtype() as u8, (on_gpu(a)?.id() == to.id()) as u8]),
            None => key.push(u8::MAX),
        }
    }

    // Bindings and parameters, in one order.
    let (mut bindings, mut buffers) = (SmallVec::<[Binding; 6]>::new(), SmallVec::<[&Buffer; 6]>::new());
    let mut params = SmallVec::<[u32; 64]>::new();
    let mut late: SmallVec<[(usize, u32); 4]> = SmallVec::new();
    for (k, array) in arrays.iter().enumerate() {
        let Some(array) = array else { continue };
        let from = on_gpu(array)?;
        if from.id() == to.id() {
            late.push((k, array.offset() as u32));
        } else {
            bindings.push(Binding::read(INPUTS[k], array.dtype()));
            buffers.push(from);
            params.push(array.offset() as u32);
        }
    }
    bindings.push(Binding::write("out", out.dtype()));
    buffers.push(to);
    params.push(out.offset() as u32);
    params.extend(late.iter().map(|(_, at)| *at));
    let n = out.numel();
    params.push(n as u32);
    let kind = formula.kind;
    for input in inputs {
        if let Operand::Scalar(s) = input {
            params.extend_from_slice(&words(kind, *s));
        }
    }
    scalars.iter().for_each(|s| params.extend_from_slice(&words(kind, *s)));
    if !flat {
        params.extend(sizes.iter().map(|&size| size as u32));
        params.extend(strides.iter().flatten().map(|&stride| stride as u32));
    }

    let gpu = to.gpu().clone();
    let groups = |invocations: usize| (invocations as u64).div_ceil(256);
    let invocations = if narrow { (n + out.offset() % lanes).div_ceil(lanes) } else { n };
    let make = || {
        // The parameters' names, in the order of their values above.
        let mut names: Vec<String> = late.iter().map(|(k, _)| format!("{}_at: u32", INPUTS[*k])).collect();
        names.push("n: u32".into());
        let scalar_inputs = (0..inputs.len()).filter(|&k| arrays[k].is_none());
        let numbers: Vec<(usize, String)> = scalar_inputs.map(|k| (k, number(kind, &format!("c{k}"), &mut names))).collect();
        let scalar_names: Vec<String> = (0..scalars.len()).map(|k| number(kind, &format!("s{k}"), &mut names)).collect();
        if !flat {
            names.extend((0..sizes.len()).map(|d| format!("n{d}: u32")));
            names.extend((0..strides.len()).flat_map(|k| (0..sizes.len()).map(move |d| format!("t{k}_{d}: u32"))));
        }
        let mut items = String::new();
        for (k, _) in &late {
            let name = INPUTS[*k];
            let load = match out.dtype() {
                DType::F32 | DType::I32 => format!("out_b[i + p.{name}_at]"),
                _ => format!("out_decode(out_raw(i + p.{name}_at))"),
            };
            let _ = writeln!(items, "fn {name}(i: u32) -> {} {{ return {load}; }}", value_type(out.dtype()));
        }
        // The formula as a function of the element's number.
        let lines = Lines::new();
        let mut body = String::new();
        let mut x: Vec<Text> = Vec::new();
        let mut place = 0;
        for (k, array) in arrays.iter().enumerate() {
            match array {
                Some(array) => {
                    let at = if flat { "i".to_owned() } else { format!("j{place}") };
                    let value = to_kind(array.dtype(), kind, &format!("{}({at})", INPUTS[k]));
                    let value = match formula.half {
                        Some(half) if array.dtype() != half && array.dtype() != DType::F32 => rounded(half, &value),
                        _ => value,
                    };
                    x.push(lines.input(kind, &value));
                    place += 1;
                }
                None => {
                    let expression = &numbers.iter().find(|c| c.0 == k).expect("declared above").1;
                    x.push(lines.input(kind, expression));
                }
            }
        }
        let s: Vec<Text> = scalar_names.iter().map(|e| lines.input(kind, e)).collect();
        let result = (formula.read)(&lines, &x, &s);
        if !flat {
            for k in 0..strides.len() {
                let _ = writeln!(body, "var j{k} = 0u;");
            }
            let _ = writeln!(body, "var rest = i;");
            for d in (0..sizes.len()).rev() {
                let _ = writeln!(body, "let c{d} = rest % p.n{d};\nrest = rest / p.n{d};");
                for k in 0..strides.len() {
                    let _ = writeln!(body, "j{k} += c{d} * p.t{k}_{d};");
                }
            }
        }
        for line in lines.into_statements() {
            let _ = writeln!(body, "{line}");
        }
        let result = if formula.is_test { format!("select(0, 1, {result})") } else { result };
        let from = if formula.is_test { DType::Bool } else { dtype_of(kind) };
        let to_value = |v: &str| match Kind::of(out.dtype()) {
            Some(kind) => to_kind(from, kind, v),
            None => v.to_owned(),
        };
        let value = to_value(&result);
        let type_name = value_type(out.dtype());
        let body = if narrow {
            let _ = writeln!(items, "fn value(i: u32) -> {type_name} {{\n{body}return {value};\n}}");
            let (bits, mask) = (32 / lanes, if lanes == 4 { "0xffu" } else { "0xffffu" });
            format!(
                "let w = p.out_at / {lanes}u + i;\nif (i * {lanes}u >= p.n + p.out_at % {lanes}u) {{ return; }}\nvar word = 0u;\nvar mask = 0u;\n\
                 for (var l = 0u; l < {lanes}u; l++) {{\n    let e = w * {lanes}u + l - p.out_at;\n    if (e < p.n) {{\n        \
                 word |= out_encode(value(e)) << (l * {bits}u);\n        mask |= {mask} << (l * {bits}u);\n    }}\n}}\n\
                 if (mask == 0xffffffffu) {{ out_b[w] = word; }} else {{ out_b[w] = (out_b[w] & ~mask) | word; }}"
            )
        } else {
            let at = if flat { "i".to_owned() } else { format!("j{}", strides.len() - 1) };
            format!("if (i >= p.n) {{ return; }}\n{body}out_set({at}, {value});")
        };
        let dtypes: Vec<&str> = arrays.iter().flatten().map(Array::dtype).chain([out.dtype()]).map(DType::name).collect();
        let label =
            format!("{}/{}{} {}", formula.name, dims(flat, sizes.len()), if formula.is_test { "/test" } else { "" }, dtypes.join(","));
        Shader::new(label, bindings.to_vec(), &names.iter().map(String::as_str).collect::<Vec<_>>(), body).items(items)
    };
    // What all of a storage's numbers are replaced by is no more spoilt than what it is made of.
    let overwrites = late.is_empty() && out.is_contiguous() && n * out.dtype().size_bytes() == out.storage().len_bytes();
    gpu.run_cached(&key, overwrites, make, &buffers, &params, groups(invocations))?;
    Ok(true)
}

/// Over arrays whose dimensions are too many: copies that lie row by row.
fn launch_rows(formula: &Formula, inputs: &[Operand], scalars: &[Scalar], out: &Array) -> Result<bool> {
    let row_major = |array: &Array| -> Result<Array> {
        let copy = Array::empty(out.shape(), array.dtype(), out.device())?;
        let spread = array.with_geometry(out.shape().into(), array.strides_as(out.shape()), array.offset());
        copy_in_parts(&spread, &copy)?;
        Ok(copy)
    };
    let copies: SmallVec<[Option<Array>; 5]> = inputs
        .iter()
        .map(|input| match input {
            Operand::Array(a) => row_major(a).map(Some),
            Operand::Scalar(_) => Ok(None),
        })
        .collect::<Result<_>>()?;
    let inputs: SmallVec<[Operand; 5]> =
        inputs.iter().zip(&copies).map(|(input, copy)| copy.as_ref().map_or(*input, Operand::Array)).collect();
    if out.is_contiguous() {
        return launch(formula, &inputs, scalars, out);
    }
    let to = Array::empty(out.shape(), out.dtype(), out.device())?;
    if !launch(formula, &inputs, scalars, &to)? {
        return Ok(false);
    }
    copy_in_parts(&to, out)?;
    Ok(true)
}

/// Copies bits between arrays of one shape and dtype, a slice of the shortest dimension at a time until there are few enough.
fn copy_in_parts(from: &Array, to: &Array) -> Result<()> {
    let (sizes, _) = merge(to.shape(), &[from.strides().into(), to.strides().into()]);
    if sizes.len() <= MAX_DIMS {
        return if copy(from, to)? { Ok(()) } else { rustnn_tensor::bail!(Runtime, "gpu: {} cannot be copied", from.dtype().name()) };
    }
    let shortest = (0..to.rank()).filter(|&d| to.shape()[d] > 1).min_by_key(|&d| to.shape()[d]).expect("more than eight");
    let at = |array: &Array, k: usize| {
        let mut shape: Shape = array.shape().into();
        shape[shortest] = 1;
        let offset = array.offset() as isize + k as isize * array.strides()[shortest];
        array.with_geometry(shape, array.strides().into(), offset as usize)
    };
    (0..to.shape()[shortest]).try_for_each(|k| copy_in_parts(&at(from, k), &at(to, k)))
}

/// Runs a row's kernel, computing in `compute`; false where shaders cannot.
pub fn elementwise(kernel: &Kernel, compute: DType, inputs: &[Operand], scalars: &[Scalar], out: &Array) -> Result<bool> {
    let Some(kind) = Kind::of(compute) else { return Ok(false) };
    let arrays_fit = inputs.iter().all(|i| match i {
        Operand::Array(a) => is_read(a.dtype()),
        Operand::Scalar(_) => true,
    });
    if Kind::of(out.dtype()).is_none() || !arrays_fit {
        return Ok(false);
    }
    let text = kernel.text();
    let half = matches!(compute, DType::F16 | DType::BF16).then_some(compute);
    let formula = Formula { name: "row", id: text as usize, kind, half, is_test: kernel.is_test(), read: &|_, x, s| text(x, s) };
    launch(&formula, inputs, scalars, out)
}

/// The dtype under which the elements of another are moved: by width.
fn carrier(dtype: DType) -> Option<DType> {
    Some(match dtype.size_bytes() {
        1 => DType::U8,
        2 => DType::I16,
        4 => DType::I32,
        8 => DType::I64,
        _ => return None,
    })
}

fn copy_elements(from: &Array, to: &Array) -> Result<bool> {
    copy(from, to)
}

/// Copies, broadcasting and converting.
pub fn copy(from: &Array, to: &Array) -> Result<bool> {
    let (from, to) = if from.dtype() == to.dtype() {
        let Some(carrier) = carrier(from.dtype()) else { return Ok(false) };
        (from.reinterpret(carrier)?, to.reinterpret(carrier)?)
    } else {
        (from.clone(), to.clone())
    };
    if !is_read(from.dtype()) {
        return Ok(false);
    }
    let to = match (from.dtype().is_float(), to.dtype()) {
        (true, DType::U64) => return Ok(false), // what lies above 2^63 would be lost
        (true, DType::U32) => {
            // Through 64 bits, as on the CPU.
            let wide = Array::empty(from.shape(), DType::I64, from.device())?;
            return Ok(copy(&from, &wide)? && copy(&wide, &to)?);
        }
        (_, dtype) => to.reinterpret(signed(dtype))?,
    };
    let Some(kind) = Kind::of(to.dtype()) else { return Ok(false) };
    let formula = Formula { name: "copy", id: 0, kind, half: None, is_test: false, read: &|_, x, _| x[0].name() };
    launch(&formula, &[Operand::Array(&from)], &[], &to)
}

/// Writes one number everywhere.
pub fn fill(out: &Array, value: Scalar) -> Result<bool> {
    if out.dtype() == DType::F64 {
        // Written as it lies in memory.
        return fill(&out.reinterpret(DType::I64)?, Scalar::Int(value.to_f64().to_bits() as i64));
    }
    let (out, value) = match (out.dtype(), value) {
        (DType::U64, Scalar::Float(f)) if f >= 0.0 => (out.reinterpret(DType::I64)?, Scalar::Int(f as u64 as i64)),
        (dtype, value) => (out.reinterpret(signed(dtype))?, value),
    };
    let Some(kind) = Kind::of(out.dtype()) else { return Ok(false) };
    let formula = Formula { name: "fill", id: 0, kind, half: None, is_test: false, read: &|_, _, s| s[0].name() };
    launch(&formula, &[], &[value], &out)
}

/// `out = base ** exponent` of contiguous int64, as the CPU's.
pub fn integer_powers(base: &Array, exponent: &Array, out: &Array) -> Result<bool> {
    let mut call = crate::call::Call::new("integer_powers");
    call.reads([("base", base), ("exponent", exponent)])?;
    call.write("out", out)?;
    let body = "var b = base(i);
var e = exponent(i);
let one = vec2<u32>(1u, 0u);
var power = one;
if (i64_negative(e)) {
    // Only of 1 and -1 there is an inverse.
    let odd = (e.x & 1u) == 1u;
    let unit = all(b == one) || all(b == i64_neg(one));
    power = select(vec2<u32>(), select(one, b, odd), unit);
    e = vec2<u32>();
}
while (any(e != vec2<u32>())) {
    if ((e.x & 1u) == 1u) { power = i64_mul(power, b); }
    b = i64_mul(b, b);
    e = vec2<u32>((e.x >> 1u) | (e.y << 31u), e.y >> 1u);
}
out_set(i, power);";
    call.each(out.numel(), "", body)
}

/// Contiguous narrow elements to places of any layout: several elements share a word, so that it is written by atomics.
fn scatter_narrow(from: &Array, to: &Array) -> Result<bool> {
    let carrier = if from.dtype().size_bytes() == 1 { DType::U8 } else { DType::I16 };
    let (sizes, strides) = merge(to.shape(), &[to.strides().into()]);
    if sizes.len() > MAX_DIMS {
        copy_in_parts(from, to)?;
        return Ok(true);
    }
    let key = [b"scatter_narrow".as_slice(), &[carrier as u8, sizes.len() as u8]].concat();
    let mut params: SmallVec<[u32; 32]> = smallvec![from.offset() as u32, to.offset() as u32, to.numel() as u32];
    params.extend(sizes.iter().map(|&n| n as u32));
    params.extend(strides[0].iter().map(|&s| s as u32));
    let rank = sizes.len();
    let make = || {
        let mut names: Vec<String> = vec!["n".into()];
        names.extend((0..rank).map(|d| format!("n{d}")));
        names.extend((0..rank).map(|d| format!("t{d}")));
        let mut body = "if (i >= p.n) { return; }\nvar j = 0u;\nvar rest = i;\n".to_owned();
        for d in (0..rank).rev() {
            let _ = writeln!(body, "j += (rest % p.n{d}) * p.t{d};\nrest = rest / p.n{d};");
        }
        body += "out_set(j, x0(i));";
        let bindings = vec![
            Binding::read("x0", carrier),
            Binding { name: "out", dtype: carrier, writes: true, atomic: true, quads: false, wide: false },
        ];
        Shader::new("scatter_narrow", bindings, &names.iter().map(String::as_str).collect::<Vec<_>>(), body)
    };
    let (source, target) = (on_gpu(from)?, on_gpu(to)?);
    let gpu: &Arc<Gpu> = target.gpu();
    gpu.run_cached(&key, false, make, &[source, target], &params, (to.numel() as u64).div_ceil(256))?;
    Ok(true)
}
