//! Pooling over planes: maxima and averages, plain and adaptive, forward and backward. A gradient is gathered, by each place from
//! the windows that hold it. Windows of few places are one invocation's work, others a row that is folded.

use crate::call::{Call, are_floats};
use crate::rows::{Folds, Join, LARGER, Pass, Rows, State};
use rustnn_kernels::pool::{Adaptive, Divisor, Window, Windows};
use rustnn_tensor::{Array, Result};

const AXES: [&str; 3] = ["z", "y", "x"];
/// Places that one invocation goes through, at most.
const FEW: usize = 256;

fn volume(sizes: [usize; 3]) -> usize {
    sizes.iter().product()
}

/// Places that a window has, and windows that a place is in, at most, in each dimension.
fn reach(windows: &Windows) -> [[usize; 3]; 2] {
    let each = |f: &dyn Fn(usize) -> usize| [f(0), f(1), f(2)];
    match windows {
        Windows::Fixed(w) => [w.kernel, each(&|d| ((w.kernel[d] - 1) * w.dilation[d] / w.stride[d] + 1).min(w.output[d]))],
        Windows::Adaptive(s) => [each(&|d| s.input[d] / s.output[d].max(1) + 2), each(&|d| s.output[d] / s.input[d].max(1) + 2)],
    }
}

/// Whether 32 bits hold what adaptive windows are computed by.
fn fits(windows: &Windows) -> bool {
    match windows {
        Windows::Fixed(_) => true,
        Windows::Adaptive(s) => (0..3).all(|d| (s.input[d] + 1) * (s.output[d] + 1) < 1 << 32),
    }
}

/// Sizes as parameters, the reach `n` among them, and the text of `begin_AXIS(o)`, where the window of output `o` begins in the input,
/// its `place_AXIS(o, a)` number `a` and how many it has, `count_AXIS(o)`; and `first_AXIS(z)`, `end_AXIS(z)`, between which are the
/// windows that hold `z`, if `holds_AXIS(o, z)`.
fn bind(call: &mut Call, windows: &Windows, reach: [usize; 3]) -> String {
    let (input, output) = (windows.input(), windows.output());
    let mut text = String::from(match windows {
        Windows::Fixed(_) => "",
        Windows::Adaptive(_) => {
            "fn begin(o: u32, input: u32, output: u32) -> u32 { return o * input / output; }
fn end(o: u32, input: u32, output: u32) -> u32 { return ((o + 1u) * input + output - 1u) / output; }
"
        }
    });
    for (d, axis) in AXES.iter().enumerate() {
        call.number(format!("i{axis}"), input[d]).number(format!("o{axis}"), output[d]).number(format!("n{axis}"), reach[d]);
        let functions = match windows {
            Windows::Fixed(w) => {
                call.number(format!("k{axis}"), w.kernel[d]).number(format!("s{axis}"), w.stride[d]);
                call.number(format!("p{axis}"), w.padding[d]).number(format!("d{axis}"), w.dilation[d]);
                "fn begin_@(o: u32) -> i32 { return i32(o * p.s@) - i32(p.p@); }
fn place_@(o: u32, a: u32) -> i32 { return begin_@(o) + i32(a * p.d@); }
fn count_@(o: u32) -> u32 { return p.k@; }
fn first_@(z: u32) -> u32 {
    let low = i32(z + p.p@) - i32((p.k@ - 1u) * p.d@);
    return select(0u, (u32(low) + p.s@ - 1u) / p.s@, low > 0);
}
fn end_@(z: u32) -> u32 { return min((z + p.p@) / p.s@ + 1u, p.o@); }
fn holds_@(o: u32, z: u32) -> bool { return (z + p.p@ - o * p.s@) % p.d@ == 0u; }
"
            }
            Windows::Adaptive(_) => {
                "fn begin_@(o: u32) -> i32 { return i32(begin(o, p.i@, p.o@)); }
fn place_@(o: u32, a: u32) -> i32 { return begin_@(o) + i32(a); }
fn count_@(o: u32) -> u32 { return end(o, p.i@, p.o@) - begin(o, p.i@, p.o@); }
fn first_@(z: u32) -> u32 { return begin(z, p.o@, p.i@); }
fn end_@(z: u32) -> u32 { return end(z, p.o@, p.i@); }
fn holds_@(o: u32, z: u32) -> bool { return true; }
"
            }
        };
        text += &functions.replace('@', axis);
    }
    text
}

