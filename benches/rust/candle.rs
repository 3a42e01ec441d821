//! The rows in candle, each by the fastest of its functions that does the work (and, in a train step, has a gradient).

mod rows;

use candle_core::{D, DType, Device, Result, Tensor};
use candle_nn::{AdamW, Conv2d, Conv2dConfig, LayerNorm, Linear, Module, Optimizer, ParamsAdamW, VarBuilder, VarMap, loss, ops};
use rows::{BATCH, HEADS, IMAGES, MATRIX, RATE, ROWS, Row, TOKENS, WIDTH, classes, measure, name, values};
use std::hint::black_box;

const CPU: Device = Device::Cpu;

fn tensor(shape: &[usize]) -> Tensor {
    Tensor::from_vec(values(shape.iter().product()), shape, &CPU).unwrap()
}

fn kernel(name: &'static str, run: impl Fn() -> Result<Tensor> + 'static) -> Row {
    (name, Box::new(move || drop(black_box(run().unwrap()))))
}

fn variables<M>(make: impl Fn(VarBuilder) -> Result<M>) -> (VarMap, M) {
    let map = VarMap::new();
    let net = make(VarBuilder::from_varmap(&map, DType::F32, &CPU)).unwrap();
    (map, net)
}

fn step<M: 'static>(name: &'static str, (map, net): (VarMap, M), loss: impl Fn(&M) -> Result<Tensor> + 'static) -> Row {
    let options = ParamsAdamW { lr: RATE, weight_decay: 0.0, ..Default::default() };
    let mut optimizer = AdamW::new(map.all_vars(), options).unwrap();
    (name, Box::new(move || optimizer.backward_step(&loss(&net).unwrap()).unwrap()))
}

/// What has no variables: inference records nothing then.
fn frozen<M>(make: impl Fn(VarBuilder) -> Result<M>) -> M {
    let (map, _) = variables(&make);
    let tensors = map.data().lock().unwrap().iter().map(|(name, var)| (name.clone(), var.as_detached_tensor())).collect();
    make(VarBuilder::from_tensors(tensors, DType::F32, &CPU)).unwrap()
}

struct Mlp(Linear, Linear);

fn mlp(vb: VarBuilder) -> Result<Mlp> {
    Ok(Mlp(candle_nn::linear(784, 256, vb.pp("0"))?, candle_nn::linear(256, 10, vb.pp("2"))?))
}

impl Mlp {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.1.forward(&self.0.forward(x)?.relu()?)
    }
}

struct Cnn(Conv2d, Conv2d, Linear, Linear);

fn cnn(vb: VarBuilder) -> Result<Cnn> {
    let around = Conv2dConfig { padding: 1, ..Default::default() };
    Ok(Cnn(
        candle_nn::conv2d(1, 16, 3, around, vb.pp("0"))?,
        candle_nn::conv2d(16, 32, 3, around, vb.pp("2"))?,
        candle_nn::linear(512, 64, vb.pp("6"))?,
        candle_nn::linear(64, 10, vb.pp("8"))?,
    ))
}

impl Cnn {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = self.1.forward(&self.0.forward(x)?.relu()?)?.relu()?.max_pool2d(2)?;
        self.3.forward(&self.2.forward(&x.flatten_from(1)?)?.relu()?)
    }
}

struct Block {
    norm1: LayerNorm,
    project: Linear,
    join: Linear,
    norm2: LayerNorm,
    up: Linear,
    down: Linear,
    mask: Tensor,
}

