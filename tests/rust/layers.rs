//! Each layer: starting values as the Python package draws them, outputs, gradients and buffers as PyTorch computes them.

use crate::{assert_near, floats, golden, load, tensor};
use rustnn::io::Value;
use rustnn::nn::{
    self, AttentionOptions, ConvOptions, ConvTransposeOptions, EmbeddingOptions, Forward, Mask, Module, NormOptions, Padding, PaddingMode,
    RecurrentOptions, TransformerMasks, TransformerOptions,
};
use rustnn::{Result, Tensor, random};
use std::process::Command;
use std::sync::OnceLock;

/// A layer whose forward takes the recorded inputs.
type Run = Box<dyn Fn(&[Tensor]) -> Result<Tensor>>;

/// What the Python package gives on this machine; where `RUSTNN_PYTHON` names no interpreter that has it, nothing.
fn python() -> Option<&'static Value> {
    static FOUND: OnceLock<Option<Value>> = OnceLock::new();
    let found = || {
        let path = std::env::temp_dir().join(format!("rustnn-layers-{}.pt", std::process::id()));
        let interpreter = std::env::var_os("RUSTNN_PYTHON")?;
        let run = Command::new(interpreter).arg(golden("../rust_layers.py")).arg(&path).output().unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        let found = rustnn::io::load(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        Some(found)
    };
    FOUND.get_or_init(found).as_ref()
}

/// The output is PyTorch's to 1e-6. A gradient adds up terms larger than itself, so that PyTorch's own may be further off: it is as
/// near to what float64 gives as 1e-6 of the largest element, or as twice the distance of PyTorch's.
fn near_pytorchs(name: &str, recorded: &Value, output: &Tensor, gradient: &Tensor) {
    let wide = |t: &Tensor| t.detach().to_dtype(rustnn::DType::F64).unwrap().to_vec::<f64>().unwrap();
    let largest = |values: &[f64]| values.iter().fold(0f64, |most, v| most.max(v.abs()));
    let off = |a: &Tensor, b: &Tensor| {
        assert_eq!(a.shape(), b.shape(), "{name}");
        largest(&wide(a).iter().zip(wide(b)).map(|(a, b)| a - b).collect::<Vec<_>>())
    };
    let error = off(output, tensor(recorded, "output"));
    assert!(error <= 1e-6, "{name}: the output is {error:e} off");
    let exact = tensor(recorded.get("exact").unwrap(), "gradient");
    let bound = (1e-6 * largest(&wide(exact)).max(1.0)).max(2.0 * off(tensor(recorded, "gradient"), exact));
    let error = off(gradient, exact);
    assert!(error <= bound, "{name}: the gradient is {error:e} off, not {bound:e}");
}

fn check<M: Module + 'static>(name: &str, make: impl Fn() -> Result<M>, forward: impl Fn(&M, &[Tensor]) -> Result<Tensor>) {
    // The other tests of this program draw too: a generator of our own.
    let layer = random::Generator::new(3).scope(&make).unwrap();
    let first = load("initial.pt").get(name).unwrap().to_state_dict().unwrap();
    let own = layer.state_dict().unwrap();
    assert_eq!(own.names().collect::<Vec<_>>(), first.names().collect::<Vec<_>>(), "{name}");
    for (key, value) in own.iter() {
        assert_eq!(value.shape(), first.get(key).unwrap().shape(), "{name}.{key}");
        assert_eq!(floats(value), floats(first.get(key).unwrap()), "{name}.{key} at the start");
    }

    let all = load("layers.pt");
    let recorded = all.get(name).unwrap();
    layer.load_state_dict(&recorded.get("state").unwrap().to_state_dict().unwrap()).unwrap();
    let Some(Value::List(inputs)) = recorded.get("inputs") else { panic!("{name}: no inputs") };
    let inputs: Vec<Tensor> = inputs
        .iter()
        .map(|value| match value {
            Value::Tensor(t) if t.dtype().is_float() => t.detach().requires_grad_(true).unwrap(),
            Value::Tensor(t) => t.clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    let output = forward(&layer, &inputs).unwrap();
    output.square().unwrap().sum().unwrap().backward().unwrap();
    let gradient = if inputs[0].requires_grad() { inputs[0].grad() } else { layer.parameters()[0].grad() }.unwrap();
    let after = layer.state_dict().unwrap();
    near_pytorchs(name, recorded, &output, &gradient);
    for (key, value) in recorded.get("after").unwrap().to_state_dict().unwrap().iter() {
        assert_near(after.get(key).unwrap(), value, 1e-6, &format!("{name}.{key} after the call"));
    }
    if let Some(python) = python().and_then(|all| all.get(name)) {
        assert_eq!(floats(&output), floats(tensor(python, "output")), "{name}: the output in Python");
        assert_eq!(floats(&gradient), floats(tensor(python, "gradient")), "{name}: the gradient in Python");
        for (key, value) in python.get("after").unwrap().to_state_dict().unwrap().iter() {
            assert_eq!(floats(after.get(key).unwrap()), floats(value), "{name}.{key} after the call in Python");
        }
    }
    assert!(layer.parameters().iter().all(|p| p.grad().is_some()), "{name}: a parameter without a gradient");
}

fn check_forward<M: Forward + 'static>(name: &str, make: impl Fn() -> Result<M>) {
    check(name, make, |layer, inputs| layer.forward(&inputs[0]));
}

