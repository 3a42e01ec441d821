//! The rows in burn on its backend Flex, which it recommends for CPUs.

mod rows;

use burn::module::Module;
use burn::nn::attention::{MhaInput, MultiHeadAttention, MultiHeadAttentionConfig, generate_autoregressive_mask};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{LayerNorm, LayerNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::activation::{gelu, relu, softmax};
use burn::tensor::{Device, Int, Tensor, TensorData};
use rows::{BATCH, HEADS, IMAGES, MATRIX, RATE, ROWS, Row, TOKENS, WIDTH, classes, measure, name, values};
use std::hint::black_box;

fn tensor<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values(shape.iter().product()), shape), device)
}

fn labels(device: &Device) -> Tensor<1, Int> {
    Tensor::from_data(TensorData::new(classes(BATCH), [BATCH]), device)
}

fn kernel<const D: usize>(name: &'static str, run: impl Fn() -> Tensor<D> + 'static) -> Row {
    (name, Box::new(move || drop(black_box(run()))))
}

fn step<M: Module + 'static>(name: &'static str, net: M, loss: impl Fn(&M) -> Tensor<1> + 'static) -> Row {
    let mut optimizer = AdamConfig::new().init();
    let mut net = Some(net);
    let run = move || {
        let Some(before) = net.take() else { return };
        let gradients = GradientsParams::from_grads(loss(&before).backward(), &before);
        net = Some(optimizer.step(RATE, before, gradients));
    };
    (name, Box::new(run))
}

#[derive(Module, Debug)]
struct Mlp {
    up: Linear,
    down: Linear,
}

impl Mlp {
    fn new(device: &Device) -> Mlp {
        Mlp { up: LinearConfig::new(784, 256).init(device), down: LinearConfig::new(256, 10).init(device) }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        self.down.forward(relu(self.up.forward(x)))
    }
}

fn conv(from: usize, to: usize, device: &Device) -> Conv2d {
    Conv2dConfig::new([from, to], [3, 3]).with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1)).init(device)
}

#[derive(Module, Debug)]
struct Cnn {
    strokes: Conv2d,
    shapes: Conv2d,
    pool: MaxPool2d,
    hidden: Linear,
    digit: Linear,
}

impl Cnn {
    fn new(device: &Device) -> Cnn {
        Cnn {
            strokes: conv(1, 16, device),
            shapes: conv(16, 32, device),
            pool: MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init(),
            hidden: LinearConfig::new(512, 64).init(device),
            digit: LinearConfig::new(64, 10).init(device),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let x = self.pool.forward(relu(self.shapes.forward(relu(self.strokes.forward(x)))));
        self.digit.forward(relu(self.hidden.forward(x.flatten(1, 3))))
    }
}

#[derive(Module, Debug)]
struct Block {
    norm1: LayerNorm,
    attention: MultiHeadAttention,
    norm2: LayerNorm,
    up: Linear,
    down: Linear,
}

impl Block {
    fn new(device: &Device) -> Block {
        Block {
            norm1: LayerNormConfig::new(WIDTH).init(device),
            attention: MultiHeadAttentionConfig::new(WIDTH, HEADS).with_dropout(0.0).init(device),
            norm2: LayerNormConfig::new(WIDTH).init(device),
            up: LinearConfig::new(WIDTH, 4 * WIDTH).init(device),
            down: LinearConfig::new(4 * WIDTH, WIDTH).init(device),
        }
    }

    fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let mask = generate_autoregressive_mask(x.dims()[0], TOKENS[1], &x.device());
        let input = MhaInput::self_attn(self.norm1.forward(x.clone())).mask_attn(mask);
        let x = x + self.attention.forward(input).context;
        x.clone() + self.down.forward(gelu(self.up.forward(self.norm2.forward(x))))
    }
}

fn rows() -> Vec<Row> {
    let plain = Device::flex();
    let recording = Device::flex().autodiff();
    let (matrix, wide, images) = (tensor([MATRIX, MATRIX], &plain), tensor(ROWS, &plain), tensor(IMAGES, &plain));
    let (for_softmax, for_gelu) = (wide.clone(), wide.clone());
    let norm = LayerNormConfig::new(ROWS[1]).init(&plain);
    let layer = conv(IMAGES[1], IMAGES[1], &plain);
    let (pixels, digits) = (tensor([BATCH, 784], &recording), tensor([BATCH, 1, 8, 8], &recording));
    let tokens = tensor([TOKENS[0], TOKENS[1], WIDTH], &recording);
    let (first, second) = (labels(&recording), labels(&recording));
    let (loss, same_loss) = (CrossEntropyLossConfig::new().init(&recording), CrossEntropyLossConfig::new().init(&recording));
    let (lone_mlp, lone_cnn, lone_block) = (Mlp::new(&plain), Cnn::new(&plain), Block::new(&plain));
    let (pixel, digit, text) = (tensor([1, 784], &plain), tensor([1, 1, 8, 8], &plain), tensor([1, TOKENS[1], WIDTH], &plain));
    vec![
        kernel(name::MATMUL, move || matrix.clone().matmul(matrix.clone())),
        kernel(name::SOFTMAX, move || softmax(for_softmax.clone(), 1)),
        kernel(name::GELU, move || gelu(for_gelu.clone())),
        kernel(name::LAYER_NORM, move || norm.forward(wide.clone())),
        kernel(name::CONV, move || layer.forward(images.clone())),
        step(name::MLP_STEP, Mlp::new(&recording), move |net| loss.forward(net.forward(pixels.clone()), first.clone())),
        step(name::CNN_STEP, Cnn::new(&recording), move |net| same_loss.forward(net.forward(digits.clone()), second.clone())),
        step(name::GPT_STEP, Block::new(&recording), move |net| net.forward(tokens.clone()).powi_scalar(2).mean()),
        kernel(name::MLP_ANSWER, move || lone_mlp.forward(pixel.clone())),
        kernel(name::CNN_ANSWER, move || lone_cnn.forward(digit.clone())),
        kernel(name::GPT_ANSWER, move || lone_block.forward(text.clone())),
    ]
}

fn main() {
    measure("burn", rows());
}
