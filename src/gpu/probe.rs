//! What an adapter can do at most, and how long its kernels take: for benchmarks.

use crate::call::{Call, WORKGROUP};
use crate::device::gpu;
use rustnn_tensor::{Array, DType, Device, Result};

/// Workgroups that fill any GPU several times over.
const GROUPS: usize = 4096;
/// Independent chains of four multiply-adds, so that none waits for its own result.
const CHAINS: usize = 8;

/// Records a kernel of multiply-adds in registers; gives how many floating-point operations it does.
pub fn fma_loop(index: u16, loops: usize) -> Result<f64> {
    let out = Array::empty(&[GROUPS * WORKGROUP as usize], DType::F32, Device::Gpu(index))?;
    let mut call = Call::new("fma_loop");
    call.unchecked();
    call.write("out", &out)?;
    call.number("loops", loops).float("a", 0.999).float("b", 1e-3);
    let mut body = String::from("let a = vec4<f32>(p.a);\nlet b = vec4<f32>(p.b);\n");
    for c in 0..CHAINS {
        body += &format!("var s{c} = vec4<f32>(f32(lane) + {c}.0);\n");
    }
    body += "for (var k = 0u; k < p.loops; k++) {\n";
    for c in 0..CHAINS {
        body += &format!("    s{c} = fma(s{c}, a, b);\n");
    }
    let sum: Vec<String> = (0..CHAINS).map(|c| format!("s{c}")).collect();
    body += &format!("}}\nlet sum = {};\nout_set(i, sum.x + sum.y + sum.z + sum.w);", sum.join(" + "));
    call.each(out.numel(), "", &body)?;
    Ok((out.numel() * loops * CHAINS * 4 * 2) as f64)
}

/// Records the driver's own copy of `bytes` from one buffer to another.
pub fn buffer_copy(index: u16, bytes: usize) -> Result<()> {
    let gpu = gpu(index)?;
    let (from, to) = (gpu.allocate(bytes, false)?, gpu.allocate(bytes, false)?);
    gpu.copy_buffer(&from, &to, bytes as u64)
}
