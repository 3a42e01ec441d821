//! Every shader is built and validated by naga, on a device that needs no adapter and runs nothing, and translated for Metal and DX12.

use rustnn_gpu as gpu;
use rustnn_kernels::arrays::{Extreme, Finish, Fold, Operand};
use rustnn_kernels::conv::ConvShape;
use rustnn_kernels::indexing::{Half, Reduce, Scan};
use rustnn_kernels::layers::{Activation, Adam, Entropy, Law, Sgd};
use rustnn_kernels::pool::{Adaptive, Divisor, Window, Windows};
use rustnn_kernels::rng::Stream;
use rustnn_kernels::value::Scalar;
use rustnn_tensor::{Array, DType, Device};

const COMPUTED: [DType; 9] = [DType::F32, DType::F16, DType::BF16, DType::I8, DType::I16, DType::I32, DType::I64, DType::U8, DType::Bool];

/// Writes a shader in the languages of Metal and DX12, as wgpu does there.
fn translate(key: &str, text: &str) {
    use naga::back::{hlsl, msl, pipeline_constants::process_overrides};
    use naga::valid::{Capabilities, ValidationFlags, Validator};
    let module = naga::front::wgsl::parse_str(text).unwrap_or_else(|e| panic!("{key}: {}", e.emit_to_string(text)));
    let info =
        Validator::new(ValidationFlags::all(), Capabilities::IMMEDIATES).validate(&module).unwrap_or_else(|e| panic!("{key}: {e:?}"));
    let (module, info) = process_overrides(&module, &info, None, &Default::default()).unwrap_or_else(|e| panic!("{key}: {e}"));
    let options = msl::Options { lang_version: (2, 0), ..Default::default() };
    let (metal, _) = msl::write_string(&module, &info, &options, &Default::default()).unwrap_or_else(|e| panic!("{key}, in MSL: {e}"));
    assert!(metal.contains("kernel void"), "{key}: {metal}");
    let options =
        hlsl::Options { shader_model: hlsl::ShaderModel::V6_0, immediates_target: Some(Default::default()), ..Default::default() };
    let (mut direct, pipeline) = (String::new(), Default::default());
    hlsl::Writer::new(&mut direct, &options, &pipeline).write(&module, &info, None).unwrap_or_else(|e| panic!("{key}, in HLSL: {e}"));
    assert!(direct.contains("numthreads"), "{key}: {direct}");
}

fn array(shape: &[usize], dtype: DType) -> Array {
    gpu::register();
    gpu::watch_shaders(translate);
    Array::empty(shape, dtype, Device::Gpu(gpu::CHECKER)).unwrap()
}

fn f32s(shape: &[usize]) -> Array {
    array(shape, DType::F32)
}

/// The call was taken, and its shader found no fault with naga.
#[track_caller]
fn taken(result: rustnn_tensor::Result<bool>) {
    assert_eq!(result, Ok(true));
}

#[test]
fn every_row_of_the_op_table_is_a_valid_shader_in_every_dtype_it_computes_in() {
    for row in rustnn_ops::rows::ALL {
        for dtype in COMPUTED.into_iter().filter(|d| row.kernel.supports(*d)) {
            let inputs: Vec<Array> = (0..row.inputs.len()).map(|_| array(&[2, 3], dtype)).collect();
            let operands: Vec<Operand> = inputs.iter().map(Operand::Array).collect();
            let scalars = vec![Scalar::Float(1.0); row.scalars.len()];
            let out = array(&[2, 3], row.kernel.result(dtype));
            assert_eq!(gpu::elementwise(&row.kernel, dtype, &operands, &scalars, &out), Ok(true), "{} of {dtype:?}", row.name);
        }
        for gradient in row.gradients.iter().flatten() {
            let inputs: Vec<Array> = (0..row.inputs.len() + 2).map(|_| f32s(&[2, 3])).collect();
            let operands: Vec<Operand> = inputs.iter().map(Operand::Array).collect();
            let scalars = vec![Scalar::Float(1.0); row.scalars.len()];
            assert_eq!(
                gpu::elementwise(&gradient.kernel, DType::F32, &operands, &scalars, &f32s(&[2, 3])),
                Ok(true),
                "a gradient of {}",
                row.name
            );
        }
    }
}

