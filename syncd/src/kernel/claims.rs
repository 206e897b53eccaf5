//! Two nodes that own one flow: which of them is right (decisions.md, "More than two nodes").
//!
//! Paths that change may bring the packets of one flow to two nodes in turn, and then both tell of it. What
//! has got further in its protocol wins, and among equals what was told later.

use crate::peer::Machine;
use crate::store::{FlowStore, Key, Meta};
use std::cmp::Reverse;
use zct_wire::consts::ips;
use zct_wire::peer::Flow;
use zct_wire::proto::ProtoInfo;

/// TCP_CONNTRACK_SYN_SENT2: a number above all others, of a state that comes before most of them.
const SYN_SENT2: u8 = 9;

/// What a node says of a flow, in the order of weight: the greatest wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Claim {
    /// How far it has got in its protocol.
    state: u8,
    /// Answered and assured flows come before others.
    status: u32,
    /// The second of the last message about it.
    heard_s: u32,
    /// The number of the peer, so that no two claims are equal.
    peer: Reverse<usize>,
}

/// The state as a number that rises with the life of the flow.
fn rank(flow: &Flow) -> u8 {
    let state = match flow.proto {
        Some(ProtoInfo::Tcp(t)) => t.state.map(|s| if s == SYN_SENT2 { 3 } else { s.saturating_mul(2) }),
        Some(ProtoInfo::Sctp(s)) => s.state,
        Some(ProtoInfo::Dccp(d)) => d.state,
        None => None,
    };
    state.unwrap_or(0)
}

impl Claim {
    fn new(flow: &Flow, meta: Meta, peer: usize) -> Claim {
        let status = flow.status.unwrap_or(0) & (ips::SEEN_REPLY | ips::ASSURED);
        Claim { state: rank(flow), status, heard_s: meta.id_or_heard_s, peer: Reverse(peer) }
    }
}

fn of_peer(store: &FlowStore, key: &Key, peer: usize) -> Option<Claim> {
    let id = store.find(key)?;
    let meta = store.meta(id).filter(|m| m.flags & Meta::DEAD == 0)?;
    Some(Claim::new(&store.flow(id)?, meta, peer))
}

/// True when another node has a better claim to this flow of the peer with the number `peer`.
pub(super) fn is_anothers(flow: &Flow, meta: Meta, peer: usize, machines: &[Machine]) -> bool {
    if machines.len() < 2 {
        return false;
    }
    let Some(key) = Key::of(flow) else { return false };
    let own = Claim::new(flow, meta, peer);
    let others = machines.iter().enumerate().filter(|(at, _)| *at != peer);
    let mut claims = others.filter_map(|(at, m)| of_peer(&m.caches().external, &key, at));
    claims.any(|other| other > own)
}

#[cfg(test)]
mod tests {
    use super::*;
    use zct_wire::proto::TcpInfo;

    fn claim(state: u8, status: u32, heard_s: u32, peer: usize) -> Claim {
        let tcp = TcpInfo { state: Some(state), ..TcpInfo::default() };
        let flow = Flow { proto: Some(ProtoInfo::Tcp(tcp)), status: Some(status), ..Flow::default() };
        Claim::new(&flow, Meta { id_or_heard_s: heard_s, ..Meta::default() }, peer)
    }

    #[test]
    fn the_higher_state_wins_and_then_the_newer_claim() {
        let (established, syn_sent, closed) = (3, 1, 8);
        let mut rising = [
            claim(syn_sent, 0, 900, 0),
            claim(SYN_SENT2, 0, 1, 0),
            claim(2, 0, 1, 0),
            claim(established, 0, 1, 1),
            claim(established, 0, 1, 0),
            claim(established, 0, 5, 9),
            // What is no promise of the flow does not count.
            claim(established, ips::CONFIRMED, 6, 9),
            claim(established, ips::ASSURED | ips::SEEN_REPLY, 2, 9),
            claim(closed, 0, 0, 15),
        ];
        let sorted = rising;
        rising.reverse();
        rising.sort();
        assert_eq!(rising, sorted);
    }
}
