//! A commit of many flows does not listen to new ones, because the kernel would spend a third of the time on
//! telling of what the commit itself makes. A dump afterwards catches up: what it shows that is neither in
//! the internal cache nor among the flows of the peer was made by traffic meanwhile, and the peer is told of
//! it. Changes and ends are listened to all the time.

use crate::peer::{Event, Machine, Millis, Origin};
use crate::store::{FlowStore, Key, Meta};
use zct_wire::peer::{Expect, Flow};

/// A commit of fewer flows listens as always: a dump would cost more than it saves.
const WORTH: usize = 1024;
/// How often the dump is begun again before it is left to the next comparison with the kernel.
const ATTEMPTS: u32 = 5;

/// How far a commit that does not listen has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    /// New flows are listened to, and nothing was missed.
    #[default]
    Listening,
    /// A commit is under way.
    Deaf,
    /// It has ended, and events that it has caused may wait in the socket.
    Draining,
    /// Those are read: the dump has been begun so often.
    Dumping(u32),
}

/// What has to be done when a dump to catch up has failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// Begin it again.
    Again,
    /// Compare the caches with the kernel later, which announces everything again.
    Later,
}

/// What has been missed, and what will make up for it.
#[derive(Debug, Default)]
pub(super) struct CatchUp {
    stage: Stage,
    /// The caches no longer tell what traffic made from what the commit made, so all of it is announced.
    announce_all: bool,
}

impl CatchUp {
    /// Whether a commit had better not listen: the dump reads both tables, so that of the peers has to be the
    /// larger.
    pub(super) fn is_worth_it(&self, machines: &[Machine]) -> bool {
        let own = machines.first().map_or(0, |m| m.caches().internal.counts().flows);
        let peers: usize = machines.iter().map(|m| m.caches().external.counts().flows).sum();
        self.stage == Stage::Listening && peers >= WORTH && peers >= own
    }

    /// A commit begins without listening to new flows.
    pub(super) fn begin(&mut self) {
        *self = CatchUp { stage: Stage::Deaf, announce_all: false };
    }

    /// True while a commit does not listen.
    pub(super) fn is_deaf(&self) -> bool {
        self.stage == Stage::Deaf
    }

    /// True from the end of such a commit until its dump is complete.
    pub(super) fn is_dumping(&self) -> bool {
        matches!(self.stage, Stage::Draining | Stage::Dumping(_))
    }

    /// True until everything that traffic did during a commit is known.
    pub(super) fn is_behind(&self) -> bool {
        self.stage != Stage::Listening
    }

    /// The commit has ended, new flows are listened to again, and the dump begins once the waiting events are
    /// read. Otherwise the end of a flow that the commit has replaced, read after the dump, would remove its
    /// successor, whose beginning was not listened to.
    pub(super) fn listening_again(&mut self) {
        self.stage = Stage::Draining;
    }

    /// True from the end of such a commit until its events are read.
    pub(super) fn drains(&self) -> bool {
        self.stage == Stage::Draining
    }

    /// No event waits that the commit has caused.
    pub(super) fn drained(&mut self) {
        self.stage = Stage::Dumping(1);
    }

    /// The caches have lost what tells traffic's flows from those of the commit. True when a dump that is
    /// under way has to begin again.
    pub(super) fn forgotten(&mut self) -> bool {
        self.announce_all |= self.stage != Stage::Listening;
        self.is_dumping()
    }

    /// A bulk begins, on request or for a peer that has started. It cannot contain what has yet to be found,
    /// so another one follows.
    pub(super) fn bulk_begins(&mut self) {
        self.announce_all |= self.is_behind();
    }

    /// The dump is complete. True when everything has to be announced.
    pub(super) fn done(&mut self) -> bool {
        std::mem::take(self).announce_all
    }

    /// The dump was interrupted.
    pub(super) fn failed(&mut self) -> Failed {
        match &mut self.stage {
            Stage::Dumping(attempts) if *attempts < ATTEMPTS => {
                *attempts += 1;
                Failed::Again
            }
            _ => {
                *self = CatchUp::default();
                Failed::Later
            }
        }
    }

    /// True when flows that are not known yet may be traffic's, and the peer has to be told of those.
    pub(super) fn tells(&self) -> bool {
        self.stage != Stage::Listening && !self.announce_all
    }
}

