//! The control socket: what clients may ask, who answers, and the text they get.

pub mod client;
pub mod exchange;
pub mod helpers;
pub mod listings;
pub mod request;
pub mod selection;
pub mod server;
pub mod statistics;
pub mod version;
pub mod words;
