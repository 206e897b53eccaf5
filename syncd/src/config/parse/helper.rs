//! `Helper` (conntrackd.md §5.7): the settings of the original's plug-ins, and of ours what may be opened.

use super::super::lexer::TokenKind;
use super::super::report::{At, FilePlace, quoted};
use super::super::settings::{HELPERS, HelperFamily, HelperKind, HelperProtocol, default};
use super::general::{BYTES_MAX, set};
use super::parser::{BlockName, Directive, Parser, place};
use super::raw::{Raw, RawHelper, RawHelpers, RawPolicy};
use std::net::IpAddr;
use zct_helpers::Addr;
use zct_helpers::config::Prefix;

pub(super) const HELPER: &[Directive<RawHelpers>] = &[
    Directive { word: "Setup", read: |p, h, at| set(&mut h.setup, p.switch(at, "Setup")) },
    Directive { word: "Type", read: helper_type },
];

pub(super) const TYPE: &[Directive<RawHelper>] = &[
    Directive { word: "QueueNum", read: queue_num },
    Directive { word: "QueueLen", read: queue_len },
    Directive { word: "Policy", read: policy },
    Directive {
        word: "AllowPrivilegedPorts",
        read: |p, h, at| set(&mut h.privileged_ports, p.switch(at, "AllowPrivilegedPorts")),
    },
    Directive { word: "AllowFrom", read: |p, h, at| prefix(p, "AllowFrom", &mut h.senders, at) },
    Directive { word: "AllowAddress", read: |p, h, at| prefix(p, "AllowAddress", &mut h.addresses, at) },
    Directive {
        word: "MaxExpectations",
        read: |p, h, at| set(&mut h.max_expectations, p.number(at, "MaxExpectations", 1..=BYTES_MAX)),
    },
    Directive { word: "Permanent", read: |p, h, at| set(&mut h.permanent, p.switch(at, "Permanent")) },
    Directive { word: "AnyServerPort", read: |p, h, at| set(&mut h.any_port, p.switch(at, "AnyServerPort")) },
];

pub(super) const POLICY: &[Directive<RawPolicy>] = &[
    // The kernel refuses a larger number (NF_CT_EXPECT_MAX_CNT of nf_conntrack_expect.h).
    Directive {
        word: "ExpectMax",
        read: |p, s, at| set(&mut s.expect_max, p.number(at, "ExpectMax", 0..=255)),
    },
    Directive {
        word: "ExpectTimeout",
        read: |p, s, at| set(&mut s.expect_timeout_s, p.number(at, "ExpectTimeout", 0..=BYTES_MAX)),
    },
];

/// `Helper { … }`.
pub(super) fn helper(p: &mut Parser<'_>, raw: &mut Raw, at: FilePlace) -> Option<()> {
    p.block(BlockName { name: "Helper", place: at }, HELPER, &mut raw.helpers)
}

/// `Type NAME FAMILY PROTOCOL { … }`. After a wrong name, the rest is still read.
fn helper_type(p: &mut Parser<'_>, helpers: &mut RawHelpers, at: FilePlace) -> Option<()> {
    let name_at = place(&p.peek());
    let name = p.name("Type", "the name of a helper")?;
    let family_at = place(&p.peek());
    let family = p.name("the helper's name", "inet or inet6")?;
    let protocol_at = place(&p.peek());
    let protocol = p.name("the helper's family", "tcp or udp")?;
    let known_family = [HelperFamily::Inet, HelperFamily::Inet6].into_iter().find(|f| f.word() == family);
    if known_family.is_none() {
        let text = format!("unknown family {}: expected inet or inet6", quoted(family.as_bytes()));
        p.error(family_at, text);
    }
    let known_protocol =
        [HelperProtocol::Tcp, HelperProtocol::Udp].into_iter().find(|l| l.word() == protocol);
    if known_protocol.is_none() {
        let text = format!("unknown protocol {}: expected tcp or udp", quoted(protocol.as_bytes()));
        p.error(protocol_at, text);
    }
    let kind = HELPERS.iter().find(|h| h.name == name);
    match (kind, known_protocol) {
        (None, _) => {
            let all: Vec<_> = HELPERS.iter().map(|h| h.name).collect();
            let name = quoted(name.as_bytes());
            p.error(name_at, format!("unknown helper {name}: expected one of {}", all.join(", ")));
        }
        (Some(kind), Some(protocol)) if !kind.protocols.contains(&protocol) => {
            let (name, protocol) = (kind.name, protocol.word());
            p.error(protocol_at, format!("the helper {name} is not for {protocol}"));
        }
        _ => {}
    }
    let mut helper = RawHelper {
        place: at,
        kind,
        family: known_family,
        protocol: known_protocol,
        queue_num: None,
        queue_len: None,
        policy: None,
        privileged_ports: None,
        senders: Vec::new(),
        addresses: Vec::new(),
        max_expectations: None,
        permanent: None,
        any_port: None,
    };
    p.block(BlockName { name: "Type", place: at }, TYPE, &mut helper)?;
    helpers.types.push(helper);
    Some(())
}

