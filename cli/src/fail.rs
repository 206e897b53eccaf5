//! Why a command ends early, and the words by which scripts know it (command-line.md §0, §7).

use crate::progress;
use std::io::{self, Write};
use zct_engine::{Error, errno_text};

/// The release of the original that this program behaves like.
pub const ORIGINAL: &str = "1.4.9";
/// The release of zct.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A command that cannot go on: what to say, and the exit code.
///
/// Messages are bytes, because they repeat words of the command line as they were given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fail {
    /// The message without prefix and newline; empty when there is nothing left to say.
    pub text: Vec<u8>,
    /// The kind of failure, which decides the exit code.
    pub kind: Kind,
}

/// The kinds of failure, which differ in exit code and in what follows the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The command line makes no sense: exit 2, and where to find help.
    Usage,
    /// Something went wrong, or nothing matched: exit 1.
    Runtime,
}

impl Fail {
    /// A usage error with this message.
    pub fn usage(text: impl Into<Vec<u8>>) -> Fail {
        Fail { text: text.into(), kind: Kind::Usage }
    }

    /// A usage error that repeats a word: `before`, the word, `after`.
    pub fn word(before: &str, word: &[u8], after: &str) -> Fail {
        Fail::usage([before.as_bytes(), word, after.as_bytes()].concat())
    }

    /// A failure at run time with this message.
    pub fn runtime(text: impl Into<Vec<u8>>) -> Fail {
        Fail { text: text.into(), kind: Kind::Runtime }
    }

    /// Exit 1 without a message.
    pub fn silent() -> Fail {
        Fail { text: Vec::new(), kind: Kind::Runtime }
    }

    /// The same, followed by where it happened. The message itself is unchanged, because scripts look for
    /// it.
    pub fn at(mut self, place: &str) -> Fail {
        if !self.text.is_empty() {
            self.text.extend(b" (");
            self.text.extend(place.as_bytes());
            self.text.push(b')');
        }
        self
    }

    /// The exit code of this kind of failure.
    pub fn code(&self) -> u8 {
        match self.kind {
            Kind::Usage => 2,
            Kind::Runtime => 1,
        }
    }

    /// Writes the message to standard error, with what follows for its kind.
    pub fn report(&self, name: &Name) {
        if self.text.is_empty() {
            return;
        }
        name.say(&self.text);
        if self.kind == Kind::Usage {
            let n = name.command();
            warn(format!("Try `{n} -h' or '{n} --help' for more information.").as_bytes());
        }
    }
}

/// Which command an errno comes from: the same number has different words (command-line.md §7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// `-L`.
    List,
    /// `-G`.
    Get,
    /// `-I`.
    Create,
    /// `-A`.
    Add,
    /// `-D`.
    Delete,
    /// `-U`.
    Update,
    /// `-I expect`.
    CreateExpect,
    /// `-S`, `-S expect`, `-C expect`, which have no words of their own.
    Statistics,
    /// Anything else.
    Other,
}

/// `Operation failed: …` with the words of the original, and the way out where there is one.
pub fn operation_failed(doing: Doing, error: &Error) -> Fail {
    let Some(errno) = error.errno() else {
        return Fail::runtime(format!("Operation failed: {error}"));
    };
    if matches!(error, Error::Sys { op: "socket", .. }) {
        // The first line is what the original's library prints.
        warn(format!("mnl_socket_open: {}", errno_text(errno)).as_bytes());
        return Fail::runtime("Can't open handler; is this kernel's netfilter there? (modprobe nfnetlink)");
    }
    let words = format!("Operation failed: {}", errno_words(doing, errno));
    // A kernel without the subsystem gives this answer to every request.
    if errno == libc::EINVAL && !std::path::Path::new(CONNTRACK_PROC).exists() {
        return Fail::runtime(
            words + "; this kernel has no connection tracking (modprobe nf_conntrack_netlink)",
        );
    }
    Fail::runtime(words)
}

/// A file that exists once the kernel tracks connections.
const CONNTRACK_PROC: &str = "/proc/sys/net/netfilter/nf_conntrack_max";

