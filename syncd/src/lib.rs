//! The daemon: what it remembers and how it keeps its peer informed, and what connects that to the kernel,
//! the network and the operator.
//!
//! [`store`] holds flows, packed; [`peer`] is the protocol, one machine for FT-FW, ALARM and NOTRACK;
//! [`config`] reads the configuration. None of them does any I/O, reads a clock or starts a thread: time
//! comes in as milliseconds, randomness as a seed, and what has to be done outside comes out as
//! [`peer::Output`]. Hostile datagrams are counted and dropped. They cause no panic, and no work out of
//! proportion to their number; the same holds for any numbers in a configuration.
//!
//! # How a reactor drives it
//!
//! ```text
//! start     PeerConfig, Machine::new; join the event groups, then dump the table into
//!           Machine::flow_dumped (and expect_dumped), and only then read events
//! event     filter it, tell its Origin by the port id, then Machine::flow_change / expect_change
//! datagram  Machine::datagram with the link's number; over TCP one Reassembler a connection in between
//! overrun   Machine::begin_kernel_resync, a dump into flow_compared, end_kernel_resync
//! command   request_resync (-n), send_bulk (-B), flush_internal, flush_external (-f), purge (-t),
//!           cancel_purge (-c); the commit itself walks caches().external
//! link      link_state, link_payload
//! each turn Machine::turn once, then Machine::poll until it returns None, doing what it says, then
//!           Machine::transmit into one buffer until it returns None, a budget is used up, or the socket of
//!           Machine::active_link takes no more
//! sleep     until Machine::deadline; while the socket takes nothing, until it does or turn_deadline
//! ```
//!
//! Datagrams may be sent one by one, or gathered for one system call. What `transmit` wrote counts as sent:
//! if the network refuses it, drop it, as the network would. A listing walks a cache with a [`store::Cursor`]
//! and unpacks each flow; it may take as many turns as it likes.
//!
//! ```
//! use zct_wire::peer::Flow;
//! use zct_wire::tuple::{Addr, Tuple};
//! use zctd::peer::{Event, Link, Machine, Notice, Origin, Output, PeerConfig, Seed};
//!
//! // Two nodes, joined by a function call instead of a network.
//! let node = |sequence| {
//!     let link = Link { payload_max: 1500 - zct_wire::peer::UDP4_OVERHEAD, up: true };
//!     let seed = Seed { sequence, random: 1, hash: [0x5eed, 0x5eed] }; // random in a daemon
//!     Machine::new(0, PeerConfig::default(), vec![link], 0, seed)
//! };
//! let (mut here, mut there) = (node(1), node(2));
//!
//! let orig = Tuple {
//!     src: Some(Addr::V4([10, 0, 0, 1])),
//!     dst: Some(Addr::V4([192, 0, 2, 1])),
//!     proto: Some(17),
//!     src_port: Some(5000),
//!     dst_port: Some(53),
//!     ..Tuple::default()
//! };
//! let flow = Flow { orig, status: Some(8), timeout_s: Some(30), ..Flow::default() };
//! here.flow_change(0, Event::New, Origin::Kernel, &flow, 1);
//!
//! let mut buf = [0; 1500];
//! // The greeting goes at once; a change waits for others, but not long.
//! for now in [0, 10] {
//!     assert_eq!(here.deadline(now), Some(now));
//!     here.turn(now);
//!     while let Some(output) = here.poll() {
//!         println!("{output:?}"); // a daemon logs, injects, dumps or flushes
//!     }
//!     while let Some(len) = here.transmit(now, &mut buf) {
//!         there.datagram(now, 0, &buf[..len]);
//!     }
//! }
//! assert_eq!(there.poll(), Some(Output::Notice(Notice::PeerStarted)));
//! assert_eq!(there.caches().external.counts().flows, 1);
//! ```
#![forbid(unsafe_code)]

pub mod config;
pub mod control;
pub mod daemon;
pub mod helper;
pub mod host;
pub mod kernel;
pub mod links;
pub mod metrics;
pub mod peer;
pub mod stats;
pub mod status;
pub mod store;
pub mod text;

#[cfg(test)]
mod sim;
