//! The configuration file: the original's format (conntrackd.md §5), read into typed settings.
//!
//! [`load`] is pure: text in, settings and remarks out. Nothing is ignored silently: a directive without
//! effect gets a warning, an error names its line and word and what was expected, and as many errors are
//! reported at once as can be told apart. It never panics, and takes time linear in the length of the text.
//!
//! # Differences from the original
//! Which files are accepted is compared with conntrackd word by word (`tests/acceptance`); the differences
//! are a table in `differences.rs` there. Some settings also differ in meaning:
//!
//! - `Filter From Kernelspace` gives the same result as `From Userspace`; the original's kernel filter looks
//!   at other addresses.
//! - Without a `Scheduler` block the system's default holds; the original then takes SCHED_RR at 99.
//! - `NetlinkBufferSize` takes effect even if `NetlinkBufferSizeMaxGrowth` is smaller or missing.
//! - `Scheduler { Priority n }` without a `Type` is round robin with that priority; the original ignores it.
//! - A file with neither `Sync` nor `Stats` means statistics mode, as the original's warning promises.
//! - In `Stats`, `Syslog` and `LogFile` are independent. The original heeds `Syslog` only beside a `LogFile`;
//!   without one it sends flows to General's syslog, as errors.
//! - A Multicast link finds its interface whether `Interface` comes before or after `IPv6_address`.
//! - A daemon does not start with links that lack a port or a peer, or with an `ACKWindowSize` that is 1 or
//!   exceeds `ResendQueueSize`: the original starts, and then replicates nothing or loses it.
//!
//! ```
//! use zctd::config::{self, protocols::Protocols, settings::Role};
//!
//! let text = b"General {\n\tUNIX { Path /run/zctd.ctl\n\t}\n}\nStats {\n\tLogFile on\n}\n";
//! let loaded = config::load(text, &Protocols::parse(b""));
//! let config = loaded.config.expect("nothing is missing");
//! assert!(matches!(&config.role, Role::Stats(s) if s.log_file.is_some()));
//!
//! let loaded = config::load(b"Stats {\n\tLogfile on\n}\n", &Protocols::parse(b""));
//! assert_eq!(
//!     loaded.report.lines("zctd.conf").to_string(),
//!     "zctd.conf:2:2: error: `Logfile' is not known in Stats: did you mean `LogFile'?\n"
//! );
//! ```

mod check;
pub mod flow_filter;
pub mod keys;
pub mod lexer;
pub mod live;
pub mod names;
pub(crate) mod parse;
pub mod parts;
pub mod print;
pub mod report;
pub mod settings;

/// Names of layer 4 protocols, for `Protocol` lists.
pub use zct_engine::protocols;

use report::Report;
use settings::Config;
use std::path::PathBuf;

pub use live::live_changes;
pub use names::Names;
pub use print::print;

/// The result of reading a file.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration, if a daemon can run with it.
    pub config: Option<Config>,
    /// The control socket, which is all that a command needs. It is set even if no daemon could run with the
    /// file, unless the file has errors ([`Report::is_refused`]).
    pub control_socket: Option<PathBuf>,
    /// Remarks, whether or not there is a configuration.
    pub report: Report,
}

/// Reads a configuration file. `names` are those that lists can use; protocols alone will do.
pub fn load<'a>(text: &[u8], names: impl Into<Names<'a>>) -> Loaded {
    let (raw, mut report) = parse::parse(text, names.into());
    let control_socket = raw.general.control_socket.as_ref().map(|s| s.value.clone());
    let config = check::check(raw, &mut report);
    report.sort();
    let refused = report.is_refused();
    Loaded { config, control_socket: control_socket.filter(|_| !refused), report }
}
