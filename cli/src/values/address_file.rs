//! `@FILE`: addresses and networks from a file, or from standard input.
//!
//! One or several a line, with blanks or commas between them; `#` begins a comment. Unlike a word of the
//! command line, an IPv4 address has to be written in full: nobody sees a warning about one line of 100,000.

use super::addr;
use crate::fail::Fail;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use zct_engine::read_file::{Bounds, Unread, read_file, read_whole};
use zct_wire::tuple::Addr;

/// The most addresses and networks in one file.
const MEMBERS_MAX: usize = 1_000_000;
/// Room for that many IPv6 networks, and for comments.
const BOUNDS: Bounds = Bounds { file: 64 << 20, line: 1 << 20 };

/// The name of the file that a value asks for; empty when there is nothing behind the `@`.
pub fn named(value: &[u8]) -> Option<&[u8]> {
    value.strip_prefix(b"@")
}

/// The addresses in the file of this name, each with the length of its prefix; `-` is standard input, which
/// can be read only once.
///
/// # Errors
/// A usage error that names the file and, where it is about a word of the file, its line and the word.
///
/// # Allocation
/// The whole file, and its members.
pub fn read(name: &[u8]) -> Result<Vec<(Addr, u32)>, Fail> {
    let text = match name {
        b"" => return Err(Fail::usage("`@' needs the name of a file with addresses, or `-'")),
        b"-" => read_whole(io::stdin().lock(), BOUNDS),
        name => read_file(Path::new(OsStr::from_bytes(name)), BOUNDS).map_err(|e| e.why),
    };
    let text =
        text.map_err(|why: Unread| Fail::word("Cannot read addresses from `", name, &format!("': {why}")))?;
    parse(name, &text)
}

fn parse(name: &[u8], text: &[u8]) -> Result<Vec<(Addr, u32)>, Fail> {
    let mut members = Vec::new();
    for (at, line) in text.split(|b| *b == b'\n').enumerate() {
        let line = line.split(|b| *b == b'#').next().unwrap_or_default();
        for word in line.split(|b| b.is_ascii_whitespace() || *b == b',').filter(|w| !w.is_empty()) {
            let member = member(word).map_err(|why| {
                let place = [name, format!(":{}: ", at + 1).as_bytes()].concat();
                Fail::usage([&place[..], &why.text].concat())
            })?;
            if members.len() == MEMBERS_MAX {
                let why = format!("' has more than {MEMBERS_MAX} addresses");
                return Err(Fail::word("`", name, &why));
            }
            members.push(member);
        }
    }
    Ok(members)
}

/// An address and the length of its prefix.
fn member(word: &[u8]) -> Result<(Addr, u32), Fail> {
    let (host, len) = addr::split_network(word)?;
    let text = word.split(|b| *b == b'/').next().unwrap_or(word);
    match addr::stands_for(text, &host) {
        Some(usual) => Err(Fail::word("Invalid IP address `", text, &format!("': write {usual} for it"))),
        None => Ok((host, len)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Vec<(Addr, u32)>, String> {
        parse(b"keep", text.as_bytes()).map_err(|f| String::from_utf8(f.text).unwrap())
    }

    #[test]
    fn one_or_several_a_line() {
        let text = "# endpoints\n10.0.0.1 10.0.0.2,10.0.0.3\t# three\n\n2001:db8::/32\r\n  10.1.0.77/16";
        let want = [
            (Addr::V4([10, 0, 0, 1]), 32),
            (Addr::V4([10, 0, 0, 2]), 32),
            (Addr::V4([10, 0, 0, 3]), 32),
            (Addr::V6([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), 32),
            (Addr::V4([10, 1, 0, 77]), 16),
        ];
        assert_eq!(of(text).unwrap(), want);
        assert!(of("").unwrap().is_empty() && of("# none\n \n").unwrap().is_empty());
    }

    #[test]
    fn a_mistake_has_file_line_and_word() {
        for (text, want) in [
            ("10.0.0.1\n\n# x\n10.0.0.2 example.org\n", "keep:4: Invalid IP address `example.org'"),
            ("10.0.0.1/33", "keep:1: Invalid netmask `33': a prefix length from 0 to 32"),
            ("\n::1/", "keep:2: Invalid netmask `': a prefix length from 0 to 128"),
            ("10.1", "keep:1: Invalid IP address `10.1': write 10.0.0.1 for it"),
            ("010.0.0.1/8", "keep:1: Invalid IP address `010.0.0.1': write 8.0.0.1 for it"),
            ("10.0.0.1-10.0.0.9", "keep:1: Invalid IP address `10.0.0.1-10.0.0.9'"),
            ("!10.0.0.1", "keep:1: Invalid IP address `!10.0.0.1'"),
        ] {
            assert_eq!(of(text), Err(want.to_owned()), "{text}");
        }
        let many = "10.0.0.1\n".repeat(MEMBERS_MAX);
        assert!(of(&many).is_ok());
        assert_eq!(of(&(many + "10.0.0.1")), Err("`keep' has more than 1000000 addresses".to_owned()));
    }

    #[test]
    fn what_cannot_be_read() {
        for (name, want) in [
            ("", "`@' needs the name of a file"),
            (
                "/nonexistent/list",
                "Cannot read addresses from `/nonexistent/list': No such file or directory",
            ),
            ("/proc", "Cannot read addresses from `/proc': Is a directory"),
            ("/dev/zero", "Cannot read addresses from `/dev/zero': line 1 is longer than 1 MiB"),
        ] {
            let text = String::from_utf8(read(name.as_bytes()).unwrap_err().text).unwrap();
            assert!(text.starts_with(want), "{text}");
        }
    }
}
