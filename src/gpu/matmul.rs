//! Products: one tiled kernel, whose loads and stores are given as text, so that matrices of any strides and the three
//! directions of a convolution share it.

use crate::call::{Call, WORKGROUP, are_floats};
use rustnn_kernels::conv::ConvShape;
use rustnn_tensor::{Array, Result};

/// Rows, columns and depth of a workgroup's tile, and what one invocation has of it.
#[derive(Clone, Copy)]
struct Tile {
    rows: usize,
    columns: usize,
    depth: usize,
    own_rows: usize,
    own_columns: usize,
}

/// The tile for a product: large ones reuse more, small ones leave fewer invocations idle.
fn tile(rows: usize, columns: usize, batch: usize) -> Tile {
    let tiles = |t: Tile| rows.div_ceil(t.rows) * columns.div_ceil(t.columns) * batch;
    let large = Tile { rows: 64, columns: 64, depth: 16, own_rows: 4, own_columns: 4 };
    let flat = Tile { rows: 16, columns: 64, depth: 32, own_rows: 1, own_columns: 4 };
    let small = Tile { rows: 32, columns: 32, depth: 16, own_rows: 2, own_columns: 2 };
    if rows <= 16 {
        flat
    } else if rows > 32 && columns > 32 && tiles(large) >= 64 {
        large
    } else {
        small
    }
}

