//! The original's options by name and by whether they take a value, and a command line in terms of them.
//! Written from the documentation, not from zct's own table, which is under test.

use Takes::{Maybe, Nothing, Value};

/// Whether an option takes a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    /// It never takes one.
    Nothing,
    /// It always takes one.
    Value,
    /// It takes the next word if that does not look like an option.
    Maybe,
}

/// One option or command.
#[derive(Debug)]
pub struct Opt {
    /// Its letter, if it has one.
    pub short: Option<char>,
    /// Its long names; the first is the one used here.
    pub names: &'static [&'static str],
    /// Whether it takes a value.
    pub takes: Takes,
}

const fn opt(short: char, names: &'static [&'static str], takes: Takes) -> Opt {
    Opt { short: Some(short), names, takes }
}

const fn long(names: &'static [&'static str], takes: Takes) -> Opt {
    Opt { short: None, names, takes }
}

/// The commands; the next word may be a table.
pub const COMMANDS: &[Opt] = &[
    opt('L', &["dump"], Maybe),
    opt('G', &["get"], Maybe),
    opt('D', &["delete"], Maybe),
    opt('I', &["create"], Maybe),
    opt('A', &["add"], Maybe),
    opt('U', &["update"], Maybe),
    opt('E', &["event"], Maybe),
    opt('F', &["flush"], Maybe),
    opt('C', &["counter"], Maybe),
    opt('S', &["stats"], Maybe),
    opt('h', &["help"], Maybe),
    opt('V', &["version"], Maybe),
];

/// The options that belong to no protocol. `labelmap` came with 1.4.9.
pub const OPTIONS: &[Opt] = &[
    opt('s', &["src", "orig-src"], Value),
    opt('d', &["dst", "orig-dst"], Value),
    opt('r', &["reply-src"], Value),
    opt('q', &["reply-dst"], Value),
    opt('p', &["protonum"], Value),
    opt('t', &["timeout"], Value),
    opt('u', &["status"], Value),
    opt('z', &["zero"], Nothing),
    opt('e', &["event-mask"], Value),
    long(&["tuple-src"], Value),
    long(&["tuple-dst"], Value),
    long(&["mask-src"], Value),
    long(&["mask-dst"], Value),
    opt('a', &["nat-range"], Value),
    opt('m', &["mark"], Value),
    opt('i', &["id"], Value),
    opt('f', &["family"], Value),
    opt('n', &["src-nat"], Maybe),
    opt('g', &["dst-nat"], Maybe),
    opt('o', &["output"], Value),
    opt('c', &["secmark"], Value),
    opt('b', &["buffer-size"], Value),
    opt('j', &["any-nat"], Maybe),
    opt('w', &["zone"], Value),
    opt('l', &["label"], Value),
    long(&["label-add"], Value),
    long(&["label-del"], Maybe),
    long(&["orig-zone"], Value),
    long(&["reply-zone"], Value),
    opt('M', &["labelmap"], Value),
];

/// The options that only zct has.
pub const OURS: &[Opt] = &[
    long(&["dry-run"], Nothing),
    long(&["kernel-filter"], Value),
    long(&["explain"], Nothing),
    long(&["jobs"], Value),
    long(&["reader"], Value),
    long(&["all"], Nothing),
    long(&["by"], Value),
    long(&["top"], Value),
    long(&["sort"], Value),
];