/// The walk over the window of output `i`: `body` sees `at`, a place in the plane.
fn walk(body: &str) -> String {
    format!(
        "let plane = i / (p.oz * p.oy * p.ox);
let oz = (i / (p.oy * p.ox)) % p.oz;
let oy = (i / p.ox) % p.oy;
let ox = i % p.ox;
for (var a = 0u; a < count_z(oz); a++) {{
    let z = place_z(oz, a);
    if (z < 0 || z >= i32(p.iz)) {{ continue; }}
    for (var b = 0u; b < count_y(oy); b++) {{
        let y = place_y(oy, b);
        if (y < 0 || y >= i32(p.iy)) {{ continue; }}
        for (var c = 0u; c < count_x(ox); c++) {{
            let xx = place_x(ox, c);
            if (xx < 0 || xx >= i32(p.ix)) {{ continue; }}
            let at = (u32(z) * p.iy + u32(y)) * p.ix + u32(xx);
            {body}
        }}
    }}
}}
"
    )
}

/// Place `k` of the window of output `row`, in its plane; -1: there is none.
const SEEN: &str = "
fn seen(row: u32, k: u32) -> i32 {
    let o = vec3<u32>((row / (p.oy * p.ox)) % p.oz, (row / p.ox) % p.oy, row % p.ox);
    let a = vec3<u32>(k / (p.ny * p.nx), (k / p.nx) % p.ny, k % p.nx);
    if (any(a >= vec3<u32>(count_z(o.x), count_y(o.y), count_x(o.z)))) { return -1; }
    let at = vec3<i32>(place_z(o.x, a.x), place_y(o.y, a.y), place_x(o.z, a.z));
    if (any(at < vec3<i32>()) || any(at >= vec3<i32>(vec3<u32>(p.iz, p.iy, p.ix)))) { return -1; }
    return (at.x * i32(p.iy) + at.y) * i32(p.ix) + at.z;
}
fn seen_x(row: u32, at: i32) -> f32 { return x((row / (p.oz * p.oy * p.ox)) * p.iz * p.iy * p.ix + u32(at)); }
";

