//! The rows of the table of intended differences.

use super::{Difference, Rule, SeenIn, Side};
use crate::rules::{labels, listing, values, words, written};

const fn read(
    id: &'static str,
    seen_in: SeenIn,
    rule: Option<Rule>,
    [when, original, ours]: [&'static str; 3],
) -> Difference {
    Difference { id, side: Side::Read, when, original, ours, seen_in, rule }
}

const fn write(id: &'static str, [when, original, ours]: [&'static str; 3]) -> Difference {
    Difference { id, side: Side::Write, when, original, ours, seen_in: SeenIn::Writes, rule: None }
}

/// As [`write()`], with a rule, for command lines that are compared one by one.
const fn write_ruled(id: &'static str, rule: Rule, words: [&'static str; 3]) -> Difference {
    Difference { rule: Some(rule), ..write(id, words) }
}

/// A row of nfct, which `tests/nfct.rs` compares in its own way.
const fn nfct(id: &'static str, seen_in: SeenIn, [when, original, ours]: [&'static str; 3]) -> Difference {
    Difference { id, side: Side::Nfct, when, original, ours, seen_in, rule: None }
}

/// A row of the daemon's helpers, which `kernels/helpers.sh` compares.
const fn helpers(id: &'static str, [when, original, ours]: [&'static str; 3]) -> Difference {
    Difference { id, side: Side::Daemon, when, original, ours, seen_in: SeenIn::Kernels, rule: None }
}

use SeenIn::{
    Differential, Events, Getopt, Groups, Json, Labels, Legality, Nfct, NfctHelpers, Overrun, Pipes,
};

/// The id of the first rule that changes texts.
pub const FIRST_OF_TEXTS: &str = "W29";

/// The rows before that one, whose rules change which entries are listed.
pub fn listing() -> &'static [Difference] {
    let end = DIFFERENCES.iter().position(|d| d.id == FIRST_OF_TEXTS);
    &DIFFERENCES[..end.expect("the row is there")]
}

