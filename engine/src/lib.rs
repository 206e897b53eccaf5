//! Sockets, dumps, requests, events and the reactor: everything between `zct-wire` and the kernel.
//!
//! Promises: buffers are owned here and made once; a message costs no allocation; work per turn is bounded
//! by a budget; what was lost is a value that reaches the caller ([`Lost`]), never a print. The only unsafe
//! code is in `sys`. Panics only where an argument above the call says it cannot happen.
//!
//! # Where to start
//!
//! | to | use |
//! |---|---|
//! | list a table | [`Requests::dump_table`]; in steps, beside other work: [`StepDump`] |
//! | list a large table by BPF, which is faster | [`table::Table`] |
//! | ask for, make, change or delete one flow | [`Requests::ask`] |
//! | do that with thousands | [`Batch`] |
//! | watch | [`Subscription`], in a [`Reactor`] of your own or of this crate |
//! | follow network interfaces | [`Interfaces`] |
//!
//! Errors are [`Error`]: the system call and its errno, or the kernel's refusal with its explanation, or what
//! could not be read. `# Errors` names the errno where a caller can do something about it.
//!
//! ```no_run
//! use std::ops::ControlFlow;
//! use zct_engine::{Lost, Requests, Sink};
//! use zct_wire::filter::DumpFilter;
//! use zct_wire::header::CtMsg;
//! use zct_wire::request::{Table, dump};
//!
//! struct Count(u64);
//! impl Sink for Count {
//!     fn message(&mut self, _: CtMsg<'_>) -> ControlFlow<()> {
//!         self.0 += 1;
//!         ControlFlow::Continue(())
//!     }
//!     fn lost(&mut self, why: Lost) {
//!         eprintln!("{why}");
//!     }
//! }
//!
//! let mut count = Count(0);
//! let filter = DumpFilter::default();
//! Requests::open()?.dump_table(|buf, seq| dump(buf, seq, Table::Conntrack, &filter), &mut count)?;
//! println!("{} flows", count.0);
//! # Ok::<(), zct_engine::Error>(())
//! ```
#![deny(unsafe_code)]
#![warn(clippy::missing_errors_doc)]

#[cfg(feature = "seal")]
pub mod aead;
pub mod batch;
pub mod bpf;
pub mod datagrams;
pub mod dump;
pub mod error;
pub mod event_layout;
pub mod events;
pub mod inbox;
pub mod inet;
pub mod labels;
pub mod number;
pub mod pace;
pub mod platform;
pub mod process;
pub mod protocols;
pub mod reactor;
pub mod read_file;
mod receive;
pub mod request;
pub mod route;
pub mod seccomp;
#[cfg(feature = "seal")]
pub mod secret;
pub mod sink;
pub mod socket;
pub mod stepdump;
mod sys;
pub mod table;
pub mod terminal;
pub mod trace;
mod transport;
pub mod write_file;
pub mod zone;

pub use batch::{Answer, Batch};
pub use datagrams::Datagrams;
pub use error::{Error, errno};
pub use events::Subscription;
pub use inbox::Inbox;
pub use pace::Pace;
pub use reactor::{Handler, Reactor, Signals, Token, Turn};
pub use request::Requests;
pub use route::Interfaces;
pub use sink::{Lost, Sink};
pub use socket::NetlinkSocket;
pub use stepdump::{Progress, StepDump};
pub use sys::{BpfInsn, default_sigpipe, errno_text, processors, ticks_a_second};
pub use terminal::{Terminal, TerminalState};
pub use zone::SystemZone;

/// Compiles what README shows.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct Readme;
