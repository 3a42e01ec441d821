//! Optimizer steps: one launch for each parameter, which reads and writes its arrays once. The formulas are those of
//! `rustnn_kernels::optimizer`, in PyTorch's order of operations.

use crate::call::{Call, are_floats};
use rustnn_kernels::layers::{Adam, Sgd};
use rustnn_tensor::{Array, Result};

/// A step of SGD; `first` tells which momentum buffers have just been made.
pub fn sgd(settings: &Sgd, params: &[&Array], grads: &[&Array], buffers: &[&Array], first: &[bool]) -> Result<bool> {
    if !params.iter().chain(grads).chain(buffers).all(|a| are_floats(&[Some(a)])) {
        return Ok(false);
    }
    for (i, param) in params.iter().enumerate() {
        let mut call = Call::new("sgd");
        call.read("grad", grads[i])?;
        call.update("param", param)?;
        let momentum = buffers.get(i);
        match momentum {
            Some(buffer) => call.update("buffer", buffer)?,
            None => drop(call.variant("", "fn buffer(i: u32) -> f32 { return 0.0; }\nfn buffer_set(i: u32, v: f32) {}\n")),
        }
        call.flag("MOMENTUM", momentum.is_some()).flag("FIRST", first.get(i).copied().unwrap_or(false));
        call.flag("NESTEROV", settings.nesterov).flag("DECAY", settings.weight_decay != 0.0).flag("MAXIMIZE", settings.maximize);
        call.float("lr", -settings.lr).float("momentum", settings.momentum).float("undamped", 1.0 - settings.dampening);
        call.float("decay", settings.weight_decay);
        call.each(
            param.numel(),
            "",
            "var g = grad(i);
if (MAXIMIZE) { g = -g; }
if (DECAY) { g = g + p.decay * param(i); }
if (MOMENTUM) {
    var b = g;
    if (!FIRST) { b = buffer(i) * p.momentum + p.undamped * g; }
    buffer_set(i, b);
    if (NESTEROV) { g = g + p.momentum * b; } else { g = b; }
}
param_set(i, param(i) + p.lr * g);",
        )?;
    }
    Ok(true)
}

/// A step of Adam or AdamW; `steps` counts this one too. With `greatest` it is AMSGrad.
pub fn adam(
    settings: &Adam,
    params: &[&Array],
    grads: &[&Array],
    averages: &[&Array],
    squares: &[&Array],
    greatest: Option<&[&Array]>,
    steps: &[f64],
) -> Result<bool> {
    let all = params.iter().chain(grads).chain(averages).chain(squares).chain(greatest.unwrap_or(&[]));
    if !all.copied().all(|a| are_floats(&[Some(a)])) {
        return Ok(false);
    }
    for (i, param) in params.iter().enumerate() {
        let mut call = Call::new("adam");
        call.read("grad", grads[i])?;
        call.update("param", param)?;
        call.update("average", averages[i])?;
        call.update("square", squares[i])?;
        match greatest {
            Some(greatest) => call.update("largest", greatest[i])?,
            None => drop(call.variant("", "fn largest(i: u32) -> f32 { return 0.0; }\nfn largest_set(i: u32, v: f32) {}\n")),
        }
        call.flag("AMSGRAD", greatest.is_some()).flag("DECAY", settings.weight_decay != 0.0);
        call.flag("DECOUPLED", settings.decoupled).flag("MAXIMIZE", settings.maximize);
        let bias = [1.0 - settings.beta1.powf(steps[i]), 1.0 - settings.beta2.powf(steps[i])];
        call.float("weight1", 1.0 - settings.beta1).float("beta2", settings.beta2).float("weight2", 1.0 - settings.beta2);
        call.float("eps", settings.eps).float("decay", settings.weight_decay).float("shrink", 1.0 - settings.lr * settings.weight_decay);
        call.float("step_size", -(settings.lr / bias[0])).float("root", bias[1].sqrt());
        call.each(
            param.numel(),
            "",
            "var w = param(i);
var g = grad(i);
if (MAXIMIZE) { g = -g; }
if (DECAY) {
    if (DECOUPLED) { w = w * p.shrink; } else { g = g + p.decay * w; }
}
let m = average(i);
let mean = select(g - (g - m) * (1.0 - p.weight1), m + p.weight1 * (g - m), p.weight1 < 0.5);
average_set(i, mean);
var v = square(i) * p.beta2 + p.weight2 * g * g;
square_set(i, v);
if (AMSGRAD) {
    let l = largest(i);
    if (l > v || (bitcast<u32>(l) & 0x7fffffffu) > 0x7f800000u) { v = l; }
    largest_set(i, v);
}
param_set(i, w + p.step_size * mean / (sqrt(v) / p.root + p.eps));",
        )?;
    }
    Ok(true)
}
