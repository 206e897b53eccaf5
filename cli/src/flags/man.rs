//! The manual page `zct.8`, from the table.

use super::command::{COMMANDS, Command};
use super::examples::EXAMPLES;
use super::flag::{Flag, Section, Takes};
use super::help::LOAD_FLAGS;
use super::own::OWN_COMMANDS;
use super::protocol::PROTOCOLS;
use super::table::FLAGS;
use crate::fail::{ORIGINAL, VERSION};
use std::fmt::Write as _;

const SECTIONS: [(Section, &str); 4] = [
    (Section::Selection, "SELECTION"),
    (Section::Change, "CHANGES"),
    (Section::Display, "OUTPUT AND RUNNING"),
    (Section::Expectation, "EXPECTATIONS"),
];

/// The sections that do not come from the table.
const TOPICS: &str = r#".SH WHAT IS LEFT OUT
An exclamation mark before an option of a selection leaves out what the option would select:
.B ! \-s 192.0.2.7
is every flow but those from that address, of both families. Before a value it does the same, so that a list may hold both: of the values without it one must fit, and of the others none may. With
.B \-s 10.0.0.0/8,!10.1.0.0/16
flows from the first network are selected, without those from the second. (Shells need quotes around it.) Negations add up:
.B ! \-s A ! \-s B
leaves out both. Before an option with a list it negates each value:
.B ! \-l one,two
are the flows that have neither label.
.PP
It works with addresses and networks, ports and keys, protocol, state, ICMP members, mark, status, zones, labels and NAT, for
.BR \-L ", " \-C ", " \-D ", " \-E
and, but for what
.B \-U
sets, for
.BR \-U .
The kernel is never asked to leave something out: that is done by this program, as
.B \-\-explain
says. A mask for an address that is left out is its prefix length.
.SH ADDRESSES FROM FILES
Where an address selects, @FILE stands for all addresses and networks that are in a file, of both families:
.B \-s @FILE
is every flow from one of them, and
.B ! \-d @FILE
every flow but those to one of them. One or several stand on a line, with blanks or commas between them; # begins a
comment. @\- is standard input. IPv4 addresses are written in full, and what is none is an error with the file, the
line and the word. 100,000 of them cost hardly more than one; 1,000,000 are the most. A list may have files and
addresses, but a file whose name has a comma cannot be named. The reply direction takes networks from files too.
.PP
An empty file selects nothing with
.BR \-s @FILE .
With
.B ! \-s @FILE
it would leave nothing out, so
.BR \-D " and " \-U
refuse it. An address of a family of which the file has none is not in it:
.B \-D ! \-d @FILE
of a file with IPv4 addresses deletes all flows of IPv6, unless
.B \-f ipv4
is given. Lines of
.B \-R
take no files.
.SH OUTPUT FORMATS
Without
.B \-o
an entry is one line. In events it starts with [NEW], [UPDATE] or [DESTROY] and ends with the netlink port of the program that caused it, and its name where that could be found.
.PP
.B \-o json
writes one object a line; docs/json\-schema.json in the source describes it. Members that the kernel did not send are absent. Events have the member event (new, update, destroy). When the kernel had to drop events, an object with event lost, count and timestamp stands where that was noticed.
.PP
.B \-o save
writes lines that
.B \-R
reads again, onto the table that they were saved from as well as onto an empty one. The mark is in them; labels, helpers, masters and counters are not.
.SH BATCH FILES
.B \-R
runs the commands of a file, one a line:
.BR \-I ", " \-A ", " \-U ", " \-D " and " \-F
on the conntrack table. Empty lines and lines that begin with # are skipped; double quotes group words. The whole file is checked before the first line is carried out. Every line behaves as if it were run alone, in order. Creations are sent in batches of up to 128: when one is refused the run ends, and the message names the line and says which later lines of its batch took effect; with
.B \-\-keep\-going
every refused line is named, and the last message says how many there were. Consecutive
.B \-D
lines are one pass over the table; what they delete is shown in the table's order. Memory does not grow with the file.
.SH PROGRESS
Where standard error is a terminal,
.BR \-R ", " \-D ", " \-U ", " "\-F \-f " and " zct reconcile"
say how far they have come once they have taken half a second: the lines of the file, or the flows that were read and changed. It is one line, which is gone when they end. Where TERM is dumb or not set there is none.
.SH NUMBERS AND ADDRESSES
Every number has the limit of its field: ports, keys and zones 65535, ICMP types and codes 255, marks, masks, ids and tags 4294967295. What is no number, is negative, is too large or has other text behind it is refused before anything is done. GRE keys, marks, zones, ids and security marks may be hexadecimal (0x10) and octal (010); all other numbers are decimal.
.PP
A prefix length is a number up to 32, or up to 128 for IPv6; a slash without one is refused, as is a mask that is left out. An IPv4 address may be written in every form of
.BR inet_aton (3).
When it is not four decimal numbers, standard error says what it is read as: 10.1 is 10.0.0.1, and 010.1.0.5 is 8.1.0.5. Of an option that takes one value and is given twice the last value counts, and standard error says so. In a file of
.B \-R
the first twenty such lines are named and the others counted.
.SH ENTRIES THAT EXIST, AND ENTRIES THAT ARE REFUSED
.B \-A
changes of a flow that exists what differs from the line, and succeeds when nothing does. Status bits that are set stay set, and a timeout that is fixed stays as it is when the line has
.BR \-u ;
a warning counts such flows. A saved EXPECTED cannot be set without the flow that expected this one: the flow is added without it, with a warning. Another translation than the one asked for is an error that names both.
.PP
When the kernel refuses to change some of the entries that
.BR \-U " or " \-D
selects, the others are changed all the same, the first ten are named with the reason, and the exit status is 1 with the number of those that could not be changed.
.SH EVENTS
The kernel drops events when the receive buffer is full. A warning is shown once a burst, then the number of events lost, and at the end their total. An event takes 1280 bytes of the buffer. While more than 16,000 come in a second they are gathered for half a millisecond, so that not every one costs a wake-up, unless the buffer has less than 512 KiB.
.PP
Which flows cause events is decided by the sysctl net.netfilter.nf_conntrack_events: with 2, the default, only those that were created while something was listening.
.SH EXIT STATUS
.TP
0
Success. Also for
.B \-E
with events lost.
.TP
1
Something failed, the list is incomplete, or nothing matched
.RB ( \-D ", " \-U ", " \-G ).
Also for
.B \-D expect
when it succeeded, as in the original.
.TP
2
The command line makes no sense; nothing was done.
.SH FILES
.TP
/etc/xtables/connlabel.conf
Names of labels.
.TP
/etc/protocols
Names of layer 4 protocols.
.SH ENVIRONMENT
.TP
.B ZCT_DEBUG=netlink
Writes a line to standard error for each netlink message that is sent or received: the port of the socket,
type, flags, sequence number, length, and the errno of an answer.
.SH NOTES
Everything but
.B \-h
and
.B \-V
needs CAP_NET_ADMIN in the network namespace, and a kernel with nf_conntrack_netlink.
.PP
A deletion without a tuple is sent for
.B \-F
alone. With
.B \-f
the flows of one family are deleted one by one, since kernels differ in what they flush.
"#;

