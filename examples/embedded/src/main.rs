//! Reads digits without files, without Python, without C: the network's weights are part of the program.
//!
//!     embedded < image.txt      64 brightnesses, 0 to 16, row by row; prints the digit and how sure it is

use rustnn::nn::{BatchNorm2d, Conv2d, ConvOptions, Forward, Linear, MaxPool2d, Module};
use rustnn::{Result, Tensor, autograd, io};
use std::io::Read;
use std::process::ExitCode;

/// The network of examples/train_digits.rs, without what only training needs.
#[derive(Module)]
struct DigitNet {
    strokes: Conv2d,
    strokes_norm: BatchNorm2d,
    shapes: Conv2d,
    shapes_norm: BatchNorm2d,
    pool: MaxPool2d,
    hidden: Linear,
    digit: Linear,
}

impl DigitNet {
    fn trained() -> Result<DigitNet> {
        let around = ConvOptions { padding: 1.into(), ..Default::default() };
        let mut network = DigitNet {
            strokes: Conv2d::with(1, 16, 3, around)?,
            strokes_norm: BatchNorm2d::new(16)?,
            shapes: Conv2d::with(16, 32, 3, around)?,
            shapes_norm: BatchNorm2d::new(32)?,
            pool: MaxPool2d::new(2),
            hidden: Linear::new(32 * 4 * 4, 64)?,
            digit: Linear::new(64, 10)?,
        };
        let (state, _) = io::read_safetensors(include_bytes!("../digits.safetensors"))?;
        network.load_state_dict(&state)?;
        network.eval();
        Ok(network)
    }
}

impl Forward for DigitNet {
    fn forward(&self, image: &Tensor) -> Result<Tensor> {
        let x = self.strokes_norm.forward(&self.strokes.forward(image)?)?.relu()?;
        let x = self.pool.forward(&self.shapes_norm.forward(&self.shapes.forward(&x)?)?.relu()?)?;
        self.digit.forward(&self.hidden.forward(&x.flatten(1, -1)?)?.relu()?)
    }
}

/// The digit of an image in text, and its probability.
pub fn read(text: &str) -> Result<(usize, f32), String> {
    let pixels: Vec<f32> = text
        .split_whitespace()
        .map(|word| match word.parse::<f32>() {
            Ok(v) if (0.0..=16.0).contains(&v) => Ok(v / 16.0),
            _ => Err(format!("{word:?} is no brightness from 0 to 16")),
        })
        .collect::<Result<_, _>>()?;
    if pixels.len() != 64 {
        return Err(format!("an image has 64 brightnesses, got {}", pixels.len()));
    }
    let probabilities = || -> Result<Vec<f32>> {
        let _quiet = autograd::no_grad();
        let image = Tensor::new(&pixels, [1, 1, 8, 8])?;
        DigitNet::trained()?.forward(&image)?.softmax(1)?.to_vec()
    };
    let probabilities = probabilities().map_err(|error| error.to_string())?;
    let best = probabilities.iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1));
    best.ok_or_else(|| "no classes".to_string())
}

#[allow(dead_code)] // a test includes this file
fn main() -> ExitCode {
    let mut text = String::new();
    if let Err(error) = std::io::stdin().read_to_string(&mut text) {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    match read(&text) {
        Ok((digit, probability)) => {
            println!("{digit} ({:.1} %)", 100.0 * probability);
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
