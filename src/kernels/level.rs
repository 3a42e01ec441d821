//! The SIMD level, chosen once.

use fearless_simd::Level;
use std::sync::OnceLock;

/// The level that all kernels use: the machine's best, or the one that `RUSTNN_SIMD` names (`fallback`, `sse4.2`,
/// `avx2`, `avx512`, `neon`) where the machine has it.
pub fn level() -> Level {
    static LEVEL: OnceLock<Level> = OnceLock::new();
    *LEVEL.get_or_init(|| {
        let best = Level::new();
        let Ok(name) = std::env::var("RUSTNN_SIMD") else { return best };
        named(&name).unwrap_or(best)
    })
}

/// The level of that name if this machine has it.
pub fn named(name: &str) -> Option<Level> {
    let best = Level::new();
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
