//! A listing as entries that can be intersected: what another selection would have printed.

use crate::program::{Exit, Output};

/// The entries of a listing, with what stands around them.
#[derive(Clone, Debug)]
pub struct Entries {
    /// Lines before the first entry: the XML header.
    header: Vec<String>,
    /// One line each.
    pub lines: Vec<String>,
    /// Lines after the last.
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

    /// Only the entries that `other` has too.
    pub fn keep(&mut self, other: &Entries) {
        self.lines.retain(|l| other.lines.contains(l));
    }

    /// Only the entries that `other` does not have.
    pub fn drop_those(&mut self, other: &Entries) {
        self.lines.retain(|l| !other.lines.contains(l));
    }

    /// The output with these entries, as the original would have written it: the frame only around
    /// something, and their number in the summary. Lines before the summary stay.
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

#[cfg(test)]
mod tests {
    use super::*;

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
