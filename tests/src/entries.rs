//! A listing as entries that can be intersected, to work out what another selection would have printed.

use crate::program::{Exit, Output};
use std::collections::HashSet;

/// The entries of a listing, with what stands around them.
#[derive(Clone, Debug)]
pub struct Entries {
    /// Lines before the first entry, such as the XML header.
    header: Vec<String>,
    /// The entries, one line each.
    pub lines: Vec<String>,
    /// Lines after the last entry.
    footer: Vec<String>,
}

impl Entries {
    /// The entries of a listing that succeeded; `None` for anything else.
    pub fn of(output: &Output) -> Option<Entries> {
        if output.exit != Exit::Code(0) {
            return None;
        }
        let all = output.lines();
        let is_frame = |l: &String| {
            l.starts_with("<?xml")
                || ["<conntrack>", "</conntrack>", "<expect>", "</expect>"].contains(&l.as_str())
        };
        let first = all.iter().position(|l| !is_frame(l)).unwrap_or(all.len());
        let last = all.iter().rposition(|l| !is_frame(l)).map_or(first, |at| at + 1);
        Some(Entries {
            header: all[..first].to_vec(),
            lines: all[first..last].to_vec(),
            footer: all[last..].to_vec(),
        })
    }

    /// Keeps only the entries that `other` has too.
    pub fn keep(&mut self, other: &Entries) {
        let other: HashSet<&String> = other.lines.iter().collect();
        self.lines.retain(|l| other.contains(l));
    }

    /// Drops the entries that `other` has.
    pub fn drop_those(&mut self, other: &Entries) {
        let other: HashSet<&String> = other.lines.iter().collect();
        self.lines.retain(|l| !other.contains(l));
    }

    /// The output with these entries, as the original would have written it: the frame only when there are
    /// entries, and their number in the summary. Lines before the summary stay.
    pub fn into_output(self, like: &Output) -> Output {
        let count = self.lines.len();
        let mut text = String::new();
        let framed = if count == 0 { vec![] } else { [self.header, self.lines, self.footer].concat() };
        for line in framed {
            text += &line;
            text.push('\n');
        }
        let stderr: String = like
            .err()
            .lines()
            .map(|l| match l.split_once("(conntrack-tools): ") {
                Some((front, said)) if said.ends_with(" have been shown.") => {
                    let what = said.split_once(' ').map_or("", |(_, what)| what);
                    format!("{front}(conntrack-tools): {count} {what}\n")
                }
                _ => format!("{l}\n"),
            })
            .collect();
        Output { stdout: text.into(), stderr: stderr.into(), exit: Exit::Code(0) }
    }
}

/// What an entry says about itself, in whichever format it is printed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// The protocol's name; in a saved line of a protocol without a name, its number.
    pub proto: String,
    /// Original source and destination, reply source and destination.
    pub addrs: [String; 4],
    /// Ports or GRE keys, in the same order; `None` where the format has none.
    pub ports: [Option<u32>; 4],
}

impl Facts {
    /// Reads one line of `-L` in plain, saved or XML format, with or without an event tag.
    pub fn of(line: &str) -> Facts {
        if line.contains("<flow") {
            Facts::of_xml(line)
        } else if line.starts_with("-A ") || line.starts_with("-U ") || line.starts_with("-D ") {
            Facts::of_saved(line)
        } else {
            Facts::of_line(line)
        }
    }

    fn of_line(line: &str) -> Facts {
        let mut f = Facts::default();
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        // The protocol's name stands before its number, after the tag and layer 3.
        let names = ["tcp", "udp", "udplite", "icmp", "icmpv6", "sctp", "gre", "dccp", "unknown"];
        f.proto = words.iter().find(|w| names.contains(w)).map_or(String::new(), |w| (*w).to_owned());
        let (mut addr, mut port) = (0, 0);
        for (key, value) in words.iter().filter_map(|w| w.split_once('=')) {
            match key {
                "src" | "dst" if addr < 4 => {
                    f.addrs[addr] = value.to_owned();
                    addr += 1;
                }
                "sport" | "dport" | "srckey" | "dstkey" if port < 4 => {
                    f.ports[port] = number(value);
                    port += 1;
                }
                _ => {}
            }
        }
        f
    }

    fn of_saved(line: &str) -> Facts {
        let mut f = Facts::default();
        let words: Vec<&str> = line.split(' ').collect();
        for pair in words.windows(2) {
            let value = pair[1];
            let addr = ["-s", "-d", "-r", "-q"].iter().position(|o| *o == pair[0]);
            let nat = ["", "", "-g", "-n"].iter().position(|o| *o == pair[0]);
            let port = ["--sport", "--dport", "--reply-port-src", "--reply-port-dst"];
            let key = ["--srckey", "--dstkey", "--reply-key-src", "--reply-key-dst"];
            let port = [port, key].iter().find_map(|names| names.iter().position(|o| *o == pair[0]));
            if let Some(at) = addr.or(nat) {
                f.addrs[at] = value.to_owned();
            } else if let Some(at) = port {
                f.ports[at] = number(value);
            } else if pair[0] == "-p" {
                f.proto = value.to_owned();
            }
        }
        f
    }

