//! The values of options: how the words after them are read.

pub mod addr;
pub mod label;
pub mod list;
pub mod nat;
pub mod number;
pub mod protocol;
