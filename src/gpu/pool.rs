//! Pooling over planes: maxima and averages, plain and adaptive, forward and backward.

use crate::call::{Call, are_floats};
use rustnn_kernels::pool::{Adaptive, Divisor, Window};
use rustnn_tensor::{Array, Result};

const AXES: [&str; 3] = ["z", "y", "x"];

fn volume(sizes: [usize; 3]) -> usize {
    sizes.iter().product()
}

fn window_sizes(call: &mut Call, w: &Window) {
    for (d, axis) in AXES.iter().enumerate() {
        call.number(format!("i{axis}"), w.input[d]).number(format!("o{axis}"), w.output[d]).number(format!("k{axis}"), w.kernel[d]);
        call.number(format!("s{axis}"), w.stride[d]).number(format!("p{axis}"), w.padding[d]).number(format!("d{axis}"), w.dilation[d]);
    }
}

/// The window of output `o` of the plane: its start, and a loop over its places inside of the input.
const WINDOW: &str = "
let plane = i / (p.oz * p.oy * p.ox);
let z0 = i32(((i / (p.oy * p.ox)) % p.oz) * p.sz) - i32(p.pz);
let y0 = i32(((i / p.ox) % p.oy) * p.sy) - i32(p.py);
let x0 = i32((i % p.ox) * p.sx) - i32(p.px);
";

/// The walk over a window: BODY sees `at`, the place in the plane.
fn walk(body: &str) -> String {
    format!(
        "for (var a = 0u; a < p.kz; a++) {{
    let z = z0 + i32(a * p.dz);
    if (z < 0 || z >= i32(p.iz)) {{ continue; }}
    for (var b = 0u; b < p.ky; b++) {{
        let y = y0 + i32(b * p.dy);
        if (y < 0 || y >= i32(p.iy)) {{ continue; }}
        for (var c = 0u; c < p.kx; c++) {{
            let xx = x0 + i32(c * p.dx);
            if (xx < 0 || xx >= i32(p.ix)) {{ continue; }}
            let at = (u32(z) * p.iy + u32(y)) * p.ix + u32(xx);
            {body}
        }}
    }}
}}
"
    )
}