#[test]
fn elementwise_shaders_are_valid_for_every_layout_and_mix_of_dtypes() {
    let add = &rustnn_ops::rows::ADD.kernel;
    for dtype in COMPUTED {
        let x = array(&[4, 6], dtype);
        let turned = x.with_geometry([6, 4][..].into(), [1, 6][..].into(), 0);
        let row = array(&[4], dtype);
        let out = array(&[6, 4], dtype);
        let operands = [Operand::Array(&turned), Operand::Array(&row)];
        taken(gpu::elementwise(add, dtype, &operands, &[Scalar::Int(2)], &out));
        // In place, on a strided view, with a number.
        let every_other = x.with_geometry([4, 3][..].into(), [6, 2][..].into(), 1);
        let operands = [Operand::Array(&every_other), Operand::Scalar(Scalar::Int(1))];
        taken(gpu::elementwise(add, dtype, &operands, &[Scalar::Int(1)], &every_other));
        taken(gpu::elementwise(add, dtype, &[Operand::Array(&x), Operand::Array(&x)], &[Scalar::Int(1)], &x));
        for to in COMPUTED {
            taken(gpu::copy(&x, &array(&[4, 6], to)));
            taken(gpu::copy(&turned, &array(&[6, 4], to)));
        }
        taken(gpu::fill(&x, Scalar::Int(1)));
        taken(gpu::fill(&array(&[3], DType::F64), Scalar::Float(0.1)));
        taken(gpu::fill(&every_other, Scalar::Int(1)));
    }
}

#[test]
fn conversions_of_unsigned_integers_are_valid_shaders() {
    let add = &rustnn_ops::rows::ADD.kernel;
    for dtype in [DType::U16, DType::U32, DType::U64] {
        let x = array(&[4, 6], dtype);
        for other in COMPUTED.into_iter().chain([DType::U16, DType::U32, DType::U64]) {
            taken(gpu::copy(&x, &array(&[4, 6], other)));
            // Floats beyond 2^63 are no int64: that one is the CPU's.
            let copied = gpu::copy(&array(&[4, 6], other), &x).unwrap();
            assert_eq!(copied, !(other.is_float() && dtype == DType::U64), "{other:?} to {dtype:?}");
        }
        taken(gpu::fill(&x, Scalar::Int(1)));
        let out = array(&[4, 6], DType::F32);
        taken(gpu::elementwise(add, DType::F32, &[Operand::Array(&x), Operand::Scalar(Scalar::Float(1.5))], &[Scalar::Int(1)], &out));
    }
}

