//! Before anything is shown, some entries are compared with what netlink says of them, attribute by attribute
//! (bpf-table.md §3). A kernel whose structures mean something else than is believed here is found out.

use super::ask::{ask, is_about};
use super::layout::Layout;
use super::locate::TablePlace;
use super::message::{MESSAGE_MAX, first_message};
use super::walk::Walker;
use crate::error::Error;
use crate::request::Requests;
use crate::sink::{Lost, Sink};
use std::ops::ControlFlow;
use zct_wire::attr::Attrs;
use zct_wire::consts::{cta, cta_counters};
use zct_wire::header::CtMsg;

/// Entries that are compared, each of another kind where there are as many.
const COMPARED: usize = 16;
/// An entry may change between the two looks at it, so a disagreement counts when it comes up this often.
const ATTEMPTS: usize = 5;

/// Compares some of the first entries.
///
/// # Errors
/// Words for `--explain`: what disagrees.
pub(crate) fn compare(layout: &Layout, place: &TablePlace, walker: &mut Walker) -> Result<(), String> {
    let mut requests = Requests::open().map_err(|e| format!("netlink: {e}"))?;
    let mut last = String::new();
    for _ in 0..ATTEMPTS {
        match attempt(layout, place, walker, &mut requests)? {
            Ok(()) => return Ok(()),
            Err(why) => last = why,
        }
    }
    Err(last)
}

/// One attempt. The inner error is a disagreement, the outer one is final.
fn attempt(
    layout: &Layout,
    place: &TablePlace,
    walker: &mut Walker,
    requests: &mut Requests,
) -> Result<Result<(), String>, String> {
    let mut next = 0;
    while next < place.buckets {
        next = walker.run(place, next, place.buckets).map_err(|e| e.to_string())?;
        let clock = walker.clock();
        let mut kinds: Vec<[u8; 8]> = Vec::with_capacity(COMPARED);
        let mut compared = 0;
        for entry in walker.entries(layout) {
            let kind = entry.kind();
            if entry.needs_netlink() || kinds.contains(&kind) {
                continue;
            }
            kinds.push(kind);
            let mut buf = [0; MESSAGE_MAX];
            let message = entry.message(clock, &mut buf).and_then(first_message);
            let message = message.ok_or("a record makes no message")?;
            match agrees(requests, message) {
                Ok(None) => continue,
                Ok(Some(Ok(()))) => compared += 1,
                Ok(Some(Err(why))) => return Ok(Err(why)),
                Err(e) => return Err(format!("netlink: {e}")),
            }
            if compared == COMPARED {
                return Ok(Ok(()));
            }
        }
        if compared > 0 {
            return Ok(Ok(()));
        }
    }
    Ok(Err("no flow lives long enough to be compared".to_owned()))
}

/// Asks netlink for the same entry. `None` when it is gone.
fn agrees(requests: &mut Requests, ours: CtMsg<'_>) -> Result<Option<Result<(), String>>, Error> {
    /// Compares the answer when it comes.
    struct Comparison<'a>(CtMsg<'a>, Option<Result<(), String>>);
    impl Sink for Comparison<'_> {
        fn message(&mut self, theirs: CtMsg<'_>) -> ControlFlow<()> {
            if is_about(self.0, theirs) {
                self.1 = Some(same(self.0, theirs));
            }
            ControlFlow::Continue(())
        }
        fn lost(&mut self, _: Lost) {}
    }
    let mut answer = Comparison(ours, None);
    ask(requests, ours, &mut answer)?;
    Ok(answer.1)
}

/// Compares two messages about the same entry, the second of them from netlink and a little later.
pub(crate) fn same(ours: CtMsg<'_>, theirs: CtMsg<'_>) -> Result<(), String> {
    if ours.family() != theirs.family() {
        return Err("the family differs".to_owned());
    }
    let mut theirs = theirs.attrs().filter(|a| !a.as_ref().is_ok_and(|a| a.kind == cta::ID));
    let mut ours = ours.attrs();
    loop {
        match (ours.next().transpose(), theirs.next().transpose()) {
            (Ok(None), Ok(None)) => return Ok(()),
            (Ok(Some(a)), Ok(Some(b))) if a.kind == b.kind => {
                if !same_value(a.kind, a.value, b.value) {
                    return Err(format!("attribute {} is {:02x?} and not {:02x?}", a.kind, a.value, b.value));
                }
            }
            (Ok(a), Ok(b)) => {
                let kind = |a: Option<zct_wire::attr::Attr<'_>>| a.map(|a| a.kind);
                return Err(format!("attribute {:?} stands where {:?} is", kind(a), kind(b)));
            }
            _ => return Err("a message cannot be read".to_owned()),
        }
    }
}

fn same_value(kind: u16, ours: &[u8], theirs: &[u8]) -> bool {
    let number = |v: &[u8]| v.first_chunk().map(|b| i64::from(u32::from_be_bytes(*b)));
    match kind {
        // To answer, netlink holds the entry, and others may.
        cta::USE => true,
        // Packets may have prolonged it.
        cta::TIMEOUT => match (number(ours), number(theirs)) {
            (Some(a), Some(b)) => b >= a - 1,
            _ => false,
        },
        cta::COUNTERS_ORIG | cta::COUNTERS_REPLY => counters(ours).zip(counters(theirs)).is_some_and(
            |([packets, bytes], [then_packets, then_bytes])| packets <= then_packets && bytes <= then_bytes,
        ),
        _ => ours == theirs,
    }
}

/// Packets and bytes of a nest of counters.
fn counters(nest: &[u8]) -> Option<[u64; 2]> {
    let find = |kind| {
        let found = Attrs::new(nest).flatten().find(|a| a.kind == kind)?;
        Some(u64::from_be_bytes(*found.value.first_chunk()?))
    };
    Some([find(cta_counters::PACKETS)?, find(cta_counters::BYTES)?])
}
