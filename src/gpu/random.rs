//! Random numbers: the CPU's Philox stream, word for word.

use crate::call::{Call, are_floats};
use crate::fault;
use crate::rows::{Join, Pass, Rows};
use rustnn_kernels::indexing::Scan;
use rustnn_kernels::layers::Law;
use rustnn_kernels::rng::{BadWeights, Stream};
use rustnn_kernels::text::Kind;
use rustnn_tensor::{Array, DType, Error, Result};

/// Philox 4x32 with ten rounds, and the laws' arithmetic. A group of 64 words comes from 16 blocks: word w of block b is number
/// 16 w + b.
pub const PHILOX: &str = "
fn philox_high(a: u32, b: u32) -> u32 {
    let p0 = (a & 0xffffu) * (b & 0xffffu);
    let p1 = (a >> 16u) * (b & 0xffffu);
    let p2 = (a & 0xffffu) * (b >> 16u);
    let mid = (p0 >> 16u) + (p1 & 0xffffu) + (p2 & 0xffffu);
    return (a >> 16u) * (b >> 16u) + (p1 >> 16u) + (p2 >> 16u) + (mid >> 16u);
}
fn philox(low: u32, high: u32, seed: vec2<u32>) -> vec4<u32> {
    var c = vec4<u32>(low, high, 0u, 0u);
    var k = seed;
    for (var r = 0u; r < 10u; r++) {
        let p = philox_high(c.x, 0xD2511F53u);
        let q = philox_high(c.z, 0xCD9E8D57u);
        c = vec4<u32>(q ^ c.y ^ k.x, c.z * 0xCD9E8D57u, p ^ c.w ^ k.y, c.x * 0xD2511F53u);
        k = k + vec2<u32>(0x9E3779B9u, 0xBB67AE85u);
    }
    return c;
}
fn philox_word(group: u32, number: u32) -> u32 {
    let step = group * 16u + number % 16u;
    let low = p.offset_l + step;
    let high = p.offset_h + select(0u, 1u, low < step);
    var words = philox(low, high, vec2<u32>(p.seed_l, p.seed_h));
    return words[number / 16u];
}
fn philox_open(word: u32) -> f32 { return (f32(word >> 1u) + 0.5) * 4.656612873077393e-10; }
fn philox_ln(x: f32) -> f32 {
    let bits = bitcast<u32>(x) - 0x3f3504f3u;
    return philox_ln_near(f32(bitcast<i32>(bits) >> 23u), bitcast<f32>((bits & 0x007fffffu) + 0x3f3504f3u) - 1.0);
}
// ln(2^e (1 + f)), f from sqrt(1/2) - 1 to sqrt(2) - 1.
fn philox_ln_near(e: f32, f: f32) -> f32 {
    var q = 0.07149754;
    q = q * f - 0.11571201;
    q = q * f + 0.11661511;
    q = q * f - 0.124110505;
    q = q * f + 0.14249937;
    q = q * f - 0.1666848;
    q = q * f + 0.20000708;
    q = q * f - 0.2499999;
    q = q * f + 0.3333333;
    let square = f * f;
    return e * 0.6931472 + (f - 0.5 * square + square * f * q);
}
// Cosine and sine of full turns.
fn philox_circle(turns: f32) -> vec2<f32> {
    let quarter = i32(turns * 4.0 + 0.5);
    let t = turns - f32(quarter) * 0.25;
    let z = t * t;
    let s = t * ((((41.455242 * z - 76.69725) * z + 81.605194) * z - 41.3417) * z + 6.2831855);
    let c = (((59.220287 * z - 85.44285) * z + 64.939316) * z - 19.739208) * z + 1.0;
    let odd = (quarter & 1) == 1;
    let x = select(c, s, odd);
    let y = select(s, c, odd);
    return vec2<f32>(select(-x, x, ((quarter + 1) & 2) == 0), select(-y, y, (quarter & 2) == 0));
}
";