#[test]
fn folds_scans_and_extremes_are_valid_shaders() {
    let folds = [Fold::Sum, Fold::SumSquares, Fold::SumAbs, Fold::Product, Fold::Max, Fold::Min, Fold::MaxAbs, Fold::Any, Fold::All];
    for dtype in COMPUTED {
        for fold in folds {
            for (shape, dims) in [(&[3usize, 5][..], &[1usize][..]), (&[3, 300], &[1]), (&[70, 3], &[0]), (&[2, 40_000], &[1])] {
                let kept: Vec<usize> = (0..2).filter(|d| !dims.contains(d)).map(|d| shape[d]).collect();
                taken(gpu::reduce(fold, &array(shape, dtype), dims, Finish::Plain, &array(&kept, dtype)));
            }
        }
        for extreme in [Extreme::Max, Extreme::Min] {
            let indices = array(&[3], DType::I64);
            taken(gpu::arg_extreme(extreme, &array(&[3, 5], dtype), 1, Some(&array(&[3], dtype)), &indices));
            taken(gpu::arg_extreme(extreme, &array(&[3, 5], dtype), 1, None, &indices));
            let long = array(&[3, 40_000], dtype);
            taken(gpu::arg_extreme(extreme, &long, 1, Some(&array(&[3], dtype)), &indices));
        }
        for shape in [[3, 5], [3, 300], [3, 40_000]] {
            let (x, out, places) = (array(&shape, dtype), array(&shape, dtype), array(&shape, DType::I64));
            for kind in [Scan::Sum, Scan::Product] {
                taken(gpu::scan(kind, true, &x, 1, &out));
            }
            for greatest in [false, true] {
                taken(gpu::running_extremes(greatest, &x, 1, &out, &places));
            }
            if matches!(dtype, DType::F32 | DType::F16 | DType::BF16) {
                taken(gpu::running_log_sum_exp(false, &x, 1, &out));
            }
            taken(gpu::arg_extreme(Extreme::Max, &x, 1, Some(&array(&[3], dtype)), &array(&[3], DType::I64)));
        }
    }
    // Long lines side by side, in parts.
    taken(gpu::reduce(Fold::Sum, &array(&[17_000, 5000], DType::U8), &[0], Finish::Plain, &array(&[5000], DType::I64)));
    taken(gpu::reduce(Fold::Sum, &f32s(&[2, 0]), &[1], Finish::Plain, &f32s(&[2])));
    for finish in [Finish::Over(4.0), Finish::OverRoot(3.0)] {
        taken(gpu::reduce(Fold::Sum, &f32s(&[3, 300]), &[1], finish, &f32s(&[3])));
    }
    for len in [5, 300, 40_000] {
        taken(gpu::variance(&f32s(&[3, len]), &[1], 1.0, true, &f32s(&[3]), Some(&f32s(&[3]))));
        taken(gpu::variance(&f32s(&[3, len]), &[1], 1.0, false, &f32s(&[3]), None));
    }
    for dtype in [DType::F32, DType::I64, DType::F16, DType::Bool] {
        taken(gpu::triangle(Half::Lower, 1, &array(&[2, 3, 4], dtype), &array(&[2, 3, 4], dtype)));
    }
}

#[test]
fn products_and_convolutions_are_valid_shaders() {
    // Vectors, every tile, depths that are cut into parts; whole tiles and edges.
    let sizes = [(1, 8, 70), (70, 8, 1), (1, 4096, 1), (20, 20, 20), (70, 20, 5), (20, 4096, 20), (1000, 33, 1000), (1536, 64, 1536)];
    for (m, k, n) in sizes {
        let turned = |rows: usize, columns: usize| {
            f32s(&[columns, rows]).with_geometry([rows, columns][..].into(), [1, rows as isize][..].into(), 0)
        };
        for (a, b) in [(turned(m, k), f32s(&[k, n])), (f32s(&[m, k]), turned(k, n)), (turned(m, k), turned(k, n))] {
            taken(gpu::matmul(&a, &b, None, &f32s(&[m, n])));
        }
        for dtype in [DType::F32, DType::F16, DType::BF16] {
            let (a, b, c) = (array(&[m, k], dtype), array(&[k, n], dtype), array(&[m, n], dtype));
            taken(gpu::matmul(&a, &b, None, &c));
            taken(gpu::matmul(&a, &b, Some(&c), &array(&[m, n], dtype)));
        }
    }
    taken(gpu::matmul(&f32s(&[2, 3, 4, 5]), &f32s(&[2, 3, 5, 6]), None, &f32s(&[2, 3, 4, 6])));
    for dtype in [DType::I8, DType::I64] {
        let [a, b, c, d] = [[2, 40_000], [40_000, 2], [2, 2], [2, 2]].map(|shape| array(&shape, dtype));
        taken(gpu::matmul(&a, &b, None, &c));
        taken(gpu::matmul(&a, &b, Some(&d), &c));
    }
    for dtype in [DType::I8, DType::I16, DType::I32, DType::I64, DType::U8] {
        let [a, b, c, d] = [[2, 3, 4], [2, 4, 5], [2, 3, 5], [2, 3, 5]].map(|shape| array(&shape, dtype));
        taken(gpu::matmul(&a, &b, None, &c));
        taken(gpu::matmul(&a, &b, Some(&d), &c));
    }
    for row in [&rustnn_ops::rows::RELU, &rustnn_ops::rows::GELU] {
        let activation = Activation { kernel: &row.kernel, relu: false };
        for (m, k, n) in sizes {
            for dtype in [DType::F32, DType::F16] {
                let [a, b, c, z] = [[m, k], [k, n], [m, n], [m, n]].map(|shape| array(&shape, dtype));
                taken(gpu::matmul_activated(&a, &b, None, activation, None, &c));
                taken(gpu::matmul_activated(&a, &b, Some(&array(&[m, n], dtype)), activation, Some(&z), &c));
            }
        }
    }
    let shape = ConvShape {
        batch: 2,
        in_channels: 4,
        out_channels: 6,
        groups: 2,
        input: [1, 5, 5],
        kernel: [1, 3, 3],
        stride: [1, 2, 1],
        padding: [0, 1, 1],
        dilation: [1, 1, 2],
        output: [1, 3, 3],
    };
    let (x, w, y) = (f32s(&[2, 4, 5, 5]), f32s(&[6, 2, 3, 3]), f32s(&[2, 6, 3, 3]));
    taken(gpu::conv_forward(&shape, &x, &w, Some(&f32s(&[6])), &y));
    taken(gpu::conv_forward(&shape, &x, &w, None, &y));
    taken(gpu::conv_backward_input(&shape, &y, &w, None, &x));
    taken(gpu::conv_backward_weight(&shape, &x, &y, &w));
}

