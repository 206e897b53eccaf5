//! From words to [`Args`], the way GNU `getopt_long` goes about it (spec/cli.md §1.2).
//!
//! Written here and not taken from a library: scripts rely on abbreviations whose ambiguity depends on the
//! protocol seen so far, on words that are table names after a command letter, and on values that are only
//! taken when they do not look like options.

use super::args::Args;
use super::command::{COMMANDS, Command, Table};
use super::protocol::PROTOCOLS;
use super::repeats::Repeats;
use super::table::{FLAGS, Flag, Id, Takes};
use super::{late, negation, stray};
use crate::fail::Fail;
use std::sync::OnceLock;

/// Something a word can mean.
#[derive(Clone, Copy, Debug)]
pub(super) enum Meaning {
    Command(&'static Command),
    Flag(&'static Flag),
}

impl Meaning {
    fn same(self, other: Meaning) -> bool {
        match (self, other) {
            (Meaning::Command(a), Meaning::Command(b)) => a.cmd == b.cmd,
            (Meaning::Flag(a), Meaning::Flag(b)) => a.id == b.id,
            _ => false,
        }
    }
}

/// The words of a command line, and how far we are.
pub(super) struct Words<'a> {
    words: &'a [&'a [u8]],
    next: usize,
    repeats: Repeats,
}

impl<'a> Words<'a> {
    /// The next word, whatever it looks like.
    pub(super) fn take(&mut self) -> Option<&'a [u8]> {
        let word = self.words.get(self.next).copied()?;
        self.next += 1;
        Some(word)
    }

    /// Whether the next word looks like an option.
    fn is_option_next(&self) -> bool {
        let next = self.words.get(self.next).copied();
        next.is_some_and(|w| w.len() > 1 && w.starts_with(b"-") && w != b"--")
    }

    /// The next word, when it does not look like an option.
    fn take_plain(&mut self) -> Option<&'a [u8]> {
        let word = self.words.get(self.next)?;
        if matches!(word.first(), Some(b'-' | b'!')) {
            return None;
        }
        self.take()
    }
}

/// Reads the words after the program's name into `args`. On failure `args` holds what came before, its
/// warnings among it.
pub fn parse(words: &[&[u8]], args: &mut Args) -> Result<(), Fail> {
    let mut words = Words { words, next: 0, repeats: Repeats::default() };
    while let Some(word) = words.take() {
        match word {
            b"!" if words.is_option_next() => args.negates_next = true,
            // What comes behind it is no option, and so belongs to none.
            b"--" => {
                while let Some(word) = words.take() {
                    args.stray.push(word.to_vec());
                }
            }
            [b'-', b'-', long @ ..] => parse_long(word, long, &mut words, args)?,
            [b'-', cluster @ ..] if !cluster.is_empty() => parse_cluster(word, cluster, &mut words, args)?,
            _ => args.stray.push(word.to_vec()),
        }
    }
    late::resolve(&mut words, args)?;
    stray::warn(args);
    words.repeats.say(args);
    Ok(())
}

fn parse_long(word: &[u8], long: &[u8], words: &mut Words<'_>, args: &mut Args) -> Result<(), Fail> {
    let equals = long.iter().position(|b| *b == b'=');
    let (name, value) = match equals {
        Some(at) => (&long[..at], Some(&long[at + 1..])),
        None => (long, None),
    };
    match find_long(name, args) {
        Some(meaning) => apply(meaning, value, word, words, args),
        None => late::defer(name, value, word, words, args),
    }
}

fn parse_cluster(word: &[u8], cluster: &[u8], words: &mut Words<'_>, args: &mut Args) -> Result<(), Fail> {
    for (at, letter) in cluster.iter().enumerate() {
        let rest = Some(&cluster[at + 1..]).filter(|r| !r.is_empty());
        let meaning = find_short(*letter).ok_or_else(|| unknown(word))?;
        match meaning {
            // -C takes what is glued to it, the others leave it to be read as letters.
            Meaning::Command(c) if rest.is_some() && c.short != b'C' => {
                // A table name is the next word, and this word goes on.
                set_command(c, None, args)?;
            }
            Meaning::Flag(Flag { takes: Takes::Nothing(_), .. }) => apply(meaning, None, word, words, args)?,
            _ => return apply(meaning, rest, word, words, args),
        }
    }
    Ok(())
}