/// A product of `batch` matrices, `rows x columns`, over `depth`. The text gives `load_a(b, m, k)`, `load_b(b, k, n)` and
/// `store(b, m, n, v)`, only called inside of the sizes.
fn product(mut call: Call, batch: usize, rows: usize, columns: usize, depth: usize, items: &str) -> Result<bool> {
    let t = tile(rows, columns, batch);
    call.number("M", rows).number("N", columns).number("K", depth);
    let (across, down) = (columns.div_ceil(t.columns), rows.div_ceil(t.rows));
    call.number("across", across).number("down", down);
    call.variant(&format!("{}x{}x{}", t.rows, t.columns, t.depth), "");
    let Tile { rows: tm, columns: tn, depth: tk, own_rows: rm, own_columns: rn } = t;
    let items = format!(
        "{items}
var<workgroup> tile_a: array<f32, {a_len}>;
var<workgroup> tile_b: array<f32, {b_len}>;
",
        a_len = tm * tk,
        b_len = tk * tn
    );
    let lanes_across = tn / rn;
    let mut body = format!(
        "let batch = group / (p.across * p.down);
let rest = group % (p.across * p.down);
if (batch >= p.batch) {{ return; }}
let m0 = (rest / p.across) * {tm}u;
let n0 = (rest % p.across) * {tn}u;
let y = (lane / {lanes_across}u) * {rm}u;
let x_ = (lane % {lanes_across}u) * {rn}u;
"
    );
    call.number("batch", batch);
    for r in 0..rm {
        for c in 0..rn {
            body += &format!("var s{r}_{c} = 0.0;\n");
        }
    }
    body += &format!(
        "for (var k0 = 0u; k0 < p.K; k0 += {tk}u) {{
    for (var e = lane; e < {a_len}u; e += {WORKGROUP}u) {{
        let m = m0 + e / {tk}u;
        let k = k0 + e % {tk}u;
        var v = 0.0;
        if (m < p.M && k < p.K) {{ v = load_a(batch, m, k); }}
        tile_a[(e % {tk}u) * {tm}u + e / {tk}u] = v;
    }}
    for (var e = lane; e < {b_len}u; e += {WORKGROUP}u) {{
        let k = k0 + e / {tn}u;
        let n = n0 + e % {tn}u;
        var v = 0.0;
        if (k < p.K && n < p.N) {{ v = load_b(batch, k, n); }}
        tile_b[e] = v;
    }}
    workgroupBarrier();
    for (var k = 0u; k < {tk}u; k++) {{
",
        a_len = tm * tk,
        b_len = tk * tn
    );
    for r in 0..rm {
        body += &format!("        let a{r} = tile_a[k * {tm}u + y + {r}u];\n");
    }
    for c in 0..rn {
        body += &format!("        let b{c} = tile_b[k * {tn}u + x_ + {c}u];\n");
    }
    for r in 0..rm {
        for c in 0..rn {
            body += &format!("        s{r}_{c} = fma(a{r}, b{c}, s{r}_{c});\n");
        }
    }
    body += "    }\n    workgroupBarrier();\n}\n";
    for r in 0..rm {
        for c in 0..rn {
            body +=
                &format!("if (m0 + y + {r}u < p.M && n0 + x_ + {c}u < p.N) {{ store(batch, m0 + y + {r}u, n0 + x_ + {c}u, s{r}_{c}); }}\n");
        }
    }
    call.run((batch * across * down) as u64, WORKGROUP, &items, &body)
}

/// `c = a · b`, or `a · b + plus`; the same leading (batch) sizes in all, strides any.
pub fn matmul(a: &Array, b: &Array, plus: Option<&Array>, c: &Array) -> Result<bool> {
    if !are_floats(&[Some(a), Some(b), plus, Some(c)]) {
        return Ok(false);
    }
    let rank = c.rank();
    if !(2..=5).contains(&rank) {
        return Ok(false);
    }
    let (rows, columns, depth) = (c.shape()[rank - 2], c.shape()[rank - 1], a.shape()[rank - 1]);
    if c.numel() == 0 {
        return Ok(true);
    }
    let batch: usize = c.shape()[..rank - 2].iter().product();
    let mut call = Call::new("matmul");
    call.flag("PLUS", plus.is_some());
    // Read as they lie, by their strides.
    let mut text = String::new();
    for (name, operand) in [("left", Some(a)), ("right", Some(b)), ("plus", plus)] {
        let Some(operand) = operand else {
            text += "fn plus_at(b: u32, m: u32, n: u32) -> f32 { return 0.0; }\n";
            continue;
        };
        call.read_strided(name, operand)?;
        let mut at = String::new();
        for (d, place) in ["c0", "c1", "c2"][..rank - 2].iter().enumerate() {
            call.number(&format!("{name}{d}"), operand.strides()[d] as usize);
            at += &format!(" + {place} * p.{name}{d}");
        }
        call.number(&format!("{name}r"), operand.strides()[rank - 2] as usize);
        call.number(&format!("{name}c"), operand.strides()[rank - 1] as usize);
        let fetch = match name {
            "left" => "load_a(b: u32, m: u32, n: u32)",
            "right" => "load_b(b: u32, m: u32, n: u32)",
            _ => "plus_at(b: u32, m: u32, n: u32)",
        };
        text += &format!("fn {fetch} -> f32 {{\n{COORDINATES}    return {name}(m * p.{name}r + n * p.{name}c{at});\n}}\n");
    }
    let sizes: Vec<usize> = c.shape()[..rank - 2].to_vec();
    call.number("n1", sizes.get(1).copied().unwrap_or(1)).number("n2", sizes.get(2).copied().unwrap_or(1));
    call.variant(&format!("rank{rank}"), "");
    call.write("out", c)?;
    text += "fn store(b: u32, m: u32, n: u32, v: f32) {\n    let at = (b * p.M + m) * p.N + n;\n    if (PLUS) { out_set(at, v + plus_at(b, m, n)); } else { out_set(at, v); }\n}\n";
    product(call, batch, rows, columns, depth, &text)
}

/// A batch number's coordinates.
const COORDINATES: &str =
    "    let c2 = select(0u, b % p.n2, p.n2 > 1u);\n    let c1 = (b / p.n2) % p.n1;\n    let c0 = b / (p.n2 * p.n1);\n";

/// Sizes of a convolution as parameters.
fn sizes(call: &mut Call, s: &ConvShape) {
    call.number("batch_n", s.batch).number("in_channels", s.in_channels).number("out_channels", s.out_channels);
    call.number("ci", s.in_channels / s.groups).number("co", s.out_channels / s.groups).number("groups", s.groups);
    for (d, axis) in ["z", "y", "x"].iter().enumerate() {
        call.number(&format!("i{axis}"), s.input[d]).number(&format!("o{axis}"), s.output[d]).number(&format!("k{axis}"), s.kernel[d]);
        call.number(&format!("s{axis}"), s.stride[d]).number(&format!("p{axis}"), s.padding[d]).number(&format!("d{axis}"), s.dilation[d]);
    }
}

/// Where output `o` (a place in its plane) sees the input through tap `t`: the place in the input's plane, or -1 outside.
const SEEN: &str = "
fn seen(o: u32, t: u32) -> i32 {
    let z = i32((o / (p.oy * p.ox)) * p.sz + (t / (p.ky * p.kx)) * p.dz) - i32(p.pz);
    let y = i32(((o / p.ox) % p.oy) * p.sy + ((t / p.kx) % p.ky) * p.dy) - i32(p.py);
    let x = i32((o % p.ox) * p.sx + (t % p.kx) * p.dx) - i32(p.px);
    if (z < 0 || y < 0 || x < 0 || z >= i32(p.iz) || y >= i32(p.iy) || x >= i32(p.ix)) { return -1; }
    return (z * i32(p.iy) + y) * i32(p.ix) + x;
}
fn seen_from(i: u32, t: u32) -> i32 {
    let z = i32(i / (p.iy * p.ix)) + i32(p.pz) - i32((t / (p.ky * p.kx)) * p.dz);
    let y = i32((i / p.ix) % p.iy) + i32(p.py) - i32(((t / p.kx) % p.ky) * p.dy);
    let x = i32(i % p.ix) + i32(p.px) - i32((t % p.kx) * p.dx);
    if (z < 0 || y < 0 || x < 0 || z % i32(p.sz) != 0 || y % i32(p.sy) != 0 || x % i32(p.sx) != 0) { return -1; }
    let oz = z / i32(p.sz);
    let oy = y / i32(p.sy);
    let ox = x / i32(p.sx);
    if (oz >= i32(p.oz) || oy >= i32(p.oy) || ox >= i32(p.ox)) { return -1; }
    return (oz * i32(p.oy) + oy) * i32(p.ox) + ox;
}
";

fn volume(sizes: [usize; 3]) -> usize {
    sizes.iter().product()
}

/// As the CPU's `conv::forward`; one product for each group, over the channels and taps.
pub fn conv_forward(s: &ConvShape, x: &Array, weight: &Array, bias: Option<&Array>, out: &Array) -> Result<bool> {
    if !are_floats(&[Some(x), Some(weight), bias, Some(out)]) {
        return Ok(false);
    }
    if out.numel() == 0 {
        return Ok(true);
    }
    let mut call = Call::new("conv_forward");
    call.read("x", x)?;
    call.read("w", weight)?;
    call.read_or("bias", bias, "0.0")?;
    call.write("out", out)?;
    sizes(&mut call, s);
    let (taps, plane) = (volume(s.kernel), volume(s.output));
    call.number("taps", taps).number("plane", plane).number("input", volume(s.input));
    let text = format!(
        "{SEEN}
fn load_a(g: u32, m: u32, k: u32) -> f32 {{ return w((g * p.co + m) * p.ci * p.taps + k); }}
fn load_b(g: u32, k: u32, n: u32) -> f32 {{
    let at = seen(n % p.plane, k % p.taps);
    if (at < 0) {{ return 0.0; }}
    return x(((n / p.plane) * p.in_channels + g * p.ci + k / p.taps) * p.input + u32(at));
}}
fn store(g: u32, m: u32, n: u32, v: f32) {{
    let c = g * p.co + m;
    out_set(((n / p.plane) * p.out_channels + c) * p.plane + n % p.plane, v + bias(c));
}}
"
    );
    product(call, s.groups, s.out_channels / s.groups, s.batch * plane, s.in_channels / s.groups * taps, &text)
}

/// The gradient for the input, or the transposed convolution of `dy` with its bias.
pub fn conv_backward_input(s: &ConvShape, dy: &Array, weight: &Array, bias: Option<&Array>, dx: &Array) -> Result<bool> {
    if !are_floats(&[Some(dy), Some(weight), bias, Some(dx)]) {
        return Ok(false);
    }
    if dx.numel() == 0 {
        return Ok(true);
    }
    let mut call = Call::new("conv_backward_input");
    call.read("g", dy)?;
    call.read("w", weight)?;
    call.read_or("bias", bias, "0.0")?;
    call.write("out", dx)?;
    sizes(&mut call, s);
    let (taps, plane) = (volume(s.kernel), volume(s.input));
    call.number("taps", taps).number("plane", plane).number("output", volume(s.output));
    let text = format!(
        "{SEEN}
fn load_a(b: u32, m: u32, k: u32) -> f32 {{
    return w(((b * p.co + k / p.taps) * p.ci + m) * p.taps + k % p.taps);
}}
fn load_b(b: u32, k: u32, n: u32) -> f32 {{
    let at = seen_from(n % p.plane, k % p.taps);
    if (at < 0) {{ return 0.0; }}
    return g(((n / p.plane) * p.out_channels + b * p.co + k / p.taps) * p.output + u32(at));
}}
fn store(b: u32, m: u32, n: u32, v: f32) {{
    let c = b * p.ci + m;
    out_set(((n / p.plane) * p.in_channels + c) * p.plane + n % p.plane, v + bias(c));
}}
"
    );
    product(call, s.groups, s.in_channels / s.groups, s.batch * plane, s.out_channels / s.groups * taps, &text)
}

/// The gradient for the weights: a product over all outputs.
pub fn conv_backward_weight(s: &ConvShape, x: &Array, dy: &Array, dw: &Array) -> Result<bool> {
    if !are_floats(&[Some(x), Some(dy), Some(dw)]) {
        return Ok(false);
    }
    if dw.numel() == 0 {
        return Ok(true);
    }
    let mut call = Call::new("conv_backward_weight");
    call.read("x", x)?;
    call.read("g", dy)?;
    call.write("out", dw)?;
    sizes(&mut call, s);
    let (taps, plane) = (volume(s.kernel), volume(s.output));
    call.number("taps", taps).number("plane", plane).number("input", volume(s.input));
    let text = format!(
        "{SEEN}
fn load_a(b: u32, m: u32, k: u32) -> f32 {{
    return g(((k / p.plane) * p.out_channels + b * p.co + m) * p.plane + k % p.plane);
}}
fn load_b(b: u32, k: u32, n: u32) -> f32 {{
    let at = seen(k % p.plane, n % p.taps);
    if (at < 0) {{ return 0.0; }}
    return x(((k / p.plane) * p.in_channels + b * p.ci + n / p.taps) * p.input + u32(at));
}}
fn store(b: u32, m: u32, n: u32, v: f32) {{ out_set((b * p.co + m) * p.N + n, v); }}
"
    );
    product(call, s.groups, s.out_channels / s.groups, s.in_channels / s.groups * taps, s.batch * plane, &text)
}