#[test]
fn norms_softmax_and_losses_are_valid_shaders() {
    for n in [6, 300, 40_000] {
        let (x, out, w, one) = (f32s(&[4, n]), f32s(&[4, n]), f32s(&[n]), f32s(&[4]));
        taken(gpu::row_norm(&x, n, Some(&w), Some(&w), 1e-5, &out, Some(&one), &f32s(&[4])));
        taken(gpu::row_norm(&x, n, None, None, 1e-5, &out, None, &one));
        taken(gpu::row_norm_backward(
            &x,
            &out,
            n,
            Some(&w),
            Some(&one),
            &f32s(&[4]),
            Some(&f32s(&[4, n])),
            Some(&f32s(&[n])),
            Some(&f32s(&[n])),
        ));
        taken(gpu::row_norm_backward(&x, &out, n, None, None, &one, Some(&f32s(&[4, n])), None, None));
        let (many, rstd, w) = (f32s(&[700, n]), f32s(&[700]), f32s(&[n]));
        taken(gpu::row_norm_backward(&many, &many, n, None, None, &rstd, None, Some(&w), Some(&f32s(&[n]))));
        for log in [false, true] {
            taken(gpu::softmax(log, &x, 1, &out));
            taken(gpu::softmax(log, &x, 0, &x));
            taken(gpu::softmax_backward(log, &x, &out, 1, &f32s(&[4, n])));
        }
        let (classes, likely) = (array(&[4], DType::I64), f32s(&[4, n]));
        for target in [&classes, &likely] {
            for smoothing in [0.0, 0.1] {
                for weight in [None, Some(&w)] {
                    let entropy = Entropy { target, weight, ignore_index: -100, smoothing };
                    let saved = f32s(&[2, 4]);
                    assert!(gpu::class_loss(&x, &entropy, &one, Some(&saved)).unwrap().is_some());
                    taken(gpu::class_loss_backward(&x, &entropy, Some(&saved), 1.0, None, &out));
                    taken(gpu::class_loss_backward(&x, &entropy, Some(&saved), 0.0, Some(&one), &out));
                }
            }
        }
        let entropy = Entropy { target: &classes, weight: None, ignore_index: -100, smoothing: 0.0 };
        assert!(gpu::class_loss(&x, &entropy, &one, None).unwrap().is_some());
        taken(gpu::class_loss_backward(&x, &entropy, None, 1.0, None, &out));
    }
    for plane in [5, 40_000] {
        let (x, out, c, g) = (f32s(&[2, 4, plane]), f32s(&[2, 4, plane]), f32s(&[4]), f32s(&[2, 2]));
        taken(gpu::group_norm(&x, 2, Some(&c), Some(&c), 1e-5, &out, &g, &f32s(&[2, 2])));
        taken(gpu::group_norm_backward(
            &x,
            &out,
            2,
            Some(&c),
            &g,
            &f32s(&[2, 2]),
            Some(&f32s(&[2, 4, plane])),
            Some(&f32s(&[4])),
            Some(&f32s(&[4])),
        ));
        taken(gpu::batch_norm_train(&x, Some(&c), Some(&c), 1e-5, &out, &f32s(&[4]), &f32s(&[4]), Some(&f32s(&[4]))));
        taken(gpu::batch_norm_apply(&x, &c, &c, None, None, &out));
        taken(gpu::update_running(&f32s(&[4]), &c, 0.1));
        for training in [true, false] {
            let (dw, db) = (f32s(&[4]), f32s(&[4]));
            taken(gpu::batch_norm_backward(&x, &out, &c, &c, Some(&c), training, Some(&f32s(&[2, 4, plane])), Some(&dw), Some(&db)));
        }
    }
}

