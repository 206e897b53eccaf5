//! The options of protocols, which are known once `-p` has named one.

use super::args::{Args, Side};
use super::flag::{Complete, Flag, Section, Takes};
use super::id::Id;
use super::legal::Legal;
use crate::fail::Fail;
use crate::values::number::{self, Base};
use crate::values::protocol;
use zct_wire::consts::ipproto;

/// The options of one protocol, which are known once `-p` has named it.
#[derive(Debug)]
pub struct ProtocolFlags {
    /// IPPROTO_* number.
    pub num: u8,
    /// Its name, as `-p` takes it.
    pub name: &'static str,
    /// Its options for ports or keys.
    pub ports: &'static [Flag],
    /// Its other options.
    pub own: &'static [Flag],
    /// The messages when neither pair is complete: for the original side and for the reply side.
    pub pairs: [&'static str; 2],
}

impl ProtocolFlags {
    /// All its options, in the order of the checks.
    pub fn flags(&self) -> impl Iterator<Item = &'static Flag> + Clone {
        self.ports.iter().chain(self.own)
    }
}

/// A row of the table for one of two ports or keys.
macro_rules! port {
    ($id:ident, $names:expr, $member:ident.$side:ident, $value:expr, $read:expr, $legal:expr, $section:ident, $brief:expr) => {
        Flag {
            id: Id::$id,
            letter: 0,
            names: &$names,
            takes: Takes::Value($value, |a, v| {
                a.$member.$side = Some($read(a, v, $names[0])?);
                Ok(())
            }),
            legal: $legal,
            section: Section::$section,
            brief: $brief,
            manual: if $value.as_bytes().len() > 4 {
                "A number from 0 to 65535. -L, -D, -U and -E take lists and ranges: 80,443,8000-8099, also \
                 written 8000:8099."
            } else {
                ""
            },
            complete: Complete::Nothing,
        }
    };
}

/// Reads a port of an expectation.
fn port(_: &mut Args, text: &[u8], option: &str) -> Result<u16, Fail> {
    number::field(text, Base::Decimal, option)
}

/// Reads a GRE key of an expectation, in any base like all GRE keys.
fn key(_: &mut Args, text: &[u8], option: &str) -> Result<u16, Fail> {
    number::field(text, Base::Any, option)
}

/// The options of protocols with ports.
const PORTS: &[Flag] = &[
    port!(
        Sport,
        ["sport", "orig-port-src"],
        orig_ports.src,
        "PORT[-LAST][,...]",
        |a: &mut Args, v: &[u8], n: &str| a.port(v, n, Side::OrigSrc, Base::Decimal),
        Legal::NOWHERE.may("LUDEC").pair("IAG").expect_must("IDG"),
        Selection,
        "source port of the original direction"
    ),
    port!(
        Dport,
        ["dport", "orig-port-dst"],
        orig_ports.dst,
        "PORT[-LAST][,...]",
        |a: &mut Args, v: &[u8], n: &str| a.port(v, n, Side::OrigDst, Base::Decimal),
        Legal::NOWHERE.may("LUDEC").pair("IAG").expect_must("IDG"),
        Selection,
        "destination port of the original direction"
    ),
    port!(
        ReplyPortSrc,
        ["reply-port-src"],
        reply_ports.src,
        "PORT[-LAST][,...]",
        |a: &mut Args, v: &[u8], n: &str| a.port(v, n, Side::ReplySrc, Base::Decimal),
        Legal::NOWHERE.may("LUDEC").pair("IAG").expect_must("DG"),
        Selection,
        "source port of the reply direction"
    ),
    port!(
        ReplyPortDst,
        ["reply-port-dst"],
        reply_ports.dst,
        "PORT[-LAST][,...]",
        |a: &mut Args, v: &[u8], n: &str| a.port(v, n, Side::ReplyDst, Base::Decimal),
        Legal::NOWHERE.may("LUDEC").pair("IAG").expect_must("DG"),
        Selection,
        "destination port of the reply direction"
    ),
    port!(
        MaskPortSrc,
        ["mask-port-src"],
        mask_ports.src,
        "PORT",
        port,
        Legal::NOWHERE.expect_must("I"),
        Expectation,
        "bits of the expected source port that count"
    ),
    port!(
        MaskPortDst,
        ["mask-port-dst"],
        mask_ports.dst,
        "PORT",
        port,
        Legal::NOWHERE.expect_must("I"),
        Expectation,
        "bits of the expected destination port that count"
    ),
    port!(
        TuplePortSrc,
        ["tuple-port-src"],
        tuple_ports.src,
        "PORT",
        port,
        Legal::NOWHERE.expect_must("I"),
        Expectation,
        "expected source port"
    ),
    port!(
        TuplePortDst,
        ["tuple-port-dst"],
        tuple_ports.dst,
        "PORT",
        port,
        Legal::NOWHERE.expect_must("I"),
        Expectation,
        "expected destination port"
    ),
];

