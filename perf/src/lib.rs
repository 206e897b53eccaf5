//! Measurements: the mix of flows they all use, and what is shared between the programs under `bin/`.
#![forbid(unsafe_code)]

pub mod mix;