fn padded(row: usize) -> EmbeddingOptions {
    EmbeddingOptions { padding_idx: Some(row), ..Default::default() }
}

#[test]
fn linear_layers_and_tables_are_pytorchs() {
    check_forward("linear", || nn::Linear::new(4, 3));
    check_forward("linear_no_bias", || nn::Linear::with(4, 3, false));
    check("bilinear", || nn::Bilinear::new(3, 4, 2), |layer, x| layer.forward(&x[0], &x[1]));
    check_forward("embedding", || nn::Embedding::with(7, 3, padded(2)));
    let bounded = EmbeddingOptions { max_norm: Some(1.0), ..Default::default() };
    let counted = EmbeddingOptions { norm_type: 1.5, scale_grad_by_freq: true, ..bounded };
    check_forward("embedding_bounded", || nn::Embedding::with(7, 3, counted));
    check_forward("embedding_bag_bounded", || nn::EmbeddingBag::with(7, 3, nn::BagMode::Sum, bounded));
    check_forward("embedding_bag_padded", || nn::EmbeddingBag::with(7, 3, nn::BagMode::Mean, padded(4)));
    check_forward("embedding_bag", || nn::EmbeddingBag::new(7, 3, nn::BagMode::Max));
    check_forward("prelu", || nn::PReLU::new(3, 0.25));
}

#[test]
fn convolutions_are_pytorchs() {
    check_forward("conv1d", || nn::Conv1d::with(2, 4, 3, ConvOptions { stride: 2.into(), padding: 1.into(), ..Default::default() }));
    check_forward("conv2d", || {
        nn::Conv2d::with(2, 4, 3, ConvOptions { padding: [1, 2].into(), dilation: 2.into(), groups: 2, ..Default::default() })
    });
    check_forward("conv2d_same", || nn::Conv2d::with(2, 3, 3, ConvOptions { padding: Padding::Same, ..Default::default() }));
    check_forward("conv3d", || nn::Conv3d::new(2, 2, 2));
    check_forward("conv_transpose1d", || {
        nn::ConvTranspose1d::with(3, 2, 4, ConvTransposeOptions { stride: 2.into(), padding: 1.into(), ..Default::default() })
    });
    check_forward("conv_transpose2d", || {
        let options = ConvTransposeOptions { stride: 2.into(), output_padding: 1.into(), groups: 2, ..Default::default() };
        nn::ConvTranspose2d::with(4, 2, 3, options)
    });
    check_forward("conv_transpose3d", || {
        nn::ConvTranspose3d::with(2, 2, 2, ConvTransposeOptions { stride: 2.into(), ..Default::default() })
    });
}

#[test]
fn convolutions_with_other_paddings_are_pytorchs() {
    let how = |padding_mode| ConvOptions { padding_mode, ..Default::default() };
    check_forward("conv1d_reflect", || nn::Conv1d::with(2, 3, 3, ConvOptions { padding: 2.into(), ..how(PaddingMode::Reflect) }));
    let same = ConvOptions { padding: Padding::Same, padding_mode: PaddingMode::Replicate, ..Default::default() };
    check_forward("conv2d_replicate", || nn::Conv2d::with(2, 3, [2, 4], same));
    let around = ConvOptions { padding: [0, 1, 2].into(), padding_mode: PaddingMode::Circular, ..Default::default() };
    check_forward("conv3d_circular", || nn::Conv3d::with(1, 2, 3, around));
}

