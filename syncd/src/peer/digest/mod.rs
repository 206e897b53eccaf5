//! How two zctd find out that the cache of one is not what the other has sent it (sync-protocol.md §10).
//!
//! The node that has received asks: its [`Checker`] asks for sums of what the other has promised, and follows a
//! difference down to the leaves whose flows it has to be sent again. The node that has sent answers: its
//! [`Speaker`] knows what was asked for, and whether the peer has been told of everything that is in the cache.
//! Sums are compared at one point of the sequence of messages, so that what is on its way is no difference.

mod checker;
mod speaker;

pub use checker::DigestStats;
pub(crate) use checker::{Checker, Finding};
pub(crate) use speaker::Speaker;
