//! Flows as the original lists them, read without any of zct's code: the yardstick of the checks.

use crate::compare::{without_timeout, without_value};
use std::collections::BTreeMap;

/// One line of `conntrack -L -o extended,id,labels`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flow {
    /// The line, with its newline.
    pub(crate) line: String,
    /// The number of the layer 3 protocol: 2 or 10.
    pub(crate) family: u8,
    /// The number of the layer 4 protocol.
    pub(crate) proto: u8,
    /// The state, where the protocol has one.
    pub(crate) state: String,
    /// What stands in brackets: UNREPLIED, ASSURED, OFFLOAD.
    pub(crate) flags: Vec<String>,
    orig: BTreeMap<String, String>,
    reply: BTreeMap<String, String>,
    all: BTreeMap<String, String>,
}

impl Flow {
    /// Reads one line.
    pub(crate) fn parse(line: &str) -> Result<Flow, String> {
        let wrong = || format!("not a flow: {line:?}");
        let mut flow = Flow { line: line.to_owned(), ..Flow::default() };
        let mut words = line.split_whitespace();
        let number = |words: &mut std::str::SplitWhitespace<'_>| words.nth(1).and_then(|w| w.parse().ok());
        flow.family = number(&mut words).ok_or_else(wrong)?;
        flow.proto = number(&mut words).ok_or_else(wrong)?;
        let mut addresses = 0;
        for word in words {
            if let Some((key, value)) = word.split_once('=') {
                addresses += u32::from(key == "src");
                // Ports, keys and counters stand once in each direction; what follows the reply stands once
                // in all.
                let side = if addresses < 2 { &mut flow.orig } else { &mut flow.reply };
                side.insert(key.to_owned(), value.to_owned());
                flow.all.insert(key.to_owned(), value.to_owned());
            } else if let Some(flag) = word.strip_prefix('[') {
                flow.flags.push(flag.trim_end_matches(']').to_owned());
            } else if addresses == 0 && word.parse::<u64>().is_err() {
                word.clone_into(&mut flow.state);
            }
        }
        if addresses == 2 { Ok(flow) } else { Err(wrong()) }
    }

    /// The same flow with another line.
    pub(crate) fn with_line(&self, line: String) -> Flow {
        Flow { line, ..self.clone() }
    }

    /// Reads a listing.
    pub(crate) fn all(text: &str) -> Result<Vec<Flow>, String> {
        text.split_inclusive('\n').map(Flow::parse).collect()
    }

    /// A field of the original direction; empty when absent.
    pub(crate) fn orig(&self, key: &str) -> &str {
        self.orig.get(key).map_or("", String::as_str)
    }

    /// A field of the reply direction; empty when absent.
    pub(crate) fn reply(&self, key: &str) -> &str {
        self.reply.get(key).map_or("", String::as_str)
    }

    /// A field that stands once in the line.
    pub(crate) fn get(&self, key: &str) -> &str {
        self.all.get(key).map_or("", String::as_str)
    }

    /// The connection mark; 0 when none is shown.
    pub(crate) fn mark(&self) -> u32 {
        self.get("mark").parse().unwrap_or(0)
    }

    /// The zone of both directions; 0 is never shown.
    pub(crate) fn zone(&self) -> u32 {
        self.get("zone").parse().unwrap_or(0)
    }

    /// Whether `[FLAG]` is shown.
    pub(crate) fn is(&self, flag: &str) -> bool {
        self.flags.iter().any(|f| f == flag)
    }

    /// Whether an address or port of the reply differs from its counterpart in the original direction.
    pub(crate) fn translated(&self, sent: &str, answered: &str, ports: [&str; 2]) -> bool {
        self.orig(sent) != self.reply(answered) || self.orig(ports[0]) != self.reply(ports[1])
    }

    /// The line without what is new each time a flow is made: timeout, id and users.
    pub(crate) fn lasting(&self) -> String {
        let line = without_timeout(&self.line);
        // The first id may be that of a ping, so the last one counts.
        match line.rsplit_once(" use=") {
            Some((head, tail)) => {
                let tail = tail.trim_start_matches(|c: char| c.is_ascii_digit());
                format!("{head} use=…{}", without_value(tail, "id="))
            }
            None => line,
        }
    }
}

/// The lasting parts of some flows, sorted.
pub(crate) fn lasting<'a>(flows: impl IntoIterator<Item = &'a Flow>) -> String {
    let mut lines: Vec<String> = flows.into_iter().map(Flow::lasting).collect();
    lines.sort_unstable();
    lines.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        let f = Flow::parse(
            "ipv4     2 tcp      6 299 SYN_SENT src=10.0.0.1 dst=10.0.0.2 sport=1 dport=80 [UNREPLIED] \
             src=10.0.0.2 dst=192.0.2.1 sport=80 dport=1 mark=5 zone=7 use=1 id=9 labels=one\n",
        )
        .expect("a flow");
        assert_eq!((f.family, f.proto, f.state.as_str(), f.mark(), f.zone()), (2, 6, "SYN_SENT", 5, 7));
        assert_eq!(
            (f.orig("src"), f.reply("dst"), f.get("id"), f.get("labels")),
            ("10.0.0.1", "192.0.2.1", "9", "one")
        );
        assert!(f.is("UNREPLIED") && !f.is("ASSURED"));
        assert!(
            f.translated("src", "dst", ["sport", "dport"]) && !f.translated("dst", "src", ["dport", "sport"])
        );
        assert!(f.lasting().contains(" T SYN_SENT ") && f.lasting().contains("id=… labels=one"));
        let f = Flow::parse("ipv6     10 icmpv6   58 30 src=::1 dst=::2 type=128 code=0 id=7 src=::2 dst=::1 type=129 code=0 id=7 mark=0 use=1 id=123\n").expect("a flow");
        assert_eq!((f.family, f.orig("id"), f.get("id"), f.state.as_str()), (10, "7", "123", ""));
        assert!(f.lasting().contains("code=0 id=7 src=") && f.lasting().ends_with("mark=0 use=… id=…\n"));
        assert!(Flow::parse("nonsense\n").is_err());
    }
}
