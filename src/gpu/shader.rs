//! The text around a kernel's body: bindings, parameters, loads and stores by dtype, the entry point.

use rustnn_tensor::DType;
use std::fmt::Write;

/// A dispatch's parameters, at most.
pub const MAX_PARAMS_BYTES: usize = 512;

/// A storage buffer as a kernel sees it.
#[derive(Clone, Debug)]
pub struct Binding {
    pub name: &'static str,
    pub dtype: DType,
    pub writes: bool,
    /// Elements narrower than a word may be written by several invocations of one word.
    pub atomic: bool,
    /// Floats that are loaded four at once.
    pub quads: bool,
    /// Integers that are read as int64.
    pub wide: bool,
}

impl Binding {
    pub fn read(name: &'static str, dtype: DType) -> Binding {
        Binding { name, dtype, writes: false, atomic: false, quads: false, wide: false }
    }

    pub fn write(name: &'static str, dtype: DType) -> Binding {
        Binding { name, dtype, writes: true, atomic: false, quads: false, wide: false }
    }
}

/// A kernel: what it is called in the caches, what it binds, and the body of its entry point.
#[derive(Clone, Debug)]
pub struct Shader {
    pub key: String,
    pub bindings: Vec<Binding>,
    /// `name: type` of each parameter, after the places of the arrays in their buffers.
    pub params: Vec<String>,
    /// Functions and workgroup variables.
    pub items: String,
    pub body: String,
    pub workgroup: u32,
    /// Whether it may raise the flag of a bad index; binds that buffer too.
    pub flags: bool,
    /// Every index follows from shapes: no check of them is compiled in.
    pub unchecked: bool,
}

/// The type in which a kernel computes with a dtype; i64 and u64 are two words, the low one first.
pub fn value_type(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 | DType::F16 | DType::BF16 => "f32",
        DType::I8 | DType::I16 | DType::I32 | DType::U8 | DType::U16 | DType::Bool => "i32",
        DType::U32 => "u32",
        _ => "vec2<u32>",
    }
}

/// The bits of an element as they lie in memory, in a word or two.
fn raw_type(dtype: DType) -> &'static str {
    if dtype.size_bytes() == 8 { "vec2<u32>" } else { "u32" }
}

/// From the bits to the value.
fn decode(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "bitcast<f32>(r)",
        DType::F16 => "f16_decode(r)",
        DType::BF16 => "bitcast<f32>(r << 16u)",
        DType::I8 => "(bitcast<i32>(r << 24u) >> 24u)",
        DType::I16 => "(bitcast<i32>(r << 16u) >> 16u)",
        DType::I32 => "bitcast<i32>(r)",
        DType::U8 | DType::U16 | DType::Bool => "i32(r)",
        _ => "r",
    }
}

/// From the value to the bits, rounded once, to the nearest even.
fn encode(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 | DType::I32 => "bitcast<u32>(v)",
        DType::F16 => "f16_encode(v)",
        DType::BF16 => "bf16_encode(v)",
        DType::I8 | DType::U8 => "(bitcast<u32>(v) & 0xffu)",
        DType::I16 | DType::U16 => "(bitcast<u32>(v) & 0xffffu)",
        DType::Bool => "select(0u, 1u, v != 0)",
        _ => "v",
    }
}

/// Halves and bfloat16 by their bits: what the built-in conversions do to halves between and to numbers out of range differs
/// from device to device.
pub const HALVES: &str = "
fn f16_decode(r: u32) -> f32 {
    let sign = (r & 0x8000u) << 16u;
    let e = (r >> 10u) & 31u;
    let m = r & 1023u;
    if (e == 0u) {
        // Subnormal: m 2^-24 is exact.
        return bitcast<f32>(bitcast<u32>(f32(m) * 5.9604645e-8f) | sign);
    }
    if (e == 31u) { return bitcast<f32>(sign | 0x7f800000u | (m << 13u)); }
    return bitcast<f32>(sign | ((e + 112u) << 23u) | (m << 13u));
}
fn f16_encode(v: f32) -> u32 {
    let b = bitcast<u32>(v);
    let sign = (b >> 16u) & 0x8000u;
    let a = b & 0x7fffffffu;
    if (a > 0x7f800000u) { return sign | 0x7e00u; }
    if (a >= 0x477ff000u) { return sign | 0x7c00u; }
    if (a < 0x38800000u) {
        // A multiple of 2^-24: shifted out with rounding.
        let e = a >> 23u;
        if (e < 102u) { return sign; }
        let m = (a & 0x7fffffu) | 0x800000u;
        let shift = 126u - e;
        let half = 1u << (shift - 1u);
        let low = m & ((1u << shift) - 1u);
        let q = m >> shift;
        return sign | (q + select(0u, 1u, low > half || (low == half && (q & 1u) == 1u)));
    }
    let r = a - 0x38000000u;
    return sign | ((r + 0xfffu + ((r >> 13u) & 1u)) >> 13u);
}
fn bf16_encode(v: f32) -> u32 {
    let b = bitcast<u32>(v);
    if ((b & 0x7fffffffu) > 0x7f800000u) { return ((b >> 16u) & 0x8000u) | 0x7fc0u; }
    return (b + 0x7fffu + ((b >> 16u) & 1u)) >> 16u;
}
";

