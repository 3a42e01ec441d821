//! Each layer: starting values as the Python package draws them, outputs, gradients and buffers as PyTorch computes them.

use crate::{assert_near, floats, load, tensor};
use rustnn::io::Value;
use rustnn::nn::{
    self, ConvOptions, ConvTransposeOptions, Forward, Mask, Module, NormOptions, Padding, RecurrentOptions, TransformerOptions,
};
use rustnn::{Result, Tensor, random};

/// A layer whose forward takes the recorded inputs.
type Run = Box<dyn Fn(&[Tensor]) -> Result<Tensor>>;

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
    assert_near(&output, tensor(recorded, "output"), 2e-6, name);
    output.square().unwrap().sum().unwrap().backward().unwrap();
    let gradient = if inputs[0].requires_grad() { inputs[0].grad() } else { layer.parameters()[0].grad() };
    assert_near(&gradient.unwrap(), tensor(recorded, "gradient"), 2e-5, name);
    let after = recorded.get("after").unwrap().to_state_dict().unwrap();
    for (key, value) in layer.state_dict().unwrap().iter() {
        assert_near(value, after.get(key).unwrap(), 2e-6, &format!("{name}.{key} after the call"));
    }
    assert!(layer.parameters().iter().all(|p| p.grad().is_some()), "{name}: a parameter without a gradient");
}

fn check_forward<M: Forward + 'static>(name: &str, make: impl Fn() -> Result<M>) {
    check(name, make, |layer, inputs| layer.forward(&inputs[0]));
}

#[test]
fn linear_layers_and_tables_are_pytorchs() {
    check_forward("linear", || nn::Linear::new(4, 3));
    check_forward("linear_no_bias", || nn::Linear::with(4, 3, false));
    check("bilinear", || nn::Bilinear::new(3, 4, 2), |layer, x| layer.forward(&x[0], &x[1]));
    check_forward("embedding", || nn::Embedding::with_padding(7, 3, 2));
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
