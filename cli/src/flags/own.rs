//! The commands that only `zct` has, each named by the first word of the line: their texts for help, manual
//! page and completions. What they do is in the module of each.

use super::flag::Complete;

/// A command of zct's own.
#[derive(Debug)]
pub struct OwnCommand {
    /// The first word of the line.
    pub name: &'static str,
    /// What follows it, as help shows it.
    pub words: &'static str,
    /// One line for help and completions.
    pub brief: &'static str,
    /// More text for the man page, in lines of roff; another page has it all where there are no options.
    pub manual: &'static str,
    /// Its options. Every command also takes `--help`.
    pub options: &'static [OwnOption],
    /// True when it takes a selection too, with the other options of the commands on flows.
    pub selects: bool,
}

/// An option of such a command.
#[derive(Debug)]
pub struct OwnOption {
    /// The name without hyphens.
    pub name: &'static str,
    /// What help calls its value; empty if it takes none.
    pub value: &'static str,
    /// One sentence without capital and full stop, for help, man page and completions.
    pub brief: &'static str,
    /// What completions offer for its value.
    pub complete: Complete,
}

impl OwnOption {
    /// The option and its value, as help shows them.
    pub fn label(&self) -> String {
        format!("--{} {}", self.name, self.value).trim_end().to_owned()
    }
}

/// The command with this name.
pub fn find(name: &[u8]) -> Option<&'static OwnCommand> {
    OWN_COMMANDS.iter().find(|c| c.name.as_bytes() == name)
}