    fn of_xml(line: &str) -> Facts {
        let two = |open: &str| {
            let mut found = texts(line, open);
            [found.next(), found.next()]
        };
        let [[src, rsrc], [dst, rdst]] = [two("<src>"), two("<dst>")];
        let keys = two("<srckey>")[0].is_some();
        let (s, d) = if keys { ("<srckey>", "<dstkey>") } else { ("<sport>", "<dport>") };
        let [[sport, rsport], [dport, rdport]] = [two(s), two(d)];
        Facts {
            // The first name is that of layer 3, the second that of layer 4.
            proto: texts(line, "protoname=\"").nth(1).unwrap_or_default(),
            addrs: [src, dst, rsrc, rdst].map(Option::unwrap_or_default),
            ports: [sport, dport, rsport, rdport].map(|p| p.and_then(|p| number(&p))),
        }
    }

    /// True for ICMP and ICMPv6.
    pub fn is_ping(&self) -> bool {
        self.proto == "icmp" || self.proto == "icmpv6"
    }

    /// Whether the reply goes to another address than the original source.
    pub fn src_translated(&self) -> bool {
        self.addrs[0] != self.addrs[3]
    }

    /// Whether the reply comes from another address than the original destination.
    pub fn dst_translated(&self) -> bool {
        self.addrs[1] != self.addrs[2]
    }
}

/// The texts between each `open` and the next `<` or `"`.
fn texts<'t>(line: &'t str, open: &'t str) -> impl Iterator<Item = String> + 't {
    line.match_indices(open).map(move |(at, _)| {
        let after = &line[at + open.len()..];
        after[..after.find(['<', '"']).unwrap_or(after.len())].to_owned()
    })
}

fn number(text: &str) -> Option<u32> {
    match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_facts_in_every_format() {
        let want = Facts {
            proto: "gre".into(),
            addrs: ["1.1.1.1", "2.2.2.2", "2.2.2.2", "9.9.9.9"].map(str::to_owned),
            ports: [Some(16), Some(20), Some(20), Some(16)],
        };
        for line in [
            "    [NEW] ipv4     2 gre      47 99 src=1.1.1.1 dst=2.2.2.2 srckey=0x10 dstkey=0x14 [UNREPLIED] \
             src=2.2.2.2 dst=9.9.9.9 srckey=0x14 dstkey=0x10 mark=0 use=1",
            "-A -t 99 -u UNSET -s 1.1.1.1 -d 2.2.2.2 -r 2.2.2.2 -n 9.9.9.9 -p gre --srckey 16 --dstkey 20 \
             --reply-key-src 20 --reply-key-dst 16",
            "<flow><meta direction=\"original\"><layer3 protonum=\"2\" protoname=\"ipv4\"><src>1.1.1.1</src>\
             <dst>2.2.2.2</dst></layer3><layer4 protonum=\"47\" protoname=\"gre\"><srckey>0x10</srckey>\
             <dstkey>0x14</dstkey></layer4></meta><meta direction=\"reply\"><layer3 protonum=\"2\" \
             protoname=\"ipv4\"><src>2.2.2.2</src><dst>9.9.9.9</dst></layer3><layer4 protonum=\"47\" \
             protoname=\"gre\"><srckey>0x14</srckey><dstkey>0x10</dstkey></layer4></meta></flow>",
        ] {
            assert_eq!(Facts::of(line), want, "{line}");
        }
        assert!(want.src_translated() && !want.dst_translated() && !want.is_ping());
    }

    #[test]
    fn the_frame_goes_with_the_last_entry() {
        let out = |lines: &[&str]| Output {
            stdout: format!("<?xml ?>\n<conntrack>\n{}\n</conntrack>\n", lines.join("\n")).into(),
            stderr: format!(
                "x\nconntrack v1 (conntrack-tools): {} flow entries have been shown.\n",
                lines.len()
            )
            .into(),
            exit: Exit::Code(0),
        };
        let both = out(&["<flow>a", "<flow>b"]);
        let mut e = Entries::of(&both).expect("a listing");
        e.keep(&Entries::of(&out(&["<flow>b"])).expect("a listing"));
        let one = e.clone().into_output(&both);
        assert_eq!(one, out(&["<flow>b"]));
        e.drop_those(&Entries::of(&one).expect("a listing"));
        let none = e.into_output(&both);
        assert_eq!((none.out().as_str(), none.err().lines().count()), ("", 2));
        assert!(none.err().contains(": 0 flow entries"));
    }
}