#[test]
fn parametrized_weights_are_pytorchs() {
    check_forward("weight_norm", || nn::WeightNorm::new(nn::Conv1d::new(2, 4, 3)?));
    check_forward("spectral_norm", || nn::SpectralNorm::new(nn::ConvTranspose1d::new(3, 2, 4)?));
    // A fresh one computes what the layer did.
    let plain = nn::Linear::new(3, 2).unwrap();
    let x = Tensor::rand([4, 3]).unwrap();
    let before = plain.forward(&x).unwrap();
    assert_near(&nn::WeightNorm::new(plain).unwrap().forward(&x).unwrap(), &before, 1e-6, "weight_norm of a fresh layer");
}

#[test]
fn losses_with_parameters_are_pytorchs() {
    check(
        "adaptive",
        || nn::AdaptiveLogSoftmaxWithLoss::with(8, 20, &[5, 11], 2.0, false),
        |layer, x| {
            let (output, loss) = layer.forward(&x[0], &x[1])?;
            assert_near(&output.neg()?.mean()?, &loss, 1e-6, "the loss");
            // The same from the probabilities of all classes, which are one together.
            let all = layer.log_prob(&x[0])?;
            assert_near(&all.gather(1, &x[1].unsqueeze(1)?)?.squeeze(1)?, &output, 1e-5, "log_prob");
            assert_near(&all.exp()?.sum_dim(&[1], false)?, &Tensor::ones([9])?, 1e-5, "probabilities");
            assert_eq!(layer.predict(&x[0])?.to_vec::<i64>()?, all.argmax(1)?.to_vec::<i64>()?);
            Ok(output)
        },
    );
    check("linear_cross_entropy", || nn::LinearCrossEntropyLoss::with(4, 6, &[], true), |layer, x| layer.forward(&x[0], &x[1]));
}

#[test]
fn bags_of_different_lengths_are_joined() {
    let bags = |mode, padding| {
        let table = match padding {
            Some(row) => nn::EmbeddingBag::with(4, 2, mode, padded(row)).unwrap(),
            None => nn::EmbeddingBag::new(4, 2, mode).unwrap(),
        };
        table.weight.set(&Tensor::new(&[1.0f32, 8.0, 2.0, 7.0, 3.0, 6.0, 4.0, 5.0], [4, 2]).unwrap()).unwrap();
        table
    };
    let x = Tensor::new(&[0i64, 1, 3, 2], [4]).unwrap();
    let run = |mode, padding| floats(&bags(mode, padding).forward_bags(&x, &[0, 2, 2], None).unwrap());
    assert_eq!(run(nn::BagMode::Sum, None), [3.0, 15.0, 0.0, 0.0, 7.0, 11.0]);
    assert_eq!(run(nn::BagMode::Mean, None), [1.5, 7.5, 0.0, 0.0, 3.5, 5.5]);
    assert_eq!(run(nn::BagMode::Max, None), [2.0, 8.0, 0.0, 0.0, 4.0, 6.0]);
    assert_eq!(run(nn::BagMode::Mean, Some(3)), [1.5, 7.5, 0.0, 0.0, 3.0, 6.0]);
    let weights = Tensor::new(&[1.0f32, 0.5, 2.0, 0.0], [4]).unwrap();
    let weighted = bags(nn::BagMode::Sum, None).forward_bags(&x, &[0, 2], Some(&weights)).unwrap();
    assert_eq!(floats(&weighted), [2.0, 11.5, 8.0, 10.0]);
}

#[test]
fn paddings_hold_what_their_mode_says() {
    let x = Tensor::new(&[1.0f32, 2.0, 3.0, 4.0], [1, 1, 4]).unwrap();
    let run = |layer: &dyn Forward| floats(&layer.forward(&x).unwrap());
    assert_eq!(run(&nn::ReflectionPad1d::new([[2, 1]])), [3.0, 2.0, 1.0, 2.0, 3.0, 4.0, 3.0]);
    assert_eq!(run(&nn::ReplicationPad1d::new([[2, -1]])), [1.0, 1.0, 1.0, 2.0, 3.0]);
    assert_eq!(run(&nn::CircularPad1d::new([[2, -1]])), [2.0, 3.0, 1.0, 2.0, 3.0]);
    assert_eq!(run(&nn::ZeroPad1d::new([[-1, 2]])), [2.0, 3.0, 4.0, 0.0, 0.0]);
    assert_eq!(run(&nn::ConstantPad2d::new([[0, 0], [1, 0]], 9.0)), [9.0, 9.0, 9.0, 9.0, 1.0, 2.0, 3.0, 4.0]);
    let leaf = x.copy().unwrap().requires_grad_(true).unwrap();
    for layer in [&nn::ReflectionPad1d::new(3) as &dyn Forward, &nn::ZeroPad1d::new([[-1, 2]])] {
        layer.forward(&leaf).unwrap().sum().unwrap().backward().unwrap();
    }
    assert_eq!(floats(&leaf.grad().unwrap()), [2.0, 4.0, 4.0, 3.0]);
}