/// A NaN takes the place of anything.
const TAKES: &str = "
fn takes(v: f32, best: f32) -> bool { return v > best || (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u; }
";
const TAKE: &str =
    "let v = x(plane * p.iz * p.iy * p.ix + at);\n            if (!found || takes(v, best)) { best = v; place = at; found = true; }";

/// Window maxima and, if asked, their places: the first of equal ones, the last NaN.
pub fn max_pool(w: &Window, planes: usize, x: &Array, out: &Array, indices: Option<&Array>) -> Result<bool> {
    if !are_floats(&[Some(x), Some(out)]) {
        return Ok(false);
    }
    let mut call = Call::new("max_pool");
    call.read("x", x)?;
    call.write("out", out)?;
    call.write_or("indices", indices, "vec2<u32>")?;
    window_sizes(&mut call, w);
    call.number("lowest", f32::NEG_INFINITY.to_bits() as usize);
    let body = format!(
        "{WINDOW}var best = bitcast<f32>(p.lowest);\nvar place = 0u;\nvar found = false;\n{}out_set(i, best);
indices_set(i, select(vec2<u32>(0xffffffffu), vec2<u32>(place, 0u), found));",
        walk(TAKE)
    );
    call.each(planes * volume(w.output), TAKES, &body)
}

/// `dx` from the gradient and the places of the maxima: a plane is one invocation's work, so that sums have one order.
pub fn max_pool_backward(planes: usize, input: usize, output: usize, dy: &Array, indices: &Array, dx: &Array) -> Result<bool> {
    if !are_floats(&[Some(dy), Some(dx)]) {
        return Ok(false);
    }
    let mut call = Call::new("max_pool_backward");
    call.read("dy", dy)?;
    call.read("indices", indices)?;
    call.write("dx", dx)?;
    call.number("input", input).number("output", output);
    call.each(
        planes,
        "",
        "for (var k = 0u; k < p.input; k++) { dx_set(i * p.input + k, 0.0); }
for (var k = 0u; k < p.output; k++) {
    let place = indices(i * p.output + k).x;
    if (indices(i * p.output + k).y == 0u && place < p.input) { dx_set(i * p.input + place, dx(i * p.input + place) + dy(i * p.output + k)); }
}",
    )
}

/// `out[plane, i] = x[plane, indices[plane, i]]`.
pub fn pick(planes: usize, input: usize, output: usize, x: &Array, indices: &Array, out: &Array) -> Result<bool> {
    if !are_floats(&[Some(x), Some(out)]) {
        return Ok(false);
    }
    let mut call = Call::new("pick");
    call.read("x", x)?;
    call.read("indices", indices)?;
    call.write("out", out)?;
    call.number("input", input).number("output", output);
    call.each(
        planes * output,
        "",
        "let place = indices(i).x;\nout_set(i, select(0.0, x((i / p.output) * p.input + min(place, p.input - 1u)), indices(i).y == 0u && place < p.input));",
    )
}

/// What the output whose window begins at `z0, y0, x0` divides by.
const DIVISOR: &str = "
fn extent(start: i32, kernel: u32, input: u32, padding: u32) -> vec2<i32> {
    let end = min(start + i32(kernel), i32(input + padding));
    return vec2<i32>(end - start, min(end, i32(input)) - max(start, 0));
}
fn divisor(z0: i32, y0: i32, x0: i32) -> f32 {
    if (RULE == 2u) { return p.fixed; }
    let n = extent(z0, p.kz, p.iz, p.pz) * extent(y0, p.ky, p.iy, p.py) * extent(x0, p.kx, p.ix, p.px);
    return f32(select(n.y, n.x, RULE == 0u));
}
";

fn rule(call: &mut Call, divisor: Divisor) {
    let (number, fixed) = match divisor {
        Divisor::WithPadding => (0, 1),
        Divisor::Inside => (1, 1),
        Divisor::Fixed(n) => (2, n),
    };
    call.variant(&format!("rule{number}"), format!("const RULE = {number}u;\n"));
    call.float("fixed", fixed as f64);
}

pub fn avg_pool(w: &Window, divisor: Divisor, planes: usize, x: &Array, out: &Array) -> Result<bool> {
    if !are_floats(&[Some(x), Some(out)]) {
        return Ok(false);
    }
    let mut call = Call::new("avg_pool");
    call.read("x", x)?;
    call.write("out", out)?;
    window_sizes(&mut call, w);
    rule(&mut call, divisor);
    let body =
        format!("{WINDOW}var sum = 0.0;\n{}out_set(i, sum / divisor(z0, y0, x0));", walk("sum += x(plane * p.iz * p.iy * p.ix + at);"));
    call.each(planes * volume(w.output), DIVISOR, &body)
}

/// Each input gathers from the windows that hold it.
pub fn avg_pool_backward(w: &Window, divisor: Divisor, planes: usize, dy: &Array, dx: &Array) -> Result<bool> {
    if !are_floats(&[Some(dy), Some(dx)]) {
        return Ok(false);
    }
    let mut call = Call::new("avg_pool_backward");
    call.read("dy", dy)?;
    call.write("dx", dx)?;
    window_sizes(&mut call, w);
    rule(&mut call, divisor);
    call.each(
        planes * volume(w.input),
        DIVISOR,
        "let plane = i / (p.iz * p.iy * p.ix);
let z = i32((i / (p.iy * p.ix)) % p.iz);
let y = i32((i / p.ix) % p.iy);
let x = i32(i % p.ix);
var sum = 0.0;
for (var a = 0u; a < p.kz; a++) {
    let tz = z + i32(p.pz) - i32(a * p.dz);
    if (tz < 0 || tz % i32(p.sz) != 0 || tz / i32(p.sz) >= i32(p.oz)) { continue; }
    for (var b = 0u; b < p.ky; b++) {
        let ty = y + i32(p.py) - i32(b * p.dy);
        if (ty < 0 || ty % i32(p.sy) != 0 || ty / i32(p.sy) >= i32(p.oy)) { continue; }
        for (var c = 0u; c < p.kx; c++) {
            let tx = x + i32(p.px) - i32(c * p.dx);
            if (tx < 0 || tx % i32(p.sx) != 0 || tx / i32(p.sx) >= i32(p.ox)) { continue; }
            let oz = u32(tz / i32(p.sz));
            let oy = u32(ty / i32(p.sy));
            let ox = u32(tx / i32(p.sx));
            let share = divisor(i32(oz * p.sz) - i32(p.pz), i32(oy * p.sy) - i32(p.py), i32(ox * p.sx) - i32(p.px));
            sum += dy(((plane * p.oz + oz) * p.oy + oy) * p.ox + ox) / share;
        }
    }
}
dx_set(i, sum);",
    )
}

fn adaptive_sizes(call: &mut Call, s: &Adaptive) {
    for (d, axis) in AXES.iter().enumerate() {
        call.number(format!("i{axis}"), s.input[d]).number(format!("o{axis}"), s.output[d]);
    }
}

/// Output o covers `floor(o in / out) .. ceil((o + 1) in / out)`.
const RANGES: &str = "
fn from_(o: u32, input: u32, output: u32) -> u32 { return o * input / output; }
fn until(o: u32, input: u32, output: u32) -> u32 { return ((o + 1u) * input + output - 1u) / output; }
";

const ADAPTIVE: &str = "
let plane = i / (p.oz * p.oy * p.ox);
let oz = (i / (p.oy * p.ox)) % p.oz;
let oy = (i / p.ox) % p.oy;
let ox = i % p.ox;
let z1 = until(oz, p.iz, p.oz);
let y1 = until(oy, p.iy, p.oy);
let x1 = until(ox, p.ix, p.ox);
";

fn adaptive_walk(body: &str) -> String {
    format!(
        "for (var z = from_(oz, p.iz, p.oz); z < z1; z++) {{
    for (var y = from_(oy, p.iy, p.oy); y < y1; y++) {{
        for (var xx = from_(ox, p.ix, p.ox); xx < x1; xx++) {{
            let at = (z * p.iy + y) * p.ix + xx;
            {body}
        }}
    }}
}}
"
    )
}

