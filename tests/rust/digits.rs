//! The lesson of examples/train_digits.rs against the Python package's: one seed, the same losses.

#[allow(dead_code)]
#[path = "../../examples/train_digits.rs"]
mod lesson;

#[path = "../../examples/embedded/src/main.rs"]
mod embedded;

use crate::{assert_near, load};
use rustnn::data::{DataLoader, digits};
use rustnn::io::Value;
use rustnn::nn::Module;
use std::process::Command;

fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::List(items) | Value::Tuple(items) => items.iter().filter_map(Value::as_f64).collect(),
        other => panic!("{other:?}"),
    }
}

/// At one level all sums are the same on every machine of the family: the recorded losses are of that level.
const LEVEL: &str = "sse4.2";

#[test]
fn training_gives_the_losses_of_the_python_package() {
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "digits::losses", "--ignored", "--test-threads=1"])
        .env("RUSTNN_SIMD", LEVEL)
        .output()
        .unwrap();
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
}

#[test]
#[ignore = "run by the test above, in a process of its own: the SIMD level and the seed are the program's"]
fn losses() {
    let recorded = load("digits.pt");
    let mut losses = Vec::new();
    let settings = lesson::Settings { epochs: 2, ..Default::default() };
    let (network, _, history) = lesson::train(&settings, &mut |loss| losses.push(f64::from(loss))).unwrap();
    let wanted = numbers(recorded.get("losses").unwrap());
    assert_eq!(losses.len(), 46);
    assert_eq!(wanted.len(), 46);
    // Other families of machines have other levels, whose rounding training amplifies.
    let comparable = if rustnn_kernels::level_name() == LEVEL { 46 } else { 1 };
    for (step, (got, wanted)) in losses.iter().zip(&wanted).take(comparable).enumerate() {
        assert!((got - wanted).abs() < 1e-6, "step {step}: {got}, in Python {wanted}");
    }
    if comparable > 1 {
        let Some(Value::List(epochs)) = recorded.get("history") else { panic!("no history") };
        for (got, wanted) in history.iter().zip(epochs) {
            for (got, wanted) in got.iter().zip(numbers(wanted)) {
                assert!((got - wanted).abs() < 1e-6, "{got}, in Python {wanted}");
            }
        }
        let trained = recorded.get("network").unwrap().to_state_dict().unwrap();
        for (name, value) in network.state_dict().unwrap().iter() {
            assert_near(value, trained.get(name).unwrap(), 1e-6, name);
        }
    }
    assert!(history[1][2] > 0.9, "{history:?}");
}

#[test]
fn a_network_that_python_trained_gives_the_same_numbers() {
    let recorded = load("digits.pt");
    let mut network = lesson::DigitNet::new().unwrap();
    network.load_state_dict(&recorded.get("network").unwrap().to_state_dict().unwrap()).unwrap();
    let loader = DataLoader::new(digits().unwrap().1, 360).unwrap();
    let (loss, accuracy) = lesson::evaluate(&mut network, &loader).unwrap();
    let Some(Value::List(epochs)) = recorded.get("history") else { panic!("no history") };
    let wanted = numbers(&epochs[1]);
    assert!((loss - wanted[1]).abs() < 1e-6 && accuracy == wanted[2], "{loss} {accuracy}, in Python {wanted:?}");
}

#[test]
fn the_embedded_program_reads_digits_and_refuses_what_is_none() {
    let test = digits().unwrap().1;
    let images = test.tensors()[0].mul(16.0).unwrap().flatten(1, -1).unwrap();
    let labels = test.tensors()[1].to_vec::<i64>().unwrap();
    let mut right = 0;
    for (i, &label) in labels.iter().enumerate().take(100) {
        let pixels: Vec<f32> = images.select(0, i as i64).unwrap().to_vec().unwrap();
        let text = pixels.iter().map(|p| p.to_string()).collect::<Vec<_>>().join(" ");
        let (digit, probability) = embedded::read(&text).unwrap();
        assert!((0.1..=1.0).contains(&probability), "{probability}");
        right += usize::from(digit as i64 == label);
    }
    assert!(right >= 97, "{right} of 100");
    assert_eq!(embedded::read("1 2 3").unwrap_err(), "an image has 64 brightnesses, got 3");
    assert_eq!(embedded::read(&"17 ".repeat(64)).unwrap_err(), "\"17\" is no brightness from 0 to 16");
    assert!(embedded::read("ink").is_err());
}