/// If it is given twice, the first counts, as in the original.
fn queue_num(p: &mut Parser<'_>, helper: &mut RawHelper, at: FilePlace) -> Option<()> {
    let read = p.number(at, "QueueNum", 0..=65_535)?;
    match helper.queue_num {
        Some(first) => {
            p.warn(at, format!("QueueNum is there twice: the first, {}, counts", first.value));
        }
        None => helper.queue_num = Some(read),
    }
    Some(())
}

fn queue_len(p: &mut Parser<'_>, helper: &mut RawHelper, at: FilePlace) -> Option<()> {
    let read = p.number(at, "QueueLen", 0..=BYTES_MAX)?;
    if read.value == 0 {
        p.warn(at, format!("QueueLen 0 means the kernel's default, {}", default::QUEUE_LEN));
    }
    helper.queue_len = Some(read);
    Some(())
}

/// An address of either family, with or without `/LENGTH`.
fn prefix(p: &mut Parser<'_>, word: &str, into: &mut Vec<Prefix>, at: FilePlace) -> Option<()> {
    let t = p.peek();
    if t.kind != TokenKind::Address {
        p.unexpected(&format!("an address or network after {word}"));
        return None;
    }
    p.take();
    let text = std::str::from_utf8(t.text).unwrap_or_default();
    let (addr, length) = text.split_once('/').map_or((text, None), |(a, l)| (a, Some(l)));
    let addr = match addr.parse() {
        Ok(IpAddr::V4(a)) => Some(Addr::V4(a.octets())),
        Ok(IpAddr::V6(a)) => Some(Addr::V6(a.octets())),
        Err(_) => None,
    };
    let found = addr.and_then(|addr| {
        let bits = match length {
            Some(l) => l.parse().ok()?,
            None if matches!(addr, Addr::V4(_)) => 32,
            None => 128,
        };
        Prefix::new(addr, bits)
    });
    match found {
        Some(found) if into.contains(&found) => p.warn(at, format!("{} is there twice", quoted(t.text))),
        Some(found) => into.push(found),
        None => p.error(place(&t), format!("{} is no address or network", quoted(t.text))),
    }
    Some(())
}

/// `Policy NAME { … }`: each helper has one kind of expectation, which has the helper's name.
fn policy(p: &mut Parser<'_>, helper: &mut RawHelper, at: FilePlace) -> Option<()> {
    let name_at = place(&p.peek());
    let name = p.name("Policy", "the name of a policy")?;
    if let Some(HelperKind { name: own, .. }) = helper.kind.filter(|k| k.name != name) {
        let text =
            format!("unknown policy {}: the one of the helper {own} is {own}", quoted(name.as_bytes()));
        p.error(name_at, text);
    }
    let mut policy = RawPolicy::default();
    p.block(BlockName { name: "Policy", place: at }, POLICY, &mut policy)?;
    helper.policy = Some(At { value: policy, place: at });
    Some(())
}
