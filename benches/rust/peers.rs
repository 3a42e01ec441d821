//! rustnn beside candle and burn on a CPU: kernels, train steps, inference. `make bench-rust` runs it and writes the table.
//! All three have the same shapes, dtype (f32) and number of threads, and make new results as programs would.

mod burn;
mod candle;
mod ours;

use criterion::{Criterion, criterion_group, criterion_main};
use std::time::Duration;

/// A name, and what is measured.
type Row = (&'static str, Box<dyn FnMut()>);

/// The settings of the rows, one for all libraries.
const MATRIX: usize = 512;
const ROWS: [usize; 2] = [4096, 1024];
const IMAGES: [usize; 4] = [8, 64, 56, 56];
const BATCH: usize = 64;
const WIDTH: usize = 128;
const HEADS: usize = 4;
const TOKENS: [usize; 2] = [8, 64];
const RATE: f64 = 1e-3;

/// The names, in the table's order.
mod name {
    pub const MATMUL: &str = "matmul, 512x512";
    pub const SOFTMAX: &str = "softmax of 4096 rows of 1024";
    pub const GELU: &str = "GELU over 16 MB";
    pub const LAYER_NORM: &str = "layer norm of 4096 rows of 1024";
    pub const CONV: &str = "convolution 3x3, 64 to 64 channels, 56x56, batch 8";
    pub const MLP_STEP: &str = "train step, MLP 784-256-10, batch 64, Adam";
    pub const CNN_STEP: &str = "train step, CNN on 8x8 digits, batch 64, Adam";
    pub const GPT_STEP: &str = "train step, GPT block of 128, 8 x 64 tokens, Adam";
    pub const MLP_ANSWER: &str = "inference, MLP 784-256-10, batch 1";
    pub const CNN_ANSWER: &str = "inference, CNN on 8x8 digits, batch 1";
}

/// The same numbers for everyone, of no particular meaning.
fn values(len: usize) -> Vec<f32> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32 - 0.5
    };
    (0..len).map(|_| next()).collect()
}

fn classes(len: usize) -> Vec<i64> {
    (0..len as i64).map(|i| i % 10).collect()
}

fn peers(criterion: &mut Criterion) {
    // Row by row, so that the three meet the machine in the same state.
    for ((ours, candle), burn) in ours::rows().into_iter().zip(candle::rows()).zip(burn::rows()) {
        let row = ours.0;
        let mut group = criterion.benchmark_group(row);
        for (library, (name, mut run)) in [("rustnn", ours), ("candle", candle), ("burn", burn)] {
            assert_eq!(name, row, "the libraries' rows are in one order");
            group.bench_function(library, |bencher| bencher.iter(&mut run));
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2));
    targets = peers
}
criterion_main!(benches);