pub fn adaptive_avg_pool(s: &Adaptive, planes: usize, x: &Array, out: &Array) -> Result<bool> {
    if !are_floats(&[Some(x), Some(out)]) {
        return Ok(false);
    }
    let mut call = Call::new("adaptive_avg_pool");
    call.read("x", x)?;
    call.write("out", out)?;
    adaptive_sizes(&mut call, s);
    let body = format!(
        "{ADAPTIVE}var sum = 0.0;\nvar count = 0.0;\n{}out_set(i, sum / count);",
        adaptive_walk("sum += x(plane * p.iz * p.iy * p.ix + at);\n            count += 1.0;")
    );
    call.each(planes * volume(s.output), RANGES, &body)
}

pub fn adaptive_avg_pool_backward(s: &Adaptive, planes: usize, dy: &Array, dx: &Array) -> Result<bool> {
    if !are_floats(&[Some(dy), Some(dx)]) {
        return Ok(false);
    }
    let mut call = Call::new("adaptive_avg_pool_backward");
    call.read("dy", dy)?;
    call.write("dx", dx)?;
    adaptive_sizes(&mut call, s);
    // The outputs whose ranges hold a place are those of `place out / in` and perhaps the neighbours.
    call.each(
        planes * volume(s.input),
        RANGES,
        "let plane = i / (p.iz * p.iy * p.ix);
let z = (i / (p.iy * p.ix)) % p.iz;
let y = (i / p.ix) % p.iy;
let x = i % p.ix;
var sum = 0.0;
for (var oz = z * p.oz / p.iz; oz < p.oz && from_(oz, p.iz, p.oz) <= z; oz++) {
    if (until(oz, p.iz, p.oz) <= z) { continue; }
    let nz = until(oz, p.iz, p.oz) - from_(oz, p.iz, p.oz);
    for (var oy = y * p.oy / p.iy; oy < p.oy && from_(oy, p.iy, p.oy) <= y; oy++) {
        if (until(oy, p.iy, p.oy) <= y) { continue; }
        let ny = until(oy, p.iy, p.oy) - from_(oy, p.iy, p.oy);
        for (var ox = x * p.ox / p.ix; ox < p.ox && from_(ox, p.ix, p.ox) <= x; ox++) {
            if (until(ox, p.ix, p.ox) <= x) { continue; }
            let nx = until(ox, p.ix, p.ox) - from_(ox, p.ix, p.ox);
            sum += dy(((plane * p.oz + oz) * p.oy + oy) * p.ox + ox) / f32(nz * ny * nx);
        }
    }
}
dx_set(i, sum);",
    )
}

pub fn adaptive_max_pool(s: &Adaptive, planes: usize, x: &Array, out: &Array, indices: &Array) -> Result<bool> {
    if !are_floats(&[Some(x), Some(out)]) {
        return Ok(false);
    }
    let mut call = Call::new("adaptive_max_pool");
    call.read("x", x)?;
    call.write("out", out)?;
    call.write("indices", indices)?;
    adaptive_sizes(&mut call, s);
    let body = format!(
        "{ADAPTIVE}var best = 0.0;\nvar place = 0u;\nvar found = false;\n{}out_set(i, best);\nindices_set(i, vec2<u32>(place, 0u));",
        adaptive_walk(TAKE)
    );
    call.each(planes * volume(s.output), &format!("{TAKES}{RANGES}"), &body)
}
