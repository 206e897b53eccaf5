//! The only definition of the options: names, values, where they are legal, and their texts.
//!
//! Parsing, legality, `--help`, man page and completions all read this table. A row is data; an option does
//! nothing but record itself in [`Args`].

use super::added;
use super::args::{Args, Side};
use super::flag::{Complete, Flag, Section, Takes};
use super::id::Id;
use super::legal::Legal;
use crate::fail::Fail;
use crate::values::number::{self, Base};
use crate::values::{list, protocol};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use zct_wire::tracked;

const ADDR: &str = "ADDR";
const NET: &str = "ADDR[/LEN]";
const NETS: &str = "ADDR[/LEN]|@FILE[,...]";
const ADDRS: &str = "ADDR|@FILE[,...]";
const NAT: &str = "ADDR[:PORT]";

/// The options that do not depend on a protocol, those of the original first, in the order of the legality checks (command-line.md §1.3).
pub static FLAGS: &[Flag] = &[
    Flag {
        id: Id::Src,
        letter: b's',
        names: &["src", "orig-src"],
        takes: Takes::Value(NETS, |a, v| {
            a.orig_src = a.networks(v, Id::MaskSrc, Side::OrigSrc)?;
            Ok(())
        }),
        legal: Legal::NOWHERE.may("LUDEC").pair("IAG").expect_must("IDG"),
        section: Section::Selection,
        brief: "source address of the original direction",
        manual: "With a prefix length, a network. -L, -C, -D, -U and -E take a comma list, of which one must fit, and \
                 files of addresses; see ADDRESSES FROM FILES.",
        complete: Complete::Nothing,
    },
    Flag {
        id: Id::Dst,
        letter: b'd',
        names: &["dst", "orig-dst"],
        takes: Takes::Value(NETS, |a, v| {
            a.orig_dst = a.networks(v, Id::MaskDst, Side::OrigDst)?;
            Ok(())
        }),
        legal: Legal::NOWHERE.may("LUDEC").pair("IAG").expect_must("IDG"),
        section: Section::Selection,
        brief: "destination address of the original direction",
        manual: "With a prefix length, a network. -L, -C, -D, -U and -E take a comma list, of which one must fit, and \
                 files of addresses; see ADDRESSES FROM FILES.",
        complete: Complete::Nothing,
    },
    Flag {
        id: Id::ReplySrc,
        letter: b'r',
        names: &["reply-src"],
        takes: Takes::Value(ADDRS, |a, v| {
            a.reply_src = a.exact_addresses(v, "reply-src", Side::ReplySrc)?;
            Ok(())
        }),
        legal: Legal::NOWHERE.may("LUDEC").pair("IAG").expect_may("IDG"),
        section: Section::Selection,
        brief: "source address of the reply direction",
        manual: "",
        complete: Complete::Nothing,
    },
    Flag {
        id: Id::ReplyDst,
        letter: b'q',
        names: &["reply-dst"],
        takes: Takes::Value(ADDRS, |a, v| {
            a.reply_dst = a.exact_addresses(v, "reply-dst", Side::ReplyDst)?;
            Ok(())
        }),
        legal: Legal::NOWHERE.may("LUDEC").pair("IAG").expect_may("IDG"),
        section: Section::Selection,
        brief: "destination address of the reply direction",
        manual: "",
        complete: Complete::Nothing,
    },
    Flag {
        id: Id::Protonum,
        letter: b'p',
        names: &["protonum"],
        takes: Takes::Value("PROTO", |a, v| protocol::parse(v).map(|p| a.protocol = Some(p))),
        legal: Legal::NOWHERE.may("LUDEhC").must("IAG").expect_must("IDG"),
        section: Section::Selection,
        brief: "layer 4 protocol, by name or number",
        manual: "Names in any case: tcp, udp, udplite, icmp, icmpv6, sctp, gre, dccp; else a name of \
                 /etc/protocols or a number from 0 to 255. The options of the protocol may stand before it, \
                 too.",
        complete: Complete::Words(&tracked::NAMES),
    },
    Flag {
        id: Id::Timeout,
        letter: b't',
        names: &["timeout"],
        takes: Takes::Value("TIME", |a, v| number::timeout(v, "t").map(|s| a.timeout = Some(s))),
        legal: Legal::NOWHERE.may("UD").must("IA").expect_must("I"),
        section: Section::Change,
        brief: "time until the entry expires: seconds, or 90s, 5m, 1h30m, 2d",
        manual: "At most 2147483647 ticks of the kernel's clock, which are 2147483 seconds with 1000 ticks a \
                 second and 8589934 with 250. With 0 the entry ends at once.",
        complete: Complete::Nothing,
    },
    Flag {
        id: Id::Status,
        letter: b'u',
        names: &["status"],
        takes: Takes::Value("STATUS[,...]", |a, v| {
            let warnings = list::status(v, a.status.get_or_insert_default())?;
            a.warnings.extend(warnings);
            Ok(())
        }),
        legal: Legal::NOWHERE.may("LIAUDC").expect_may("I"),
        section: Section::Selection,
        brief: "status: ASSURED, SEEN_REPLY, FIXED_TIMEOUT, EXPECTED, OFFLOAD, HW_OFFLOAD, UNREPLIED, UNSET; ! negates",
        manual: "Words in any case, which may be cut short. All of them must hold; !NAME must not, and \
                 UNREPLIED is !SEEN_REPLY. UNSET selects nothing in particular. With -I, -A and -U the bits \
                 to set.",
        complete: Complete::Words(&[
            "ASSURED",
            "SEEN_REPLY",
            "UNREPLIED",
            "FIXED_TIMEOUT",
            "EXPECTED",
            "OFFLOAD",
            "HW_OFFLOAD",
            "UNSET",
        ]),
    },
    Flag {
        id: Id::Zero,
        letter: b'z',
        names: &["zero"],
        takes: Takes::Nothing(|_| ()),
        legal: Legal::NOWHERE.may("L"),
        section: Section::Display,
        brief: "read the counters and reset them in the same step",
        manual: "Cannot be combined with a selection other than the family and NAT. With a NAT option the \
                 counters of all flows of the family are reset, also of those that are not shown.",
        complete: Complete::Nothing,
    },
    Flag {
        id: Id::EventMask,
        letter: b'e',
        names: &["event-mask"],
        takes: Takes::Value("EVENT[,...]", |a, v| list::events(v, a.events.get_or_insert_default())),
        legal: Legal::NOWHERE.may("E"),
        section: Section::Selection,
        brief: "events to show: NEW, UPDATES, DESTROY, ALL",
        manual: "Words in any case, which may be cut short. Only the groups asked for are joined: each \
                 costs the kernel time for every flow.",
        complete: Complete::Words(&["ALL", "NEW", "UPDATES", "DESTROY"]),
    },
    Flag {
        id: Id::TupleSrc,
        letter: b'[',
        names: &["tuple-src"],
        takes: Takes::Value(NET, |a, v| {
            a.tuple_src = Some(a.network(v, Id::MaskSrc)?);
            Ok(())
        }),
        legal: Legal::NOWHERE.expect_must("I"),
        section: Section::Expectation,
        brief: "source address of the expected flow",
        manual: "With a prefix length, the mask comes from it.",
        complete: Complete::Nothing,
    },
    Flag {
        id: Id::TupleDst,
        letter: b']',
        names: &["tuple-dst"],
        takes: Takes::Value(NET, |a, v| {
            a.tuple_dst = Some(a.network(v, Id::MaskDst)?);
            Ok(())
        }),
        legal: Legal::NOWHERE.expect_must("I"),
        section: Section::Expectation,
        brief: "destination address of the expected flow",
        manual: "With a prefix length, the mask comes from it.",
        complete: Complete::Nothing,
    },
    Flag {
        id: Id::MaskSrc,
        letter: b'{',
        names: &["mask-src"],
        takes: Takes::Value(ADDR, |a, v| {
            a.mask_src = Some(a.address(v, "mask-src")?);
            Ok(())
        }),
        legal: Legal::NOWHERE.may("LUDEC").expect_must("I"),
        section: Section::Selection,
        brief: "bits of the source address that count; with --src",
        manual: "",
        complete: Complete::Nothing,
    },
    Flag {
        id: Id::MaskDst,
        letter: b'}',
        names: &["mask-dst"],
        takes: Takes::Value(ADDR, |a, v| {
            a.mask_dst = Some(a.address(v, "mask-dst")?);
            Ok(())
        }),
        legal: Legal::NOWHERE.may("LUDEC").expect_must("I"),
        section: Section::Selection,
        brief: "bits of the destination address that count; with --dst",
        manual: "",
        complete: Complete::Nothing,
    },
    Flag {
        id: Id::NatRange,
        letter: b'a',
        names: &["nat-range"],
        takes: Takes::Value("ANY", |a, _| {
            a.warnings.push("WARNING: ignoring -a, deprecated option.".to_owned());
            Ok(())
        }),
        // Accepted everywhere, because it never counts as given.
        legal: Legal::ANYWHERE,
        section: Section::Change,
        brief: "ignored, with a warning; use --src-nat and --dst-nat",
        manual: "",
        complete: Complete::Nothing,
    },
    Flag {
        id: Id::Mark,
        letter: b'm',
        names: &["mark"],
        takes: Takes::Value("MARK[/MASK]", |a, v| number::mark(v).map(|m| a.mark = Some(m))),
        legal: Legal::NOWHERE.may("LIAUDEC"),
        section: Section::Selection,
        brief: "mark of the flow",
        manual: "Selects flows with (mark & MASK) == MARK; bits of MARK outside MASK match nothing. With -U \
                 the new mark is (old & ~MASK) ^ MARK. With -I and -A it is MARK, and a MASK is not used, which \
                 a warning says.",
        complete: Complete::Seen("mark"),
    },
    Flag {
        id: Id::EntryId,
        letter: b'i',
        names: &["id"],
        takes: Takes::Value("ID", |a, v| {
            a.id = Some(number::field(v, Base::Any, "i")?);
            Ok(())
        }),
        legal: Legal::NOWHERE.may("UDG"),
        section: Section::Selection,
        brief: "id of the flow, as -o id shows it",
        manual: "",
        complete: Complete::Nothing,
    },
    Flag {
        id: Id::Family,
        letter: b'f',
        names: &["family"],
        takes: Takes::Value("FAMILY", |a, v| a.set_family_name(v)),
        legal: Legal::NOWHERE.may("LUDFEC").expect_may("L"),
        section: Section::Selection,
        brief: "ipv4 or ipv6",
        manual: "Without it, both; expectations of IPv4.",
        complete: Complete::Words(&["ipv4", "ipv6"]),
    },
    Flag {
        id: Id::SrcNat,
        letter: b'n',
        names: &["src-nat"],
        takes: Takes::Maybe(NAT, |a, v| a.nat(v, "src-nat", a.src_nat).map(|n| a.src_nat = n)),
        legal: Legal::NOWHERE.may("LIAUDEC"),
        section: Section::Selection,
        brief: "source NAT, to that address if given; [ADDR6]:PORT for IPv6",
        manual: "Selects flows whose source is translated. With -I and -A the translation to set up.",
        complete: Complete::Nothing,
    },
    Flag {
        id: Id::DstNat,
        letter: b'g',
        names: &["dst-nat"],
        takes: Takes::Maybe(NAT, |a, v| a.nat(v, "dst-nat", a.dst_nat).map(|n| a.dst_nat = n)),
        legal: Legal::NOWHERE.may("LIAUDEC"),
        section: Section::Selection,
        brief: "destination NAT, likewise",
        manual: "",
        complete: Complete::Nothing,
    },
    Flag {
        id: Id::Output,
        letter: b'o',
        names: &["output"],
        takes: Takes::Value("WORD[,...]", |a, v| {
            list::output(v, &mut a.output)?;
            a.output.check()
        }),
        legal: Legal::NOWHERE.may("LUDGE").expect_may("LE"),
        section: Section::Display,
        brief: "output: xml, json, save, extended, id, timestamp, ktimestamp, labels, userspace",
        manual: "Words in any case, which may be cut short. xml and json write one element or object an \
                 entry; save writes lines that -R reads again; extended shows the layer 3 protocol; id the \
                 flow's id; timestamp when an event was reported; ktimestamp when a flow began and ended; \
                 labels its labels, bit-17 where a bit has no name. userspace is accepted: events caused by a program are \
                 always shown with it. -C and -S take json.",
        complete: Complete::Words(&list::OUTPUT),
    },
    Flag {
        id: Id::Secmark,
        letter: b'c',
        names: &["secmark"],
        takes: Takes::Value("MARK", |a, v| {
            a.secmark = Some(number::field(v, Base::Any, "c")?);
            Ok(())
        }),
        legal: Legal::NOWHERE.may("LEC"),
        section: Section::Selection,
        brief: "security mark, where the kernel reports it",
        manual: "Current kernels report a security context instead, which this does not select by; it is \
                 said when nothing could be compared.",
        complete: Complete::Nothing,
    },
    Flag {
        id: Id::BufferSize,
        letter: b'b',
        names: &["buffer-size"],
        takes: Takes::Value("BYTES", |a, v| {
            a.buffer_size = Some(number::buffer_size(v, "b")?);
            Ok(())
        }),
        legal: Legal::NOWHERE.may("E"),
        section: Section::Display,
        brief: "receive buffer for events; 1280 bytes hold one. Else room for 100,000, in 1/64 of the memory",
        manual: "The kernel doubles the value. Without CAP_NET_ADMIN in the first user namespace it is \
                 limited by net.core.rmem_max. Without this option there is room for a burst of 100,000 \
                 events, but never more than 1/64 of the machine's memory is asked for.",
        complete: Complete::Nothing,
    },
    Flag {
        id: Id::AnyNat,
        letter: b'j',
        names: &["any-nat"],
        takes: Takes::Maybe(NAT, |a, v| a.nat(v, "any-nat", a.any_nat).map(|n| a.any_nat = n)),
        legal: Legal::NOWHERE.may("LEC"),
        section: Section::Selection,
        brief: "source or destination NAT, likewise",
        manual: "",
        complete: Complete::Nothing,
    },
    Flag {
        id: Id::Zone,
        letter: b'w',
        names: &["zone"],
        takes: Takes::Value("ZONE", |a, v| zone(v, "w").map(|z| a.zone = Some(z))),
        legal: Legal::NOWHERE.may("LIADEC"),
        section: Section::Selection,
        brief: "conntrack zone of both directions",
        manual: "0 selects flows without a zone.",
        complete: Complete::Seen("zone"),
    },
    Flag {
        id: Id::Label,
        letter: b'l',
        names: &["label"],
        takes: Takes::Value("NAME[,...]", |a, v| {
            a.labels.extend(names(v));
            Ok(())
        }),
        legal: Legal::NOWHERE.may("LUDGEC"),
        section: Section::Selection,
        brief: "labels that must all be set",
        manual: "Names come from /etc/xtables/connlabel.conf or --labelmap; bit-17 is the label of that bit, as \
                 labels without a name are shown.",
        complete: Complete::Nothing,
    },
    Flag {
        id: Id::LabelAdd,
        letter: b'<',
        names: &["label-add"],
        takes: Takes::Value("NAME[,...]", |a, v| {
            a.label_add.extend(names(v));
            one_label_change(a, Id::LabelDel)
        }),
        legal: Legal::NOWHERE.may("IAU"),
        section: Section::Change,
        brief: "labels to set",
        manual: "The kernel keeps labels once a rule uses them.",
        complete: Complete::Nothing,
    },
    Flag {
        id: Id::LabelDel,
        letter: b'>',
        names: &["label-del"],
        takes: Takes::Maybe("NAME[,...]", |a, v| {
            // Without a name it means all labels, whatever was named before.
            match v {
                Some(v) => a.label_del.extend(names(v)),
                None => a.label_del.clear(),
            }
            one_label_change(a, Id::LabelAdd)
        }),
        legal: Legal::NOWHERE.may("U"),
        section: Section::Change,
        brief: "labels to clear; without a name all of them",
        manual: "",
        complete: Complete::Nothing,
    },
    Flag {
        id: Id::OrigZone,
        letter: b'(',
        names: &["orig-zone"],
        takes: Takes::Value("ZONE", |a, v| zone(v, "orig-zone").map(|z| a.orig_zone = Some(z))),
        legal: Legal::NOWHERE.may("LIADEC"),
        section: Section::Selection,
        brief: "zone of the original direction alone",
        manual: "0 selects flows without a zone in that direction: neither one of its own nor one of both.",
        complete: Complete::Seen("zone"),
    },
    Flag {
        id: Id::ReplyZone,
        letter: b')',
        names: &["reply-zone"],
        takes: Takes::Value("ZONE", |a, v| zone(v, "reply-zone").map(|z| a.reply_zone = Some(z))),
        legal: Legal::NOWHERE.may("LIADEC"),
        section: Section::Selection,
        brief: "zone of the reply direction alone",
        manual: "0 likewise.",
        complete: Complete::Seen("zone"),
    },
    Flag {
        id: Id::Labelmap,
        letter: b'M',
        names: &["labelmap"],
        takes: Takes::Value("FILE", |a, v| {
            if a.labelmap.is_some() {
                return Err(Fail::usage("option `--labelmap' can only be specified once"));
            }
            a.labelmap = Some(OsString::from_vec(v.to_vec()));
            Ok(())
        }),
        legal: Legal::NOWHERE.may("LUDEC"),
        section: Section::Selection,
        brief: "file with the names of labels",
        manual: "One line a label: its bit and its name.",
        complete: Complete::File,
    },
    added::DRY_RUN,
    added::KERNEL_FILTER,
    added::EXPLAIN,
    added::JOBS,
    added::READER,
    added::ALL,
    added::BY,
    added::TOP,
    added::SORT,
];