const SEE_ALSO: &str = r".SH SEE ALSO
.BR nfct (8),
.BR nft (8),
.BR ip\-netns (8)
";

/// The whole manual page as roff source.
pub fn page() -> String {
    let mut out = format!(
        ".\\\" Made from the table of options: ZCT_GOLDEN=write cargo test -p zct\n\
         .TH ZCT 8 \"\" \"zct {VERSION}\" \"System Administration\"\n\
         .SH NAME\nzct \\- list, change and watch the kernel's connection tracking table\n\
         .SH SYNOPSIS\n"
    );
    for c in COMMANDS {
        _ = writeln!(out, ".B zct \\-{}\n{}\n.br", char::from(c.short), escape(&synopsis(c)));
    }
    out += ".B zct \\-R\n\\fIFILE\\fR [\\fB\\-\\-keep\\-going\\fR] [\\fB\\-\\-dry\\-run\\fR]\n";
    for c in OWN_COMMANDS {
        _ = writeln!(out, ".br\n.B zct {}\n{}", c.name, escape(c.words));
    }
    _ = write!(
        out,
        ".SH DESCRIPTION\n.B zct\nshows and changes the flows and expectations that the kernel tracks. It \
         takes the place of conntrack {ORIGINAL}: linked as\n.BR conntrack ,\nit answers to that name with the \
         same messages.\n.PP\nLong options may be cut short as long as they stay unambiguous. An option of a \
         protocol needs\n.B \\-p\non the same line. A word that belongs to no option is an error for commands that change \
         the table, and a warning for the others.\n.SH COMMANDS\n"
    );
    for c in COMMANDS {
        let label = format!(
            "\\fB\\-{}\\fR, \\fB\\-\\-{}\\fR {}",
            char::from(c.short),
            escape(c.long),
            escape(c.tables)
        );
        _ = write!(out, ".TP\n{}\n{}\n", label.trim_end(), escape(c.manual));
    }
    out += ".TP\n\\fB\\-R\\fR, \\fB\\-\\-load\\-file\\fR FILE\nRuns the commands of a file; \\- is standard input. \
            See BATCH FILES. It has to be the first word.\n";
    for (name, brief) in LOAD_FLAGS {
        _ = write!(out, ".TP\n\\fB\\-\\-{}\\fR (with \\fB\\-R\\fR)\n{}\n", escape(name), sentence(brief));
    }
    own(&mut out);
    for (section, title) in SECTIONS {
        _ = writeln!(out, ".SH {title}");
        FLAGS.iter().filter(|f| f.section == section).for_each(|f| flag(&mut out, f));
    }
    for p in PROTOCOLS {
        _ = writeln!(out, ".SH OPTIONS OF {}", p.name.to_uppercase());
        p.flags().for_each(|f| flag(&mut out, f));
    }
    out += TOPICS;
    out.push_str(".SH EXAMPLES\n");
    for (i, e) in EXAMPLES.iter().enumerate() {
        let between = if i == 0 { "" } else { ".PP\n" };
        _ = writeln!(out, "{between}{}\n.PP\n.nf\n{}\n.fi", sentence(e.what), escape(e.line));
    }
    out += SEE_ALSO;
    out
}