fn block(vb: VarBuilder) -> Result<Block> {
    let hidden: Vec<f32> =
        (0..TOKENS[1] * TOKENS[1]).map(|i| if i % TOKENS[1] > i / TOKENS[1] { f32::NEG_INFINITY } else { 0.0 }).collect();
    Ok(Block {
        norm1: candle_nn::layer_norm(WIDTH, 1e-5, vb.pp("norm1"))?,
        project: candle_nn::linear(WIDTH, 3 * WIDTH, vb.pp("project"))?,
        join: candle_nn::linear(WIDTH, WIDTH, vb.pp("join"))?,
        norm2: candle_nn::layer_norm(WIDTH, 1e-5, vb.pp("norm2"))?,
        up: candle_nn::linear(WIDTH, 4 * WIDTH, vb.pp("up"))?,
        down: candle_nn::linear(4 * WIDTH, WIDTH, vb.pp("down"))?,
        mask: Tensor::from_vec(hidden, (TOKENS[1], TOKENS[1]), &CPU)?,
    })
}

impl Block {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (n, l, e) = x.dims3()?;
        let qkv = self.project.forward(&self.norm1.forward(x)?)?;
        let heads = |i: usize| qkv.narrow(D::Minus1, i * e, e)?.reshape((n, l, HEADS, e / HEADS))?.transpose(1, 2)?.contiguous();
        let (q, k, v) = (heads(0)?, heads(1)?, heads(2)?);
        let scores = ((q * ((e / HEADS) as f64).powf(-0.5))?.matmul(&k.t()?)?).broadcast_add(&self.mask)?;
        let mixed = ops::softmax(&scores, D::Minus1)?.matmul(&v)?.transpose(1, 2)?.reshape((n, l, e))?;
        let x = (x + self.join.forward(&mixed)?)?;
        &x + self.down.forward(&self.up.forward(&self.norm2.forward(&x)?)?.gelu_erf()?)?
    }
}

fn rows() -> Vec<Row> {
    let (matrix, wide, images) = (tensor(&[MATRIX, MATRIX]), tensor(&ROWS), tensor(&IMAGES));
    let (for_softmax, for_gelu) = (wide.clone(), wide.clone());
    let (scale, shift) = (Tensor::ones(ROWS[1], DType::F32, &CPU).unwrap(), Tensor::zeros(ROWS[1], DType::F32, &CPU).unwrap());
    let around = Conv2dConfig { padding: 1, ..Default::default() };
    let conv = frozen(|vb| candle_nn::conv2d(IMAGES[1], IMAGES[1], 3, around, vb));
    let labels = Tensor::from_vec(classes(BATCH), BATCH, &CPU).unwrap();
    let (pixels, digits) = (tensor(&[BATCH, 784]), tensor(&[BATCH, 1, 8, 8]));
    let tokens = tensor(&[TOKENS[0], TOKENS[1], WIDTH]);
    let of_digits = labels.clone();
    let (lone_mlp, lone_cnn, lone_block) = (frozen(mlp), frozen(cnn), frozen(block));
    let (pixel, digit, text) = (tensor(&[1, 784]), tensor(&[1, 1, 8, 8]), tensor(&[1, TOKENS[1], WIDTH]));
    vec![
        kernel(name::MATMUL, move || matrix.matmul(&matrix)),
        kernel(name::SOFTMAX, move || ops::softmax_last_dim(&for_softmax)),
        kernel(name::GELU, move || for_gelu.gelu_erf()),
        kernel(name::LAYER_NORM, move || ops::layer_norm(&wide, &scale, &shift, 1e-5)),
        kernel(name::CONV, move || conv.forward(&images)),
        step(name::MLP_STEP, variables(mlp), move |net| loss::cross_entropy(&net.forward(&pixels)?, &labels)),
        step(name::CNN_STEP, variables(cnn), move |net| loss::cross_entropy(&net.forward(&digits)?, &of_digits)),
        step(name::GPT_STEP, variables(block), move |net| net.forward(&tokens)?.sqr()?.mean_all()),
        kernel(name::MLP_ANSWER, move || lone_mlp.forward(&pixel)),
        kernel(name::CNN_ANSWER, move || lone_cnn.forward(&digit)),
        kernel(name::GPT_ANSWER, move || lone_block.forward(&text)),
    ]
}

fn main() {
    measure("candle", rows());
}
