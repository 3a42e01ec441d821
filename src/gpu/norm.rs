//! Norms of rows, groups and channels, forward and backward.

use crate::call::{Call, WORKGROUP, are_floats};
use crate::rows::{Join, Pass, ROUNDS, Rows, spread};
use rustnn_kernels::layers::channels;
use rustnn_tensor::{Array, DType, Result};

/// Normalises rows of `n` elements; by the root mean square if `mean` is None.
pub fn row_norm(
    x: &Array,
    n: usize,
    weight: Option<&Array>,
    bias: Option<&Array>,
    eps: f64,
    out: &Array,
    mean: Option<&Array>,
    rstd: &Array,
) -> Result<bool> {
    if !are_floats(&[Some(x), weight, bias, Some(out), mean, Some(rstd)]) || n == 0 {
        return Ok(false);
    }
    const SQUARES: Pass = Pass {
        load: "let v = x(row * p.len + k);",
        folds: &[("squares", Join::Sum, "v * v")],
        then: "let centre = 0.0;\nlet r = 1.0 / sqrt(squares / f32(p.len) + p.eps);",
    };
    let passes: &[Pass] =
        if mean.is_some() { &spread!("x(row * p.len + k)", "let r = 1.0 / sqrt(squares / f32(p.len) + p.eps);") } else { &[SQUARES] };
    Rows {
        name: if mean.is_some() { "row_norm" } else { "row_norm/root" },
        count: rstd.numel(),
        len: n,
        inputs: &|call| {
            call.read("x", x)?;
            call.read_or("weight", weight, "1.0")?;
            call.read_or("bias", bias, "0.0")?;
            call.float("eps", eps);
            Ok(())
        },
        outputs: &|call| {
            call.write("out", out)?;
            call.write_or("mean", mean, "f32")?;
            call.write("rstd", rstd)
        },
        items: "",
        before: "",
        passes,
        each: "out_set(row * p.len + k, (x(row * p.len + k) - centre) * r * weight(k) + bias(k));",
        last: "mean_set(row, centre);\nrstd_set(row, r);",
    }
    .run()
}

/// Gradients of [`row_norm`], each where asked for.
pub fn row_norm_backward(
    dy: &Array,
    x: &Array,
    n: usize,
    weight: Option<&Array>,
    mean: Option<&Array>,
    rstd: &Array,
    dx: Option<&Array>,
    dweight: Option<&Array>,
    dbias: Option<&Array>,
) -> Result<bool> {
    if !are_floats(&[Some(dy), Some(x), weight, mean, Some(rstd), dx, dweight, dbias]) || n == 0 {
        return Ok(false);
    }
    let rows = rstd.numel();
    if let Some(dx) = dx {
        Rows {
            name: "row_norm_backward",
            count: rows,
            len: n,
            inputs: &|call| {
                call.flag("CENTRED", mean.is_some());
                call.reads([("dy", dy), ("x", x)])?;
                call.read_or("weight", weight, "1.0")?;
                call.read_or("mean", mean, "0.0")?;
                call.read("rstd", rstd)
            },
            outputs: &|call| call.write("dx", dx),
            items: "",
            before: "let centre = mean(row);\nlet r = rstd(row);\n",
            passes: &[Pass {
                load: "let g = dy(row * p.len + k) * weight(k);",
                folds: &[("sum", Join::Sum, "g"), ("along", Join::Sum, "g * (x(row * p.len + k) - centre) * r")],
                then: "sum = sum / f32(p.len);\nalong = along / f32(p.len);\nif (!CENTRED) { sum = 0.0; }",
            }],
            each: "let j = row * p.len + k;
dx_set(j, r * (dy(j) * weight(k) - sum - (x(j) - centre) * r * along));",
            last: "",
        }
        .run()?;
    }
    if dweight.is_some() || dbias.is_some() {
        return row_norm_parameters(dy, x, n, mean, rstd, dweight, dbias);
    }
    Ok(true)
}