/// Reads a zone number.
fn zone(text: &[u8], option: &str) -> Result<u16, Fail> {
    number::field(text, Base::Any, option)
}

/// The names in a comma list, unchanged.
fn names(list: &[u8]) -> impl Iterator<Item = Vec<u8>> {
    list.split(|b| *b == b',').map(<[u8]>::to_vec)
}

/// Labels are set or cleared, not both. Exit 1, as in the original.
fn one_label_change(a: &Args, other: Id) -> Result<(), Fail> {
    if a.given.has(other) {
        return Err(Fail::runtime("cannot use --label-add and --label-del at the same time"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::args::Ports;
    use crate::flags::command::COMMANDS;
    use crate::flags::protocol::{PROTOCOLS, protocol_flags};
    use zct_wire::consts::ipproto;

    fn check(flags: &[&Flag]) {
        for (i, f) in flags.iter().enumerate() {
            assert!(!f.names.is_empty() && !f.brief.is_empty() && !f.brief.ends_with('.'));
            for other in &flags[..i] {
                assert!(other.id != f.id && !f.names.iter().any(|n| other.names.contains(n)));
                assert!(f.letter == 0 || f.letter != other.letter);
            }
        }
    }

    #[test]
    fn rows_are_complete_and_names_unique() {
        check(&FLAGS.iter().collect::<Vec<_>>());
        for (i, f) in FLAGS.iter().enumerate() {
            assert_eq!(f.id as usize, i, "rows and ids are in one order");
            assert!(COMMANDS.iter().all(|c| Some(c.short) != f.short() && !f.names.contains(&c.long)));
        }
        for p in PROTOCOLS {
            let flags: Vec<&Flag> = p.flags().collect();
            check(&flags);
            assert!(flags.iter().all(|f| f.names.iter().all(|n| FLAGS.iter().all(|g| !g.names.contains(n)))));
        }
    }

    #[test]
    fn ports_member_is_plain() {
        // The macro writes into these: a renamed member does not compile, but a swapped one does.
        let mut a = Args::default();
        for (at, f) in protocol_flags(ipproto::TCP).unwrap().ports.iter().enumerate() {
            let Takes::Value(_, set) = f.takes else { panic!("ports take values") };
            set(&mut a, at.to_string().as_bytes()).unwrap();
        }
        let pair = |src, dst| Ports { src: Some(src), dst: Some(dst) };
        assert_eq!((a.orig_ports, a.reply_ports), (pair(0, 1), pair(2, 3)));
        assert_eq!((a.mask_ports, a.tuple_ports), (pair(4, 5), pair(6, 7)));
    }
}
