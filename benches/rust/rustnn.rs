//! The rows in rustnn.

mod rows;

use rows::{BATCH, HEADS, IMAGES, MATRIX, RATE, ROWS, Row, TOKENS, WIDTH, classes, measure, name, values};
use rustnn::nn::{self, ConvOptions, Forward, Mask, Module};
use rustnn::optim::{Adam, AdamOptions, Optimizer};
use rustnn::{Result, Tensor, autograd};
use std::hint::black_box;

fn tensor(shape: &[usize]) -> Tensor {
    Tensor::new(&values(shape.iter().product()), shape).unwrap()
}

fn kernel(name: &'static str, layer: impl Forward + 'static, x: Tensor) -> Row {
    let run = move || {
        let _quiet = autograd::no_grad();
        black_box(layer.forward(&x).unwrap());
    };
    (name, Box::new(run))
}

fn step<M: Module + 'static>(name: &'static str, net: M, loss: impl Fn(&M) -> Result<Tensor> + 'static) -> Row {
    let mut optimizer = Adam::new(net.parameters(), AdamOptions { lr: RATE, ..Default::default() }).unwrap();
    let run = move || {
        optimizer.zero_grad();
        loss(&net).unwrap().backward().unwrap();
        optimizer.step().unwrap();
    };
    (name, Box::new(run))
}

fn mlp() -> nn::Sequential {
    nn::Sequential::new().add(nn::Linear::new(784, 256).unwrap()).add(nn::ReLU).add(nn::Linear::new(256, 10).unwrap())
}

fn cnn() -> nn::Sequential {
    let around = ConvOptions { padding: 1.into(), ..Default::default() };
    nn::Sequential::new()
        .add(nn::Conv2d::with(1, 16, 3, around).unwrap())
        .add(nn::ReLU)
        .add(nn::Conv2d::with(16, 32, 3, around).unwrap())
        .add(nn::ReLU)
        .add(nn::MaxPool2d::new(2))
        .add(nn::Flatten)
        .add(nn::Linear::new(512, 64).unwrap())
        .add(nn::ReLU)
        .add(nn::Linear::new(64, 10).unwrap())
}

#[derive(Module)]
struct Block {
    norm1: nn::LayerNorm,
    attention: nn::MultiheadAttention,
    norm2: nn::LayerNorm,
    up: nn::Linear,
    down: nn::Linear,
}

impl Forward for Block {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = self.norm1.forward(x)?;
        let x = (x + &self.attention.forward(&y, &y, &y, Mask::Causal)?)?;
        let y = nn::GELU::default().forward(&self.up.forward(&self.norm2.forward(&x)?)?)?;
        &x + &self.down.forward(&y)?
    }
}

fn block() -> Block {
    Block {
        norm1: nn::LayerNorm::new([WIDTH]).unwrap(),
        attention: nn::MultiheadAttention::new(WIDTH, HEADS).unwrap(),
        norm2: nn::LayerNorm::new([WIDTH]).unwrap(),
        up: nn::Linear::new(WIDTH, 4 * WIDTH).unwrap(),
        down: nn::Linear::new(4 * WIDTH, WIDTH).unwrap(),
    }
}

fn rows() -> Vec<Row> {
    let matrix = tensor(&[MATRIX, MATRIX]);
    let labels = Tensor::new(&classes(BATCH), [BATCH]).unwrap();
    let (pixels, digits) = (tensor(&[BATCH, 784]), tensor(&[BATCH, 1, 8, 8]));
    let tokens = tensor(&[TOKENS[0], TOKENS[1], WIDTH]);
    let of_digits = labels.clone();
    let conv = ConvOptions { padding: 1.into(), ..Default::default() };
    vec![
        (name::MATMUL, Box::new(move || drop(black_box(matrix.matmul(&matrix).unwrap())))),
        kernel(name::SOFTMAX, nn::Softmax { dim: -1 }, tensor(&ROWS)),
        kernel(name::GELU, nn::GELU::default(), tensor(&ROWS)),
        kernel(name::LAYER_NORM, nn::LayerNorm::new([ROWS[1]]).unwrap(), tensor(&ROWS)),
        kernel(name::CONV, nn::Conv2d::with(IMAGES[1], IMAGES[1], 3, conv).unwrap(), tensor(&IMAGES)),
        step(name::MLP_STEP, mlp(), move |net| nn::cross_entropy(&net.forward(&pixels)?, &labels)),
        step(name::CNN_STEP, cnn(), move |net| nn::cross_entropy(&net.forward(&digits)?, &of_digits)),
        step(name::GPT_STEP, block(), move |net| net.forward(&tokens)?.square()?.mean()),
        kernel(name::MLP_ANSWER, mlp(), tensor(&[1, 784])),
        kernel(name::CNN_ANSWER, cnn(), tensor(&[1, 1, 8, 8])),
        kernel(name::GPT_ANSWER, block(), tensor(&[1, TOKENS[1], WIDTH])),
    ]
}

fn main() {
    measure("rustnn", rows());
}
