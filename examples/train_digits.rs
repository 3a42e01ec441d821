//! A first lesson: teach a small convolutional network to read handwritten digits.
//!
//!     cargo run --release --example train_digits                 trains, and leaves its results in out/
//!     cargo run --release --example train_digits -- --epochs 5   also --lr, --batch-size, --seed, --out
//!
//! The same network, data and order as in train_digits.py beside this file: with one seed both give the same losses.

use rustnn::data::{DataLoader, Dataset, TensorDataset, digits};
use rustnn::nn::{self, BatchNorm2d, Conv2d, ConvOptions, Forward, Linear, MaxPool2d, Module};
use rustnn::optim::{self, Adam, AdamOptions, Optimizer, Schedule};
use rustnn::{Result, Tensor, autograd, io};
use std::path::PathBuf;
use std::time::Instant;

/// Two convolutions find strokes and their combinations; two linear layers decide.
#[derive(Module)]
pub struct DigitNet {
    strokes: Conv2d, // (N, 1, 8, 8) -> (N, 16, 8, 8)
    strokes_norm: BatchNorm2d,
    shapes: Conv2d, // (N, 16, 8, 8) -> (N, 32, 8, 8)
    shapes_norm: BatchNorm2d,
    pool: MaxPool2d, // halves height and width
    dropout: nn::Dropout,
    hidden: Linear,
    digit: Linear,
}

impl DigitNet {
    pub fn new() -> Result<DigitNet> {
        let around = ConvOptions { padding: 1.into(), ..Default::default() };
        Ok(DigitNet {
            strokes: Conv2d::with(1, 16, 3, around)?,
            strokes_norm: BatchNorm2d::new(16)?,
            shapes: Conv2d::with(16, 32, 3, around)?,
            shapes_norm: BatchNorm2d::new(32)?,
            pool: MaxPool2d::new(2),
            dropout: nn::Dropout::new(0.25)?,
            hidden: Linear::new(32 * 4 * 4, 64)?,
            digit: Linear::new(64, 10)?,
        })
    }
}

impl Forward for DigitNet {
    fn forward(&self, images: &Tensor) -> Result<Tensor> {
        let x = self.strokes_norm.forward(&self.strokes.forward(images)?)?.relu()?;
        let x = self.pool.forward(&self.shapes_norm.forward(&self.shapes.forward(&x)?)?.relu()?)?;
        let x = self.dropout.forward(&x.flatten(1, -1)?)?;
        let x = self.hidden.forward(&x)?.relu()?;
        self.digit.forward(&x) // one score per digit; the loss turns them into probabilities
    }
}

pub struct Settings {
    /// Passes over the training data.
    pub epochs: usize,
    /// Learning rate at the start.
    pub lr: f64,
    /// Images per step.
    pub batch_size: usize,
    /// Of the weights, the order and the dropout.
    pub seed: u64,
    /// Folder for the results.
    pub out: PathBuf,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { epochs: 20, lr: 3e-3, batch_size: 64, seed: 0, out: "out".into() }
    }
}

/// One pass over the training data; returns the mean loss. `watch` sees the loss of each step.
fn train_epoch(
    network: &mut DigitNet,
    loader: &DataLoader<TensorDataset>,
    optimizer: &mut Adam,
    schedule: &mut Schedule<optim::CosineAnnealingLR>,
    watch: &mut dyn FnMut(f32),
) -> Result<f64> {
    network.train();
    let mut total = 0.0;
    for batch in loader.iter()? {
        let batch = batch?;
        let (images, labels) = (&batch[0], &batch[1]);
        let loss = nn::cross_entropy(&network.forward(images)?, labels)?;
        optimizer.zero_grad();
        loss.backward()?;
        optimizer.step()?;
        schedule.step(optimizer)?;
        let loss = loss.item::<f32>()?;
        watch(loss);
        total += f64::from(loss) * labels.numel() as f64;
    }
    Ok(total / loader.dataset().len() as f64)
}

