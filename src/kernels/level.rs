//! The SIMD level, chosen once.

use fearless_simd::Level;
use std::sync::OnceLock;

static LEVEL: OnceLock<Level> = OnceLock::new();

/// What levels are called, the plainest first.
pub const NAMES: [&str; 5] = ["fallback", "sse4.2", "avx2", "avx512", "neon"];

/// Fixes the level; false: another one is in use. None: there is no such level here.
pub fn choose(name: &str) -> Option<bool> {
    let level = named(name)?;
    LEVEL.get_or_init(|| level);
    Some(level_name() == name)
}

/// The level that all kernels use: the machine's best, or the one that `RUSTNN_SIMD` names (`fallback`, `sse4.2`,
/// `avx2`, `avx512`, `neon`) where the machine has it.
pub fn level() -> Level {
    *LEVEL.get_or_init(|| {
        let Ok(name) = std::env::var("RUSTNN_SIMD") else { return best() };
        named(&name).unwrap_or_else(best)
    })
}

/// The machine's best level of those that loops are compiled for.
fn best() -> Level {
    let best = Level::new();
    #[cfg(all(any(target_arch = "x86", target_arch = "x86_64"), not(feature = "avx512")))]
    if let Some(avx2) = best.as_avx2() {
        return Level::Avx2(avx2);
    }
    best
}

/// The level of that name if this machine, and this build, has it.
pub fn named(name: &str) -> Option<Level> {
    let best = best();
    match name {
        "fallback" => Some(Level::baseline()),
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        "sse4.2" => best.as_sse4_2().map(Level::Sse4_2),
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        "avx2" => best.as_avx2().map(Level::Avx2),
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        "avx512" => best.as_avx512().map(Level::Avx512),
        #[cfg(target_arch = "aarch64")]
        "neon" => best.as_neon().map(Level::Neon),
        _ => None,
    }
}

/// The name of [`level`] as `RUSTNN_SIMD` has it.
pub fn level_name() -> &'static str {
    let level = level();
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    for (name, is) in
        [("avx512", level.as_avx512().is_some()), ("avx2", level.as_avx2().is_some()), ("sse4.2", level.as_sse4_2().is_some())]
    {
        if is {
            return name;
        }
    }
    #[cfg(target_arch = "aarch64")]
    if level.as_neon().is_some() {
        return "neon";
    }
    let _ = level;
    "fallback"
}

#[cfg(not(feature = "avx512"))]
pub(crate) use dispatch_to_avx2 as dispatch;
/// Runs `$op` at `$level`: `dispatch!(level, simd => …)`. Without the feature `avx512` AVX2 is the highest, and nothing is compiled
/// for SSE4.2 beside the baseline.
#[cfg(feature = "avx512")]
pub(crate) use fearless_simd::dispatch;

/// Runs `$op` at AVX2 where the machine has it, else at the baseline: for loops of which there are very many, whose every
/// level costs compile time and size (elementwise rows: 5,000 loops at four levels, 1,900 at two).
macro_rules! dispatch_lean {
    ($simd:pat => $op:expr) => {
        $crate::level::dispatch_to_avx2!($crate::level(), $simd => $op)
    };
}
pub(crate) use dispatch_lean;

macro_rules! dispatch_to_avx2 {
    ($level:expr, $simd:pat => $op:expr) => {{
        #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
        {
            use fearless_simd::Simd as _;
            let level: fearless_simd::Level = $level;
            match (level.as_avx2(), level.as_sse2()) {
                (Some(avx2), _) => {
                    let $simd = avx2;
                    avx2.vectorize(
                        #[inline(always)]
                        || $op,
                    )
                }
                (None, Some(sse2)) => {
                    let $simd = sse2;
                    sse2.vectorize(
                        #[inline(always)]
                        || $op,
                    )
                }
                (None, None) => unreachable!("x86-64 has SSE2"),
            }
        }
        #[cfg(not(any(target_arch = "x86", target_arch = "x86_64")))]
        {
            fearless_simd::dispatch!($level, $simd => $op)
        }
    }};
}
pub(crate) use dispatch_to_avx2;