#[test]
fn images_are_rearranged_and_resized_as_pytorch_does_it() {
    let of =
        |shape: &[i64]| Tensor::arange(0..shape.iter().product()).unwrap().to_dtype(rustnn::DType::F32).unwrap().reshape(shape).unwrap();
    let run = |layer: &dyn Forward, shape: &[i64]| floats(&layer.forward(&of(shape)).unwrap());
    assert_eq!(run(&nn::PixelShuffle { upscale_factor: 2 }, &[4, 1, 2]), [0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0]);
    assert_eq!(run(&nn::PixelUnshuffle { downscale_factor: 2 }, &[1, 1, 2, 4]), [0.0, 2.0, 1.0, 3.0, 4.0, 6.0, 5.0, 7.0]);
    assert_eq!(run(&nn::ChannelShuffle { groups: 2 }, &[1, 6, 1]), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
    let x = Tensor::new(&[1.0f32, 2.0, 4.0], [1, 1, 3]).unwrap();
    let scaled = |scale_factor, mode| floats(&nn::Upsample { scale_factor, mode }.forward(&x).unwrap());
    assert_eq!(scaled(2.5, nn::UpsampleMode::Nearest), [1.0, 1.0, 1.0, 2.0, 2.0, 4.0, 4.0]);
    assert_eq!(scaled(0.7, nn::UpsampleMode::Nearest), [1.0, 2.0]);
    let near = |got: Vec<f32>, wanted: &[f32]| {
        assert!(got.len() == wanted.len() && got.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-6), "{got:?}, not {wanted:?}");
    };
    near(scaled(2.5, nn::UpsampleMode::Linear), &[1.0, 1.1, 1.5, 1.9, 2.6, 3.4, 4.0]);
    near(scaled(2.0, nn::UpsampleMode::LinearCorners), &[1.0, 1.4, 1.8, 2.4, 3.2, 4.0]);
    near(scaled(0.7, nn::UpsampleMode::Linear), &[1.214_285_7, 3.285_714_4]);
    let twice = nn::Upsample { scale_factor: 2.0, mode: nn::UpsampleMode::Linear };
    near(run(&twice, &[1, 1, 2, 2]), &[0.0, 0.25, 0.75, 1.0, 0.5, 0.75, 1.25, 1.5, 1.5, 1.75, 2.25, 2.5, 2.0, 2.25, 2.75, 3.0]);
}

#[test]
fn normalisations_are_pytorchs() {
    check_forward("batch_norm1d", || nn::BatchNorm1d::new(3));
    check_forward("batch_norm2d", || nn::BatchNorm2d::with(3, NormOptions { momentum: None, ..Default::default() }));
    check_forward("batch_norm3d", || nn::BatchNorm3d::new(2));
    check_forward("layer_norm", || nn::LayerNorm::new([3, 4]));
    check_forward("rms_norm", || nn::RMSNorm::new([4], None));
    check_forward("group_norm", || nn::GroupNorm::new(2, 4));
    check_forward("instance_norm2d", || nn::InstanceNorm2d::with(3, NormOptions::default()));
}

