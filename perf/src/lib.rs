//! Measurements: the mix of flows they all use, the floors that the kernel sets, and the code that runs zct
//! beside the original and judges the outcome. The programs are under `bin/`.
#![forbid(unsafe_code)]

pub mod curves;
pub mod digest;
pub mod floor;
pub mod limits;
pub mod lines;
pub mod load;
pub mod machine;
pub mod measure;
pub mod mix;
pub mod netns;
pub mod pieces;
pub mod plots;
pub mod replica;
pub mod results;
pub mod row;
pub mod rows;
pub mod runner;
pub mod sample;
pub mod storm;
pub mod svg;
