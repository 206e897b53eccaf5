//! All that nfct can do: the one table behind its parsing, help, man page and completions.

/// What the command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NfctCmd {
    /// `list`
    List,
    /// `add`
    Add,
    /// `delete`
    Delete,
    /// `get`
    Get,
    /// `flush`
    Flush,
    /// `disable`
    Disable,
    /// `default-set`
    DefaultSet,
    /// `default-get`
    DefaultGet,
}

/// The words for the commands. They may be shortened, and the first row that fits counts: `d` is delete,
/// `def` is default-set.
pub static COMMANDS: &[(NfctCmd, &str)] = &[
    (NfctCmd::List, "list"),
    (NfctCmd::Add, "add"),
    (NfctCmd::Delete, "delete"),
    (NfctCmd::Get, "get"),
    (NfctCmd::Flush, "flush"),
    (NfctCmd::Disable, "disable"),
    (NfctCmd::DefaultSet, "default-set"),
    (NfctCmd::DefaultGet, "default-get"),
];

/// What the command works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subsystem {
    /// Timeout policies and defaults.
    Timeout,
    /// Helpers in user space.
    Helper,
    /// Not a subsystem of the kernel, but written in the place of one.
    Version,
}

/// The words for the subsystems, which may be shortened like those of [`COMMANDS`].
pub static SUBSYSTEMS: &[(Subsystem, &str)] =
    &[(Subsystem::Timeout, "timeout"), (Subsystem::Helper, "helper"), (Subsystem::Version, "version")];

/// The command a word stands for.
pub fn command(word: &[u8]) -> Option<NfctCmd> {
    COMMANDS.iter().find(|(_, name)| name.as_bytes().starts_with(word)).map(|(cmd, _)| *cmd)
}

/// The subsystem a word stands for.
pub fn subsystem(word: &[u8]) -> Option<Subsystem> {
    SUBSYSTEMS.iter().find(|(_, name)| name.as_bytes().starts_with(word)).map(|(subsystem, _)| *subsystem)
}

/// What the message says when words are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// The syntax of the command.
    Syntax,
    /// That the name is missing.
    Name,
}

/// What a row does: there is one for every pair of command and subsystem that exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the rows say what they are
pub enum Task {
    ListTimeouts,
    AddTimeout,
    DeleteTimeout,
    GetTimeout,
    FlushTimeouts,
    SetDefault,
    GetDefault,
    ListHelpers,
    AddHelper,
    DeleteHelper,
    GetHelper,
    DisableHelper,
    FlushHelpers,
}

/// One command of one subsystem.
#[derive(Debug)]
pub struct Row {
    /// The command.
    pub cmd: NfctCmd,
    /// The subsystem.
    pub subsystem: Subsystem,
    /// The words after those two, as help and the message for [`Missing::Syntax`] show them.
    pub params: &'static str,
    /// The least number of these words.
    pub min: usize,
    /// The greatest number of these words; `None` allows any. Where the syntax has no place for further
    /// words, the original ignores them, and so do we, because scripts may have them.
    pub max: Option<usize>,
    /// What the message says when there are fewer than [`Row::min`].
    pub missing: Missing,
    /// One line for help and completions.
    pub brief: &'static str,
    /// A paragraph for the man page.
    pub manual: &'static str,
    /// What the row does.
    pub task: Task,
}

impl Row {
    /// The row of this command and subsystem.
    pub fn find(cmd: NfctCmd, subsystem: Subsystem) -> Option<&'static Row> {
        ROWS.iter().find(|r| r.cmd == cmd && r.subsystem == subsystem)
    }

    /// The word for the command.
    pub fn command(&self) -> &'static str {
        COMMANDS.iter().find(|(cmd, _)| *cmd == self.cmd).map_or("", |(_, name)| name)
    }

    /// The word for the subsystem.
    pub fn subsystem(&self) -> &'static str {
        SUBSYSTEMS.iter().find(|(subsystem, _)| *subsystem == self.subsystem).map_or("", |(_, name)| name)
    }

    /// The syntax of the row: command, subsystem and parameters.
    pub fn syntax(&self) -> String {
        format!("{} {} {}", self.command(), self.subsystem(), self.params).trim_end().to_owned()
    }
}

