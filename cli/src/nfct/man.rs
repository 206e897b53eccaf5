//! The manual page `nfct.8`, from the tables.

use super::known::HELPERS;
use super::table::{ROWS, Row, Subsystem};
use super::values::{FAMILIES, PROTOCOLS};
use crate::fail::{ORIGINAL, VERSION};
use crate::flags::man::{escape, sentence};
use std::fmt::Write as _;
use zct_wire::cttimeout::states;

/// Longer lines of source are broken, as mandoc(1) advises. The text is filled again when it is shown.
const WIDTH: usize = 80;

/// What the words after a command mean; the lists of protocols and helpers follow.
const PARAMETERS: &str = r#".SH PARAMETERS
.TP
.I name
Of a policy: up to 31 bytes of any kind.
Of a helper: one of those below, in lower case;
.BR get " and " delete
take any of up to 15 bytes.
.TP
.I family
FAMILIES.
.TP
.I protocol
For timeouts: one of those below, or any name or alias of one in /etc/protocols, but no number.
.B generic
stands for all protocols without timeouts of their own.
For helpers,
.BR tcp " or " udp .
.TP
.IR state1 " " timeout1 " ..."
A state of the protocol in any case and its timeout, as often as wanted; of one that is given twice the last counts. A timeout is a number of seconds, or has units as in 90s, 5m, 1h30m and 2d. More than 2147483647 ticks of the kernel's clock are refused, since flows would end at once; these are 2147483 seconds with 1000 ticks a second and 8589934 with 250.
Seconds are read up to the first character that is no digit, and what is no number is 0, as in the original.
"#;

/// The sections that do not come from the tables.
const TOPICS: &str = r#".SH EXIT STATUS
.TP
0
Success.
Also for
.B flush
when some were in use and stay.
.TP
1
Anything else: the command line makes no sense, the kernel refused, there is nothing of that name, or the output could not be written.
Standard error says which.
After a refusal by the kernel, one more line says what it means here and what to do about it.
.SH FILES
.TP
/etc/protocols
Names of layer 4 protocols.
Where it is missing, those with timeouts are known nevertheless.
.TP
/proc/sys/net/netfilter/nf_conntrack_*_timeout*
The defaults, state by state.
.SH ENVIRONMENT
.TP
.B ZCT_DEBUG=netlink
Writes a line to standard error for each netlink message that is sent or received: the port of the socket,
type, flags, sequence number, length, and the errno of an answer.
.SH NOTES
Everything but
.BR help " and " version
needs CAP_NET_ADMIN in the network namespace.
Timeout policies need a kernel with nfnetlink_cttimeout, helpers one with nfnetlink_cthelper.
.PP
Policies and defaults belong to a network namespace.
Helpers belong to the machine, so a user namespace's root may not touch them.
.PP
A timeout policy applies to flows that a rule gives it to, from their first packet.
A helper, too, sees only the packets of flows that a rule gives it to: the kernel assigns none by itself.
.SH EXAMPLES
A policy for TCP, and a rule that gives it to flows:
.PP
.nf
nfct add timeout web inet tcp established 600 close_wait 10
iptables \-t raw \-A PREROUTING \-p tcp \-\-dport 80 \-j CT \-\-timeout web
.fi
.PP
It can be deleted when no rule uses it any more:
.PP
.nf
iptables \-t raw \-D PREROUTING \-p tcp \-\-dport 80 \-j CT \-\-timeout web
nfct delete timeout web
.fi
.PP
What a policy looks like; the family is 2 for inet and 10 for inet6, the protocol has the number of /etc/protocols, and 255 is generic:
.PP
.nf
$ nfct add timeout dns inet udp replied 5
$ nfct get timeout dns
\&.dns = {
        .l3proto = 2,
        .l4proto = 17,
        .policy = {
                .UNREPLIED = 30,
                .REPLIED = 5,
        },
};
.fi
.PP
Shorter timeouts for all UDP flows without a policy:
.PP
.nf
nfct default\-get timeout inet udp
nfct default\-set timeout inet udp unreplied 10 replied 60
.fi
.PP
The kernel's part of the FTP helper, before the daemon that parses the packets is started, and a rule for it:
.PP
.nf
nfct add helper ftp inet tcp
iptables \-t raw \-A PREROUTING \-p tcp \-\-dport 21 \-j CT \-\-helper ftp
.fi
.PP
Without a link of that name:
.PP
.nf
zct nfct list timeout
.fi
.SH SEE ALSO
.BR zct (8),
.BR nft (8),
.BR iptables\-extensions (8),
.BR protocols (5)
"#;