const PORTS: &[Opt] = &[
    long(&["sport", "orig-port-src"], Value),
    long(&["dport", "orig-port-dst"], Value),
    long(&["reply-port-src"], Value),
    long(&["reply-port-dst"], Value),
    long(&["mask-port-src"], Value),
    long(&["mask-port-dst"], Value),
    long(&["tuple-port-src"], Value),
    long(&["tuple-port-dst"], Value),
    long(&["state"], Value),
    long(&["orig-vtag"], Value),
    long(&["reply-vtag"], Value),
    long(&["role"], Value),
];
const KEYS: &[Opt] = &[
    long(&["srckey", "orig-key-src"], Value),
    long(&["dstkey", "orig-key-dst"], Value),
    long(&["reply-key-src"], Value),
    long(&["reply-key-dst"], Value),
    long(&["mask-key-src"], Value),
    long(&["mask-key-dst"], Value),
    long(&["tuple-key-src"], Value),
    long(&["tuple-key-dst"], Value),
];
const ICMP: &[Opt] = &[long(&["icmp-type"], Value), long(&["icmp-code"], Value), long(&["icmp-id"], Value)];
const ICMPV6: &[Opt] =
    &[long(&["icmpv6-type"], Value), long(&["icmpv6-code"], Value), long(&["icmpv6-id"], Value)];

/// The options of a protocol, by every name of it that has any.
pub fn protocol_options(name: &str) -> Vec<&'static Opt> {
    let ports = |states: bool, tags: bool, role: bool| {
        let wanted = move |o: &&Opt| match o.names[0] {
            "state" => states,
            "orig-vtag" | "reply-vtag" => tags,
            "role" => role,
            _ => true,
        };
        PORTS.iter().filter(wanted).collect()
    };
    match name.to_ascii_lowercase().as_str() {
        "tcp" | "6" => ports(true, false, false),
        "udp" | "17" | "udplite" | "136" => ports(false, false, false),
        "sctp" | "132" => ports(true, true, false),
        "dccp" | "33" => ports(true, false, true),
        "gre" | "47" => KEYS.iter().collect(),
        "icmp" | "1" => ICMP.iter().collect(),
        "icmpv6" | "58" => ICMPV6.iter().collect(),
        _ => Vec::new(),
    }
}

/// One word of a command line with the value that belongs to it.
#[derive(Clone, Debug)]
pub struct Word {
    /// The option or command; `None` for a stray word, a cluster or one that is unknown.
    pub opt: Option<&'static Opt>,
    /// The words as they were typed.
    pub text: Vec<String>,
    /// Its value, if it has one.
    pub value: Option<String>,
    /// True when the value is part of the word: `--name=value`, `-nvalue`.
    pub attached: bool,
}

impl Word {
    /// Whether this is a command.
    pub fn is_command(&self) -> bool {
        COMMANDS.iter().any(|c| c.names[0] == self.name())
    }

    /// The name of its option.
    pub fn name(&self) -> &'static str {
        self.opt.map_or("", |o| o.names[0])
    }
}

/// A command line, taken apart.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its words, in order.
    pub words: Vec<Word>,
}

impl Line {
    /// Takes a command line apart. Long names may be abbreviated, except those of protocols.
    pub fn parse<S: AsRef<str>>(args: &[S]) -> Line {
        let mut words = Vec::new();
        let mut rest = args.iter().map(|a| a.as_ref()).peekable();
        let mut ended = false;
        while let Some(word) = rest.next() {
            let (opt, attached) = if ended { (None, None) } else { find(word) };
            ended |= word == "--";
            let mut text = vec![word.to_owned()];
            let mut value = attached.map(str::to_owned);
            let takes = opt.map_or(Nothing, |o| o.takes);
            let plain = rest.peek().is_some_and(|next| !next.starts_with(['-', '!']));
            if value.is_none() && (takes == Value || takes == Maybe && plain) {
                if let Some(next) = rest.next() {
                    text.push(next.to_owned());
                    value = Some(next.to_owned());
                }
            }
            words.push(Word { opt, text, value, attached: attached.is_some() });
        }
        Line { words }
    }

    /// The words as a program receives them.
    pub fn args(&self) -> Vec<String> {
        self.words.iter().flat_map(|w| w.text.iter().cloned()).collect()
    }

    /// Whether this option is given.
    pub fn has(&self, name: &str) -> bool {
        self.words.iter().any(|w| w.name() == name)
    }