/// All rows, in the order of help.
pub static ROWS: &[Row] = &[
    Row {
        cmd: NfctCmd::List,
        subsystem: Subsystem::Timeout,
        params: "",
        min: 0,
        max: Some(0),
        missing: Missing::Syntax,
        brief: "show all policies",
        manual: "Shows every timeout policy of the network namespace with its family, its protocol and the \
                 timeout of each state in seconds.",
        task: Task::ListTimeouts,
    },
    Row {
        cmd: NfctCmd::Add,
        subsystem: Subsystem::Timeout,
        params: "name family protocol state1 timeout1 ...",
        min: 3,
        max: None,
        missing: Missing::Syntax,
        brief: "create a policy",
        manual: "Creates a timeout policy. At least one state and its timeout are needed; states \
                 that are not given take the default they have at that moment. A policy of that name must \
                 not exist. Names have up to 31 bytes. Rules attach it to flows: iptables -t raw ... -j CT \
                 --timeout NAME.",
        task: Task::AddTimeout,
    },
    Row {
        cmd: NfctCmd::Delete,
        subsystem: Subsystem::Timeout,
        params: "name",
        min: 1,
        max: Some(1),
        missing: Missing::Name,
        brief: "delete a policy that no rule uses",
        manual: "Deletes one timeout policy. It fails while a rule uses it.",
        task: Task::DeleteTimeout,
    },
    Row {
        cmd: NfctCmd::Get,
        subsystem: Subsystem::Timeout,
        params: "name",
        min: 1,
        max: Some(1),
        missing: Missing::Name,
        brief: "show one policy",
        manual: "Shows one timeout policy.",
        task: Task::GetTimeout,
    },
    Row {
        cmd: NfctCmd::Flush,
        subsystem: Subsystem::Timeout,
        params: "",
        min: 0,
        max: Some(0),
        missing: Missing::Syntax,
        brief: "delete all policies that no rule uses",
        manual: "Deletes every timeout policy that no rule uses. The others stay, and nothing is said about \
                 them.",
        task: Task::FlushTimeouts,
    },
    Row {
        cmd: NfctCmd::DefaultSet,
        subsystem: Subsystem::Timeout,
        params: "family protocol state1 timeout1...",
        min: 3,
        max: None,
        missing: Missing::Syntax,
        brief: "change the defaults of a protocol",
        manual: "Changes timeouts of flows without a policy: the given states of the protocol, in this \
                 network namespace. They are the values of the net.netfilter.nf_conntrack_*_timeout* \
                 sysctls.",
        task: Task::SetDefault,
    },
    Row {
        cmd: NfctCmd::DefaultGet,
        subsystem: Subsystem::Timeout,
        params: "family protocol",
        min: 2,
        max: None,
        missing: Missing::Syntax,
        brief: "show the defaults of a protocol",
        manual: "Shows the timeouts of flows without a policy.",
        task: Task::GetDefault,
    },
    Row {
        cmd: NfctCmd::List,
        subsystem: Subsystem::Helper,
        params: "",
        min: 0,
        max: Some(0),
        missing: Missing::Syntax,
        brief: "show all helpers",
        manual: "Shows the stub of every userspace helper: its name, the netfilter queue its packets go to, \
                 family and protocol, the bytes of private data of a flow, and whether packets are queued.",
        task: Task::ListHelpers,
    },
    Row {
        cmd: NfctCmd::Add,
        subsystem: Subsystem::Helper,
        params: "name family protocol",
        min: 3,
        max: None,
        missing: Missing::Syntax,
        brief: "create the stub of a helper",
        manual: "Creates the stub of a helper that the daemon has, for one family and protocol, with the \
                 limits of its expectations. Packets are queued once the daemon attaches to it. One that \
                 exists takes these limits. It fails while the kernel's own helper of that name is loaded.",
        task: Task::AddHelper,
    },
    Row {
        cmd: NfctCmd::Delete,
        subsystem: Subsystem::Helper,
        params: "name [family [protocol]]",
        min: 1,
        max: Some(3),
        missing: Missing::Name,
        brief: "delete the stubs of a helper",
        manual: "Deletes the stubs of this name, if given only those of one family or of one family and \
                 protocol. It fails while one is in use.",
        task: Task::DeleteHelper,
    },
    Row {
        cmd: NfctCmd::Get,
        subsystem: Subsystem::Helper,
        params: "name [family [protocol]]",
        min: 1,
        max: Some(3),
        missing: Missing::Name,
        brief: "show a helper",
        manual: "Shows the first stub of this name, those of one family, or the one of a family and \
                 protocol.",
        task: Task::GetHelper,
    },
    Row {
        cmd: NfctCmd::Disable,
        subsystem: Subsystem::Helper,
        params: "name family protocol",
        min: 3,
        max: None,
        missing: Missing::Syntax,
        brief: "stop queueing packets to a helper",
        manual: "Stops queueing packets to user space; flows go on without the helper. The stub stays.",
        task: Task::DisableHelper,
    },
    Row {
        cmd: NfctCmd::Flush,
        subsystem: Subsystem::Helper,
        params: "",
        min: 0,
        max: Some(0),
        missing: Missing::Syntax,
        brief: "delete the stubs of all helpers",
        manual: "Deletes every stub that is not in use.",
        task: Task::FlushHelpers,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beginnings_of_words() {
        for (word, want) in [
            ("", Some(NfctCmd::List)),
            ("l", Some(NfctCmd::List)),
            ("d", Some(NfctCmd::Delete)),
            ("de", Some(NfctCmd::Delete)),
            ("def", Some(NfctCmd::DefaultSet)),
            ("default-g", Some(NfctCmd::DefaultGet)),
            ("di", Some(NfctCmd::Disable)),
            ("lists", None),
            ("List", None),
        ] {
            assert_eq!(command(word.as_bytes()), want, "{word}");
        }
        assert_eq!(subsystem(b""), Some(Subsystem::Timeout));
        assert_eq!(
            (subsystem(b"help"), subsystem(b"v")),
            (Some(Subsystem::Helper), Some(Subsystem::Version))
        );
        assert_eq!(subsystem(b"timeouts"), None);
    }

    #[test]
    fn every_row_is_there_once_and_has_its_words() {
        for (i, row) in ROWS.iter().enumerate() {
            let same = |r: &&Row| (r.cmd, r.subsystem) == (row.cmd, row.subsystem);
            assert_eq!(ROWS.iter().filter(same).count(), 1, "row {i}");
            assert!(ROWS[..i].iter().all(|r| r.task != row.task), "row {i}");
            assert!(!row.command().is_empty() && !row.subsystem().is_empty());
            assert!(row.max.is_none_or(|max| max >= row.min), "{}", row.syntax());
            assert!(!row.brief.is_empty() && row.manual.ends_with('.'), "{}", row.syntax());
            // Brackets and dots mark words that may be missing.
            let required = row.params.split(' ').filter(|w| !w.is_empty() && !w.contains(['[', '.', '1']));
            assert_eq!(
                required.count(),
                if row.cmd == NfctCmd::DefaultSet { 2 } else { row.min },
                "{}",
                row.params
            );
        }
        for (cmd, _) in COMMANDS {
            assert!(ROWS.iter().any(|r| r.cmd == *cmd), "{cmd:?} does nothing");
        }
    }
}
