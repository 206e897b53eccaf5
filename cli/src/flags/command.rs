//! The commands and the tables they work on (command-line.md §1).

use crate::fail::Fail;

/// What the command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cmd {
    /// `-L`
    List,
    /// `-G`
    Get,
    /// `-D`
    Delete,
    /// `-I`
    Create,
    /// `-A`
    Add,
    /// `-U`
    Update,
    /// `-E`
    Event,
    /// `-F`
    Flush,
    /// `-C`
    Count,
    /// `-S`
    Stats,
    /// `-h`
    Help,
    /// `-V`
    Version,
}

/// The table it works on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Table {
    /// Flows.
    #[default]
    Conntrack,
    /// Expectations.
    Expect,
    /// Flows whose end has not been reported yet.
    Dying,
    /// Flows that are not in the table yet.
    Unconfirmed,
}

/// A command with its names and texts.
#[derive(Debug)]
pub struct Command {
    /// Which command it is.
    pub cmd: Cmd,
    /// Its letter, without the hyphen.
    pub short: u8,
    /// Its long name, without the hyphens.
    pub long: &'static str,
    /// True when a value may be attached (`--dump=expect`, `-Cexpect`): the table.
    pub takes_table: bool,
    /// The tables it works on, as help shows them.
    pub tables: &'static str,
    /// One line for `--help` and completions.
    pub brief: &'static str,
    /// A paragraph for the man page.
    pub manual: &'static str,
}

/// All commands, in the order of `--help`.
pub static COMMANDS: &[Command] = &[
    Command {
        cmd: Cmd::List,
        short: b'L',
        long: "dump",
        takes_table: true,
        tables: "[conntrack|expect|dying|unconfirmed]",
        brief: "list the table",
        manual: "Lists the flows that match the given options, in the order of the kernel's hash table; for \
                 expect, the expectations of one family (IPv4 unless -f says otherwise). dying lists flows \
                 that have ended while their event waits for delivery, unconfirmed those whose first packet \
                 is still on its way (always empty since Linux 5.19).",
    },
    Command {
        cmd: Cmd::Get,
        short: b'G',
        long: "get",
        takes_table: true,
        tables: "[conntrack|expect]",
        brief: "show one entry, asked for by its tuple",
        manual: "Asks the kernel for the one flow with the given addresses, protocol and ports.",
    },
    Command {
        cmd: Cmd::Delete,
        short: b'D',
        long: "delete",
        takes_table: true,
        tables: "[conntrack|expect]",
        brief: "delete matching entries",
        manual: "Deletes the flows that match the given options, and shows them. Without a selection it is \
                 refused: --all deletes all of them. Called as conntrack, it deletes all of them, as the \
                 original does, and says so.",
    },
    Command {
        cmd: Cmd::Create,
        short: b'I',
        long: "create",
        takes_table: true,
        tables: "[conntrack|expect]",
        brief: "create an entry; it must not exist yet",
        manual: "Creates a flow, or an expectation of an existing flow.",
    },
    Command {
        cmd: Cmd::Add,
        short: b'A',
        long: "add",
        takes_table: true,
        tables: "[conntrack]",
        brief: "create an entry, or update the one that exists",
        manual: "Like -I, but a flow that exists already is changed where it differs; see ENTRIES THAT EXIST.",
    },
    Command {
        cmd: Cmd::Update,
        short: b'U',
        long: "update",
        takes_table: true,
        tables: "[conntrack]",
        brief: "change mark, timeout, status, state or labels of matching entries",
        manual: "Changes the flows that match the given options, and shows those that were changed. With -t 0 \
                 they end.",
    },
    Command {
        cmd: Cmd::Event,
        short: b'E',
        long: "event",
        takes_table: true,
        tables: "[conntrack|expect]",
        brief: "show events as they happen, until SIGINT or SIGTERM",
        manual: "Shows flows as they are created, change and end. Lines appear as soon as there is nothing \
                 more to read. When the kernel had to drop events, their number is shown; -b makes room for \
                 more.",
    },
    Command {
        cmd: Cmd::Flush,
        short: b'F',
        long: "flush",
        takes_table: true,
        tables: "[conntrack|expect]",
        brief: "delete everything",
        manual: "Empties the table; with -f only the entries of that family.",
    },
    Command {
        cmd: Cmd::Count,
        short: b'C',
        long: "counter",
        takes_table: true,
        tables: "[conntrack|expect]",
        brief: "show the number of entries, or of those that match",
        manual: "Shows the number of flows, or of IPv4 expectations. With a selection, the number of flows that match \
                 it, which may be 0.",
    },
    Command {
        cmd: Cmd::Stats,
        short: b'S',
        long: "stats",
        takes_table: false,
        tables: "[conntrack|expect]",
        brief: "show statistics per CPU",
        manual: "Shows the kernel's counters, one line a CPU.",
    },
    Command {
        cmd: Cmd::Help,
        short: b'h',
        long: "help",
        takes_table: false,
        tables: "",
        brief: "show this text; with -p, the options of that protocol",
        manual: "Shows a summary of the options.",
    },
    Command {
        cmd: Cmd::Version,
        short: b'V',
        long: "version",
        takes_table: false,
        tables: "",
        brief: "show the version",
        manual: "Shows the version, and the release of the original it stands in for.",
    },
];

impl Table {
    /// Reads a table word, which may be the beginning of a name. The first name that fits counts.
    pub fn parse(word: &[u8]) -> Result<Table, Fail> {
        let names = [
            ("expect", Table::Expect),
            ("conntrack", Table::Conntrack),
            ("dying", Table::Dying),
            ("unconfirmed", Table::Unconfirmed),
        ];
        let found = names.iter().find(|(name, _)| name.as_bytes().starts_with(word));
        found.map(|(_, table)| *table).ok_or_else(|| Fail::word("unknown type `", word, "'"))
    }

    /// Refuses tables on which the command does not work.
    pub fn check(self, cmd: Cmd) -> Result<(), Fail> {
        match (self, cmd) {
            (Table::Dying | Table::Unconfirmed, c) if c != Cmd::List => {
                Err(Fail::usage("Can't do that command with tables `dying' and `unconfirmed'"))
            }
            (Table::Expect, Cmd::Update) => Err(Fail::usage("Can't do --update on expectations")),
            (Table::Expect, Cmd::Add) => Err(Fail::usage("Can't do --add on expectations")),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginnings_of_table_names() {
        for (word, want) in [
            ("", Table::Expect),
            ("e", Table::Expect),
            ("c", Table::Conntrack),
            ("d", Table::Dying),
            ("unconfirmed", Table::Unconfirmed),
        ] {
            assert_eq!(Table::parse(word.as_bytes()), Ok(want), "{word}");
        }
        assert_eq!(Table::parse(b"expects"), Err(Fail::usage("unknown type `expects'")));
    }

    #[test]
    fn names_are_unique() {
        for (i, a) in COMMANDS.iter().enumerate() {
            assert!(COMMANDS[..i].iter().all(|b| a.short != b.short && a.long != b.long && a.cmd != b.cmd));
        }
    }
}