/// All of them.
pub const OWN_COMMANDS: &[OwnCommand] = &[
    OwnCommand {
        name: "help",
        words: "[COMMAND|PROTOCOL]",
        brief: "the options of a command, with examples: zct help delete, zct help top, zct help tcp",
        manual: "A command is named by its word, its long option or its letter. Without one, this is the text of\n\
                 .BR \\-h .",
        options: &[],
        selects: false,
    },
    OwnCommand {
        name: "metrics",
        words: "[OPTIONS]",
        brief: "print the kernel's counters and limits for Prometheus",
        manual: "The output has text format 0.0.4: entries, expectations and their limits, buckets, and what every \
                 CPU has counted since it started. The counters of a CPU have 32 bits and begin again at 0, which \
                 Prometheus takes for a restart.\n\
                 Without the options that begin with by, the table itself is not read.",
        options: &[
            OwnOption {
                name: "by-protocol",
                value: "",
                brief: "also count the flows by family, protocol, state and offload, for which the whole table \
                        is read",
                complete: Complete::Nothing,
            },
            OwnOption {
                name: "by-zone",
                value: "",
                brief: "also count the flows by zone: the 64 zones with the most flows, and all others together; \
                        reads the whole table",
                complete: Complete::Nothing,
            },
            OwnOption {
                name: "textfile",
                value: "FILE",
                brief: "replace this file in one step, for node_exporter's textfile collector, instead of \
                        printing",
                complete: Complete::File,
            },
        ],
        selects: false,
    },
    OwnCommand {
        name: "top",
        words: "[SELECTION] [OPTIONS]",
        brief: "show who fills the table, and how that changes",
        manual: "A selection is made of the options of\n.BR \\-L ,\nbut\n.B \\-d\nand\n.B \\-n\nare those below: a \
                 destination is\n.BR \\-\\-dst ,\nand source NAT\n.BR \\-\\-src\\-nat .\n.PP\n\
                 The first lines say how many flows are selected, how full the table is, new flows a second, and \
                 packets and flows that were dropped since the machine started (and since the reading before). \
                 Then come the groups. New flows are those that the reading before did not have; one that begins \
                 and ends between two readings is not seen. Rates are bytes a second of flows that are still \
                 there. Packets, bytes and rates need the sysctl net.netfilter.nf_conntrack_acct, ages need \
                 net.netfilter.nf_conntrack_timestamp, from before a flow began; the last line says so.\n.PP\n\
                 Keys:\n.B q\nquits; arrows and page keys move;\n.B /\nselects, in the words of\n.BR \\-L ;\n\
                 .B b\nand\n.B B\ngroup by something else, single flows among it;\n.B o\nand\n.B O\nsort by \
                 another figure;\n.B p\npauses;\n.B r\nreads at once;\n.B k\nand then\n.B y\ndelete the flows \
                 of the line, each by its tuple, zone and id as\n.B \\-D\ndoes;\n.BR + \" and \" \\-\n\
                 change the delay;\n.B ?\nhelps.\n.PP\n\
                 A reading takes 32 bytes of memory for each flow, and at most 64 MiB for the groups. With\n\
                 .B NO_COLOR\nset there are no colours. Where TERM is dumb or not set, there is\n\
                 .B \\-\\-batch\nonly. docs/groups\\-schema.json describes the objects of\n.BR \\-o .",
        options: &[
            OwnOption {
                name: "by",
                value: "KEY[,...]",
                brief: "what flows are counted by, as with -L --by, src without it; flow for single flows",
                complete: Complete::Words(&[
                    "src", "dst", "sport", "dport", "proto", "zone", "mark", "state", "nat", "flow",
                ]),
            },
            OwnOption {
                name: "sort",
                value: "FIGURE",
                brief: "largest by flows, packets, bytes, rate or age; flows without it",
                complete: Complete::Words(&["flows", "packets", "bytes", "rate", "age"]),
            },
            OwnOption {
                name: "delay",
                value: "SECONDS",
                brief: "time between two readings of the table, 2 without it; or -d",
                complete: Complete::Nothing,
            },
            OwnOption {
                name: "rows",
                value: "ROWS",
                brief: "at most so many groups: as many as fit without it, or 20 where there is no terminal; or -n",
                complete: Complete::Nothing,
            },
            OwnOption {
                name: "once",
                value: "",
                brief: "print one reading and end; or -1",
                complete: Complete::Nothing,
            },
            OwnOption {
                name: "batch",
                value: "",
                brief: "print each reading, which is also what happens where standard output is no terminal",
                complete: Complete::Nothing,
            },
            OwnOption {
                name: "output",
                value: "json",
                brief: "print each reading as a JSON object on a line; or -o",
                complete: Complete::Words(&["json"]),
            },
        ],
        selects: true,
    },
    OwnCommand {
        name: "nfct",
        words: "COMMAND SUBSYSTEM [PARAMETERS]",
        brief: "timeout policies and helpers: zct nfct help",
        manual: "See\n.BR nfct (8).",
        options: &[],
        selects: false,
    },
    OwnCommand {
        name: RECONCILE,
        words: "--keep-dst @FILE SELECTION [--dry-run] [OPTIONS]",
        brief: "delete the selected flows but for those to addresses in a file",
        manual: "Deletes what \\-D with the same selection and ! \\-d @FILE deletes, in one pass over the table, and is \
                 made for timers and controllers. All options of \\-D may follow. There has to be a selection, or \
                 \\-\\-all. A flow that one of several lists has is kept. Nothing left to delete is success.\n.PP\n\
                 A list without any address deletes nothing, with exit 2: whoever writes it has probably failed. \
                 For the same reason flows of a family of which a list has no address are left alone. \
                 \\-\\-allow\\-empty is for lists that may be empty. A node that knows the endpoints of a service \
                 ends the flows to those that are gone with\n.PP\n.nf\n\
                 zct reconcile \\-\\-keep\\-reply\\-src @endpoints \\-p udp \\-d 10.96.0.10 \\-\\-dport 53\n.fi",
        options: &[
            KEEP_DST,
            KEEP_SRC,
            KEEP_REPLY_SRC,
            KEEP_REPLY_DST,
            OwnOption {
                name: "allow-empty",
                value: "",
                brief: "a list may be empty, or lack a family: then all that is selected of it is deleted",
                complete: Complete::Nothing,
            },
            OwnOption {
                name: "all",
                value: "",
                brief: "of all flows, for want of a selection",
                complete: Complete::Nothing,
            },
        ],
        selects: true,
    },
];

/// The name of the command that deletes what no list has.
pub const RECONCILE: &str = "reconcile";

const fn keep(name: &'static str, brief: &'static str) -> OwnOption {
    OwnOption { name, value: "@FILE[,...]", brief, complete: Complete::Nothing }
}

const KEEP_DST: OwnOption =
    keep("keep-dst", "keep flows to an address or network in the files; @- is standard input");
const KEEP_SRC: OwnOption = keep("keep-src", "keep flows from an address in the files");
const KEEP_REPLY_SRC: OwnOption =
    keep("keep-reply-src", "keep flows that are answered from there, as behind a translated service address");
const KEEP_REPLY_DST: OwnOption = keep("keep-reply-dst", "keep flows whose answers go there");

/// The options that say what is kept.
pub const KEEPS: [&OwnOption; 4] = [&KEEP_DST, &KEEP_SRC, &KEEP_REPLY_SRC, &KEEP_REPLY_DST];