const GRE_KEYS: &[Flag] = &[
    port!(
        Sport,
        ["srckey", "orig-key-src"],
        orig_ports.src,
        "KEY[-LAST][,...]",
        |a: &mut Args, v: &[u8], n: &str| a.port(v, n, Side::OrigSrc, Base::Any),
        Legal::NOWHERE.may("LUDEC").pair("IAG").expect_must("IDG"),
        Selection,
        "source key of the original direction"
    ),
    port!(
        Dport,
        ["dstkey", "orig-key-dst"],
        orig_ports.dst,
        "KEY[-LAST][,...]",
        |a: &mut Args, v: &[u8], n: &str| a.port(v, n, Side::OrigDst, Base::Any),
        Legal::NOWHERE.may("LUDEC").pair("IAG").expect_must("IDG"),
        Selection,
        "destination key of the original direction"
    ),
    port!(
        ReplyPortSrc,
        ["reply-key-src"],
        reply_ports.src,
        "KEY[-LAST][,...]",
        |a: &mut Args, v: &[u8], n: &str| a.port(v, n, Side::ReplySrc, Base::Any),
        Legal::NOWHERE.may("LUDEC").pair("IAG").expect_must("IDG"),
        Selection,
        "source key of the reply direction"
    ),
    port!(
        ReplyPortDst,
        ["reply-key-dst"],
        reply_ports.dst,
        "KEY[-LAST][,...]",
        |a: &mut Args, v: &[u8], n: &str| a.port(v, n, Side::ReplyDst, Base::Any),
        Legal::NOWHERE.may("LUDEC").pair("IAG").expect_must("IDG"),
        Selection,
        "destination key of the reply direction"
    ),
    port!(
        MaskPortSrc,
        ["mask-key-src"],
        mask_ports.src,
        "KEY",
        key,
        Legal::NOWHERE.expect_must("I"),
        Expectation,
        "bits of the expected source key that count"
    ),
    port!(
        MaskPortDst,
        ["mask-key-dst"],
        mask_ports.dst,
        "KEY",
        key,
        Legal::NOWHERE.expect_must("I"),
        Expectation,
        "bits of the expected destination key that count"
    ),
    port!(
        TuplePortSrc,
        ["tuple-key-src"],
        tuple_ports.src,
        "KEY",
        key,
        Legal::NOWHERE.expect_must("I"),
        Expectation,
        "expected source key"
    ),
    port!(
        TuplePortDst,
        ["tuple-key-dst"],
        tuple_ports.dst,
        "KEY",
        key,
        Legal::NOWHERE.expect_must("I"),
        Expectation,
        "expected destination key"
    ),
];

/// Reads a list of states.
fn states(a: &mut Args, num: u8, list: &[u8]) -> Result<(), Fail> {
    a.states = list.split(|b| *b == b',').map(|name| protocol::state(num, name)).collect::<Result<_, _>>()?;
    Ok(())
}