#[test]
fn pools_are_valid_shaders() {
    let window =
        Window { input: [1, 4, 4], output: [1, 2, 2], kernel: [1, 2, 2], stride: [1, 2, 2], padding: [0, 0, 0], dilation: [1, 1, 1] };
    let (x, y, places) = (f32s(&[3, 4, 4]), f32s(&[3, 2, 2]), array(&[3, 2, 2], DType::I64));
    taken(gpu::max_pool(&window, 3, &x, &y, Some(&places)));
    taken(gpu::max_pool(&window, 3, &x, &y, None));
    taken(gpu::max_pool_backward(&Windows::Fixed(window), 3, &y, &places, &x));
    taken(gpu::pick(3, 16, 4, &x, &places, &y));
    for divisor in [Divisor::WithPadding, Divisor::Inside, Divisor::Fixed(3)] {
        taken(gpu::avg_pool(&window, divisor, 3, &x, &y));
        taken(gpu::avg_pool_backward(&window, divisor, 3, &y, &x));
    }
    let sizes = Adaptive { input: [1, 4, 4], output: [1, 2, 2] };
    taken(gpu::adaptive_avg_pool(&sizes, 3, &x, &y));
    taken(gpu::adaptive_avg_pool_backward(&sizes, 3, &y, &x));
    taken(gpu::adaptive_max_pool(&sizes, 3, &x, &y, &places));
    taken(gpu::max_pool_backward(&Windows::Adaptive(sizes), 3, &y, &places, &x));
    // Windows of many places, of which a workgroup or several have one; and places in many windows.
    for (side, output) in [(40, 2), (400, 2), (400, 1), (4, 80), (1, 400)] {
        let (kernel, stride) = if side > output { (side / output, side / output) } else { (1, 1) };
        let sizes = Adaptive { input: [1, side, side], output: [1, output, output] };
        let (x, y, places) = (f32s(&[3, side, side]), f32s(&[3, output, output]), array(&[3, output, output], DType::I64));
        taken(gpu::adaptive_avg_pool(&sizes, 3, &x, &y));
        taken(gpu::adaptive_avg_pool_backward(&sizes, 3, &y, &x));
        taken(gpu::adaptive_max_pool(&sizes, 3, &x, &y, &places));
        taken(gpu::max_pool_backward(&Windows::Adaptive(sizes), 3, &y, &places, &x));
        let window = Window {
            input: [1, side, side],
            output: [1, output, output],
            kernel: [1, kernel, kernel],
            stride: [1, stride, 1],
            padding: [0, 1, 1],
            dilation: [1, 1, 2],
        };
        taken(gpu::max_pool(&window, 3, &x, &y, Some(&places)));
        taken(gpu::max_pool_backward(&Windows::Fixed(window), 3, &y, &places, &x));
        for divisor in [Divisor::WithPadding, Divisor::Inside, Divisor::Fixed(3)] {
            taken(gpu::avg_pool(&window, divisor, 3, &x, &y));
            taken(gpu::avg_pool_backward(&window, divisor, 3, &y, &x));
        }
    }
    let all = Window { input: [1, 1, 900], output: [1, 1, 300], kernel: [1, 1, 601], ..window };
    let all = Window { stride: [1, 1, 1], padding: [0; 3], dilation: [1; 3], ..all };
    let (x, y, places) = (f32s(&[3, 900]), f32s(&[3, 300]), array(&[3, 300], DType::I64));
    taken(gpu::max_pool_backward(&Windows::Fixed(all), 3, &y, &places, &x));
    taken(gpu::avg_pool_backward(&all, Divisor::Inside, 3, &y, &x));
}

