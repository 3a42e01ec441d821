//! What the machine can do at most, as one line of JSON: fused multiply-adds and memory traffic on all cores.
//! `rustc -O -C target-cpu=native benches/limits.rs` builds it; `make bench` does so and runs it.

use std::alloc::Layout;
use std::hint::black_box;
use std::sync::Mutex;
use std::time::Instant;

/// Independent sums: enough to keep every multiplier busy through its latency, few enough for the registers.
const SUMS: usize = 12;

/// Fused multiply-adds on registers of `$width` floats; returns the floating-point operations done. By intrinsics: what the
/// compiler makes of a loop over arrays may lie in memory.
#[cfg(all(target_arch = "x86_64", target_feature = "fma"))]
macro_rules! multiply_add {
    ($width:literal $vector:ident $set:ident $fma:ident) => {
        fn multiply_add(rounds: usize) -> f64 {
            use std::arch::x86_64::*;
            // SAFETY: the build is for this machine's processor, which has the instructions (see the `cfg`).
            unsafe {
                let mut sums: [$vector; SUMS] = [$set(0.5); SUMS];
                let (a, b) = ($set(black_box(0.999)), $set(black_box(0.001)));
                for _ in 0..rounds {
                    for sum in &mut sums {
                        *sum = $fma(*sum, a, b);
                    }
                }
                black_box(sums);
            }
            (rounds * SUMS * $width * 2) as f64
        }
    };
}
#[cfg(all(target_arch = "x86_64", target_feature = "avx512f"))]
multiply_add!(16 __m512 _mm512_set1_ps _mm512_fmadd_ps);
#[cfg(all(target_arch = "x86_64", target_feature = "fma", not(target_feature = "avx512f")))]
multiply_add!(8 __m256 _mm256_set1_ps _mm256_fmadd_ps);
#[cfg(not(all(target_arch = "x86_64", any(target_feature = "fma", target_feature = "avx512f"))))]
fn multiply_add(rounds: usize) -> f64 {
    const LANES: usize = 4;
    let mut sums = [[0.5f32; LANES]; SUMS];
    let (a, b) = (black_box(0.999f32), black_box(0.001f32));
    for _ in 0..rounds {
        for sum in &mut sums {
            for lane in sum {
                *lane = if cfg!(target_arch = "x86_64") { *lane * a + b } else { lane.mul_add(a, b) };
            }
        }
    }
    black_box(sums);
    (rounds * SUMS * LANES * 2) as f64
}

/// The best of several runs of `work` on every core at once, in units of `work`'s result per nanosecond.
fn best(cores: usize, work: impl Fn(usize) -> f64 + Sync) -> f64 {
    let run = || {
        let start = Instant::now();
        let done: f64 = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..cores)
                .map(|core| {
                    scope.spawn({
                        let work = &work;
                        move || work(core)
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        done / start.elapsed().as_nanos() as f64
    };
    (0..7).map(|_| run()).fold(0.0, f64::max)
}

/// Memory in huge pages, where the system gives such: page tables cost a tenth of the bandwidth.
fn memory(len: usize) -> &'static mut [u64] {
    const HUGE_BYTES: usize = 2 << 20;
    let layout = Layout::from_size_align(len * 8, HUGE_BYTES).expect("a valid layout");
    // SAFETY: the memory is fresh, aligned, of `len` words, written before it is read, and never freed.
    unsafe {
        let ptr = std::alloc::alloc(layout);
        assert!(!ptr.is_null(), "no memory");
        #[cfg(target_os = "linux")]
        {
            // SAFETY: the declaration is that of the C library.
            unsafe extern "C" {
                fn madvise(address: *mut u8, len: usize, advice: i32) -> i32;
            }
            const MADV_HUGEPAGE: i32 = 14;
            madvise(ptr, len * 8, MADV_HUGEPAGE);
        }
        ptr.write_bytes(1, len * 8);
        std::slice::from_raw_parts_mut(ptr.cast(), len)
    }
}

/// Reads memory four times over; bytes read.
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

/// Copies four times over, past the caches where the processor has such stores; bytes read and written.
fn copy(from: &[u64], to: &mut [u64]) -> f64 {
    for _ in 0..4 {
        #[cfg(target_arch = "x86_64")]
        for (a, b) in black_box(from).chunks_exact(8).zip(to.chunks_exact_mut(8)) {
            use std::arch::x86_64::{__m128i, _mm_loadu_si128, _mm_stream_si128};
            for i in 0..4 {
                // SAFETY: both chunks are 64 bytes; the target starts on a huge page, so chunks on cache lines.
                unsafe {
                    let value = _mm_loadu_si128(a.as_ptr().cast::<__m128i>().add(i));
                    _mm_stream_si128(b.as_mut_ptr().cast::<__m128i>().add(i), value);
                }
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        to.copy_from_slice(black_box(from));
        black_box(&mut *to);
    }
    (from.len() * 8 * 8) as f64
}

fn main() {
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let fma = best(cores, |_| multiply_add(30_000_000));
    let words = (64 << 20) / 8;
    let memories: Vec<_> = (0..cores).map(|_| Mutex::new((memory(words), memory(words)))).collect();
    let bandwidth = best(cores, |core| read(memories[core].lock().unwrap().0));
    let copied = best(cores, |core| {
        let mut pair = memories[core].lock().unwrap();
        let (from, to) = &mut *pair;
        copy(from, to)
    });
    println!("{{\"cores\": {cores}, \"fma_gflop_s\": {fma:.1}, \"memory_gb_s\": {:.1}}}", bandwidth.max(copied));
}