/// Maxima of windows and their places: the first of equal ones, the last NaN.
fn maxima(name: &str, windows: &Windows, planes: usize, x: &Array, out: &Array, indices: Option<&Array>) -> Result<bool> {
    if !are_floats(&[Some(x), Some(out)]) || !fits(windows) {
        return Ok(false);
    }
    let [reach, _] = reach(windows);
    let outputs = |call: &mut Call| -> Result<()> {
        call.write("out", out)?;
        call.write_or("indices", indices, "vec2<u32>")
    };
    if volume(reach) > FEW {
        let sizes = bind(&mut Call::new(""), windows, reach);
        return Folds {
            name: &format!("{name}/rows"),
            count: planes * volume(windows.output()),
            len: volume(reach),
            state: State::Placed("f32"),
            inputs: &|call| {
                bind(call, windows, reach);
                call.read("x", x)
            },
            outputs: &outputs,
            join: &format!(
                "{LARGER}
fn is_nan(v: f32) -> bool {{ return (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u; }}
fn nothing() -> State {{ return State(lowest(), 0xffffffffu); }}
fn joined(a: State, b: State) -> State {{
    if (a.at == 0xffffffffu) {{ return b; }}
    if (b.at == 0xffffffffu) {{ return a; }}
    if (is_nan(a.v) || is_nan(b.v)) {{
        if (is_nan(a.v) && (!is_nan(b.v) || a.at > b.at)) {{ return a; }}
        return b;
    }}
    if (a.v > b.v || (a.v == b.v && a.at < b.at)) {{ return a; }}
    return b;
}}
"
            ),
            load: &format!(
                "{sizes}{SEEN}
fn load(row: u32, k: u32) -> State {{
    let at = seen(row, k);
    if (at < 0) {{ return nothing(); }}
    return State(seen_x(row, at), u32(at));
}}
"
            ),
            done: "out_set(row, s.v);\nindices_set(row, vec2<u32>(s.at, select(0u, s.at, s.at == 0xffffffffu)));",
        }
        .run();
    }
    let mut call = Call::new(name);
    let sizes = bind(&mut call, windows, reach);
    call.read("x", x)?;
    outputs(&mut call)?;
    let items = format!(
        "{LARGER}{sizes}
// A NaN takes the place of anything.
fn takes(v: f32, best: f32) -> bool {{ return v > best || (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u; }}
"
    );
    let take =
        "let v = x(plane * p.iz * p.iy * p.ix + at);\n            if (!found || takes(v, best)) { best = v; place = at; found = true; }";
    let body = format!(
        "var best = lowest();\nvar place = 0u;\nvar found = false;\n{}out_set(i, best);
indices_set(i, select(vec2<u32>(0xffffffffu), vec2<u32>(place, 0u), found));",
        walk(take)
    );
    call.each(planes * volume(windows.output()), &items, &body)
}

/// Window maxima and, if asked, their places: the first of equal ones, the last NaN.
pub fn max_pool(w: &Window, planes: usize, x: &Array, out: &Array, indices: Option<&Array>) -> Result<bool> {
    maxima("max_pool", &Windows::Fixed(*w), planes, x, out, indices)
}

pub fn adaptive_max_pool(s: &Adaptive, planes: usize, x: &Array, out: &Array, indices: &Array) -> Result<bool> {
    maxima("adaptive_max_pool", &Windows::Adaptive(*s), planes, x, out, Some(indices))
}

/// `out[plane, i] = x[plane, indices[plane, i]]`.
pub fn pick(planes: usize, input: usize, output: usize, x: &Array, indices: &Array, out: &Array) -> Result<bool> {
    if !are_floats(&[Some(x), Some(out)]) {
        return Ok(false);
    }
    let mut call = Call::new("pick");
    call.reads([("x", x), ("indices", indices)])?;
    call.write("out", out)?;
    call.number("input", input).number("output", output);
    call.each(
        planes * output,
        "",
        "let place = indices(i).x;\nout_set(i, select(0.0, x((i / p.output) * p.input + min(place, p.input - 1u)), indices(i).y == 0u && place < p.input));",
    )
}

/// What an average divides by: of fixed windows by `RULE`, of adaptive ones all places.
fn divisor(call: &mut Call, windows: &Windows, divisor: Divisor) -> &'static str {
    if let Windows::Adaptive(_) = windows {
        return "fn divisor(o: vec3<u32>) -> f32 { return f32(count_z(o.x) * count_y(o.y) * count_x(o.z)); }\n";
    }
    let (number, fixed) = match divisor {
        Divisor::WithPadding => (0, 1),
        Divisor::Inside => (1, 1),
        Divisor::Fixed(n) => (2, n),
    };
    call.variant(&format!("rule{number}"), format!("const RULE = {number}u;\n"));
    call.float("fixed", fixed as f64);
    "fn extent(start: i32, kernel: u32, input: u32, padding: u32) -> vec2<i32> {
    let end = min(start + i32(kernel), i32(input + padding));
    return vec2<i32>(end - start, min(end, i32(input)) - max(start, 0));
}
fn divisor(o: vec3<u32>) -> f32 {
    if (RULE == 2u) { return p.fixed; }
    let n = extent(begin_z(o.x), p.kz, p.iz, p.pz) * extent(begin_y(o.y), p.ky, p.iy, p.py) * extent(begin_x(o.z), p.kx, p.ix, p.px);
    return f32(select(n.y, n.x, RULE == 0u));
}
"
}