/// Sums over the rows: neighbouring columns side by side, many rows in parts that a second launch joins.
fn row_norm_parameters(
    dy: &Array,
    x: &Array,
    n: usize,
    mean: Option<&Array>,
    rstd: &Array,
    dweight: Option<&Array>,
    dbias: Option<&Array>,
) -> Result<bool> {
    let rows = rstd.numel();
    let parts = (rows / 256).clamp(1, 64).max(rows.div_ceil(8 * ROUNDS));
    let partial = if parts > 1 { Some(Array::empty(&[2, parts, n], DType::F32, x.device())?) } else { None };
    let mut call = Call::new("row_norm_parameters");
    call.reads([("dy", dy), ("x", x)])?;
    call.read_or("mean", mean, "0.0")?;
    call.read("rstd", rstd)?;
    call.number("rows", rows).number("len", n).number("parts", parts).number("part", rows.div_ceil(parts));
    call.number("across", n.div_ceil(32));
    match &partial {
        Some(partial) => {
            call.write("partial", partial)?;
            call.variant(
                "parts",
                "fn done(part: u32, column: u32, w: f32, b: f32) {
    partial_set(part * p.len + column, w);
    partial_set((p.parts + part) * p.len + column, b);
}
",
            );
        }
        None => {
            call.write_or("dweight", dweight, "f32")?;
            call.write_or("dbias", dbias, "f32")?;
            call.variant("", "fn done(part: u32, column: u32, w: f32, b: f32) { dweight_set(column, w); dbias_set(column, b); }\n");
        }
    }
    call.run(
        (n.div_ceil(32) * parts) as u64,
        WORKGROUP,
        "var<workgroup> ws: array<f32, 256>;\nvar<workgroup> bs: array<f32, 256>;\n",
        "let column = (group % p.across) * 32u + lane % 32u;
let part = group / p.across;
if (part >= p.parts) { return; }
var w = 0.0;
var b = 0.0;
if (column < p.len) {
    let end = min(p.rows, (part + 1u) * p.part);
    for (var r = part * p.part + lane / 32u; r < end; r += 8u) {
        let g = dy(r * p.len + column);
        w += g * (x(r * p.len + column) - mean(r)) * rstd(r);
        b += g;
    }
}
ws[lane] = w;
bs[lane] = b;
workgroupBarrier();
for (var s = 128u; s >= 32u; s = s >> 1u) {
    if (lane < s) {
        ws[lane] += ws[lane + s];
        bs[lane] += bs[lane + s];
    }
    workgroupBarrier();
}
if (lane < 32u && column < p.len) { done(part, column, ws[lane], bs[lane]); }",
    )?;
    let Some(partial) = partial else { return Ok(true) };
    let mut call = Call::new("row_norm_join");
    call.read("partial", &partial)?;
    call.write_or("dweight", dweight, "f32")?;
    call.write_or("dbias", dbias, "f32")?;
    call.number("parts", parts);
    call.each(
        n,
        "",
        "var w = 0.0;
var b = 0.0;
for (var part = 0u; part < p.parts; part++) {
    w += partial(part * p.n + i);
    b += partial((p.parts + part) * p.n + i);
}
dweight_set(i, w);
dbias_set(i, b);",
    )
}

/// Each of `groups` groups of channels of each sample normalised, then `weight` and `bias` per channel.
pub fn group_norm(
    x: &Array,
    groups: usize,
    weight: Option<&Array>,
    bias: Option<&Array>,
    eps: f64,
    out: &Array,
    mean: &Array,
    rstd: &Array,
) -> Result<bool> {
    if !are_floats(&[Some(x), weight, bias, Some(out), Some(mean), Some(rstd)]) || x.numel() == 0 {
        return Ok(false);
    }
    let shape = channels(x.shape());
    Rows {
        name: "group_norm",
        count: shape.n * groups,
        len: shape.channels / groups * shape.spatial,
        inputs: &|call| {
            call.read("x", x)?;
            call.read_or("weight", weight, "1.0")?;
            call.read_or("bias", bias, "0.0")?;
            call.float("eps", eps).number("groups", groups).number("own", shape.channels / groups).number("spatial", shape.spatial);
            Ok(())
        },
        outputs: &|call| {
            call.write("out", out)?;
            call.write("mean", mean)?;
            call.write("rstd", rstd)
        },
        items: "",
        before: "",
        passes: &spread!("x(row * p.len + k)", "let r = 1.0 / sqrt(squares / f32(p.len) + p.eps);"),
        each: "let c = (row % p.groups) * p.own + k / p.spatial;
out_set(row * p.len + k, (x(row * p.len + k) - centre) * r * weight(c) + bias(c));",
        last: "mean_set(row, centre);\nrstd_set(row, r);",
    }
    .run()
}