#[test]
fn recurrent_layers_are_pytorchs() {
    let two = RecurrentOptions { num_layers: 2, ..Default::default() };
    let both = RecurrentOptions { bidirectional: true, ..Default::default() };
    check("rnn", || nn::RNN::with(3, 4, true, two), |layer, x| Ok(layer.forward(&x[0], None)?.0));
    let options = RecurrentOptions { batch_first: true, ..both };
    check("gru", || nn::GRU::with(3, 4, options), |layer, x| Ok(layer.forward(&x[0], None)?.0));
    let options = RecurrentOptions { num_layers: 2, ..both };
    check("lstm", || nn::LSTM::with(3, 4, options), |layer, x| Ok(layer.forward(&x[0], None)?.0));
    let options = RecurrentOptions { proj_size: 2, ..Default::default() };
    check("rnn_cell", || nn::RNNCell::new(3, 4), |cell, x| cell.forward(&x[0], None));
    check("gru_cell", || nn::GRUCell::new(3, 4), |cell, x| cell.forward(&x[0], None));
    check("lstm_cell", || nn::LSTMCell::new(3, 4), |cell, x| Ok(cell.forward(&x[0], None)?.0));
    check("lstm_projected", || nn::LSTM::with(3, 4, options), |layer, x| Ok(layer.forward(&x[0], None)?.0));
}

#[test]
fn attention_is_pytorchs() {
    check("attention", || nn::MultiheadAttention::new(8, 2), |layer, x| layer.forward(&x[0], &x[1], &x[2], Mask::None));
    check(
        "attention_widths",
        || {
            let options = AttentionOptions { kdim: Some(5), vdim: Some(3), add_bias_kv: true, add_zero_attn: true, ..Default::default() };
            nn::MultiheadAttention::with(8, 2, options)
        },
        |layer, x| layer.forward(&x[0], &x[1], &x[2], Mask::None),
    );
    let small = TransformerOptions { dim_feedforward: 16, dropout: 0.0, ..Default::default() };
    check_forward("encoder", || {
        let mut encoder = nn::TransformerEncoder::with(8, 2, 2, small)?;
        encoder.norm = Some(nn::LayerNorm::new([8])?);
        Ok(encoder)
    });
    check("decoder", || nn::TransformerDecoder::with(8, 2, 2, small), |decoder, x| decoder.forward(&x[0], &x[1], Mask::None, Mask::None));
    check("transformer", || nn::Transformer::with(8, 2, 2, 1, small), |net, x| net.forward(&x[0], &x[1], TransformerMasks::default()));
    check(
        "decoder_layer",
        || {
            let options = TransformerOptions { dim_feedforward: 16, dropout: 0.0, ..Default::default() };
            nn::TransformerDecoderLayer::with(8, 2, options)
        },
        |layer, x| layer.forward(&x[0], &x[1], Mask::None, Mask::None),
    );
    check_forward("encoder_layer", || {
        let options = TransformerOptions { dim_feedforward: 16, dropout: 0.0, gelu: true, norm_first: true, ..Default::default() };
        nn::TransformerEncoderLayer::with(8, 2, options)
    });
}

#[test]
fn a_causal_mask_hides_what_comes_later() {
    let attention = nn::MultiheadAttention::new(8, 2).unwrap();
    let x = Tensor::rand([1, 5, 8]).unwrap();
    let whole = attention.forward(&x, &x, &x, Mask::Causal).unwrap();
    let start = x.narrow(1, 0, 3).unwrap();
    let part = attention.forward(&start, &start, &start, Mask::Causal).unwrap();
    assert_near(&part, &whole.narrow(1, 0, 3).unwrap(), 1e-6, "the first three positions");
    let seen = Tensor::full([5, 5], 1.0, rustnn::DType::Bool).unwrap().tril(0).unwrap();
    assert_near(&attention.forward(&x, &x, &x, Mask::Tensor(&seen)).unwrap(), &whole, 1e-6, "the mask as a tensor");
}

#[test]
fn further_keys_are_seen_through_every_mask() {
    let options = AttentionOptions { add_bias_kv: true, add_zero_attn: true, ..Default::default() };
    let attention = nn::MultiheadAttention::with(8, 2, options).unwrap();
    let x = Tensor::rand([1, 5, 8]).unwrap();
    let causal = attention.forward(&x, &x, &x, Mask::Causal).unwrap();
    let start = x.narrow(1, 0, 2).unwrap();
    let part = attention.forward(&start, &start, &start, Mask::Causal).unwrap();
    assert_near(&part, &causal.narrow(1, 0, 2).unwrap(), 1e-6, "the first two positions");
    let seen = Tensor::full([5, 5], 1.0, rustnn::DType::Bool).unwrap().tril(0).unwrap();
    assert_near(&attention.forward(&x, &x, &x, Mask::Tensor(&seen)).unwrap(), &causal, 1e-6, "the mask as a tensor");
    // With all of its own keys hidden an element still has the further ones.
    let nothing = Tensor::full([1, 1, 1, 5], 0.0, rustnn::DType::Bool).unwrap();
    let blind = attention.forward(&x, &x, &x, Mask::Tensor(&nothing)).unwrap();
    assert!(floats(&blind).iter().all(|v| v.is_finite()));
    let added = Tensor::full([1], f64::NEG_INFINITY, rustnn::DType::F32).unwrap();
    assert_near(&attention.forward(&x, &x, &x, Mask::Tensor(&added)).unwrap(), &blind, 1e-6, "an additive mask of one column");
}

