//! The least a program can do for the same work: what the kernel's part costs. No tool that uses the same
//! requests can be faster than these, and the original is measured beside them in the same run.

pub mod delete;
pub mod dump;
pub mod events;
pub mod packets;
pub mod words;