/// The whole manual page as roff source.
pub fn page() -> String {
    let mut out = format!(
        ".TH NFCT 8 \"\" \"zct {VERSION}\" \"System Administration\"\n\
         .SH NAME\nnfct \\- timeout policies and userspace helpers of connection tracking\n.SH SYNOPSIS\n"
    );
    for r in ROWS {
        _ = writeln!(out, "{}\n.br", line(r));
    }
    out +=
        ".B nfct help\n.br\n.B nfct version\n.PP\n.B zct nfct\n.I COMMAND SUBSYSTEM\n[\\fIPARAMETERS\\fR]\n";
    _ = write!(
        out,
        ".SH DESCRIPTION\n.B nfct\nshows and changes how long the kernel's connection tracking remembers \
         flows, and which of its helpers run in user space.\nIt takes the place of the original's nfct \
         {ORIGINAL}, with the same output and messages.\n.B zct nfct\nis the same under another name.\n.PP\n\
         Command and subsystem come in either order, and may be shortened to any beginning.\nWhere several \
         commands begin so, it is the first of list, add, delete, get, flush, disable, default\\-set and \
         default\\-get.\n"
    );
    for (subsystem, title) in
        [(Subsystem::Timeout, "TIMEOUT POLICIES"), (Subsystem::Helper, "HELPERS IN USER SPACE")]
    {
        _ = writeln!(out, ".SH {title}");
        for r in ROWS.iter().filter(|r| r.subsystem == subsystem) {
            _ = writeln!(out, ".TP\n{}\n{}", line(r), escape(r.manual));
        }
    }
    out += ".SH OTHER COMMANDS\n.TP\n.BR help \", \" \\-\\-help \", \" \\-h\nShows a summary of all this.\n\
            .TP\n.BR version \", \" \\-\\-version \", \" \\-V\nShows the release.\n";
    let families: Vec<String> = FAMILIES.iter().map(|(name, _)| format!("\\fB{name}\\fR")).collect();
    out += &PARAMETERS.replace("FAMILIES", &families.join(" or "));
    out += ".SH PROTOCOLS AND THEIR STATES\n";
    for (protocol, number) in PROTOCOLS {
        let states: Vec<&str> = states(*number).unwrap_or_default().iter().map(|(name, _)| *name).collect();
        // Names are not to be hyphenated.
        _ = writeln!(out, ".TP\n.B {protocol}\n\\%{}", states.join(", \\%"));
    }
    out += ".PP\nNot every kernel has all of them: recent ones have none for dccp.\n";
    out += ".SH HELPERS\nOne of these for a protocol, with a queue, limits and data of its own:\n";
    for h in HELPERS {
        _ = writeln!(out, ".TP\n.BR {} \" (\" {} )\n{}", h.name, h.protocol(), sentence(h.brief));
    }
    out += TOPICS;
    let head = ".\\\" Made from the tables of nfct: ZCT_GOLDEN=write cargo test -p zct\n";
    out.lines().filter(|l| !l.is_empty()).fold(head.to_owned(), |page, l| page + &filled(l))
}

/// A command with its parameters: bold for what is typed as it is, italics for what stands for a value.
fn line(r: &Row) -> String {
    let mut out = format!("\\fBnfct {} {}\\fR", escape(r.command()), r.subsystem());
    for word in r.params.split_ascii_whitespace() {
        let name = word.trim_matches(['[', ']', '.']);
        out += &format!(" {}", word.replace(name, &format!("\\fI{name}\\fR")).replace("\\fI\\fR", ""));
    }
    out
}

/// Breaks a line of text between words. Requests, tags of list items and examples stay as they are.
fn filled(text: &str) -> String {
    if [".", "\\f", " "].iter().any(|start| text.starts_with(start)) {
        return format!("{text}\n");
    }
    let mut out = String::new();
    let mut len = 0;
    for word in text.split(' ') {
        // A line must not begin with a word that looks like a request.
        let fits =
            len == 0 || len + 1 + word.len() <= WIDTH || text.starts_with('.') || word.starts_with('.');
        if len > 0 {
            out.push(if fits { ' ' } else { '\n' });
        }
        len = if fits && len > 0 { len + 1 + word.len() } else { word.len() };
        out += word;
    }
    out + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_names_everything_there_is() {
        let page = page();
        for r in ROWS {
            assert_eq!(page.matches(&line(r)).count(), 2, "{}", r.syntax());
        }
        for (protocol, number) in PROTOCOLS {
            assert!(page.contains(&format!(".B {protocol}\n")), "{protocol}");
            for (state, _) in states(*number).unwrap_or_default() {
                assert!(page.contains(state), "{protocol} {state}");
            }
        }
        for h in HELPERS {
            assert!(page.contains(&format!(".BR {} \" (\" {} )\n", h.name, h.protocol())), "{}", h.name);
        }
    }

    #[test]
    fn parameters_are_set_apart_from_what_is_typed() {
        let of = |cmd, subsystem| line(Row::find(cmd, subsystem).unwrap());
        use super::super::table::NfctCmd;
        assert_eq!(
            of(NfctCmd::Get, Subsystem::Helper),
            "\\fBnfct get helper\\fR \\fIname\\fR [\\fIfamily\\fR [\\fIprotocol\\fR]]"
        );
        assert_eq!(
            of(NfctCmd::DefaultSet, Subsystem::Timeout),
            "\\fBnfct default\\-set timeout\\fR \\fIfamily\\fR \\fIprotocol\\fR \\fIstate1\\fR \\fItimeout1\\fR..."
        );
    }

    #[test]
    fn lines_are_broken_between_words_and_never_before_a_dot() {
        let text = format!("{} .b {}", "a ".repeat(39).trim_end(), "c ".repeat(50).trim_end());
        let lines = filled(&text);
        assert!(lines.lines().all(|l| l.len() <= WIDTH + 3 && !l.starts_with('.')), "{lines}");
        assert_eq!(lines.replace('\n', " ").trim_end(), text);
        for whole in [".BR", "\\fBnfct\\fR", "        .x"].map(|start| format!("{start}{}", " a".repeat(50)))
        {
            assert_eq!(filled(&whole), format!("{whole}\n"));
        }
    }
}