/// The words for an errno: the first matching row of the table in command-line.md §7.1.
pub fn errno_words(doing: Doing, errno: i32) -> String {
    use Doing::{Add, Create, CreateExpect, Delete, Get, List, Statistics};
    /// "Not supported" inside the kernel; the C library's headers do not have it.
    const ENOTSUPP: i32 = 524;
    let words = match (errno, doing) {
        (ENOTSUPP, List) => "function not implemented",
        (libc::EINVAL, d) if d != Add && d != Statistics => "invalid parameters",
        (libc::EEXIST, Create) => "Such conntrack exists, try -U to update",
        (libc::ENOENT, Create | Add | Get | Delete) => "such conntrack doesn't exist",
        (libc::ENOMEM, Create | Add | Get) => "not enough memory",
        (libc::EAFNOSUPPORT, Get) => "protocol not supported",
        (libc::ETIME, Create | Add) => "conntrack has expired",
        (libc::ENOENT, CreateExpect) => "master conntrack not found",
        (libc::EPERM, _) => "sorry, you must be root or get CAP_NET_ADMIN capability to do this",
        (errno, _) => return errno_text(errno),
    };
    words.to_owned()
}

/// The name by which the program was called, which decides how its messages start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Name {
    /// `zct`, or any other name.
    Zct,
    /// `conntrack`: for scripts that match the whole message.
    Conntrack,
    /// `nfct`, for the same reason.
    Nfct,
}

impl Name {
    /// Finds the name in `argv[0]`.
    pub fn of(argv0: &[u8]) -> Name {
        match argv0.rsplit(|b| *b == b'/').next() {
            Some(b"conntrack") => Name::Conntrack,
            Some(b"nfct") => Name::Nfct,
            _ => Name::Zct,
        }
    }

    /// The command that messages tell the user to type.
    pub fn command(self) -> &'static str {
        match self {
            Name::Zct => "zct",
            Name::Conntrack => "conntrack",
            Name::Nfct => "nfct",
        }
    }

    /// The same for a command of nfct.
    pub fn nfct(self) -> &'static str {
        match self {
            Name::Nfct => "nfct",
            Name::Zct | Name::Conntrack => "zct nfct",
        }
    }

    /// The line of `-V`.
    pub fn version(self) -> String {
        match self {
            Name::Zct => format!("zct v{VERSION} (conntrack-tools {ORIGINAL})"),
            Name::Conntrack => format!("conntrack v{ORIGINAL} (conntrack-tools)"),
            Name::Nfct => format!("nfct v{ORIGINAL}"),
        }
    }

    /// Writes one line to standard error, with name and release in front.
    pub fn say(self, text: &[u8]) {
        let mut line = self.version().into_bytes();
        line.extend(b": ");
        line.extend(text);
        warn(&line);
    }
}

/// Writes one line to standard error, in one piece. If that fails, there is nobody left to tell.
pub fn warn(line: &[u8]) {
    let mut whole = Vec::with_capacity(line.len() + 1);
    whole.extend(line);
    whole.push(b'\n');
    let mut err = io::stderr().lock();
    progress::clear(&mut err);
    _ = err.write_all(&whole);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_what_the_program_was_called_as() {
        assert_eq!(Name::of(b"/usr/sbin/conntrack").version(), "conntrack v1.4.9 (conntrack-tools)");
        assert!(Name::of(b"./zct").version().ends_with("(conntrack-tools 1.4.9)"));
        assert_eq!(Name::of(b"/usr/sbin/nfct").version(), "nfct v1.4.9");
        assert_eq!(Name::of(b"conntrack-old"), Name::Zct);
        assert_eq!(Name::of(b""), Name::Zct);
    }

    #[test]
    fn the_same_errno_has_different_words() {
        assert_eq!(errno_words(Doing::Create, libc::EEXIST), "Such conntrack exists, try -U to update");
        assert_eq!(errno_words(Doing::Add, libc::EEXIST), "File exists");
        assert_eq!(errno_words(Doing::Add, libc::EINVAL), "Invalid argument");
        assert_eq!(errno_words(Doing::List, 524), "function not implemented");
        assert_eq!(errno_words(Doing::Other, libc::ENOENT), "No such file or directory");
    }
}
