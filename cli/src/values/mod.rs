//! How the values of options are read.

pub mod addr;
pub mod address_file;
pub mod label;
pub mod list;
pub mod nat;
pub mod number;
pub mod protocol;
