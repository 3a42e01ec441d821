//! The kernels alone, without Python: `cargo bench`. Each op is reached through the registry, as Python reaches it; what a
//! call costs there (some 100 ns) is no part of the larger sizes' time. Throughput counts the bytes read and written, or
//! floating-point operations where arithmetic is the limit.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rustnn_ops::registry::{self, Arg, Args, Op, Output};
use rustnn_ops::{Scalar, Tensor};
use rustnn_tensor::{DType, Result};
use smallvec::SmallVec;
use std::hint::black_box;

/// One overload of an op, its arguments filled in.
struct Call {
    op: Op,
    args: Vec<Arg>,
}

impl Call {
    fn new(schema_start: &str, args: Vec<Arg>) -> Call {
        let op = registry::all().into_iter().find(|op| op.schema.starts_with(schema_start));
        Call { op: op.unwrap_or_else(|| panic!("no op {schema_start}")), args }
    }

    fn run(&self) -> Result<Output> {
        self.op.run.call(&Args(&self.args))
    }
}

/// Numbers from 0.1 to 1, in no order.
fn values(shape: &[usize]) -> Tensor {
    let count: usize = shape.iter().product();
    let data: Vec<f32> = (0..count as u32).map(|i| 0.1 + (i.wrapping_mul(2_654_435_761) >> 8) as f32 / (1u32 << 24) as f32 * 0.9).collect();
    Tensor::from_slice(&data, shape).expect("as many values as the shape holds")
}

fn tensor(shape: &[usize]) -> Arg {
    Arg::Tensor(values(shape))
}

fn ints(list: &[i64]) -> Arg {
    Arg::Ints(SmallVec::from_slice(list))
}

fn measure(c: &mut Criterion, group: &str, rows: Vec<(String, Throughput, Call)>) {
    let mut group = c.benchmark_group(group);
    for (name, throughput, call) in rows {
        call.run().expect("arguments that fit");
        group.throughput(throughput);
        group.bench_function(BenchmarkId::from_parameter(name), |b| b.iter(|| black_box(call.run())));
    }
    group.finish();
}

fn elementwise(c: &mut Criterion) {
    let mut rows = Vec::new();
    for len in [4096, 1 << 22] {
        for (schema, inputs) in [("relu(", 1), ("exp(", 1), ("tanh(", 1), ("add(", 2), ("mul(", 2)] {
            let mut args: Vec<Arg> = (0..inputs).map(|_| tensor(&[len])).collect();
            if schema == "add(" {
                args.push(Arg::Scalar(Scalar::Int(1)));
            }
            let bytes = Throughput::Bytes((len * 4 * (inputs + 1)) as u64);
            rows.push((format!("{}/{len}", schema.trim_end_matches('(')), bytes, Call::new(schema, args)));
        }
    }
    measure(c, "elementwise", rows);
}

fn matmul(c: &mut Criterion) {
    let sizes = [(128, 128, 128), (512, 512, 512), (1024, 1024, 1024), (1, 4096, 4096), (64, 784, 256)];
    let row = |(m, k, n): (usize, usize, usize)| {
        let call = Call::new("matmul(", vec![tensor(&[m, k]), tensor(&[k, n])]);
        (format!("{m}x{k}x{n}"), Throughput::Elements((2 * m * k * n) as u64), call)
    };
    measure(c, "matmul", sizes.map(row).into());
}

fn convolution(c: &mut Criterion) {
    let shapes = [(64, 1, 28, 32, 1), (16, 64, 32, 64, 1), (8, 256, 14, 256, 1), (16, 64, 32, 64, 64)];
    let row = |(batch, input, side, output, groups): (usize, usize, usize, usize, usize)| {
        let args = vec![
            tensor(&[batch, input, side, side]),
            tensor(&[output, input / groups, 3, 3]),
            Arg::None,
            ints(&[1]),
            ints(&[1]),
            ints(&[1]),
            Arg::Int(groups as i64),
        ];
        let flops = 2 * batch * output * side * side * 9 * input / groups;
        let call = Call::new("conv2d(Tensor self, Tensor weight, Tensor? bias=None, int[2] stride=1, int[2] padding=0", args);
        (format!("{batch}x{input}x{side}->{output}, groups {groups}"), Throughput::Elements(flops as u64), call)
    };
    measure(c, "conv2d 3x3", shapes.map(row).into());
}

fn rows(c: &mut Criterion) {
    let shape = [1024, 1024];
    let bytes = |passes: u64| Throughput::Bytes(passes * (4 << 20));
    let layer_norm = vec![tensor(&shape), ints(&[1024]), tensor(&[1024]), tensor(&[1024]), Arg::Float(1e-5)];
    let calls = vec![
        ("softmax".into(), bytes(2), Call::new("softmax(Tensor self, int dim,", vec![tensor(&shape), Arg::Int(1), Arg::None])),
        ("layer_norm".into(), bytes(2), Call::new("layer_norm(", layer_norm)),
        ("sum over rows".into(), bytes(1), Call::new("sum(Tensor self, int[1]? dim", vec![tensor(&shape), ints(&[1]), Arg::Bool(false)])),
        (
            "sum over columns".into(),
            bytes(1),
            Call::new("sum(Tensor self, int[1]? dim", vec![tensor(&shape), ints(&[0]), Arg::Bool(false)]),
        ),
        ("cumsum".into(), bytes(2), Call::new("cumsum(", vec![tensor(&shape), Arg::Int(1)])),
        (
            "sort".into(),
            bytes(2),
            Call::new("sort(Tensor self, int dim=-1", vec![tensor(&shape), Arg::Int(1), Arg::Bool(false), Arg::Bool(false)]),
        ),
    ];
    measure(c, "rows of 1024x1024", calls);
}

fn pooling(c: &mut Criterion) {
    let args = vec![tensor(&[64, 32, 28, 28]), ints(&[2]), Arg::None, ints(&[0]), ints(&[1]), Arg::Bool(false), Arg::Bool(false)];
    let bytes = Throughput::Bytes(64 * 32 * (28 * 28 + 14 * 14) * 4);
    measure(c, "pooling", vec![("max 2x2, 64x32x28x28".into(), bytes, Call::new("max_pool2d(", args))]);
}

fn random(c: &mut Criterion) {
    let call = |schema: &str| Call::new(schema, vec![ints(&[1 << 20]), Arg::None, Arg::None, Arg::DType(DType::F32)]);
    let bytes = || Throughput::Bytes(4 << 20);
    measure(c, "random", vec![("uniform".into(), bytes(), call("rand(int[...]")), ("normal".into(), bytes(), call("randn(int[...]"))]);
}

criterion_group! {
    name = kernels;
    config = Criterion::default().sample_size(20).warm_up_time(std::time::Duration::from_millis(500))
        .measurement_time(std::time::Duration::from_secs(2));
    targets = elementwise, matmul, convolution, rows, pooling, random
}
criterion_main!(kernels);