#[test]
fn indexing_is_valid_shaders() {
    let index = array(&[5], DType::I64);
    for negative in [false, true] {
        gpu::move_inside(&index, 4, negative).unwrap();
    }
    for dtype in COMPUTED {
        let (x, rows) = (array(&[4, 3], dtype), array(&[5, 3], dtype));
        taken(gpu::index_select(&x, 0, &index, &rows));
        taken(gpu::gather(&x, 1, &array(&[4, 2], DType::I64), &array(&[4, 2], dtype)));
        taken(gpu::index_get(&x, &[0], std::slice::from_ref(&index), 0, &rows));
        let all = [Reduce::Assign, Reduce::Add, Reduce::Multiply, Reduce::Maximum, Reduce::Minimum];
        for reduce in if dtype == DType::Bool { &all[..1] } else { &all } {
            taken(gpu::scatter(*reduce, &x, 1, &array(&[4, 2], DType::I64), &array(&[4, 2], dtype)));
            taken(gpu::index_update(*reduce, None, &x, 0, &index, &rows));
            taken(gpu::index_put(*reduce, &x, &[0], std::slice::from_ref(&index), 0, &rows));
        }
    }
    // Runs of equal indices over several blocks.
    let many = array(&[70_000], DType::I64);
    for dtype in [DType::F32, DType::F16, DType::I8, DType::I64] {
        let (x, rows) = (array(&[4], dtype), array(&[70_000], dtype));
        for reduce in [Reduce::Add, Reduce::Multiply, Reduce::Maximum, Reduce::Minimum] {
            taken(gpu::index_update(reduce, None, &x, 0, &many, &rows));
        }
    }
    taken(gpu::embedding_backward(&f32s(&[70_000, 3]), &many, None, true, &f32s(&[4, 3])));
    let pair = [array(&[5], DType::I64), array(&[5], DType::I64)];
    taken(gpu::index_get(&f32s(&[4, 3, 2]), &[0, 1], &pair, 0, &f32s(&[5, 2])));
    for by_frequency in [false, true] {
        taken(gpu::embedding_backward(&f32s(&[5, 3]), &index, Some(1), by_frequency, &f32s(&[4, 3])));
    }
    taken(gpu::counted_places(&index, &array(&[2], DType::I64)));
    taken(gpu::coordinates(&index, &[2, 3, 4], &array(&[5, 3], DType::I64)));
    taken(gpu::one_hot(&index, 7, &array(&[5, 7], DType::I64)));
}

#[test]
fn sorts_are_valid_shaders() {
    for dtype in COMPUTED {
        for len in [5, 3000] {
            let (x, out, places) = (array(&[2, len], dtype), array(&[2, len], dtype), array(&[2, len], DType::I64));
            taken(gpu::sort(true, &x, Some(&out), Some(&places)));
            taken(gpu::sort(false, &x, Some(&out), None));
            taken(gpu::topk(true, 3, &x, &array(&[2, 3], dtype), &array(&[2, 3], DType::I64)));
            taken(gpu::kthvalue(3, &x, &array(&[2], dtype), &array(&[2], DType::I64)));
            taken(gpu::modes(&x, &array(&[2], dtype), &array(&[2], DType::I64)));
            for (right, sorter) in [(false, None), (true, Some(&places))] {
                taken(gpu::searchsorted(right, &x, sorter, &array(&[2, 4], dtype), &array(&[2, 4], DType::I64)));
            }
        }
    }
}

