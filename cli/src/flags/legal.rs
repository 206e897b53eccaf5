//! The columns of the table of options: the commands, and whether each of them takes an option.

use super::command::{Cmd, Table};

/// Whether a command takes an option.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rule {
    /// It is refused.
    #[default]
    Illegal,
    /// It may be given.
    May,
    /// It has to be given.
    Must,
    /// It is one of two pairs, of which one has to be given completely: source and destination of the
    /// original direction, or of the reply direction.
    Pair,
}

/// The commands that take options, one per column. Commands that are not here take none.
pub const COLUMNS: [(Cmd, Table); 15] = [
    (Cmd::List, Table::Conntrack),
    (Cmd::Create, Table::Conntrack),
    (Cmd::Add, Table::Conntrack),
    (Cmd::Update, Table::Conntrack),
    (Cmd::Delete, Table::Conntrack),
    (Cmd::Get, Table::Conntrack),
    (Cmd::Flush, Table::Conntrack),
    (Cmd::Event, Table::Conntrack),
    (Cmd::Count, Table::Conntrack),
    (Cmd::Help, Table::Conntrack),
    (Cmd::List, Table::Expect),
    (Cmd::Create, Table::Expect),
    (Cmd::Delete, Table::Expect),
    (Cmd::Get, Table::Expect),
    (Cmd::Event, Table::Expect),
];

/// The letters of the commands of [`COLUMNS`], in the same order: on flows, on expectations.
const LETTERS: [&[u8]; 2] = [b"LIAUDGFECh", b"LIDGE"];

/// The rule of every column for one option.
///
/// Commands are named by the letters that a user types: an option with
/// `Legal::NOWHERE.may("LD").expect_must("I")` may be given with `-L` and `-D`, must be given with `-I
/// expect`, and is refused by all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Legal([Rule; COLUMNS.len()]);

impl Legal {
    /// Refused by every command.
    pub const NOWHERE: Legal = Legal([Rule::Illegal; COLUMNS.len()]);
    /// Taken by every command that takes options.
    pub const ANYWHERE: Legal = Legal([Rule::May; COLUMNS.len()]);

    /// The rule of this column; an unknown column refuses the option.
    pub fn rule(&self, column: usize) -> Rule {
        self.0.get(column).copied().unwrap_or_default()
    }

    /// It may be given with these commands on flows.
    pub const fn may(self, commands: &str) -> Legal {
        self.with(0, commands, Rule::May)
    }

    /// It must be given with these commands on flows.
    pub const fn must(self, commands: &str) -> Legal {
        self.with(0, commands, Rule::Must)
    }

    /// It is one of a pair with these commands on flows.
    pub const fn pair(self, commands: &str) -> Legal {
        self.with(0, commands, Rule::Pair)
    }

    /// It may be given with these commands on expectations.
    pub const fn expect_may(self, commands: &str) -> Legal {
        self.with(1, commands, Rule::May)
    }

    /// It must be given with these commands on expectations.
    pub const fn expect_must(self, commands: &str) -> Legal {
        self.with(1, commands, Rule::Must)
    }

    /// Sets the rule of these commands. It does not compile if a letter is not a command's, or if its
    /// command has a rule already.
    const fn with(mut self, table: usize, commands: &str, rule: Rule) -> Legal {
        let commands = commands.as_bytes();
        let mut i = 0;
        while i < commands.len() {
            let letters = LETTERS[table];
            let mut at = 0;
            while letters[at] != commands[i] {
                at += 1;
            }
            let column = if table == 0 { at } else { LETTERS[0].len() + at };
            assert!(matches!(self.0[column], Rule::Illegal), "one rule a command");
            self.0[column] = rule;
            i += 1;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::command::COMMANDS;

    #[test]
    fn the_letters_are_those_of_the_columns() {
        let letters = LETTERS.concat();
        assert_eq!(letters.len(), COLUMNS.len());
        for ((cmd, _), letter) in COLUMNS.iter().zip(&letters) {
            let command = COMMANDS.iter().find(|c| c.cmd == *cmd).unwrap();
            assert_eq!(command.short, *letter, "{cmd:?}");
        }
        let split = LETTERS[0].len();
        assert!(COLUMNS[..split].iter().all(|(_, table)| *table == Table::Conntrack));
        assert!(COLUMNS[split..].iter().all(|(_, table)| *table == Table::Expect));
    }

    #[test]
    fn letters_name_their_columns() {
        let legal = Legal::NOWHERE.may("Lh").must("I").pair("G").expect_may("L").expect_must("E");
        let rules: Vec<Rule> = (0..COLUMNS.len()).map(|c| legal.rule(c)).collect();
        let at = |cmd, table| rules[COLUMNS.iter().position(|c| *c == (cmd, table)).unwrap()];
        assert_eq!(at(Cmd::List, Table::Conntrack), Rule::May);
        assert_eq!(at(Cmd::Help, Table::Conntrack), Rule::May);
        assert_eq!(at(Cmd::Create, Table::Conntrack), Rule::Must);
        assert_eq!(at(Cmd::Get, Table::Conntrack), Rule::Pair);
        assert_eq!(at(Cmd::List, Table::Expect), Rule::May);
        assert_eq!(at(Cmd::Event, Table::Expect), Rule::Must);
        assert_eq!(rules.iter().filter(|r| **r == Rule::Illegal).count(), COLUMNS.len() - 6);
        assert_eq!(legal.rule(COLUMNS.len()), Rule::Illegal);
    }
}
