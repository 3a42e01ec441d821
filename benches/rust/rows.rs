//! What rustnn, candle and burn are compared on: kernels, train steps, inference on a CPU. Each library is a bench of its own
//! with these names, shapes and settings, all in f32; `make bench-rust` runs the three in turn and writes the table.

use criterion::Criterion;
use std::time::Duration;

/// A name, and what is measured. Results are made anew, as programs would.
pub type Row = (&'static str, Box<dyn FnMut()>);

pub const MATRIX: usize = 512;
pub const ROWS: [usize; 2] = [4096, 1024];
pub const IMAGES: [usize; 4] = [8, 64, 56, 56];
pub const BATCH: usize = 64;
pub const WIDTH: usize = 128;
pub const HEADS: usize = 4;
pub const TOKENS: [usize; 2] = [8, 64];
pub const RATE: f64 = 1e-3;

/// The names, in the table's order.
pub mod name {
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
    pub const GPT_ANSWER: &str = "inference, GPT block of 128, 64 tokens";
}

/// The same numbers for everyone, of no particular meaning.
pub fn values(len: usize) -> Vec<f32> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 24) as f32 - 0.5
    };
    (0..len).map(|_| next()).collect()
}

pub fn classes(len: usize) -> Vec<i64> {
    (0..len as i64).map(|i| i % 10).collect()
}

/// Measures the rows of one library, those that the command line asks for.
pub fn measure(library: &str, rows: Vec<Row>) {
    // Short, because the rounds are many: the median of those counts.
    let times = Criterion::default().sample_size(10).warm_up_time(Duration::from_millis(100));
    let mut criterion = times.measurement_time(Duration::from_millis(300)).nresamples(1000).without_plots().configure_from_args();
    for (name, mut run) in rows {
        criterion.benchmark_group(name).bench_function(library, |bencher| bencher.iter(&mut run));
    }
}