fn stream(call: &mut Call, stream: Stream) {
    call.number("seed_l", stream.seed as u32 as usize).number("seed_h", (stream.seed >> 32) as usize);
    call.number("offset_l", stream.offset as u32 as usize).number("offset_h", (stream.offset >> 32) as usize);
}

/// The largest number below `high` in a dtype.
fn below(dtype: DType, high: f32) -> f32 {
    let before = |bits: u16| match bits {
        0 | 0x8000 => 0x8001,
        b if b & 0x8000 == 0 => b - 1,
        b => b + 1,
    };
    match dtype {
        DType::F16 => half::f16::from_bits(before(half::f16::from_f32(high).to_bits())).to_f32(),
        DType::BF16 => half::bf16::from_bits(before(half::bf16::from_f32(high).to_bits())).to_f32(),
        _ => high.next_down(),
    }
}

/// Words that count as true for probability `p`: those up to this one; None: not one.
fn threshold(p: f64) -> Option<u32> {
    let below = (p * 4294967296.0).round().clamp(0.0, 4294967296.0) as u64;
    below.checked_sub(1).map(|last| last as u32)
}

/// Fills `out`; value i depends on the stream and i alone.
pub fn fill_random(law: Law, from: Stream, out: &Array) -> Result<bool> {
    let float = are_floats(&[Some(out)]);
    let integer = matches!(out.dtype(), DType::I64);
    let n = out.numel();
    match law {
        Law::Uniform { low, high } if float => {
            let (low, high) = (low as f32, high as f32);
            let bits = match out.dtype() {
                DType::F16 => 11,
                DType::BF16 => 8,
                _ => 24,
            };
            let last = if high > low { below(out.dtype(), high).max(low) } else { low };
            let mut call = Call::new("uniform");
            call.write("out", out)?;
            stream(&mut call, from);
            call.number("shift", 32 - bits).float("unit", 1.0 / (1u32 << bits) as f64);
            call.float("low", low as f64).float("width", (high - low) as f64).float("last", last as f64);
            call.each(
                n,
                "",
                "let v = f32(philox_word(i / 64u, i % 64u) >> p.shift) * p.unit * p.width + p.low;\nout_set(i, select(p.last, v, v < p.last));",
            )
        }
        Law::Normal { mean, std } if float => {
            let mut call = Call::new("normal");
            call.write("out", out)?;
            stream(&mut call, from);
            call.float("mean", mean).float("deviation", std);
            call.each(
                n,
                "",
                "let k = i % 32u;
let square = max(-2.0 * philox_ln(philox_open(philox_word(i / 64u, k))), 0.0);
let xy = philox_circle(f32(philox_word(i / 64u, 32u + k) >> 8u) * 5.9604645e-8);
out_set(i, sqrt(square) * p.deviation * select(xy.x, xy.y, i % 64u >= 32u) + p.mean);",
            )
        }
        Law::Exponential { rate } if float => {
            let mut call = Call::new("exponential");
            call.write("out", out)?;
            stream(&mut call, from);
            call.float("rate", rate);
            call.each(n, "", "let v = -philox_ln(philox_open(philox_word(i / 64u, i % 64u)));\nout_set(i, max(v, 5.9604645e-8) / p.rate);")
        }
        Law::Bernoulli { .. } | Law::Integers { .. } if !(integer || float && matches!(law, Law::Bernoulli { .. })) => {
            if Kind::of(out.dtype()).is_none() {
                return Ok(false);
            }
            let whole = Array::empty(out.shape(), DType::I64, out.device())?;
            Ok(fill_random(law, from, &whole)? && crate::elementwise::copy(&whole, out)?)
        }
        Law::Bernoulli { p } => {
            let mut call = Call::new("bernoulli");
            call.write("out", out)?;
            stream(&mut call, from);
            call.number("last", threshold(p).unwrap_or(0) as usize).number("some", threshold(p).is_some() as usize);
            let value = if float { "f32(hit)" } else { "vec2<u32>(hit, 0u)" };
            let body = format!(
                "var hit = 0u;\nif (p.some == 1u && philox_word(i / 64u, i % 64u) <= p.last) {{ hit = 1u; }}\nout_set(i, {value});"
            );
            call.each(n, "", &body)
        }
        Law::Integers { low, span } => {
            let narrow = (1..=0x1_0000).contains(&span);
            let mut call = Call::new("integers");
            call.variant(if narrow { "narrow" } else { "broad" }, "");
            call.write("out", out)?;
            stream(&mut call, from);
            call.number("low_l", low as u32 as usize).number("low_h", (low >> 32) as u32 as usize);
            call.number("span_l", span as u32 as usize).number("span_h", (span >> 32) as usize);
            // The upper half of the product of random bits and span; a span of 0 stands for 2^64.
            let value = if narrow {
                "let v = vec2<u32>(philox_high(philox_word(i / 64u, i % 64u), p.span_l), 0u);"
            } else {
                "let bits = vec2<u32>(philox_word(i / 32u, 32u + i % 32u), philox_word(i / 32u, i % 32u));
var v = bits;
if (p.span_l != 0u || p.span_h != 0u) {
    let low = i64_wide(bits.x, p.span_l);
    let left = i64_wide(bits.x, p.span_h);
    let right = i64_wide(bits.y, p.span_l);
    let carry = i64_add(i64_add(vec2<u32>(low.y, 0u), vec2<u32>(left.x, 0u)), vec2<u32>(right.x, 0u)).y;
    v = i64_add(i64_wide(bits.y, p.span_h), i64_add(vec2<u32>(left.y, 0u), vec2<u32>(right.y, 0u)));
    v = i64_add(v, vec2<u32>(carry, 0u));
}"
            };
            call.each(n, "", &format!("{value}\nout_set(i, i64_add(vec2<u32>(p.low_l, p.low_h), v));"))
        }
        _ => Ok(false),
    }
}