/// A flow of the store, unless it has ended.
fn living(store: &FlowStore, flow: &Flow) -> Option<Flow> {
    let id = Key::of(flow).and_then(|key| store.find(&key))?;
    store.meta(id).filter(|m| m.flags & Meta::DEAD == 0)?;
    store.flow(id)
}

/// Whether the kernel knows something about the flow that changes alone do not tell: a flow whose beginning
/// was missed has none of it.
fn has_more(kernel: &Flow, known: &Flow) -> bool {
    kernel.master.is_some() && known.master.is_none()
        || kernel.helper.is_some() && known.helper.is_none()
        || kernel.labels.is_some() && known.labels.is_none()
        || kernel.proto.is_some() && known.proto.is_none()
        || kernel.seq_adj.is_some() && known.seq_adj.is_none()
        || kernel.synproxy.is_some() && known.synproxy.is_none()
}

/// A flow of a dump, while there is something to catch up with: what traffic has made is told to the peer.
pub(super) fn dumped(now: Millis, flow: &Flow, kernel_id: u32, machine: &mut Machine) {
    let traffic = match living(&machine.caches().internal, flow) {
        Some(known) => has_more(flow, &known),
        None => living(&machine.caches().external, flow).is_none(),
    };
    if traffic {
        machine.flow_change(now, Event::New, Origin::Kernel, flow, kernel_id);
    } else {
        machine.flow_dumped(now, flow, kernel_id);
    }
}

/// An expectation of such a dump.
pub(super) fn expect_dumped(now: Millis, expect: &Expect, machine: &mut Machine) {
    let caches = machine.caches();
    let known = caches.internal_expect.find(expect).and_then(|id| caches.internal_expect.meta(id));
    let known = known.is_some_and(|m| m.flags & Meta::DEAD == 0);
    if known || caches.external_expect.find(expect).is_some() {
        machine.expect_dumped(now, expect);
    } else {
        machine.expect_change(now, Event::New, Origin::Kernel, expect);
    }
}