pub(super) fn unknown(word: &[u8]) -> Fail {
    Fail::word("unknown option `", word, "'")
}

/// What letters and names mean: made once, looked up for every word of every line of a batch file.
struct Index {
    letters: [Option<Meaning>; 128],
    /// Commands and the options that need no protocol.
    names: Names,
    /// The options of each protocol, by its number.
    protocols: Vec<(u8, Names)>,
}

/// Names in order, for abbreviations, and by a hash, for those that are written out.
#[derive(Default)]
struct Names {
    sorted: Vec<Name>,
    /// Places in `sorted` plus one, 0 for none; collisions go to the next.
    table: Vec<u8>,
}

impl Names {
    fn new(names: impl Iterator<Item = Name>) -> Names {
        let mut sorted: Vec<Name> = names.collect();
        sorted.sort_unstable_by_key(|(name, _)| *name);
        let mut table = vec![0; (sorted.len() * 4).next_power_of_two()];
        for (at, (name, _)) in sorted.iter().enumerate() {
            let mut slot = hash(name) & (table.len() - 1);
            while table[slot] != 0 {
                slot = (slot + 1) & (table.len() - 1);
            }
            table[slot] = at as u8 + 1;
        }
        Names { sorted, table }
    }

    fn exact(&self, name: &[u8]) -> Option<Meaning> {
        let mut slot = hash(name) & (self.table.len() - 1);
        loop {
            // There are always free slots: the table is at least four times as long as the list.
            let at = usize::from(self.table[slot]).checked_sub(1)?;
            let (candidate, meaning) = self.sorted[at];
            if candidate == name {
                return Some(meaning);
            }
            slot = (slot + 1) & (self.table.len() - 1);
        }
    }
}

/// Any mixture that tells names apart which begin alike.
fn hash(name: &[u8]) -> usize {
    name.iter().fold(0usize, |h, b| h.wrapping_mul(31).wrapping_add(usize::from(*b)))
}

type Name = (&'static [u8], Meaning);

impl Index {
    fn get() -> &'static Index {
        static INDEX: OnceLock<Index> = OnceLock::new();
        INDEX.get_or_init(|| {
            let mut letters = [None; 128];
            let mut set = |letter: u8, meaning| letters[usize::from(letter & 127)] = Some(meaning);
            COMMANDS.iter().for_each(|c| set(c.short, Meaning::Command(c)));
            // Options without a letter of their own answer to the sign that messages call them.
            FLAGS.iter().filter(|f| f.letter != 0).for_each(|f| set(f.letter, Meaning::Flag(f)));
            let commands = COMMANDS.iter().map(|c| (c.long.as_bytes(), Meaning::Command(c)));
            let names = Names::new(commands.chain(flag_names(FLAGS.iter())));
            let protocols = PROTOCOLS.iter().map(|p| (p.num, Names::new(flag_names(p.flags())))).collect();
            Index { letters, names, protocols }
        })
    }

    fn protocol(&self, num: u8) -> Option<&Names> {
        self.protocols.iter().find(|(n, _)| *n == num).map(|(_, names)| names)
    }
}

fn flag_names(flags: impl Iterator<Item = &'static Flag>) -> impl Iterator<Item = Name> {
    flags.flat_map(|f| f.names.iter().map(move |n| (n.as_bytes(), Meaning::Flag(f))))
}

fn find_short(letter: u8) -> Option<Meaning> {
    *Index::get().letters.get(usize::from(letter))?
}

/// True for the beginning of names that need no protocol.
pub(super) fn begins_general(name: &[u8]) -> bool {
    let sorted = &Index::get().names.sorted;
    sorted.get(sorted.partition_point(|(n, _)| *n < name)).is_some_and(|(n, _)| n.starts_with(name))
}

/// An exact name, or the beginning of names that all mean the same.
pub(super) fn find_long(name: &[u8], args: &Args) -> Option<Meaning> {
    let index = Index::get();
    let protocol = args.protocol.filter(|p| p.has_options).and_then(|p| index.protocol(p.num));
    let both = || std::iter::once(&index.names).chain(protocol);
    if let Some(meaning) = both().find_map(|names| names.exact(name)) {
        return Some(meaning);
    }
    let mut longer = both().flat_map(|names| {
        let from = names.sorted.partition_point(|(n, _)| *n < name);
        names.sorted[from..].iter().take_while(|(n, _)| n.starts_with(name))
    });
    let (_, first) = longer.next()?;
    longer.all(|(_, meaning)| first.same(*meaning)).then_some(*first)
}