/// The row for `--state` of a protocol.
const fn state(
    names: &'static [&'static str],
    legal: Legal,
    set: fn(&mut Args, &[u8]) -> Result<(), Fail>,
) -> Flag {
    Flag {
        id: Id::State,
        letter: 0,
        names: &["state"],
        takes: Takes::Value("STATE[,...]", set),
        legal,
        section: Section::Selection,
        brief: "state of the connection",
        manual: "In upper case, as -L shows it. Where it selects, a comma list, of which one must fit. -I and \
                 -A create the flow with it, and -U sets it.",
        complete: Complete::Words(names),
    }
}

const fn vtag(id: Id, names: &'static [&'static str], set: fn(&mut Args, &[u8]) -> Result<(), Fail>) -> Flag {
    Flag {
        id,
        letter: 0,
        names,
        takes: Takes::Value("TAG", set),
        legal: Legal::NOWHERE.may("UG").must("IA").expect_must("I"),
        section: Section::Selection,
        brief: "SCTP verification tag of that direction, decimal",
        manual: "",
        complete: Complete::Nothing,
    }
}

const fn icmp(
    id: Id,
    names: &'static [&'static str],
    legal: Legal,
    brief: &'static str,
    set: fn(&mut Args, &[u8]) -> Result<(), Fail>,
) -> Flag {
    Flag {
        id,
        letter: 0,
        names,
        takes: Takes::Value("NUMBER", set),
        legal,
        section: Section::Selection,
        brief,
        manual: "",
        complete: Complete::Nothing,
    }
}

const PORT_PAIRS: [&str; 2] = [
    "you have to specify `--sport' and `--dport'",
    "you have to specify `--reply-src-port' and `--reply-dst-port'",
];