/// A flow has changed that is not in the internal cache because its commit was not listened to: the change is
/// one of the flow that was committed, and says less about it than its beginning would have.
pub(super) fn changed(now: Millis, flow: &Flow, machine: &mut Machine) {
    if living(&machine.caches().internal, flow).is_some() {
        return;
    }
    if let Some(committed) = living(&machine.caches().external, flow) {
        machine.flow_dumped(now, &committed, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::{Link, PeerConfig, Seed};
    use zct_wire::peer::Name;
    use zct_wire::tuple::{Addr, Tuple};

    fn flow(n: u8) -> Flow {
        let orig = Tuple {
            src: Some(Addr::V4([10, 0, 0, n])),
            dst: Some(Addr::V4([10, 0, 1, 1])),
            proto: Some(6),
            src_port: Some(1000),
            dst_port: Some(80),
            ..Tuple::default()
        };
        Flow { orig, status: Some(8), timeout_s: Some(100), ..Flow::default() }
    }

    /// A node whose peer has told it of these flows.
    fn node(external: &[Flow]) -> Machine {
        let config = PeerConfig::default();
        let links = vec![Link { up: true, payload_max: 1472 }];
        let seed = Seed { sequence: 1, random: 1, hash: [1, 2] };
        let mut machine = Machine::new(0, config, links, 0, seed);
        let caches = machine.caches_mut();
        for flow in external {
            let place = caches.external.locate(&Key::of(flow).unwrap());
            caches.external.insert(&place, flow, Meta::default()).unwrap();
        }
        machine
    }

    #[test]
    fn the_peer_is_told_of_what_traffic_made_and_of_nothing_else() {
        let mut m = node(&[flow(1)]);
        dumped(5, &flow(1), 11, &mut m);
        assert_eq!(m.waiting(), 0, "it is the peer's own");
        dumped(5, &flow(2), 12, &mut m);
        assert_eq!(m.waiting(), 1);
        dumped(5, &flow(2), 12, &mut m);
        assert_eq!((m.waiting(), m.caches().internal.counts().flows), (1, 2));
        let id = m.caches().internal.find(&Key::of(&flow(1)).unwrap()).unwrap();
        assert_eq!(m.caches().internal.meta(id).unwrap().id_or_heard_s, 11, "the kernel's id");
    }

    #[test]
    fn what_changes_did_not_tell_is_told() {
        let mut m = node(&[]);
        m.flow_change(5, Event::Update, Origin::Kernel, &flow(1), 11);
        let mut buf = [0; 1472];
        while m.transmit(10_000, &mut buf).is_some() {}
        assert_eq!(m.waiting(), 0);
        dumped(5, &flow(1), 11, &mut m);
        assert_eq!(m.waiting(), 0, "nothing new in it");
        dumped(5, &Flow { helper: Name::new(b"ftp"), ..flow(1) }, 11, &mut m);
        assert_eq!(m.waiting(), 1);
    }

    #[test]
    fn a_change_of_a_committed_flow_is_a_change_of_all_of_it() {
        let master = Some(flow(9).orig);
        let mut m = node(&[Flow { master, ..flow(1) }]);
        changed(5, &flow(1), &mut m);
        assert_eq!(m.waiting(), 0, "not a change yet");
        m.flow_change(5, Event::Update, Origin::Kernel, &Flow { mark: Some(7), ..flow(1) }, 11);
        assert_eq!(m.waiting(), 1);
        let known = living(&m.caches().internal, &flow(1)).unwrap();
        assert_eq!((known.master, known.mark), (master, Some(7)));
        changed(5, &flow(2), &mut m);
        assert_eq!(m.caches().internal.counts().flows, 1, "a flow of traffic is none of the peer's");
    }

    #[test]
    fn an_interrupted_dump_begins_again_and_is_given_up_after_some_attempts() {
        let mut c = CatchUp::default();
        c.begin();
        assert!(c.is_deaf() && c.tells() && !c.is_dumping());
        c.listening_again();
        c.drained();
        for _ in 1..ATTEMPTS {
            assert!(c.is_dumping() && c.tells());
            assert_eq!(c.failed(), Failed::Again);
        }
        assert_eq!(c.failed(), Failed::Later);
        assert!(!c.is_dumping() && !c.tells());
    }

    #[test]
    fn the_events_of_the_commit_are_read_before_the_dump() {
        let mut c = CatchUp::default();
        assert!(!c.drains());
        c.begin();
        assert!(!c.drains(), "there is no dump yet");
        c.listening_again();
        assert!(c.drains());
        c.drained();
        assert!(!c.drains() && c.is_dumping());
        assert_eq!((c.failed(), c.drains()), (Failed::Again, false));
    }

    #[test]
    fn caches_that_were_emptied_meanwhile_mean_that_everything_is_announced() {
        let mut c = CatchUp::default();
        assert!(!c.forgotten() && !c.done(), "nothing to catch up with");
        c.begin();
        assert!(!c.forgotten(), "no dump to begin again yet");
        c.listening_again();
        assert!(!c.tells(), "all of it will be announced");
        assert!(c.forgotten());
        c.drained();
        assert_eq!(c.failed(), Failed::Again);
        assert!(c.done());
        c.begin();
        c.listening_again();
        assert!(c.tells() && !c.done());
    }

    #[test]
    fn a_commit_listens_when_a_dump_would_cost_more() {
        let some: Vec<Flow> = (0..=255).map(flow).collect();
        let many: Vec<Flow> = (0..5)
            .flat_map(|port| some.iter().map(move |f| (port, f)))
            .map(|(port, f)| Flow { orig: Tuple { src_port: Some(port), ..f.orig }, ..*f })
            .collect();
        let mut c = CatchUp::default();
        assert!(!c.is_worth_it(&[node(&some)]), "few flows");
        let mut m = node(&many);
        assert!(c.is_worth_it(std::slice::from_ref(&m)));
        for port in 0..6 {
            for f in &some {
                let f = Flow { orig: Tuple { dst_port: Some(port), ..f.orig }, ..*f };
                m.flow_dumped(5, &f, 1);
            }
        }
        assert!(!c.is_worth_it(std::slice::from_ref(&m)), "the table of the kernel is larger");
        c.begin();
        assert!(!c.is_worth_it(&[node(&many)]), "one at a time");
    }
}
