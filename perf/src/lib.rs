//! Measurements: the mix of flows they all use, the floors that the kernel sets, and what runs and judges
//! zct beside the original. The programs are under `bin/`.
#![forbid(unsafe_code)]

pub mod floor;
pub mod load;
pub mod measure;
pub mod mix;