fn averages(name: &str, windows: &Windows, rule: Divisor, planes: usize, x: &Array, out: &Array) -> Result<bool> {
    if !are_floats(&[Some(x), Some(out)]) || !fits(windows) {
        return Ok(false);
    }
    let [reach, _] = reach(windows);
    if volume(reach) > FEW {
        let mut unused = Call::new("");
        let (sizes, by) = (bind(&mut unused, windows, reach), divisor(&mut unused, windows, rule));
        return Rows {
            name: &format!("{name}/rows"),
            count: planes * volume(windows.output()),
            len: volume(reach),
            inputs: &|call| {
                bind(call, windows, reach);
                divisor(call, windows, rule);
                call.read("x", x)
            },
            outputs: &|call| call.write("out", out),
            items: &format!(
                "{sizes}{by}{SEEN}
fn term(row: u32, k: u32) -> f32 {{
    let at = seen(row, k);
    if (at < 0) {{ return 0.0; }}
    return seen_x(row, at);
}}
"
            ),
            before: "",
            passes: &[Pass { load: "", folds: &[("sum", Join::Sum, "term(row, k)")], then: "" }],
            each: "",
            last: "out_set(row, sum / divisor(vec3<u32>((row / (p.oy * p.ox)) % p.oz, (row / p.ox) % p.oy, row % p.ox)));",
        }
        .run();
    }
    let mut call = Call::new(name);
    let items = bind(&mut call, windows, reach) + divisor(&mut call, windows, rule);
    call.read("x", x)?;
    call.write("out", out)?;
    let body =
        format!("var sum = 0.0;\n{}out_set(i, sum / divisor(vec3<u32>(oz, oy, ox)));", walk("sum += x(plane * p.iz * p.iy * p.ix + at);"));
    call.each(planes * volume(windows.output()), &items, &body)
}

pub fn avg_pool(w: &Window, divisor: Divisor, planes: usize, x: &Array, out: &Array) -> Result<bool> {
    averages("avg_pool", &Windows::Fixed(*w), divisor, planes, x, out)
}

pub fn adaptive_avg_pool(s: &Adaptive, planes: usize, x: &Array, out: &Array) -> Result<bool> {
    averages("adaptive_avg_pool", &Windows::Adaptive(*s), Divisor::Inside, planes, x, out)
}