    /// Whether `-p` is given more than once.
    pub fn has_two_protocols(&self) -> bool {
        self.all("protonum").count() > 1
    }

    /// All occurrences of this option.
    pub fn all<'a>(&'a self, name: &'a str) -> impl DoubleEndedIterator<Item = &'a Word> {
        self.words.iter().filter(move |w| w.name() == name)
    }

    /// The value that counts, which is the last; an optional one stays when a later occurrence leaves it out.
    pub fn value<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        self.all(name).filter_map(|w| w.value.as_deref()).next_back()
    }

    /// The same line without these options.
    pub fn without(&self, names: &[&str]) -> Line {
        self.only(|w| w.opt.is_none() || !names.contains(&w.name()))
    }

    /// The same line with only the words that are wanted.
    pub fn only(&self, wanted: impl Fn(&Word) -> bool) -> Line {
        Line { words: self.words.iter().filter(|w| wanted(w)).cloned().collect() }
    }

    /// The command with its table and its form of output, without any selection.
    pub fn unselective(&self) -> Line {
        let line = self.only(|w| w.is_command() || w.name() == "output");
        // Selecting by label makes labels appear in the output too.
        let saves = self.outputs().iter().any(|o| o.to_ascii_lowercase().starts_with("sa"));
        if self.has("label") && !saves { line.with(&["-o", "labels"]) } else { line }
    }

    /// The same line with more words at the end.
    pub fn with<S: AsRef<str>>(&self, more: &[S]) -> Line {
        let mut line = self.clone();
        line.words.extend(Line::parse(more).words);
        line
    }

    /// The words of every `-o`.
    pub fn outputs(&self) -> Vec<&str> {
        self.all("output").filter_map(|w| w.value.as_deref()).flat_map(|v| v.split(',')).collect()
    }
}

/// The option that a word names, and the value attached to it.
fn find(word: &str) -> (Option<&'static Opt>, Option<&str>) {
    let all =
        || COMMANDS.iter().chain(OPTIONS).chain(OURS).chain(PORTS).chain(KEYS).chain(ICMP).chain(ICMPV6);
    if let Some(long) = word.strip_prefix("--") {
        let (name, value) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (long, None),
        };
        let exact = all().find(|o| o.names.contains(&name));
        let begins = |o: &&Opt| o.names.iter().any(|n| n.starts_with(name));
        let mut some = COMMANDS.iter().chain(OPTIONS).filter(begins);
        let one = some.next().filter(|_| some.next().is_none() && !name.is_empty());
        return (exact.or(one), value);
    }
    let mut letters = word.chars();
    if letters.next() != Some('-') {
        return (None, None);
    }
    let Some(letter) = letters.next() else { return (None, None) };
    let opt = all().find(|o| o.short == Some(letter));
    let value = Some(letters.as_str()).filter(|v| !v.is_empty());
    match opt {
        // What a cluster means is up to the program.
        Some(o) if value.is_some() && (o.takes == Nothing || COMMANDS.iter().any(|c| c.short == o.short)) => {
            (None, None)
        }
        _ => (opt, value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_their_values() {
        let args = ["-L", "expect", "-n", "-s", "1.1.1.1", "--zone=3", "-oxml", "-g9.9.9.9", "-Lz", "x"];
        let line = Line::parse(&args);
        assert_eq!(line.args(), args);
        assert_eq!(line.value("dump"), Some("expect"));
        assert!(line.has("src-nat") && line.value("src-nat").is_none());
        assert_eq!((line.value("zone"), line.value("output")), (Some("3"), Some("xml")));
        assert_eq!(line.value("dst-nat"), Some("9.9.9.9"));
        assert!(line.words.iter().any(|w| w.opt.is_none() && w.text == ["-Lz"]));
        assert_eq!(line.unselective().args(), ["-L", "expect", "-oxml"]);
        assert_eq!(line.without(&["src", "zone"]).args().len(), args.len() - 3);
    }
}