impl Binding {
    /// The buffer's variable, `NAME_at`'s user `NAME(i)` and, where it is written, `NAME_set(i, v)`; for narrow elements the
    /// store of a whole word is `NAME_word(w, old, mask)`.
    fn declare(&self, slot: usize, out: &mut String) {
        let name = self.name;
        let access = if self.writes { "read_write" } else { "read" };
        let widened = self.wide && value_type(self.dtype) == "i32";
        let plain = matches!(self.dtype, DType::F32 | DType::I32) && !self.atomic && !widened;
        let element = match self.dtype {
            _ if self.atomic => "atomic<u32>",
            DType::F16 | DType::BF16 if self.quads => "vec2<u32>",
            _ if self.quads => "vec4<f32>",
            DType::F32 => "f32",
            DType::I32 if !widened => "i32",
            d if d.size_bytes() == 8 => "vec2<u32>",
            _ => "u32",
        };
        let width = self.dtype.size_bytes();
        let (raw, value) = (raw_type(self.dtype), if widened { "vec2<u32>" } else { value_type(self.dtype) });
        let _ = writeln!(out, "@group(0) @binding({slot}) var<storage, {access}> {name}_b: array<{element}>;");
        if self.quads {
            let at = format!("{name}_b[(i + p.{name}_at) >> 2u]");
            let load = if self.dtype == DType::F32 {
                format!("return {at};")
            } else {
                let _ = writeln!(out, "fn {name}_decode(r: u32) -> f32 {{ return {}; }}", decode(self.dtype));
                let half = |word: &str| format!("{name}_decode({word} & 0xffffu), {name}_decode({word} >> 16u)");
                format!("let r = {at}; return vec4<f32>({}, {});", half("r.x"), half("r.y"))
            };
            let _ = writeln!(out, "fn {name}4(i: u32) -> vec4<f32> {{ {load} }}");
            return;
        }
        if plain {
            let _ = writeln!(out, "fn {name}(i: u32) -> {value} {{ return {name}_b[i + p.{name}_at]; }}");
            if self.writes {
                let _ = writeln!(out, "fn {name}_set(i: u32, v: {value}) {{ {name}_b[i + p.{name}_at] = v; }}");
            }
            return;
        }
        let (mut decode, encode) = (decode(self.dtype).to_owned(), encode(self.dtype));
        if widened {
            decode = format!("i64_of({decode})");
        }
        if width >= 4 {
            let load = if self.atomic { format!("atomicLoad(&{name}_b[j])") } else { format!("{name}_b[j]") };
            let _ = writeln!(out, "fn {name}_raw(j: u32) -> {raw} {{ return {load}; }}");
        } else {
            let (shift, low, scale, mask) = if width == 1 { (2, 3, 3, "0xffu") } else { (1, 1, 4, "0xffffu") };
            let word = if self.atomic { format!("atomicLoad(&{name}_b[j >> {shift}u])") } else { format!("{name}_b[j >> {shift}u]") };
            let _ = writeln!(out, "fn {name}_raw(j: u32) -> u32 {{ return ({word} >> ((j & {low}u) << {scale}u)) & {mask}; }}");
            if self.atomic {
                let _ = writeln!(
                    out,
                    "fn {name}_put(j: u32, r: u32) {{ let s = (j & {low}u) << {scale}u; atomicAnd(&{name}_b[j >> {shift}u], ~({mask} << s)); \
                     atomicOr(&{name}_b[j >> {shift}u], r << s); }}"
                );
            }
        }
        let _ = writeln!(out, "fn {name}_decode(r: {raw}) -> {value} {{ return {decode}; }}");
        let _ = writeln!(out, "fn {name}(i: u32) -> {value} {{ return {name}_decode({name}_raw(i + p.{name}_at)); }}");
        if self.writes {
            let _ = writeln!(out, "fn {name}_encode(v: {value}) -> {raw} {{ return {encode}; }}");
            if width >= 4 {
                let store = if self.atomic { "atomicStore(&NAME_b[j], r)" } else { "NAME_b[j] = r" }.replace("NAME", name);
                let _ = writeln!(out, "fn {name}_put(j: u32, r: {raw}) {{ {store}; }}");
            }
            if width >= 4 || self.atomic {
                let _ = writeln!(out, "fn {name}_set(i: u32, v: {value}) {{ {name}_put(i + p.{name}_at, {name}_encode(v)); }}");
            }
        }
    }
}