/// The commands that only zct has, with their options.
fn own(out: &mut String) {
    out.push_str(".SH COMMANDS OF ZCT ALONE\nThe first word of the line names one of these, and the others are its own. They are there under the name zct only.\n");
    for c in OWN_COMMANDS {
        _ = writeln!(out, ".SS zct {} {}\n{}\n{}", c.name, escape(c.words), sentence(c.brief), c.manual);
        for o in c.options {
            let value = if o.value.is_empty() { String::new() } else { format!(" \\fI{}\\fR", o.value) };
            _ = writeln!(out, ".TP\n\\fB\\-\\-{}\\fR{value}\n{}", escape(o.name), sentence(o.brief));
        }
    }
}

fn synopsis(c: &Command) -> String {
    format!("{} [OPTIONS]", c.tables).trim_start().to_owned()
}

fn flag(out: &mut String, f: &Flag) {
    out.push_str(".TP\n");
    let short = f.short().map(|s| format!("\\fB\\-{}\\fR", char::from(s)));
    let names = f.names.iter().map(|n| format!("\\fB\\-\\-{}\\fR", escape(n)));
    let all: Vec<String> = short.into_iter().chain(names).collect();
    out.push_str(&all.join(", "));
    match f.takes {
        Takes::Nothing(_) => {}
        Takes::Value(v, _) => _ = write!(out, " \\fI{}\\fR", escape(v)),
        Takes::Maybe(v, _) => _ = write!(out, " [\\fI{}\\fR]", escape(v)),
    }
    _ = writeln!(out, "\n{}", sentence(f.brief));
    if !f.manual.is_empty() {
        _ = writeln!(out, "{}", escape(f.manual));
    }
}

/// Turns a brief into a sentence, with a capital and a full stop.
pub fn sentence(brief: &str) -> String {
    let mut chars = brief.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{}.", escape(&format!("{first}{}", chars.as_str())))
}

/// Escapes text so that roff shows it as it is.
pub fn escape(text: &str) -> String {
    text.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq")
}
