//! The running daemon: one reactor around the parts (conntrackd.md §1).
//!
//! Every turn serves what is ready, each source up to a limit, and then does a bounded piece of whatever
//! work is under way: a dump, a commit, a flush, a listing for a client. So nothing holds up anything
//! else for long.
//!
//! The order of the start matters. The event groups are joined before the first dump, so that nothing happens
//! unnoticed in between. The links are not served before that dump is complete, or the peer would be told of
//! half a table, and neither are clients, except those that ask how far the daemon is.

mod catch_up;
mod conditions;
mod dumps;
mod ledger;
mod losses;
mod metrics;
mod numbers;
mod peer_node;
mod privileges;
mod reload;
mod requests;
mod rest;
mod review;
mod reviews;
mod room;
mod sealing;
mod signals;
mod start;
mod start_error;
mod state;
mod stats_node;
mod status;
mod sync_node;
mod sync_taker;
mod takeover;
mod transfers;
mod turns;
mod waiting;

pub use start::run;
