//! Neural networks in Rust.