/// Gradients of [`group_norm`], each where asked for.
pub fn group_norm_backward(
    dy: &Array,
    x: &Array,
    groups: usize,
    weight: Option<&Array>,
    mean: &Array,
    rstd: &Array,
    dx: Option<&Array>,
    dweight: Option<&Array>,
    dbias: Option<&Array>,
) -> Result<bool> {
    if !are_floats(&[Some(dy), Some(x), weight, Some(mean), Some(rstd), dx, dweight, dbias]) || x.numel() == 0 {
        return Ok(false);
    }
    let shape = channels(x.shape());
    if let Some(dx) = dx {
        Rows {
            name: "group_norm_backward",
            count: shape.n * groups,
            len: shape.channels / groups * shape.spatial,
            inputs: &|call| {
                call.reads([("dy", dy), ("x", x)])?;
                call.read_or("weight", weight, "1.0")?;
                call.reads([("mean", mean), ("rstd", rstd)])?;
                call.number("groups", groups).number("own", shape.channels / groups).number("spatial", shape.spatial);
                Ok(())
            },
            outputs: &|call| call.write("dx", dx),
            items: "",
            before: "let centre = mean(row);\nlet r = rstd(row);\n",
            passes: &[Pass {
                load: "let g = dy(row * p.len + k) * weight((row % p.groups) * p.own + k / p.spatial);",
                folds: &[("sum", Join::Sum, "g"), ("along", Join::Sum, "g * (x(row * p.len + k) - centre) * r")],
                then: "sum = sum / f32(p.len);\nalong = along / f32(p.len);",
            }],
            each: "let j = row * p.len + k;
let g = dy(j) * weight((row % p.groups) * p.own + k / p.spatial);
dx_set(j, r * (g - sum - (x(j) - centre) * r * along));",
            last: "",
        }
        .run()?;
    }
    if dweight.is_some() || dbias.is_some() {
        Rows {
            name: "group_norm_parameters",
            count: shape.channels,
            len: shape.n * shape.spatial,
            inputs: &|call| {
                call.reads([("dy", dy), ("x", x), ("mean", mean), ("rstd", rstd)])?;
                call.number("channels", shape.channels).number("spatial", shape.spatial);
                call.number("groups", groups).number("own", shape.channels / groups);
                Ok(())
            },
            outputs: &|call| {
                call.write_or("dweight", dweight, "f32")?;
                call.write_or("dbias", dbias, "f32")
            },
            items: CHANNEL,
            before: "",
            passes: &[Pass {
                load: "let j = place(row, k);
let s = (k / p.spatial) * p.groups + row / p.own;",
                folds: &[("w", Join::Sum, "dy(j) * (x(j) - mean(s)) * rstd(s)"), ("b", Join::Sum, "dy(j)")],
                then: "",
            }],
            each: "",
            last: "dweight_set(row, w);\ndbias_set(row, b);",
        }
        .run()?;
    }
    Ok(true)
}

/// The place of element `k` of a channel.
const CHANNEL: &str = "
fn place(channel: u32, k: u32) -> u32 { return ((k / p.spatial) * p.channels + channel) * p.spatial + k % p.spatial; }
";

/// Batch normalisation by the batch's own statistics; the variance with correction 1 goes to `unbiased` if asked.
pub fn batch_norm_train(
    x: &Array,
    weight: Option<&Array>,
    bias: Option<&Array>,
    eps: f64,
    out: &Array,
    mean: &Array,
    invstd: &Array,
    unbiased: Option<&Array>,
) -> Result<bool> {
    if !are_floats(&[Some(x), weight, bias, Some(out), Some(mean), Some(invstd), unbiased]) || x.numel() == 0 {
        return Ok(false);
    }
    let shape = channels(x.shape());
    Rows {
        name: "batch_norm_statistics",
        count: shape.channels,
        len: shape.n * shape.spatial,
        inputs: &|call| {
            call.read("x", x)?;
            call.float("eps", eps).number("channels", shape.channels).number("spatial", shape.spatial);
            Ok(())
        },
        outputs: &|call| {
            call.write("mean", mean)?;
            call.write("invstd", invstd)?;
            call.write_or("unbiased", unbiased, "f32")
        },
        items: CHANNEL,
        before: "",
        passes: &spread!("x(place(row, k))", "let r = 1.0 / sqrt(squares / f32(p.len) + p.eps);"),
        each: "",
        last: "mean_set(row, centre);
invstd_set(row, r);
unbiased_set(row, squares / (f32(p.len) - 1.0));",
    }
    .run()?;
    batch_norm_apply(x, mean, invstd, weight, bias, out)
}