impl Shader {
    /// A kernel of which each invocation computes one thing: `i` counts them.
    pub fn new(key: impl Into<String>, bindings: Vec<Binding>, params: &[&str], body: impl Into<String>) -> Shader {
        Shader {
            key: key.into(),
            bindings,
            params: params.iter().map(|p| if p.contains(':') { (*p).to_owned() } else { format!("{p}: u32") }).collect(),
            items: String::new(),
            body: body.into(),
            workgroup: 256,
            flags: false,
            unchecked: false,
        }
    }

    pub fn items(mut self, items: impl Into<String>) -> Shader {
        self.items = items.into();
        self
    }

    pub fn workgroup(mut self, size: u32) -> Shader {
        self.workgroup = size;
        self
    }

    /// A kernel that may meet bad indices, `flag(value, size)`, or other faults, `fault(number)`.
    pub fn flagged(mut self) -> Shader {
        self.flags = true;
        self.params.push("slot: u32".into());
        self.bindings.push(Binding { name: "flags", dtype: DType::U32, writes: true, atomic: true, quads: false, wide: false });
        self
    }

    /// The whole text, its parameters in a uniform buffer or, as `immediates`, in the commands themselves.
    pub fn wgsl(&self, immediates: bool) -> String {
        // wgpu's Vulkan backend leaves loop counters and the clearing of workgroup memory out of modules that have an override only.
        let mut text = String::from("override whole: bool = true;\nstruct Params {\n");
        let arrays = self.bindings.iter().filter(|b| b.name != "flags");
        for binding in arrays {
            let _ = writeln!(text, "    {}_at: u32,", binding.name);
        }
        for param in &self.params {
            let _ = writeln!(text, "    {param},");
        }
        if self.bindings.is_empty() && self.params.is_empty() {
            text += "    nothing: u32,\n";
        }
        text += if immediates { "}\nvar<immediate> p: Params;\n" } else { "}\n@group(0) @binding(0) var<uniform> p: Params;\n" };
        let mut declared = String::new();
        for (i, binding) in self.bindings.iter().enumerate() {
            if binding.name == "flags" {
                let _ = writeln!(declared, "@group(0) @binding({}) var<storage, read_write> flags_b: array<atomic<u32>>;", i + 1);
                declared += crate::fault::TEXT;
            } else {
                binding.declare(i + 1, &mut declared);
            }
        }
        for (needle, item) in [
            ("f16_", HALVES),
            ("64_", crate::words::I64),
            ("i32_", crate::words::I32),
            ("f32_", crate::words::F32),
            ("philox", crate::random::PHILOX),
        ] {
            let used = declared.contains(needle) || self.body.contains(needle) || self.items.contains(needle);
            if used && !text.contains(item) {
                text += item;
            }
        }
        text += &declared;
        text += &self.items;
        let size = self.workgroup;
        let _ = write!(
            text,
            "\n@compute @workgroup_size({size})\nfn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(num_workgroups) workgroups: \
             vec3<u32>, @builtin(local_invocation_index) lane: u32) {{\n    let group = workgroup.x + workgroup.y * workgroups.x;\n    \
             let i = group * {size}u + lane;\n{}\n}}\n",
            self.body
        );
        text
    }
}