#[test]
fn activations_and_pools_compute_what_their_formulas_say() {
    let x = Tensor::new(&[-8.0f32, -1.0, 0.0, 0.5, 7.0], [5]).unwrap();
    let cases: Vec<(Box<dyn Forward>, fn(f64) -> f64)> = vec![
        (Box::new(nn::ReLU), |x| x.max(0.0)),
        (Box::new(nn::ReLU6), |x| x.clamp(0.0, 6.0)),
        (Box::new(nn::Sigmoid), |x| 1.0 / (1.0 + (-x).exp())),
        (Box::new(nn::Tanh), f64::tanh),
        (Box::new(nn::SiLU), |x| x / (1.0 + (-x).exp())),
        (Box::new(nn::Mish), |x| x * x.exp().ln_1p().tanh()),
        (Box::new(nn::Hardswish), |x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0)),
        (Box::new(nn::Softsign), |x| x / (1.0 + x.abs())),
        (Box::new(nn::LeakyReLU::default()), |x| if x > 0.0 { x } else { 0.01 * x }),
        (Box::new(nn::ELU::default()), |x| if x > 0.0 { x } else { x.exp() - 1.0 }),
        (Box::new(nn::GELU { is_approximate: true }), |x| 0.5 * x * (1.0 + (0.797_884_560_802_865_4 * (x + 0.044_715 * x.powi(3))).tanh())),
        (Box::new(nn::Identity), |x| x),
        (Box::new(nn::LogSigmoid), |x| -(-x).exp().ln_1p()),
        (Box::new(nn::Tanhshrink), |x| x - x.tanh()),
        (Box::new(nn::Hardsigmoid), |x| (x / 6.0 + 0.5).clamp(0.0, 1.0)),
        (Box::new(nn::CELU { alpha: 2.0 }), |x| if x > 0.0 { x } else { 2.0 * (x / 2.0).exp_m1() }),
        (Box::new(nn::SELU), |x| 1.050_700_987_355_480_5 * if x > 0.0 { x } else { 1.673_263_242_354_377_2 * x.exp_m1() }),
        (Box::new(nn::Softplus { beta: 2.0, threshold: 1.5 }), |x| if 2.0 * x > 1.5 { x } else { (2.0 * x).exp().ln_1p() / 2.0 }),
        (Box::new(nn::Hardtanh { min_val: -2.0, max_val: 0.25 }), |x| x.clamp(-2.0, 0.25)),
        (Box::new(nn::Hardshrink { lambd: 0.75 }), |x| if x.abs() > 0.75 { x } else { 0.0 }),
        (Box::new(nn::Softshrink { lambd: 0.25 }), |x| x.signum() * (x.abs() - 0.25).max(0.0)),
        (Box::new(nn::Threshold { threshold: 0.25, value: -3.0 }), |x| if x > 0.25 { x } else { -3.0 }),
    ];
    for (layer, formula) in cases {
        let wanted: Vec<f32> = floats(&x).into_iter().map(|v| formula(v.into()) as f32).collect();
        assert_near(&layer.forward(&x).unwrap(), &Tensor::new(&wanted, [5]).unwrap(), 1e-6, layer.class_name());
    }
    let x = Tensor::arange(0..16).unwrap().to_dtype(rustnn::DType::F32).unwrap().reshape([1, 1, 4, 4]).unwrap();
    assert_eq!(floats(&nn::MaxPool2d::new(2).forward(&x).unwrap()), [5.0, 7.0, 13.0, 15.0]);
    assert_eq!(floats(&nn::MaxPool2d::with(3, 2, 1).forward(&x).unwrap()), [5.0, 7.0, 13.0, 15.0]);
    assert_eq!(floats(&nn::AvgPool2d::new(2).forward(&x).unwrap()), [2.5, 4.5, 10.5, 12.5]);
    assert_eq!(floats(&nn::AdaptiveAvgPool2d::new([1, 2]).forward(&x).unwrap()), [6.5, 8.5]);
    assert_eq!(floats(&nn::AdaptiveMaxPool2d::new(1).forward(&x).unwrap()), [15.0]);
    assert_eq!(nn::GLU::default().forward(&x).unwrap().shape(), [1, 1, 4, 2]);
    let logs = nn::LogSoftmax { dim: -1 }.forward(&x).unwrap();
    assert_near(&logs.exp().unwrap(), &nn::Softmax { dim: -1 }.forward(&x).unwrap(), 1e-6, "LogSoftmax");
    assert_near(
        &nn::Softmin { dim: -1 }.forward(&x.neg().unwrap()).unwrap(),
        &nn::Softmax { dim: -1 }.forward(&x).unwrap(),
        1e-6,
        "Softmin",
    );
    let sums = floats(&nn::Softmax { dim: -1 }.forward(&x).unwrap().sum_dim(&[-1], false).unwrap());
    assert!(sums.iter().all(|s| (s - 1.0).abs() < 1e-6), "{sums:?}");
}