/// The options of each protocol that has any.
pub static PROTOCOLS: &[ProtocolFlags] = &[
    ProtocolFlags {
        num: ipproto::TCP,
        name: "tcp",
        ports: PORTS,
        own: &[state(
            &[
                "NONE",
                "SYN_SENT",
                "SYN_RECV",
                "ESTABLISHED",
                "FIN_WAIT",
                "CLOSE_WAIT",
                "LAST_ACK",
                "TIME_WAIT",
                "CLOSE",
                "SYN_SENT2",
                "LISTEN",
            ],
            Legal::NOWHERE.may("LUDGEC").must("IA"),
            |a, v| states(a, ipproto::TCP, v),
        )],
        pairs: PORT_PAIRS,
    },
    ProtocolFlags { num: ipproto::UDP, name: "udp", ports: PORTS, own: &[], pairs: PORT_PAIRS },
    ProtocolFlags { num: ipproto::UDPLITE, name: "udplite", ports: PORTS, own: &[], pairs: PORT_PAIRS },
    ProtocolFlags {
        num: ipproto::SCTP,
        name: "sctp",
        ports: PORTS,
        own: &[
            state(
                &[
                    "NONE",
                    "CLOSED",
                    "COOKIE_WAIT",
                    "COOKIE_ECHOED",
                    "ESTABLISHED",
                    "SHUTDOWN_SENT",
                    "SHUTDOWN_RECD",
                    "SHUTDOWN_ACK_SENT",
                    "HEARTBEAT_SENT",
                    "HEARTBEAT_ACKED",
                ],
                Legal::NOWHERE.may("LUDGEC").must("IA"),
                |a, v| states(a, ipproto::SCTP, v),
            ),
            vtag(Id::OrigVtag, &["orig-vtag"], |a, v| {
                a.vtag[0] = Some(number::field(v, Base::Decimal, "orig-vtag")?);
                Ok(())
            }),
            vtag(Id::ReplyVtag, &["reply-vtag"], |a, v| {
                a.vtag[1] = Some(number::field(v, Base::Decimal, "reply-vtag")?);
                Ok(())
            }),
        ],
        pairs: PORT_PAIRS,
    },
    ProtocolFlags {
        num: ipproto::DCCP,
        name: "dccp",
        ports: PORTS,
        own: &[
            state(
                &[
                    "NONE", "REQUEST", "RESPOND", "PARTOPEN", "OPEN", "CLOSEREQ", "CLOSING", "TIMEWAIT",
                    "IGNORE", "INVALID",
                ],
                Legal::NOWHERE.may("LUDGEC").must("IA"),
                |a, v| states(a, ipproto::DCCP, v),
            ),
            Flag {
                id: Id::Role,
                letter: 0,
                names: &["role"],
                takes: Takes::Value("ROLE", |a, v| protocol::dccp_role(v).map(|r| a.role = Some(r))),
                legal: Legal::NOWHERE.must("IA").expect_must("I"),
                section: Section::Selection,
                brief: "who opened the connection: client or server",
                manual: "",
                complete: Complete::Words(&["client", "server"]),
            },
        ],
        pairs: [
            "you have to specify `--sport' and `--dport'",
            "you have to specify `--reply-port-src' and `--report-port-dst'",
        ],
    },
    ProtocolFlags {
        num: ipproto::GRE,
        name: "gre",
        ports: GRE_KEYS,
        own: &[],
        pairs: [
            "you have to specify `--srckey' and `--dstkey'",
            "you have to specify `--reply-src-key' and `--reply-dst-key'",
        ],
    },
    ProtocolFlags {
        num: ipproto::ICMP,
        name: "icmp",
        ports: &[],
        own: &[
            icmp(
                Id::IcmpType,
                &["icmp-type"],
                Legal::NOWHERE.may("LUDEC").must("IAG"),
                "ICMP type, a number",
                |a, v| {
                    a.icmp_type = Some(number::field(v, Base::Decimal, "icmp-type")?);
                    Ok(())
                },
            ),
            icmp(
                Id::IcmpCode,
                &["icmp-code"],
                Legal::NOWHERE.may("LUDEC").must("IAG"),
                "ICMP code, a number",
                |a, v| {
                    a.icmp_code = Some(number::field(v, Base::Decimal, "icmp-code")?);
                    Ok(())
                },
            ),
            icmp(Id::IcmpId, &["icmp-id"], Legal::NOWHERE.may("LIAUDGEC"), "ICMP identifier", |a, v| {
                a.icmp_id = Some(number::field(v, Base::Decimal, "icmp-id")?);
                Ok(())
            }),
        ],
        pairs: ["", ""],
    },
    ProtocolFlags {
        num: ipproto::ICMPV6,
        name: "icmpv6",
        ports: &[],
        own: &[
            icmp(
                Id::IcmpType,
                &["icmpv6-type"],
                Legal::NOWHERE.may("LUDEC").must("IAG"),
                "ICMPv6 type, a number",
                |a, v| {
                    a.icmp_type = Some(number::field(v, Base::Decimal, "icmpv6-type")?);
                    Ok(())
                },
            ),
            icmp(
                Id::IcmpCode,
                &["icmpv6-code"],
                Legal::NOWHERE.may("LUDEC").must("IAG"),
                "ICMPv6 code, a number",
                |a, v| {
                    a.icmp_code = Some(number::field(v, Base::Decimal, "icmpv6-code")?);
                    Ok(())
                },
            ),
            icmp(Id::IcmpId, &["icmpv6-id"], Legal::NOWHERE.may("LIAUDGEC"), "ICMPv6 identifier", |a, v| {
                a.icmp_id = Some(number::field(v, Base::Decimal, "icmpv6-id")?);
                Ok(())
            }),
        ],
        pairs: ["", ""],
    },
];

/// The options of a protocol, if it has any.
pub fn protocol_flags(num: u8) -> Option<&'static ProtocolFlags> {
    PROTOCOLS.iter().find(|p| p.num == num)
}