#[test]
fn random_numbers_and_optimizer_steps_are_valid_shaders() {
    let stream = Stream { seed: 1, offset: 2 };
    let laws = [
        Law::Uniform { low: 0.0, high: 1.0 },
        Law::Normal { mean: 0.0, std: 1.0 },
        Law::Exponential { rate: 1.0 },
        Law::Bernoulli { p: 0.5 },
    ];
    for dtype in [DType::F32, DType::F16, DType::BF16] {
        let x = array(&[70], dtype);
        laws.iter().for_each(|law| taken(gpu::fill_random(*law, stream, &x)));
        taken(gpu::bernoulli_each(&x, stream, &array(&[70], dtype)));
        taken(gpu::dropout(&x, stream, 0.3, &array(&[70], dtype)));
        for (replacement, categories) in [(true, 7), (false, 7), (true, 300), (false, 300), (true, 40_000), (false, 40_000)] {
            let weights = array(&[2, categories], dtype);
            taken(gpu::multinomial(&weights, 2, categories, 3, replacement, stream, &array(&[2, 3], DType::I64)));
        }
        for (nesterov, maximize, weight_decay) in [(false, false, 0.0), (true, true, 0.1)] {
            let sgd = Sgd { lr: 0.1, momentum: 0.9, dampening: 0.0, weight_decay, nesterov, maximize };
            let (p, g, b) = (array(&[7], dtype), array(&[7], dtype), array(&[7], dtype));
            taken(gpu::sgd(&sgd, &[&p], &[&g], &[], &[]));
            taken(gpu::sgd(&sgd, &[&p], &[&g], &[&b], &[true]));
            let adam = Adam { lr: 0.1, beta1: 0.9, beta2: 0.99, eps: 1e-8, weight_decay, decoupled: nesterov, maximize };
            let (v, w) = (array(&[7], dtype), array(&[7], dtype));
            taken(gpu::adam(&adam, &[&p], &[&g], &[&b], &[&v], None, &[1.0]));
            taken(gpu::adam(&adam, &[&p], &[&g], &[&b], &[&v], Some(&[&w]), &[1.0]));
        }
    }
    let error: fn(String) -> rustnn_tensor::Error = rustnn_tensor::Error::Runtime;
    taken(gpu::refuse_where(&array(&[5], DType::Bool), error, "bad"));
    taken(gpu::refuse_outside(&f32s(&[5]), 0.0, 1.0, error, "outside"));
    let [a, b, c] = [0; 3].map(|_| array(&[5], DType::I64));
    taken(gpu::integer_powers(&a, &b, &c));
    for dtype in COMPUTED {
        for span in [10, 1 << 40, 0] {
            taken(gpu::fill_random(Law::Integers { low: -3, span }, stream, &array(&[70], dtype)));
        }
        taken(gpu::fill_random(Law::Bernoulli { p: 0.5 }, stream, &array(&[70], dtype)));
    }
    // As many parameters as need several launches.
    let many: Vec<Array> = (0..150).map(|_| f32s(&[7])).collect();
    let lists: Vec<Vec<&Array>> = (0..3).map(|k| many[50 * k..50 * (k + 1)].iter().collect()).collect();
    assert!(gpu::fma_loop(gpu::CHECKER, 4).unwrap() > 0.0);
    let sgd = Sgd { lr: 0.1, momentum: 0.9, dampening: 0.0, weight_decay: 0.0, nesterov: false, maximize: false };
    taken(gpu::sgd(&sgd, &lists[0], &lists[1], &lists[2], &[false; 50]));
}

/// The functions of this crate that launch kernels, by what `lib.rs` exports.
#[test]
fn every_kernel_of_the_crate_is_called_in_this_file() {
    let read = |path: &str| std::fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let (exports, tests) = (read("lib.rs"), read("tests/shaders.rs"));
    let without_kernels = ["device", "probe"];
    let mut found = 0;
    for line in exports.replace('\n', " ").split("pub use ").skip(1) {
        let (file, names) = line.split(';').next().unwrap().split_once("::").unwrap();
        if without_kernels.contains(&file) {
            continue;
        }
        for name in names.trim_matches(['{', '}', ' ']).split(',').map(str::trim).filter(|name| !name.is_empty()) {
            assert!(tests.contains(&format!("gpu::{name}(")), "tests/shaders.rs does not call {name}");
            found += 1;
        }
    }
    assert!(found > 40, "{found}");
}