/// `samples` categories per row of weights. The CPU's draws, but that sums and times are in f32: where two of them are that close
/// together another category may come first.
pub fn multinomial(
    weights: &Array,
    rows: usize,
    categories: usize,
    samples: usize,
    replacement: bool,
    from: Stream,
    out: &Array,
) -> Result<bool> {
    if !are_floats(&[Some(weights)]) || categories == 0 {
        return Ok(false);
    }
    if rows * samples == 0 {
        return Ok(true);
    }
    let each = Array::empty(&[rows, categories], DType::F32, weights.device())?;
    const WEIGHTS: Pass = Pass {
        load: "let w = weight(row * p.len + k);",
        folds: &[
            ("largest", Join::Max, "max(w, 0.0)"),
            ("bad", Join::Max, "select(0.0, 1.0, !(w >= 0.0) || (bitcast<u32>(w) & 0x7fffffffu) >= 0x7f800000u)"),
            ("positive", Join::Sum, "select(0.0, 1.0, w > 0.0)"),
        ],
        then: "",
    };
    // Draw t of the stream has words 2t and 2t + 1. Scaled first: sums of the largest weights stay finite. Without replacement it is a
    // race of exponential clocks; where the clock is near 0 its logarithm is taken of what is missing to 1.
    Rows {
        name: "multinomial",
        count: rows,
        len: categories,
        inputs: &|call| {
            call.flag("REPLACEMENT", replacement).flagged();
            call.read("weight", weights)?;
            stream(call, from);
            call.number("samples", samples).float("infinity", f64::INFINITY);
            for (name, why) in
                [("not_a_weight", BadWeights::NotAWeight), ("no_weight", BadWeights::NoWeight), ("too_few", BadWeights::TooFew)]
            {
                call.number(name, fault::number(Error::Runtime, why.text()));
            }
            Ok(())
        },
        outputs: &|call| call.write("each", &each),
        items: "",
        before: "",
        passes: &[WEIGHTS],
        each: "let t = row * p.len + k;
let w = weight(t);
if (REPLACEMENT) {
    each_set(t, w / largest);
} else {
    let high = philox_word(t / 32u, 2u * (t % 32u));
    let low = philox_word(t / 32u, 2u * (t % 32u) + 1u);
    var time = 0.0;
    if (high >= 0xb504f334u) {
        time = -philox_ln_near(0.0, -(f32(~high) + (f32(~low) + 0.5) * 2.3283064e-10) * 2.3283064e-10);
    } else {
        time = -philox_ln((f32(high) + (f32(low) + 0.5) * 2.3283064e-10) * 2.3283064e-10);
    }
    each_set(t, select(p.infinity, time / w, w > 0.0));
}",
        last: "if (bad > 0.0) { fault(p.not_a_weight); }
else if (!(largest > 0.0)) { fault(p.no_weight); }
else if (!REPLACEMENT && positive < f32(p.samples)) { fault(p.too_few); }",
    }
    .run()?;
    if !replacement {
        let times = Array::empty(&[rows, samples], DType::F32, weights.device())?;
        return crate::sort::topk(
            false,
            samples,
            &each,
            &times,
            &out.with_geometry([rows, samples][..].into(), [samples as isize, 1][..].into(), out.offset()),
        );
    }
    let sums = Array::empty(&[rows, categories], DType::F32, weights.device())?;
    crate::scan::scan(Scan::Sum, false, &each, 1, &sums)?;
    let mut call = Call::new("multinomial_pick");
    call.read("sums", &sums)?;
    call.write("out", out)?;
    stream(&mut call, from);
    call.number("samples", samples).number("len", categories);
    // The first category whose sum exceeds the draw, but none behind the last weight.
    let body = "let base = (i / p.samples) * p.len;
let total = sums(base + p.len - 1u);
let at = f32(philox_word(i / 32u, 2u * (i % 32u)) >> 8u) * 5.9604645e-8 * total;
var low = 0u;
var high = p.len - 1u;
while (low < high) {
    let middle = (low + high) / 2u;
    let sum = sums(base + middle);
    if (sum <= at && sum < total) { low = middle + 1u; } else { high = middle; }
}
out_set(i, vec2<u32>(low, 0u));";
    call.each(rows * samples, "", body)
}

