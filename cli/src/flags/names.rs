//! What a letter or a long name means, whether written out or abbreviated.

use super::args::Args;
use super::command::{COMMANDS, Command};
use super::flag::Flag;
use super::protocol::PROTOCOLS;
use super::table::FLAGS;
use std::sync::OnceLock;

/// Something a word can mean.
#[derive(Clone, Copy, Debug)]
pub(super) enum Meaning {
    Command(&'static Command),
    Flag(&'static Flag),
}

impl Meaning {
    fn is_ours(self) -> bool {
        matches!(self, Meaning::Flag(f) if f.id.is_ours())
    }

    fn same(self, other: Meaning) -> bool {
        match (self, other) {
            (Meaning::Command(a), Meaning::Command(b)) => a.cmd == b.cmd,
            (Meaning::Flag(a), Meaning::Flag(b)) => a.id == b.id,
            _ => false,
        }
    }
}

/// Names in order, for abbreviations, and by hash, for names that are written out.
#[derive(Default)]
struct Names {
    sorted: Vec<Spelling>,
    /// Indices into `sorted` plus one, 0 for an empty slot; a collision takes the next slot.
    table: Vec<u8>,
}

impl Names {
    fn new(names: impl Iterator<Item = Spelling>) -> Names {
        let mut sorted: Vec<Spelling> = names.collect();
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

/// Any hash will do that tells apart names with the same beginning.
fn hash(name: &[u8]) -> usize {
    name.iter().fold(0usize, |h, b| h.wrapping_mul(31).wrapping_add(usize::from(*b)))
}

type Spelling = (&'static [u8], Meaning);

// Each index is made when it is first asked: a batch file asks for every word of every line, other command
// lines often for letters alone.

/// What letters mean.
fn letters() -> &'static [Option<Meaning>; 128] {
    static LETTERS: OnceLock<[Option<Meaning>; 128]> = OnceLock::new();
    LETTERS.get_or_init(|| {
        let mut letters = [None; 128];
        let mut set = |letter: u8, meaning| letters[usize::from(letter & 127)] = Some(meaning);
        COMMANDS.iter().for_each(|c| set(c.short, Meaning::Command(c)));
        // Options without a letter of their own can be given by the sign that messages use for them.
        FLAGS.iter().filter(|f| f.letter != 0).for_each(|f| set(f.letter, Meaning::Flag(f)));
        letters
    })
}

/// Commands and the options that need no protocol.
fn general() -> &'static Names {
    static NAMES: OnceLock<Names> = OnceLock::new();
    NAMES.get_or_init(|| {
        let commands = COMMANDS.iter().map(|c| (c.long.as_bytes(), Meaning::Command(c)));
        Names::new(commands.chain(flag_names(FLAGS.iter())))
    })
}

/// The options of a protocol.
fn of_protocol(num: u8) -> Option<&'static Names> {
    static NAMES: [OnceLock<Names>; PROTOCOLS.len()] = [const { OnceLock::new() }; PROTOCOLS.len()];
    let (protocol, names) = PROTOCOLS.iter().zip(&NAMES).find(|(p, _)| p.num == num)?;
    Some(names.get_or_init(|| Names::new(flag_names(protocol.flags()))))
}

fn flag_names(flags: impl Iterator<Item = &'static Flag>) -> impl Iterator<Item = Spelling> {
    flags.flat_map(|f| f.names.iter().map(move |n| (n.as_bytes(), Meaning::Flag(f))))
}

/// The meaning of a letter.
pub(super) fn find_short(letter: u8) -> Option<Meaning> {
    *letters().get(usize::from(letter))?
}

/// True for the beginning of a name that needs no protocol.
pub(super) fn begins_general(name: &[u8]) -> bool {
    let sorted = &general().sorted;
    sorted.get(sorted.partition_point(|(n, _)| *n < name)).is_some_and(|(n, _)| n.starts_with(name))
}

/// An exact name, or the beginning of names that all mean the same.
pub(super) fn find_long(name: &[u8], args: &Args) -> Option<Meaning> {
    let protocol = args.protocol.filter(|p| p.has_options).and_then(|p| of_protocol(p.num));
    let both = || std::iter::once(general()).chain(protocol);
    if let Some(meaning) = both().find_map(|names| names.exact(name)) {
        return Some(meaning);
    }
    let longer = |ours: bool| {
        let longer = both().flat_map(|names| {
            let from = names.sorted.partition_point(|(n, _)| *n < name);
            names.sorted[from..].iter().take_while(|(n, _)| n.starts_with(name))
        });
        longer.map(|(_, meaning)| *meaning).filter(move |m| m.is_ours() == ours)
    };
    // An option that only zct has takes no abbreviation away from those of the original: --b is
    // --buffer-size.
    let (first, mut others) = match longer(false).next() {
        Some(first) => (first, longer(false)),
        None => (longer(true).next()?, longer(true)),
    };
    others.all(|meaning| first.same(meaning)).then_some(first)
}