/// Mean loss and share of right answers on data the network does not learn from.
pub fn evaluate(network: &mut DigitNet, loader: &DataLoader<TensorDataset>) -> Result<(f64, f64)> {
    network.eval();
    let _quiet = autograd::no_grad();
    let (mut loss, mut right) = (0.0, 0);
    for batch in loader.iter()? {
        let batch = batch?;
        let (images, labels) = (&batch[0], &batch[1]);
        let scores = network.forward(images)?;
        let how = nn::ClassLoss { reduction: nn::Reduction::Sum, ..Default::default() };
        loss += f64::from(nn::cross_entropy_with(&scores, labels, how)?.item::<f32>()?);
        right += scores.argmax(1)?.eq(labels)?.to_vec::<bool>()?.into_iter().filter(|&r| r).count();
    }
    let n = loader.dataset().len() as f64;
    Ok((loss / n, right as f64 / n))
}

/// Trains and tests one network; returns it, its optimizer and for each epoch both losses and the accuracy.
pub fn train(settings: &Settings, watch: &mut dyn FnMut(f32)) -> Result<(DigitNet, Adam, Vec<[f64; 3]>)> {
    rustnn::random::manual_seed(settings.seed);
    let (train_data, test_data) = digits()?;
    let train_loader = DataLoader::new(train_data, settings.batch_size)?.shuffled();
    let test_loader = DataLoader::new(test_data, 360)?;

    let mut network = DigitNet::new()?;
    let mut optimizer = Adam::new(network.parameters(), AdamOptions { lr: settings.lr, ..Default::default() })?;
    let steps = (settings.epochs * train_loader.len()) as u64;
    let mut schedule = Schedule::new(&mut optimizer, optim::CosineAnnealingLR { period: steps, min: 0.0 })?; // ends with small steps

    let mut history = Vec::new();
    for epoch in 1..=settings.epochs {
        let start = Instant::now();
        let train_loss = train_epoch(&mut network, &train_loader, &mut optimizer, &mut schedule, watch)?;
        let (test_loss, accuracy) = evaluate(&mut network, &test_loader)?;
        history.push([train_loss, test_loss, accuracy]);
        println!(
            "epoch {epoch:2}/{}   train loss {train_loss:.4}   test loss {test_loss:.4}   test accuracy {:6.2}%   {:.2} s",
            settings.epochs,
            100.0 * accuracy,
            start.elapsed().as_secs_f64()
        );
    }
    Ok((network, optimizer, history))
}

/// `--name value` pairs.
fn settings_of(mut arguments: impl Iterator<Item = String>) -> Result<Settings, Box<dyn std::error::Error>> {
    let mut settings = Settings::default();
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--epochs" => settings.epochs = value.parse()?,
            "--lr" => settings.lr = value.parse()?,
            "--batch-size" => settings.batch_size = value.parse()?,
            "--seed" => settings.seed = value.parse()?,
            "--out" => settings.out = value.into(),
            _ => return Err(format!("{name}? known are --epochs, --lr, --batch-size, --seed, --out").into()),
        }
    }
    Ok(settings)
}

#[allow(dead_code)] // the test of this lesson includes the file
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let settings = settings_of(std::env::args().skip(1))?;
    let start = Instant::now();
    let (network, optimizer, history) = train(&settings, &mut |_| {})?;
    let accuracy = history.last().map_or(0.0, |epoch| epoch[2]);
    println!("\ntest accuracy {:.2}% after {:.1} s", 100.0 * accuracy, start.elapsed().as_secs_f64());

    // A checkpoint to go on from, and the weights alone: torch.load and rustnn.load read both in Python.
    std::fs::create_dir_all(&settings.out)?;
    let state = network.state_dict()?;
    let checkpoint = io::Value::dict([("network", io::Value::from(&state)), ("optimizer", optimizer.state_dict()?)]);
    io::save(settings.out.join("digits.pt"), &checkpoint)?;
    io::save_state_dict(settings.out.join("digits.safetensors"), &state)?;
    println!("saved digits.pt and digits.safetensors in {}", settings.out.display());
    Ok(())
}