/// 1 with each element's own probability.
pub fn bernoulli_each(p: &Array, from: Stream, out: &Array) -> Result<bool> {
    if !are_floats(&[Some(p), Some(out)]) {
        return Ok(false);
    }
    let mut call = Call::new("bernoulli_each");
    call.read("chance", p)?;
    call.write("out", out)?;
    stream(&mut call, from);
    call.each(
        p.numel(),
        "",
        "let c = ceil(chance(i) * 4294967296.0);
let hit = c >= 4294967296.0 || philox_word(i / 64u, i % 64u) < u32(max(c, 0.0));
out_set(i, select(0.0, 1.0, hit));",
    )
}

/// Keeps each element with probability `1 - p`, scaled by `1 / (1 - p)`; the same stream keeps the same ones.
pub fn dropout(x: &Array, from: Stream, p: f64, out: &Array) -> Result<bool> {
    if !are_floats(&[Some(x), Some(out)]) {
        return Ok(false);
    }
    let mut call = Call::new("dropout");
    call.read("x", x)?;
    call.write("out", out)?;
    stream(&mut call, from);
    let last = threshold(1.0 - p);
    call.number("last", last.unwrap_or(0) as usize).number("some", last.is_some() as usize);
    // The quotient in f32, as on the CPU.
    call.float("scale", if p < 1.0 { (1.0 / (1.0 - p) as f32) as f64 } else { 0.0 });
    call.each(
        x.numel(),
        "",
        "let keep = p.some == 1u && philox_word(i / 64u, i % 64u) <= p.last;\nout_set(i, select(0.0, x(i) * p.scale, keep));",
    )
}