/// `dx`, by each place from the windows that hold it; `share` is the text of `share(output, o, at)`, what the window of coordinates
/// `o` gives to the place `at` of its plane, `of` binds what it needs.
fn gathered(name: &str, windows: &Windows, planes: usize, of: &dyn Fn(&mut Call) -> Result<()>, share: &str, dx: &Array) -> Result<bool> {
    let [_, reach] = reach(windows);
    let sizes = bind(&mut Call::new(""), windows, reach);
    if volume(reach) > FEW {
        return Rows {
            name: &format!("{name}/rows"),
            count: planes * volume(windows.input()),
            len: volume(reach),
            inputs: &|call| {
                bind(call, windows, reach);
                of(call)
            },
            outputs: &|call| call.write("dx", dx),
            items: &format!(
                "{sizes}{share}
fn term(row: u32, k: u32) -> f32 {{
    let plane = row / (p.iz * p.iy * p.ix);
    let at = row % (p.iz * p.iy * p.ix);
    let z = vec3<u32>(at / (p.iy * p.ix), (at / p.ix) % p.iy, at % p.ix);
    let o = vec3<u32>(first_z(z.x), first_y(z.y), first_x(z.z)) + vec3<u32>(k / (p.ny * p.nx), (k / p.nx) % p.ny, k % p.nx);
    if (any(o >= vec3<u32>(end_z(z.x), end_y(z.y), end_x(z.z)))) {{ return 0.0; }}
    if (!(holds_z(o.x, z.x) && holds_y(o.y, z.y) && holds_x(o.z, z.z))) {{ return 0.0; }}
    return share(((plane * p.oz + o.x) * p.oy + o.y) * p.ox + o.z, o, at);
}}
"
            ),
            before: "",
            passes: &[Pass { load: "", folds: &[("sum", Join::Sum, "term(row, k)")], then: "" }],
            each: "",
            last: "dx_set(row, sum);",
        }
        .run();
    }
    let mut call = Call::new(name);
    bind(&mut call, windows, reach);
    of(&mut call)?;
    call.write("dx", dx)?;
    call.each(
        planes * volume(windows.input()),
        &format!("{sizes}{share}"),
        "let plane = i / (p.iz * p.iy * p.ix);
let at = i % (p.iz * p.iy * p.ix);
let z = at / (p.iy * p.ix);
let y = (at / p.ix) % p.iy;
let xx = at % p.ix;
let end_z_ = end_z(z);
let end_y_ = end_y(y);
let end_x_ = end_x(xx);
var sum = 0.0;
for (var oz = first_z(z); oz < end_z_; oz++) {
    if (!holds_z(oz, z)) { continue; }
    for (var oy = first_y(y); oy < end_y_; oy++) {
        if (!holds_y(oy, y)) { continue; }
        for (var ox = first_x(xx); ox < end_x_; ox++) {
            if (!holds_x(ox, xx)) { continue; }
            sum += share(((plane * p.oz + oz) * p.oy + oy) * p.ox + ox, vec3<u32>(oz, oy, ox), at);
        }
    }
}
dx_set(i, sum);",
    )
}

/// `dx` from the gradient and the places of the maxima, each of which lies in its own window.
pub fn max_pool_backward(windows: &Windows, planes: usize, dy: &Array, indices: &Array, dx: &Array) -> Result<bool> {
    if !are_floats(&[Some(dy), Some(dx)]) || !fits(windows) {
        return Ok(false);
    }
    let of = |call: &mut Call| -> Result<()> {
        call.read("dy", dy)?;
        call.read("indices", indices)
    };
    let share = "fn share(output: u32, o: vec3<u32>, at: u32) -> f32 {
    if (all(indices(output) == vec2<u32>(at, 0u))) { return dy(output); }
    return 0.0;
}
";
    let name = if let Windows::Fixed(_) = windows { "max_pool_backward" } else { "adaptive_max_pool_backward" };
    gathered(name, windows, planes, &of, share, dx)
}

fn averages_backward(name: &str, windows: &Windows, rule: Divisor, planes: usize, dy: &Array, dx: &Array) -> Result<bool> {
    if !are_floats(&[Some(dy), Some(dx)]) || !fits(windows) {
        return Ok(false);
    }
    let by = divisor(&mut Call::new(""), windows, rule);
    let of = |call: &mut Call| -> Result<()> {
        divisor(call, windows, rule);
        call.read("dy", dy)
    };
    let share = format!("{by}fn share(output: u32, o: vec3<u32>, at: u32) -> f32 {{ return dy(output) / divisor(o); }}\n");
    gathered(name, windows, planes, &of, &share, dx)
}

pub fn avg_pool_backward(w: &Window, divisor: Divisor, planes: usize, dy: &Array, dx: &Array) -> Result<bool> {
    averages_backward("avg_pool_backward", &Windows::Fixed(*w), divisor, planes, dy, dx)
}

pub fn adaptive_avg_pool_backward(s: &Adaptive, planes: usize, dy: &Array, dx: &Array) -> Result<bool> {
    averages_backward("adaptive_avg_pool_backward", &Windows::Adaptive(*s), Divisor::Inside, planes, dy, dx)
}