#[test]
fn losses_compute_what_their_formulas_say() {
    let x = Tensor::new(&[0.5f32, 2.0, -1.0], [3]).unwrap();
    let y = Tensor::new(&[1.0f32, 0.0, -1.5], [3]).unwrap();
    let near = |loss: Result<Tensor>, wanted: f32| {
        let got = loss.unwrap().item::<f32>().unwrap();
        assert!((got - wanted).abs() < 1e-6, "{got}, not {wanted}");
    };
    near(nn::mse_loss(&x, &y, nn::Reduction::Sum), 0.25 + 4.0 + 0.25);
    near(nn::l1_loss(&x, &y, nn::Reduction::Mean), 1.0);
    near(nn::smooth_l1_loss(&x, &y, 1.0, nn::Reduction::Sum), 0.125 + 1.5 + 0.125);
    near(nn::huber_loss(&x, &y, 1.0, nn::Reduction::Sum), 0.125 + 1.5 + 0.125);
    let p = Tensor::new(&[0.25f32, 0.5], [2]).unwrap();
    let t = Tensor::new(&[1.0f32, 0.0], [2]).unwrap();
    near(nn::binary_cross_entropy(&p, &t, nn::Reduction::Sum), 4f32.ln() + 2f32.ln());
    near(nn::binary_cross_entropy_with_logits(&Tensor::zeros([2]).unwrap(), &t, None, nn::Reduction::Mean), 2f32.ln());
    let logp = Tensor::new(&[0.5f32.ln(), 0.5f32.ln()], [1, 2]).unwrap();
    near(nn::kl_div(&logp, &Tensor::new(&[1.0f32, 0.0], [1, 2]).unwrap()), 2f32.ln());
    near(nn::nll_loss(&logp, &Tensor::new(&[1i64], [1]).unwrap(), Default::default()), 2f32.ln());
    let how = nn::ClassLoss { label_smoothing: 0.5, reduction: nn::Reduction::Sum, ..Default::default() };
    near(nn::cross_entropy_with(&Tensor::zeros([3, 4]).unwrap(), &Tensor::new(&[0i64, -100, 3], [3]).unwrap(), how), 2.0 * 4f32.ln());
}

#[test]
fn dropout_keeps_the_mean_in_training_and_everything_in_evaluation() {
    let x = Tensor::ones([100, 100]).unwrap();
    let mut layer = nn::Dropout::new(0.25).unwrap();
    let run: Run = Box::new(move |x| layer.forward(&x[0]));
    let y = run(std::slice::from_ref(&x)).unwrap();
    let (kept, mean) = (floats(&y).iter().filter(|&&v| v != 0.0).count(), y.mean().unwrap().item::<f32>().unwrap());
    assert!((7000..8000).contains(&kept) && (mean - 1.0).abs() < 0.05, "{kept} {mean}");
    layer.eval();
    assert_eq!(floats(&layer.forward(&x).unwrap()), floats(&x));
    let channels = floats(&nn::ChannelDropout::new(0.5).unwrap().forward(&Tensor::ones([8, 8, 2]).unwrap()).unwrap());
    assert!(channels.chunks(2).all(|pair| pair[0] == pair[1]) && channels.contains(&0.0) && channels.contains(&2.0));
}
