//! Userspace helpers: the kernel queues the packets of flows that have one, and takes expectations back.
//!
//! They run in a process of their own (`zctd helpers`), which the daemon starts, watches and starts again:
//! what strangers send is parsed apart from the state of the firewall, with CAP_NET_ADMIN and nothing else.
//! While nobody listens, a stub that is enabled breaks new flows; so stubs are enabled last, disabled first,
//! and disabled by the daemon when the process has died, and by the process when the daemon has.

pub mod child;
pub mod counts;
mod expect;
mod judge;
mod limit;
mod queue;
mod recent;
pub mod rules;
pub mod run;
mod stub;
pub mod support;
mod types;
