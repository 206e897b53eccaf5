//! The least a program can do for the same work, which is what the kernel's part costs. No tool that sends
//! the same requests can be faster; the original is measured in the same run for comparison.

pub mod delete;
pub mod dump;
pub mod events;
pub mod packets;
pub mod words;
