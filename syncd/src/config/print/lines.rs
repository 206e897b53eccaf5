//! The lines of a configuration, and the addresses in them.

use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// Indented lines. They are bytes because paths are.
pub(super) struct Lines {
    pub(super) out: Vec<u8>,
    pub(super) depth: usize,
}

impl Lines {
    /// A line of words.
    pub(super) fn line(&mut self, parts: &[&[u8]]) {
        self.out.extend(std::iter::repeat_n(b'\t', self.depth));
        for (i, part) in parts.iter().enumerate() {
            if i > 0 {
                self.out.push(b' ');
            }
            self.out.extend_from_slice(part);
        }
        self.out.push(b'\n');
    }

    /// A word and its value.
    pub(super) fn set(&mut self, word: &str, value: &str) {
        self.line(&[word.as_bytes(), value.as_bytes()]);
    }

    /// A number.
    pub(super) fn number(&mut self, word: &str, value: impl Into<u64>) {
        self.set(word, &value.into().to_string());
    }

    /// A number, or a comment that says what happens without it.
    pub(super) fn optional(&mut self, word: &str, value: Option<u32>, without: &str) {
        match value {
            Some(v) => self.number(word, v),
            None => self.set("#", &format!("{word}: not set, {without}")),
        }
    }

    /// `on` or `off`.
    pub(super) fn switch(&mut self, word: &str, on: bool) {
        self.set(word, if on { "on" } else { "off" });
    }

    /// A path. The grammar allows no white space or quotes in it, so it needs no quoting.
    pub(super) fn path(&mut self, word: &str, path: &Path) {
        self.line(&[word.as_bytes(), path.as_os_str().as_bytes()]);
    }

    /// A block, with what is in it.
    pub(super) fn block(&mut self, name: &str, inner: impl FnOnce(&mut Self)) {
        self.set(name, "{");
        self.depth += 1;
        inner(self);
        self.depth -= 1;
        self.line(&[b"}"]);
    }
}

/// IPv6 without a dotted quad at the end, for which the grammar has no pattern.
pub(super) fn v6(addr: &std::net::Ipv6Addr) -> String {
    let s = addr.segments();
    if s[..5] == [0; 5] && (s[5] == 0 || s[5] == 0xffff) && s[6] != 0 {
        return format!("::{:x}:{:x}:{:x}", s[5], s[6], s[7]);
    }
    addr.to_string()
}

/// An address.
pub(super) fn ip(addr: &IpAddr) -> String {
    match addr {
        IpAddr::V4(a) => a.to_string(),
        IpAddr::V6(a) => v6(a),
    }
}