pub(super) fn apply(
    meaning: Meaning,
    attached: Option<&[u8]>,
    word: &[u8],
    words: &mut Words<'_>,
    args: &mut Args,
) -> Result<(), Fail> {
    let negated = std::mem::take(&mut args.negates_next);
    let flag = match meaning {
        Meaning::Command(_) if negated => return Err(negation::refused(word)),
        Meaning::Flag(f) if negated && !f.id.can_be_negated() => return Err(negation::refused(word)),
        Meaning::Command(c) if c.takes_table || attached.is_none() => {
            let table = attached.or_else(|| words.take_plain());
            return set_command(c, table, args);
        }
        Meaning::Command(_) => return Err(unknown(word)),
        Meaning::Flag(f) => f,
    };
    match flag.takes {
        Takes::Nothing(_) if attached.is_some() => return Err(unknown(word)),
        Takes::Nothing(set) => set(args),
        Takes::Value(_, set) => {
            let value = attached.or_else(|| words.take());
            let Some(value) = value else {
                return Err(Fail::word("option `", word, "' requires an argument"));
            };
            let counts = negation::set(flag.id, args, value, negated, set)?;
            counts.inspect(|v| words.repeats.note(flag, v));
        }
        Takes::Maybe(_, set) => match attached.or_else(|| words.take_plain()) {
            Some(value) => {
                let counts = negation::set(flag.id, args, value, negated, |a, v| set(a, Some(v)))?;
                counts.inspect(|v| words.repeats.note(flag, v));
            }
            None if negated => negation::exclude(flag.id, args, b"", |a, _| set(a, None))?,
            None => set(args, None)?,
        },
    }
    if flag.id != Id::NatRange {
        args.given.add(flag.id);
    }
    Ok(())
}

