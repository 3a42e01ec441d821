//! What the machine can do at most, as one line of JSON: fused multiply-adds and memory traffic on all cores.
//! `rustc -O -C target-cpu=native benches/limits.rs` builds it; `make bench` does so and runs it.

use std::hint::black_box;
use std::time::Instant;

/// Independent sums: enough to keep every multiplier busy through its latency.
const SUMS: usize = 8;
const LANES: usize = 16;

/// Fused multiply-adds on registers; returns the floating-point operations done.
fn multiply_add(rounds: usize) -> f64 {
    let mut sums = [[0.5f32; LANES]; SUMS];
    let (a, b) = (black_box([0.999f32; LANES]), black_box([0.001f32; LANES]));
    for _ in 0..rounds {
        for sum in &mut sums {
            for lane in 0..LANES {
                sum[lane] = sum[lane].mul_add(a[lane], b[lane]);
            }
        }
    }
    black_box(sums);
    (rounds * SUMS * LANES * 2) as f64
}

/// The best of several runs of `work` on every core at once, in units of `work`'s result per nanosecond.
fn best(cores: usize, work: impl Fn() -> f64 + Sync) -> f64 {
    let run = || {
        let start = Instant::now();
        let done: f64 = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..cores).map(|_| scope.spawn(&work)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        done / start.elapsed().as_nanos() as f64
    };
    (0..7).map(|_| run()).fold(0.0, f64::max)
}

/// Reads 64 MB per core several times over; bytes read. Reading needs no ownership of lines: the upper bound of traffic.
fn read(memory: &[u64]) -> f64 {
    let mut total = [0u64; 32];
    for _ in 0..4 {
        for chunk in black_box(memory).chunks_exact(32) {
            for (sum, x) in total.iter_mut().zip(chunk) {
                *sum = sum.wrapping_add(*x);
            }
        }
    }
    black_box(total);
    (memory.len() * 8 * 4) as f64
}

fn main() {
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let memory: Vec<u64> = (0..64 * 1024 * 1024 / 8).collect();
    let fma = best(cores, || multiply_add(20_000_000));
    let bandwidth = best(cores, || read(&memory));
    println!("{{\"cores\": {cores}, \"fma_gflop_s\": {fma:.1}, \"memory_gb_s\": {bandwidth:.1}}}");
}
