//! Userspace helpers: of a type that is there twice, the first counts.

use super::super::parse::raw::{Placed, RawHelper, RawHelpers, RawPolicy};
use super::super::report::{At, Report, Severity};
use super::super::settings::{Helper, Helpers, Policy};
use super::given::{value, warn};

pub(super) fn helpers(raw: RawHelpers, report: &mut Report) -> Helpers {
    let mut types: Vec<Helper> = Vec::new();
    for raw in raw.types {
        if let Some(At { value: RawPolicy { expect_max: None, expect_timeout_s: None }, place }) = raw.policy
        {
            let text = "the Policy is empty: expected ExpectMax or ExpectTimeout";
            report.add(Severity::Error, Some(place), text.into());
        }
        // An unknown helper has been refused already.
        let Some(helper) = helper(&raw) else { continue };
        let name = title(&helper);
        if types.iter().any(|t| title(t) == name) {
            warn(report, raw.place, format!("{name} is there twice: the first counts"));
            continue;
        }
        types.push(helper);
    }
    Helpers { setup: value(raw.setup).unwrap_or(false), types }
}

fn helper(raw: &RawHelper) -> Option<Helper> {
    let number = |n: &Placed<u32>| n.map_or(0, |n| n.value);
    let policy = raw.policy.as_ref().map(|p| Policy {
        expect_max: u8::try_from(number(&p.value.expect_max)).unwrap_or(u8::MAX),
        expect_timeout_s: number(&p.value.expect_timeout_s),
    });
    Some(Helper {
        kind: raw.kind?,
        family: raw.family?,
        protocol: raw.protocol?,
        queue_num: u16::try_from(number(&raw.queue_num)).unwrap_or(u16::MAX),
        queue_len: value(raw.queue_len).filter(|n| *n > 0),
        policy,
        privileged_ports: value(raw.privileged_ports).unwrap_or(false),
        senders: raw.senders.clone(),
        addresses: raw.addresses.clone(),
        max_expectations: value(raw.max_expectations),
        permanent: value(raw.permanent),
        any_port: value(raw.any_port).unwrap_or(false),
    })
}

/// `Helper ftp inet tcp`
fn title(h: &Helper) -> String {
    format!("Helper {} {} {}", h.kind.name, h.family.word(), h.protocol.word())
}
