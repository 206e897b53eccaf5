//! `zct help`: the options of one command or protocol, with examples.

use super::output_failed;
use crate::fail::{Fail, Name};
use crate::flags::command::COMMANDS;
use crate::flags::protocol::PROTOCOLS;
use crate::flags::{help, own};
use std::io::Write as _;

/// Prints the help on the word, or on everything.
///
/// # Errors
/// A usage error for a word that names no command and no protocol, or for several words.
pub fn run(name: Name, _: &[u8], words: &[&[u8]]) -> Result<(), Fail> {
    let text = match words {
        [] | [b"-h" | b"--help"] => help::text(name, None),
        [word] => about(word)
            .ok_or_else(|| Fail::word("help: neither a command nor a protocol: `", word, WAY_OUT))?,
        _ => return Err(Fail::usage("help: one command at a time")),
    };
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|e| output_failed(&e))
}

const WAY_OUT: &str = "'; zct help lists the commands";

/// The text for a command's letter, word or beginning of a word, or for a protocol. Whole words are tried
/// first, so that no abbreviation hides them.
fn about(word: &[u8]) -> Option<String> {
    let hyphens = word.iter().take_while(|b| **b == b'-').count();
    let bare = std::str::from_utf8(word.get(hyphens..)?).ok()?;
    if hyphens == 0 {
        if let Some(c) = own::find(word) {
            return Some(help::own(c));
        }
        if let Some(p) = PROTOCOLS.iter().find(|p| p.name == bare) {
            return Some(help::protocol(p));
        }
    }
    // People say list, although the option is called --dump.
    let bare = if bare == "list" { "dump" } else { bare };
    if ["R", "load-file"].contains(&bare) {
        return Some(help::load_file());
    }
    let letter = COMMANDS.iter().find(|c| bare.as_bytes() == [c.short]);
    let mut begun = COMMANDS.iter().filter(|c| bare.len() > 1 && c.long.starts_with(bare));
    let word = begun.next().filter(|_| begun.next().is_none());
    letter.or(word).map(help::command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_found_by_every_name() {
        for word in ["-D", "D", "delete", "--delete", "del"] {
            let text = about(word.as_bytes()).expect(word);
            assert!(text.starts_with("zct -D, --delete [conntrack|expect]: delete"), "{word}: {text}");
            assert!(
                text.contains("--dry-run") && text.contains("Examples:") && !text.contains("--by KEY"),
                "{text}"
            );
        }
        assert_eq!(about(b"list"), about(b"-L"));
        assert!(about(b"count").is_some_and(|t| t.contains("--dport") && !t.contains("--zero")));
        assert!(about(b"top").is_some_and(|t| t.starts_with("zct top: ")));
        assert!(about(b"-R").is_some_and(|t| t.contains("--keep-going")));
        assert!(about(b"tcp").is_some_and(|t| t.contains("--state")));
    }

    #[test]
    fn what_is_none_is_refused() {
        for word in ["", "-", "x", "--top", "deletes", "--tcp", "\u{0}"] {
            assert_eq!(about(word.as_bytes()), None, "{word}");
        }
        assert_eq!(about(b"\xff"), None);
    }
}