/// `running = (1 - momentum) running + momentum batch`.
pub fn update_running(running: &Array, batch: &Array, momentum: f64) -> Result<bool> {
    if !are_floats(&[Some(running), Some(batch)]) {
        return Ok(false);
    }
    let mut call = Call::new("update_running");
    call.read("batch", batch)?;
    call.update("running", running)?;
    call.float("momentum", momentum).float("kept", 1.0 - momentum);
    call.each(running.numel(), "", "running_set(i, p.kept * running(i) + p.momentum * batch(i));")
}

/// `out = (x - mean) invstd weight + bias` per channel.
pub fn batch_norm_apply(
    x: &Array,
    mean: &Array,
    invstd: &Array,
    weight: Option<&Array>,
    bias: Option<&Array>,
    out: &Array,
) -> Result<bool> {
    if !are_floats(&[Some(x), Some(mean), Some(invstd), weight, bias, Some(out)]) || x.rank() < 2 {
        return Ok(false);
    }
    let shape = channels(x.shape());
    let mut call = Call::new("batch_norm_apply");
    call.reads([("x", x), ("mean", mean), ("invstd", invstd)])?;
    call.read_or("weight", weight, "1.0")?;
    call.read_or("bias", bias, "0.0")?;
    call.write("out", out)?;
    call.number("channels", shape.channels).number("spatial", shape.spatial);
    call.each(
        x.numel(),
        "",
        "let c = (i / p.spatial) % p.channels;
out_set(i, (x(i) - mean(c)) * (invstd(c) * weight(c)) + bias(c));",
    )
}

/// Gradients of batch normalisation, each where asked for: in training through the statistics too.
pub fn batch_norm_backward(
    dy: &Array,
    x: &Array,
    mean: &Array,
    invstd: &Array,
    weight: Option<&Array>,
    training: bool,
    dx: Option<&Array>,
    dweight: Option<&Array>,
    dbias: Option<&Array>,
) -> Result<bool> {
    if !are_floats(&[Some(dy), Some(x), Some(mean), Some(invstd), weight, dx, dweight, dbias]) || x.numel() == 0 {
        return Ok(false);
    }
    let shape = channels(x.shape());
    let sums = Array::empty(&[2, shape.channels], DType::F32, x.device())?;
    Rows {
        name: "batch_norm_sums",
        count: shape.channels,
        len: shape.n * shape.spatial,
        inputs: &|call| {
            call.reads([("dy", dy), ("x", x), ("mean", mean), ("invstd", invstd)])?;
            call.number("channels", shape.channels).number("spatial", shape.spatial);
            Ok(())
        },
        outputs: &|call| {
            call.write("sums", &sums)?;
            call.write_or("dweight", dweight, "f32")?;
            call.write_or("dbias", dbias, "f32")
        },
        items: CHANNEL,
        before: "let centre = mean(row);\n",
        passes: &[Pass {
            load: "let j = place(row, k);",
            folds: &[("w", Join::Sum, "dy(j) * (x(j) - centre)"), ("b", Join::Sum, "dy(j)")],
            then: "w = w * invstd(row);",
        }],
        each: "",
        last: "sums_set(row, w);
sums_set(p.channels + row, b);
dweight_set(row, w);
dbias_set(row, b);",
    }
    .run()?;
    let Some(dx) = dx else { return Ok(true) };
    let mut call = Call::new("batch_norm_backward");
    call.flag("TRAINING", training);
    call.reads([("dy", dy), ("x", x), ("mean", mean), ("invstd", invstd)])?;
    call.read_or("weight", weight, "1.0")?;
    call.read("sums", &sums)?;
    call.write("dx", dx)?;
    call.number("count", shape.n * shape.spatial).number("channels", shape.channels).number("spatial", shape.spatial);
    call.each(
        x.numel(),
        "",
        "let c = (i / p.spatial) % p.channels;
let r = invstd(c);
var g = dy(i);
if (TRAINING) { g = g - (sums(p.channels + c) + (x(i) - mean(c)) * r * sums(c)) / f32(p.count); }
dx_set(i, g * r * weight(c));",
    )
}
