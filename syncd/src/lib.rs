//! The daemon: what it remembers and how it keeps its peer informed, and what connects that to the kernel,
//! the network and the operator.
//!
//! [`store`] holds flows, packed; [`peer`] is the protocol, one machine for FT-FW, ALARM and NOTRACK;
//! [`config`] reads the configuration. None of them does any I/O, reads a clock or starts a thread: time
//! comes in as milliseconds, randomness as a seed, and what has to be done outside is asked of a
//! [`peer::Host`]. Hostile datagrams are counted and dropped. They cause no panic, and no work out of
//! proportion to their number; the same holds for any numbers in a configuration.
//!
//! # How a reactor drives it
//!
//! ```text
//! start     Config, Caches::new, Machine::new; join the event groups, then dump the table into
//!           Machine::flow_dumped (and expect_dumped), and only then read events
//! event     filter it, tell its Origin by the port id, then Machine::flow_event / expect_event
//! datagram  Machine::datagram with the link's number; over TCP one Reassembler a connection in between
//! overrun   Machine::begin_kernel_resync, a dump into kernel_resync_flow, end_kernel_resync
//! command   request_resync (-n), send_bulk (-B), flush_internal, flush_external (-f), purge (-t),
//!           cancel_purge (-c); the commit itself walks caches.external
//! link      link_state, link_payload
//! each turn Machine::turn once, then Machine::transmit into one buffer until it returns None, a budget is
//!           used up, or the socket of Machine::active_link takes no more
//! sleep     until Machine::deadline; while the socket takes nothing, until it does or turn_deadline
//! ```
//!
//! Datagrams may be sent one by one, or gathered for one system call. What `transmit` wrote counts as sent:
//! if the network refuses it, drop it, as the network would. A listing walks a cache with a [`store::Cursor`]
//! and unpacks each flow; it may take as many turns as it likes.
//!
//! ```
//! use zctd::peer::{Caches, Config, Event, Host, Link, Machine, Notice, Origin, Seed};
//! use zct_wire::peer::{Expect, Flow};
//! use zct_wire::tuple::{Addr, Tuple};
//!
//! struct Daemon; // would hold the log and the netlink sockets
//!
//! impl Host for Daemon {
//!     fn notice(&mut self, notice: Notice) {
//!         println!("{notice:?}");
//!     }
//!     fn inject_flow(&mut self, _: Event, _: &Flow) {}
//!     fn inject_expect(&mut self, _: Event, _: &Expect) {}
//!     fn dump_kernel(&mut self) {}
//!     fn flush_kernel(&mut self) {}
//! }
//!
//! // Two nodes, joined by a function call instead of a network.
//! let node = |sequence| {
//!     let config = Config::default();
//!     let caches = Caches::new(&config, [0x5eed, 0x5eed]); // random in a daemon
//!     let link = Link { payload_max: 1500 - zct_wire::peer::UDP4_OVERHEAD, up: true };
//!     (Machine::new(0, config, vec![link], 0, Seed { sequence, random: 1 }), caches)
//! };
//! let ((mut here, mut own), (mut there, mut other)) = (node(1), node(2));
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
//! here.flow_change(0, Event::New, Origin::Kernel, &flow, 1, &mut own);
//!
//! let mut buf = [0; 1500];
//! // The greeting goes at once; a change waits for others, but not long.
//! for now in [0, 10] {
//!     assert_eq!(here.deadline(now), Some(now));
//!     here.turn(now, &mut own, &mut Daemon);
//!     while let Some(len) = here.transmit(now, &mut own, &mut buf) {
//!         there.datagram(now, 0, &buf[..len], &mut other, &mut Daemon);
//!     }
//! }
//! assert_eq!(other.external.counts().flows, 1);
//! ```
#![forbid(unsafe_code)]

pub mod config;
pub mod control;
pub mod daemon;
pub mod host;
pub mod kernel;
pub mod links;
pub mod peer;
pub mod stats;
pub mod status;
pub mod store;

#[cfg(test)]
mod sim;