fn set_command(command: &Command, table: Option<&[u8]>, args: &mut Args) -> Result<(), Fail> {
    let table = table.map_or(Ok(Table::Conntrack), Table::parse)?;
    table.check(command.cmd)?;
    // In this order in the original too: a bad table word is named first.
    if args.action.is_some() {
        return Err(Fail::usage("Invalid commands combination"));
    }
    args.action = Some((command.cmd, table));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::command::Cmd;

    fn of(line: &str) -> Result<Args, Fail> {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let mut args = Args::default();
        parse(&words, &mut args).map(|()| args)
    }

    fn message(line: &str) -> String {
        String::from_utf8(of(line).unwrap_err().text).unwrap()
    }

    #[test]
    fn commands_and_their_tables() {
        for (line, want) in [
            ("-L", (Cmd::List, Table::Conntrack)),
            ("--dump exp", (Cmd::List, Table::Expect)),
            ("--dump=expect", (Cmd::List, Table::Expect)),
            ("-zL d", (Cmd::List, Table::Dying)),
            ("-Lz", (Cmd::List, Table::Conntrack)),
            ("-L -o xml expect", (Cmd::List, Table::Conntrack)),
            ("-Cexpect", (Cmd::Count, Table::Expect)),
            ("--count", (Cmd::Count, Table::Conntrack)),
            ("stray -S -- -D", (Cmd::Stats, Table::Conntrack)),
        ] {
            assert_eq!(of(line).unwrap().action, Some(want), "{line}");
        }
        assert_eq!(message("-L -D"), "Invalid commands combination");
        assert_eq!(message("-L foo"), "unknown type `foo'");
        assert_eq!(message("-L -D foo"), "unknown type `foo'");
        assert_eq!(message("--stats=foo"), "unknown option `--stats=foo'");
    }

    #[test]
    fn abbreviations_depend_on_the_protocol() {
        assert!(of("-L --sta").is_err(), "stats or status");
        assert!(of("-L --stat").is_err());
        assert_eq!(of("-L --statu ASSURED").unwrap().status.unwrap().set, 4);
        assert!(of("-L --state ESTABLISHED").is_err(), "unknown without -p");
        assert_eq!(of("-L -p tcp --state ESTABLISHED").unwrap().states.as_slice(), [3]);
        assert_eq!(of("-L -p tcp --orig-port-s 5").unwrap().orig_ports.src, Some(5));
        assert_eq!(message("-L -p 6x"), "`6x' unsupported protocol");
        assert!(of("-L -p ipv6-icmp --icmpv6-type 1").is_err(), "a name of the database has no options");
        assert_eq!(of("-L --label x").unwrap().labels, [b"x"]);
    }

    #[test]
    fn options_of_a_protocol_may_come_before_it() {
        let ports = |line| of(line).unwrap().orig_ports;
        assert_eq!(ports("-L --dport 5 -p udp").dst, Some(5));
        assert_eq!(ports("-L --orig-port-d=5 --sport 6 -p tcp").src, Some(6));
        assert_eq!(of("--state TIME_WAIT -L -p tcp").unwrap().states.as_slice(), [7]);
        assert_eq!(of("--icmp-type 8 -p icmp -L").unwrap().icmp_type, Some(8));
        assert_eq!(of("-L ! --dport 5 -p udp").unwrap().not[0].orig_ports.dst, Some(5));
        assert_eq!(
            message("-L --dport 5"),
            "unknown option `--dport'; it needs -p with one of: tcp, udp, udplite, sctp, dccp"
        );
        assert_eq!(
            message("-L --icmp-type 8 -p tcp"),
            "unknown option `--icmp-type'; it needs -p with one of: icmp"
        );
        assert_eq!(message("-L -p icmp --role c"), "unknown option `--role'; it needs -p with one of: dccp");
        assert_eq!(message("-L -p tcp --s 5"), message("-L --s 5 -p tcp").split(';').next().unwrap());
        assert_eq!(message("-L --foo 8 -p tcp"), "unknown option `--foo'");
        assert_eq!(message("-L --dport"), message("-L --dport 5"));
    }

    #[test]
    fn values() {
        assert!(of("-L -oxml").unwrap().output.xml);
        assert_eq!(of("-L -n 1.2.3.4").unwrap().src_nat.flatten().unwrap().port, None);
        assert_eq!(of("-L -n -f ipv4").unwrap().src_nat, Some(None));
        assert_eq!(of("-L --src-nat=1.2.3.4:5").unwrap().src_nat.flatten().unwrap().port, Some(5));
        assert_eq!(of("-U -n1.2.3.4").unwrap().src_nat.flatten().unwrap().port, None);
        assert_eq!(of("-U --label-del=a,b").unwrap().label_del, [b"a", b"b"]);
        assert_eq!(of("-L -n 1.2.3.4 -n").unwrap().src_nat.flatten().unwrap().addr.bytes(), [1, 2, 3, 4]);
        let twice = of("-L -g 1.2.3.4:5 -g 2.2.2.2").unwrap().dst_nat.flatten().unwrap();
        assert_eq!((twice.addr.bytes(), twice.port), (&[2, 2, 2, 2][..], Some(5)));
        let masks = |line| of(line).unwrap().mask_src.map(|m| m.bytes().to_vec());
        assert_eq!(masks("-L -s 1.1.1.1/8 -s 2.2.2.2"), Some(vec![255, 0, 0, 0]));
        assert_eq!(masks("-L --mask-src 255.0.0.0 -s 1.1.1.1/16"), Some(vec![255, 255, 0, 0]));
        assert_eq!(masks("-L -s 1.1.1.1/8,2.2.2.2"), None);
        assert_eq!(of("-L -( 7").unwrap().orig_zone, Some(7));
        assert_eq!(message("-L -s"), "option `-s' requires an argument");
        assert_eq!(message("-Ls"), "option `-Ls' requires an argument");
        assert_eq!(message("-L -s 1.1.1.1 -s 2001::1"), "mismatched address family");
        assert_eq!(message("-xL"), "unknown option `-xL'");
        assert_eq!(of("-L -s 1.1.1.1 -s 2.2.2.2").unwrap().orig_src.unwrap().addr.bytes(), [2, 2, 2, 2]);
        assert_eq!(of("-L -e").unwrap_err().code(), 2);
        assert!(!of("-L -a foo").unwrap().given.has(Id::NatRange));
    }
}
