//! A trace of netlink messages on standard error: one line for each message sent and received.
//!
//! It is off unless [`follow`] turns it on, and costs one branch for each datagram then.

use crate::sys::errno_text;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicBool, Ordering};
use zct_wire::consts::{Named, ipctnl, ipctnl_exp, ipctnl_timeout, nfnl_cthelper, nlm_f, nlmsg};
use zct_wire::header::{Frame, Frames};

/// The environment variable that says what to follow.
pub const VARIABLE: &str = "ZCT_DEBUG";

static ON: AtomicBool = AtomicBool::new(false);

/// Turns on what the words say, with commas between them; there is only `netlink`.
///
/// # Errors
/// The first word that means nothing. What stands before it is on.
pub fn follow(words: &str) -> Result<(), &str> {
    for word in words.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        match word {
            "netlink" => ON.store(true, Ordering::Relaxed),
            _ => return Err(word),
        }
    }
    Ok(())
}

/// [`follow`] for what the environment says.
///
/// # Errors
/// A sentence about the word that means nothing.
pub fn follow_environment() -> Result<(), String> {
    let Some(words) = std::env::var_os(VARIABLE) else { return Ok(()) };
    let words = words.to_string_lossy();
    follow(&words)
        .map_err(|word| format!("{VARIABLE}: there is nothing called `{word}' to follow; try netlink"))
}

#[inline]
pub(crate) fn is_on() -> bool {
    ON.load(Ordering::Relaxed)
}

/// Writes a line for each message of a datagram that was sent or received through the socket with this port.
#[cold]
pub(crate) fn datagram(port: u32, way: &str, bytes: &[u8], len: usize) {
    write(&lines(port, way, bytes, len));
}

/// Writes a line about a system call that failed. To have nothing to receive is not a failure.
#[cold]
pub(crate) fn failed(port: u32, way: &str, why: &io::Error) {
    if !matches!(why.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) {
        let errno = why.raw_os_error().unwrap_or(0);
        write(&format!("netlink {port} {way} failed errno={errno} ({})\n", errno_text(errno)));
    }
}

/// In one piece, so that lines of several threads do not mix. There is nobody to tell when it fails.
fn write(lines: &str) {
    _ = io::stderr().write_all(lines.as_bytes());
}

/// The lines for a datagram of `len` bytes, of which these were received.
fn lines(port: u32, way: &str, bytes: &[u8], len: usize) -> String {
    let mut out = String::new();
    for frame in Frames::new(bytes) {
        match frame {
            Ok(frame) => message(&mut out, port, way, frame),
            Err(why) => _ = writeln!(out, "netlink {port} {way} damaged: {why}"),
        }
    }
    if len > bytes.len() {
        _ = writeln!(out, "netlink {port} {way} cut off after {} of {len} bytes", bytes.len());
    }
    out
}

fn message(out: &mut String, port: u32, way: &str, frame: Frame<'_>) {
    let (kind, flags) = (frame.kind(), frame.flags());
    _ = write!(out, "netlink {port} {way} type=");
    match name(kind) {
        Some(name) => out.push_str(name),
        None => _ = write!(out, "{kind:#06x}"),
    }
    _ = write!(out, " flags={flags:#x}");
    let mut before = '(';
    for (bit, word) in FLAGS {
        if flags & bit != 0 {
            _ = write!(out, "{before}{word}");
            before = '|';
        }
    }
    if before == '|' {
        out.push(')');
    }
    _ = write!(out, " seq={} len={}", frame.seq(), frame.bytes.len());
    if let (nlmsg::ERROR | nlmsg::DONE, Ok(code)) = (kind, frame.code()) {
        let errno = code.saturating_neg();
        _ = write!(out, " errno={errno}");
        if errno != 0 {
            _ = write!(out, " ({})", errno_text(errno));
        }
    }
    out.push('\n');
}

/// The flags that mean the same on every message.
const FLAGS: [(u16, &str); 5] = [
    (nlm_f::REQUEST, "REQUEST"),
    (nlm_f::MULTI, "MULTI"),
    (nlm_f::ACK, "ACK"),
    (nlm_f::ECHO, "ECHO"),
    (nlm_f::DUMP_INTR, "DUMP_INTR"),
];

/// The kernel's name of a type of message.
fn name(kind: u16) -> Option<&'static str> {
    let groups: [&[Named]; 5] =
        [nlmsg::NAMED, ipctnl::NAMED, ipctnl_exp::NAMED, ipctnl_timeout::NAMED, nfnl_cthelper::NAMED];
    let (name, _) = groups.into_iter().flatten().find(|(_, number)| *number == u64::from(kind))?;
    // Some are written as the subsystem and the message within it.
    Some(name.rsplit(' ').next().unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, flags: u16, seq: u32, payload: &[u8]) -> Vec<u8> {
        let len = u32::try_from(16 + payload.len()).expect("short");
        let mut out = len.to_ne_bytes().to_vec();
        out.extend(kind.to_ne_bytes());
        out.extend(flags.to_ne_bytes());
        out.extend(seq.to_ne_bytes());
        out.extend([0; 4]);
        out.extend(payload);
        out
    }

    #[test]
    fn a_line_says_type_flags_number_length_and_errno() {
        let line = |bytes: &[u8]| lines(77, "received", bytes, bytes.len());
        let get = message(ipctnl::GET, nlm_f::REQUEST | nlm_f::DUMP, 1, &[0; 4]);
        assert_eq!(
            lines(77, "sent", &get, 20),
            "netlink 77 sent type=IPCTNL_MSG_CT_GET flags=0x301(REQUEST) seq=1 len=20\n"
        );
        let refused = message(nlmsg::ERROR, 0x100, 2, &(-libc::ENOENT).to_ne_bytes());
        assert_eq!(
            line(&[refused, message(nlmsg::ERROR, 0, 3, &[0; 4])].concat()),
            "netlink 77 received type=NLMSG_ERROR flags=0x100 seq=2 len=20 errno=2 (No such file or directory)\n\
             netlink 77 received type=NLMSG_ERROR flags=0x0 seq=3 len=20 errno=0\n"
        );
        let done = message(nlmsg::DONE, nlm_f::MULTI | nlm_f::DUMP_INTR, 4, &[0; 4]);
        assert_eq!(
            line(&done),
            "netlink 77 received type=NLMSG_DONE flags=0x12(MULTI|DUMP_INTR) seq=4 len=20 errno=0\n"
        );
        assert_eq!(
            line(&message(0x1234, 0, 5, &[])),
            "netlink 77 received type=0x1234 flags=0x0 seq=5 len=16\n"
        );
    }

    #[test]
    fn what_is_cut_or_damaged_is_said() {
        let get = message(ipctnl::NEW, 0, 0, &[0; 4]);
        let text = lines(7, "received", &get, 500);
        assert!(text.ends_with("seq=0 len=20\nnetlink 7 received cut off after 20 of 500 bytes\n"), "{text}");
        let text = lines(7, "received", &get[..18], 18);
        assert!(text.starts_with("netlink 7 received damaged: "), "{text}");
    }

    #[test]
    fn a_word_that_means_nothing_is_an_error() {
        assert_eq!(follow(""), Ok(()));
        assert_eq!(follow("netlnk"), Err("netlnk"));
        assert!(!is_on());
    }
}