/// All rows. Their rules run in this order: first those that replace the command line, then those that change
/// which entries are listed, then those that change texts.
pub static DIFFERENCES: &[Difference] = &[
    // This one's rule is in `compare`, which replaces the number everywhere.
    read(
        "1.4.9 release",
        Differential,
        None,
        [
            "every message, `-V`",
            "`conntrack v1.4.7 (conntrack-tools)`",
            "`conntrack v1.4.9 (conntrack-tools)` when called `conntrack`, else `zct v… (conntrack-tools 1.4.9)`",
        ],
    ),
    read(
        "Z count",
        Differential,
        Some(listing::count),
        ["`-C` with a selection", "``Illegal option `…'``", "counts the flows that match"],
    ),
    read(
        "Z files",
        Differential,
        Some(listing::files),
        [
            "`-s @FILE`, and so on with `-d -r -q`, alone, in a list or after `!`",
            "``Invalid IP address `@FILE'``",
            "the addresses and networks in the file",
        ],
    ),
    read(
        "Z kernel-filter",
        Differential,
        Some(listing::kernel_filter),
        ["`--kernel-filter=WHEN`", "unknown option", "whether the kernel selects"],
    ),
    read(
        "Z jobs",
        Differential,
        Some(listing::jobs),
        ["`--jobs N`", "unknown option", "reads the table in parts at a time, in no order"],
    ),
    read(
        "Z reader",
        Differential,
        Some(listing::reader),
        [
            "`-L` of 10,000 flows or more; `--reader WAY`",
            "in the order of the table; unknown option",
            "BPF reads the table, in parts and so in no order where there are several processors; or as the option says, with a warning where BPF cannot",
        ],
    ),
    read(
        "Z explain",
        Differential,
        Some(listing::explain),
        ["`--explain`", "unknown option", "says what the kernel would be asked for"],
    ),
    read(
        "Z negation",
        Differential,
        Some(listing::negations),
        [
            "`!` before an option of a selection, or before one of its values: `! -s A`, `--dport '!443'`, `-s 'A,!B'`",
            "ignored as a stray word: `-D ! -s A` deletes what was to be kept; an error before a value",
            "leaves out what the option selects; an error where it cannot",
        ],
    ),
    read(
        "Z late -p",
        Getopt,
        Some(words::late_protocol),
        [
            "an option of a protocol before `-p`, or without it",
            "``unknown option `…'``",
            "read when `-p` has come; without it the same message, and which protocols have the option",
        ],
    ),
    read(
        "Z states",
        Differential,
        Some(listing::states),
        ["`--state ONE,OTHER` where it selects", "``unknown TCP state `…'``", "one of them has to fit"],
    ),
    read(
        "Z lists",
        Differential,
        Some(listing::lists),
        [
            "comma lists of addresses, ports or GRE keys, ranges `8000-8099` and `8000:8099`",
            "an error for addresses; the first number alone for ports",
            "one of them has to fit",
        ],
    ),
    read(
        "1.4.9 clusters",
        Getopt,
        Some(words::clusters),
        ["letters glued to `-L -I -U -D -G -E -F -A`: `-Lz`", "ignored", "read as options, as by 1.4.9"],
    ),
    read(
        "W10",
        Differential,
        Some(words::attached),
        [
            "an attached NAT address or table: `--src-nat=1.2.3.4`, `-n1.2.3.4`, `--dump=expect`",
            "the value is dropped: every NAT flow, the flow table",
            "the value counts",
        ],
    ),
    read(
        "1.4.9 --id",
        Differential,
        Some(words::long_id),
        ["`--id N` as two words", "crashes", "takes the value, as 1.4.9"],
    ),
    read(
        "W21",
        Differential,
        Some(words::beginnings),
        [
            "`-o s`, `-o d`, `-e D`",
            "taken for SRC_NAT and DST_NAT: ignored with a warning",
            "`-o save`, an error, `-e DESTROY`; the warning only for `-u`",
        ],
    ),
    read(
        "1.4.9 mark",
        Differential,
        Some(words::mark_then_status),
        ["`-m` before `-u`", "the status overwrites the mark", "both count, as in 1.4.9"],
    ),
    read(
        "1.4.9 labelmap",
        Differential,
        Some(words::labelmap),
        ["`--labelmap FILE`, `-M FILE`", "unknown option", "label names from that file, as in 1.4.9"],
    ),
    read(
        "Z label numbers",
        Labels,
        None,
        [
            "`-l`, `--label-add`, `--label-del` with `bit-17`, or with a name that the file puts above bit 127",
            "``unknown label 'bit-17'``; `Numerical result out of range`, or selects nothing",
            "the label of that bit, whether it has a name or not; an error that names the bit",
        ],
    ),
    read(
        "Z labelmap file",
        Labels,
        Some(labels::labelmap_file),
        [
            "no label names: the file is missing, cannot be read or names none",
            "`nfct_labelmap_new: No such file or directory`",
            "the same, and which file",
        ],
    ),
    read(
        "W6",
        Differential,
        Some(words::sctp_state),
        [
            "`-p sctp --state` with an unknown name",
            "crashes",
            "``unknown SCTP state `…'`` and the names there are, exit 2",
        ],
    ),
    read(
        "Z state names",
        Differential,
        Some(words::state_names),
        ["an unknown name with `--state`", "``unknown TCP state `…'``", "the same, and the names there are"],
    ),
    read(
        "1.4.9 labels",
        Getopt,
        Some(words::labels_late),
        [
            "an unknown label name and a second mistake behind it",
            "the label is named, while options are read",
            "label names are looked up after all options, as in 1.4.9",
        ],
    ),
    read(
        "1.4.9 numbers",
        Differential,
        Some(values::numbers),
        [
            "`-w -i -c -m --orig-zone --reply-zone` with what is no number, or too large",
            "0, or cut to its lowest bits",
            "`unexpected value '…' with -… option`, exit 1, as 1.4.9, and behind it the limit",
        ],
    ),
    read(
        "W22",
        Differential,
        Some(values::other_numbers),
        [
            "`-t -b`, ports, ICMP fields, keys, tags: what is no number, negative or too large, or has text behind it",
            "0, the number at its start, or its lowest bits",
            "`unexpected value '…' with … option: …`, exit 1",
        ],
    ),
    read(
        "Z mask of a mark",
        Differential,
        Some(values::masks_of_marks),
        [
            "`-m VALUE/MASK` with a mask that is empty, no number, or too large",
            "0, or cut to its lowest bits",
            "`unexpected value '…' with -m option: …`, exit 1",
        ],
    ),
    read(
        "Z netmask",
        Differential,
        Some(values::netmasks),
        [
            "a prefix length that is empty or wrong: `-s 10.0.0.1/`, `/33`",
            "empty is 0, every address; `Invalid netmask`",
            "``Invalid netmask `…': a prefix length from 0 to 32``",
        ],
    ),
    read(
        "Z address text",
        Differential,
        Some(values::text_behind_an_address),
        [
            "text behind an address in the same word: `'10.0.0.1 10.0.0.2'`; more than 45 characters",
            "the first address alone; the first 45",
            "``Invalid IP address `…'``",
        ],
    ),
    read(
        "Z address form",
        Differential,
        Some(values::unusual_addresses),
        [
            "an IPv4 address that is not four decimal numbers: `10.1`, `010.1.0.5`",
            "10.0.0.1 and 8.1.0.5, without a word",
            "the same, and stderr says so",
        ],
    ),
    read(
        "W12",
        Differential,
        Some(listing::status_lists),
        [
            "`-L -u` with plain and negated words, or several `-u`; `-u UNSET` alone",
            "matches nothing; `invalid parameters`",
            "all words have to hold; `UNSET` selects nothing in particular",
        ],
    ),
    read(
        "W34",
        Differential,
        Some(listing::any_nat_with_more),
        [
            "`-j ADDRESS` with another selector",
            "matches nothing, depending on the order",
            "both have to hold",
        ],
    ),
    read(
        "W9",
        Differential,
        Some(listing::nat_ipv6),
        ["an IPv6 address with `-n -g -j`", "not compared: every translated IPv6 flow", "compared"],
    ),
    read(
        "W33",
        Differential,
        Some(listing::nat_ping),
        [
            "`-n -g -j` without an address, or with a port, and ICMP flows",
            "pings that nobody translates are taken for NAT",
            "ICMP has no ports to compare",
        ],
    ),
    read(
        "W8 gre",
        Differential,
        Some(listing::gre_keys),
        [
            "GRE keys as filters",
            "ignored",
            "compared (SCTP tags and the DCCP role too, where they are legal)",
        ],
    ),
    read(
        "Z zone 0",
        Differential,
        Some(listing::zone_zero),
        [
            "zone 0 with `-w`, `--orig-zone` or `--reply-zone`",
            "also selects flows with a zone of another kind: `-D --orig-zone 0` deletes those of `-w 15`",
            "selects flows without any zone, or without one in that direction",
        ],
    ),
    read(
        "Z families",
        Differential,
        Some(listing::families),
        [
            "a selection by protocol or port without a family on a large table, or with `--kernel-filter=always`",
            "one dump in table order",
            "two dumps by the kernel: IPv4 comes before IPv6",
        ],
    ),
    read(
        "W29",
        Differential,
        Some(written::long_lines),
        ["a line longer than 4095 bytes (1023 with `-D -U -E` and expectations)", "cut short", "whole"],
    ),
    read(
        "W16",
        Differential,
        Some(written::sctp_xml),
        [
            "`<state>` of SCTP and DCCP in XML; names with `<` or `&`",
            "the TCP name of the number; not escaped",
            "the protocol's name; escaped",
        ],
    ),
    read(
        "Z label bits",
        Differential,
        Some(labels::numbers),
        [
            "`-o labels` and labels without a name, or without a label file",
            "passed over: a bare `labels`, `<labels></labels>`; nothing without a file",
            "`bit-17` for bit 17",
        ],
    ),
    read(
        "Z words",
        Getopt,
        Some(words::stray),
        [
            "words that belong to no option, with `-L -E -G -C -S`",
            "ignored",
            "ignored, with a warning on stderr that names them",
        ],
    ),
    read(
        "Z given twice",
        Getopt,
        Some(words::given_twice),
        [
            "an option with one value given several times: `-s A -s B`",
            "the last counts, without a word",
            "the same, and stderr says which",
        ],
    ),
    read(
        "W8 secmark",
        Differential,
        Some(listing::secmark),
        [
            "`-c` where the kernel sends no security marks",
            "selects nothing, silently",
            "selects nothing, with a warning on stderr",
        ],
    ),
    read(
        "Z get",
        Legality,
        Some(listing::get_reply_port),
        [
            "`-G` with a port of the reply direction and no reply addresses",
            "fails with a message about something else (`Success`, `No data available`)",
            "the port has to fit as well",
        ],
    ),
    read(
        "Z empty -u",
        Differential,
        Some(words::empty_status),
        [
            "`-L` and `-D` with nothing but `-u SRC_NAT` or `DST_NAT`",
            "`invalid parameters`; with `-D` everything else that was given selects",
            "`invalid parameters`, and which option to use; nothing is deleted",
        ],
    ),
    read(
        "Z heartbeat",
        Differential,
        Some(written::saved_states),
        [
            "SCTP states 8 and 9 with `-o save`; `--state HEARTBEAT_SENT`, `HEARTBEAT_ACKED`",
            "`(null)`, which nobody can load; crashes",
            "saved by their names, and read",
        ],
    ),
    read(
        "Z saved port",
        Differential,
        Some(written::saved_ports),
        [
            "`-o save` of a flow of which a port is translated and the address is not",
            "`-r` or `-q`: restored, it is not translated",
            "`-g` or `-n`",
        ],
    ),
    read(
        "Z saved mark",
        Differential,
        Some(written::saved_marks),
        ["`-o save`", "without the mark", "with it: `-m MARK`, but for `-D` lines, which it would narrow"],
    ),
    read(
        "Z mask",
        Legality,
        Some(words::lone_mask),
        [
            "`--mask-src` without `--src`, or dst, with `-E`, `-L dying` and `-L unconfirmed`",
            "matches nothing, silently",
            "the error that `-L` gives",
        ],
    ),
    read(
        "Z reply-zone",
        Legality,
        Some(words::lone_reply_zone),
        [
            "`--reply-zone` without a command",
            "help, exit 0",
            "refused like every other option without a command",
        ],
    ),
    read(
        "Z second -p",
        Getopt,
        Some(words::second_protocol),
        [
            "an option of one `-p` and then another `-p`",
            "taken for another option of the second protocol, and refused",
            "both have to hold, which nothing does",
        ],
    ),
    read("Z help", Getopt, Some(words::help), ["`-h`, or no command", "its text", "a text of its own"]),
    read(
        "W28",
        Getopt,
        Some(words::blamed_word),
        [
            "an unknown letter inside a cluster: `-xL`",
            "the word before it is blamed",
            "the word itself is blamed",
        ],
    ),
    read("Z json", Json, None, ["`-o json`", "an error", "one JSON object a line (docs/json-schema.json)"]),
    read(
        "Z groups",
        Groups,
        None,
        [
            "`-L --by KEY`, with `--top K`, `--sort FIGURE`",
            "unknown option",
            "counts flows by what they have in common",
        ],
    ),
    read(
        "W1",
        Events,
        None,
        ["`-E -b BYTES`", "enlarges the wrong socket", "enlarges the buffer that events wait in"],
    ),
    read(
        "W17",
        Events,
        None,
        [
            "`-E -o xml` and changes made by a program",
            "` [USERSPACE] portid=…` behind `</flow>`, which is no XML",
            "left out, as in 1.4.9",
        ],
    ),
    read(
        "1.4.9 time",
        Events,
        None,
        [
            "`-E -o timestamp` with nf_conntrack_timestamp=1 on Linux 6.14 or newer",
            "the time of reception",
            "the time of the event, as in 1.4.9",
        ],
    ),
    read(
        "Z lost",
        Overrun,
        None,
        [
            "`-E` when the kernel had to drop events",
            "a warning at each full buffer; everything is dropped until it has been emptied",
            "one warning a burst, fewer drops, and how many: `N events have been lost.`, with the total at the end",
        ],
    ),
    read(
        "Z denied",
        Pipes,
        None,
        ["`-E` without CAP_NET_ADMIN", "`Can't open netlink socket`", "the same, and what is missing"],
    ),
    read(
        "Z output",
        Pipes,
        None,
        ["standard output that cannot be written", "exit 0", "`Cannot write to standard output: …`, exit 1"],
    ),
    write(
        "W2",
        [
            "`-D -u UNREPLIED`, `-D -u '!ASSURED'`",
            "deletes every entry the other selectors admit",
            "negation holds as with `-L`",
        ],
    ),
    write(
        "Z stray",
        [
            "words that belong to no option, with `-D -U -F -I -A`: `-D -p tcp 10.77.0.1`",
            "ignored: all of TCP is deleted",
            "an error that names them, exit 2; nothing is done",
        ],
    ),
    write_ruled(
        "Z bare -D",
        words::bare_deletion,
        [
            "`-D` without a selection",
            "deletes every flow of both families",
            "as `zct` refused, with `-D --all` and `-F` as ways out; as `conntrack` the same, and said on stderr",
        ],
    ),
    write("W3", ["`-F -f FAMILY`", "empties both families", "empties that family"]),
    write(
        "W4",
        [
            "`-R` with several `-U -m` or label lines",
            "uses the values of the last line; crashes",
            "each line counts alone",
        ],
    ),
    write(
        "Z -R file",
        [
            "`-R FILE` that cannot be opened, or is a directory",
            "`Failed to open file FILE for reading`; nothing of a directory, exit 0",
            "the same, and why",
        ],
    ),
    write("W13", ["`-U` and entries in a zone", "cannot change them", "changes them"]),
    write("W14", ["`-U -p tcp`", "also switches to liberal window tracking", "changes what was asked for"]),
    write_ruled(
        "W15",
        listing::update_lines,
        [
            "`-U` with several matches, or IPv6",
            "half of the lines are missing; fails",
            "all lines, as in 1.4.9",
        ],
    ),
    write_ruled(
        "1.4.9 -A",
        listing::add_updates,
        [
            "`-A` of an entry that exists",
            "no change, `0 … added`, exit 0",
            "updates it, `1 … added`, as 1.4.9",
        ],
    ),
    write(
        "Z -A conflict",
        [
            "`-A` of an entry that cannot become what is asked for: another translation, a fixed timeout",
            "no change, `0 … added`, exit 0; 1.4.9: `Operation not supported`, `Device or resource busy`, \
             also where nothing differs",
            "an error with both values; no error where nothing differs or bits would have to be taken back",
        ],
    ),
    write(
        "Z -A EXPECTED",
        [
            "`-A -u EXPECTED`, as `-o save` writes it",
            "`Device or resource busy`",
            "the flow is added without it, with a warning",
        ],
    ),
    write(
        "Z refused",
        [
            "entries that the kernel refuses, with `-U` and `-D`",
            "the command ends, or counts them as done; a fixed timeout is `you must be root`",
            "each is named with the reason (ten at most), the others are changed, and \
             `N flow entries could not be …`, exit 1",
        ],
    ),
    write(
        "Z why",
        [
            "a creation that the kernel refuses: `-I -u EXPECTED`, a full table, `-n` without NAT",
            "the words of the error number",
            "and what they mean here, in brackets",
        ],
    ),
    write("Z -U -t 0", ["`-U -t 0`", "the flows end, `0 … updated`, exit 1", "they are shown and counted"]),
    write(
        "Z -U nat",
        [
            "`-U` with the address of `-n` or `-g`, and something to change",
            "`Operation not supported`, and counted",
            "the address selects; the flow is changed",
        ],
    ),
    write(
        "Z mark mask",
        [
            "`-I` and `-A` with `-m MARK/MASK`",
            "the mask is ignored without a word",
            "the same, with a warning",
        ],
    ),
    write(
        "Z untranslated",
        [
            "`-I` and `-A` with reply addresses that are not the inverse, and neither `-n` nor `-g`",
            "listed as if translated, which packets are not",
            "the same, with a warning and the option to use",
        ],
    ),
    write(
        "Z untracked",
        [
            "`-R` of a saved DCCP flow that the kernel did not track as such",
            "the whole file is refused: `You need to supply the --state option`",
            "it is restored",
        ],
    ),
    write("W23", ["`-F` that fails", "says it has emptied the table", "says so only when it has"]),
    write(
        "W24",
        [
            "`-I` with ICMP type before the address, or reply addresses with `--sport`",
            "fails; an entry of protocol 0",
            "any order; an error",
        ],
    ),
    write(
        "Z nat ports",
        [
            "`-I`, `-A` with `-n ADDR:PORT` or `-g ADDR:PORT` and another protocol than TCP and UDP",
            "the port is left out without a word",
            "translated for SCTP, UDP-Lite and DCCP, as the kernel can; an error for protocols without ports",
        ],
    ),
    write("W25", ["an entry that vanishes during `-D`", "ends the command", "is passed over, as in 1.4.9"]),
    write("W26", ["`-D` when the tuple was reused meanwhile", "deletes the new flow", "the id is checked"]),
    write("Z dry-run", ["`--dry-run`", "unknown option", "`-D -U -F` say what they would do"]),
    write("Z units", ["`-t 1h`, `-t 5m`, `-t 1h30m`", "1, 5 and 1 seconds", "with their units"]),
    write(
        "W35",
        [
            "`-D` of a whole tuple with `-t`",
            "the timeout has to match, so it does nothing",
            "the timeout is ignored",
        ],
    ),
    nfct(
        "1.4.9 nfct",
        Nfct,
        [
            "`nfct`: every message",
            "`nfct v1.4.7: …`",
            "`nfct v1.4.9: …` when called `nfct`, else `zct v… (conntrack-tools 1.4.9): …`",
        ],
    ),
    nfct(
        "Z nfct seconds",
        Nfct,
        [
            "`nfct`: a timeout that is no number, negative or too large, or has text behind it; `1h`, `5m`",
            "0, the number at its start, or its lowest bits; flows end at once with what is too large",
            "`unexpected value '…' with STATE: …`; units count",
        ],
    ),
    nfct(
        "Z nfct hint",
        Nfct,
        [
            "`nfct`: the kernel refuses",
            "`netlink error: …`",
            "the same, and one more line: what it means here, and the way out",
        ],
    ),
    nfct(
        "Z nfct help",
        Nfct,
        [
            "`nfct`: `help`, `--help` or `-h` as one of the first two words",
            "taken for the beginning of `helper`, or unknown: it has no help",
            "a help text, exit 0",
        ],
    ),
    nfct(
        "Z nfct version",
        Nfct,
        [
            "`nfct`: `version`, `--version`, `-V`",
            "needs a second word; five lines",
            "one word is enough; other text below the first line",
        ],
    ),
    nfct(
        "Z nfct policy name",
        Nfct,
        [
            "`nfct … timeout` with a name of more than 31 bytes",
            "cut, which may be the name of another policy",
            "refused",
        ],
    ),
    nfct(
        "Z nfct protocol",
        Nfct,
        [
            "`nfct … timeout` with a protocol of `/etc/protocols` above 255",
            "its lowest eight bits count: `mptcp` is tcp",
            "`unknown layer 4 protocol`",
        ],
    ),
    nfct(
        "Z nfct no protocols",
        Nfct,
        [
            "`nfct … timeout` where there is no `/etc/protocols`",
            "knows `icmpv6` and `generic` only",
            "knows every protocol that has timeouts",
        ],
    ),
    nfct(
        "Z nfct output",
        Nfct,
        [
            "`nfct`: standard output that cannot be written",
            "exit 0",
            "`Cannot write to standard output: …`, exit 1",
        ],
    ),
    nfct(
        "Z nfct helper get",
        NfctHelpers,
        [
            "`nfct get helper` with a family and a protocol there is none for",
            "prints nothing, exit 0",
            "`netlink error: No such file or directory`, exit 1",
        ],
    ),
    nfct(
        "Z nfct helper family",
        NfctHelpers,
        [
            "`nfct get helper` and `delete helper` with a family alone",
            "never find one",
            "find those of that family",
        ],
    ),
    nfct(
        "Z nfct helper name",
        NfctHelpers,
        ["`nfct … helper` with a name of more than 15 bytes", "cut", "refused"],
    ),
    helpers(
        "Z helpers amanda",
        [
            "conntrackd's helper amanda, an answer that names ports",
            "one expectation, of the client's own port; none over IPv6; at most 3 for a flow",
            "one for each of up to 4 ports",
        ],
    ),
    helpers(
        "Z helpers dhcpv6",
        [
            "conntrackd's helper dhcpv6",
            "answers from any port are expected",
            "only from port 547, unless `AnyServerPort` is set",
        ],
    ),
    helpers(
        "Z helpers ftp",
        ["conntrackd's helper ftp, EPSV, and EPRT over IPv6", "no expectation", "the one that is announced"],
    ),
    helpers(
        "Z helpers rpc",
        [
            "conntrackd's helper rpc, questions by GETADDR (versions 3 and 4 of the port mapper)",
            "no expectation",
            "as for GETPORT; the address is translated too",
        ],
    ),
    helpers(
        "Z helpers ssdp",
        [
            "conntrackd's helper ssdp, an answer to a search",
            "everyone may connect to the device's description, more than once",
            "the one that has searched may, once, unless `Permanent` is set",
        ],
    ),
    helpers(
        "Z helpers tns",
        [
            "conntrackd's helper tns, a redirect over IPv6 or under destination NAT",
            "no expectation; one to the address before translation",
            "the address and port as the client sees them, in expectation and text",
        ],
    ),
    helpers(
        "Z helpers NAT",
        [
            "conntrackd's helpers where the expected connection has to be translated",
            "it is expected without its translation, and ends on the router",
            "it follows the translation of its master",
        ],
    ),
    helpers(
        "Z helpers zone",
        [
            "conntrackd's helpers ftp, rpc and tns, a flow in another zone than 0",
            "no expectation: it is asked for in zone 0",
            "the one that is announced",
        ],
    ),
];
