//! Sealing in the running daemon: it begins, changes and ends with the configuration, and what happens is
//! told.

use crate::daemon::peer_node::PeerNode;
use crate::host::log::Log;
use crate::peer::seal::{AuthMode, Refused, Seal, SealHappening, Settings};
use crate::peer::{Machine, Millis};
use zct_engine::Error;
use zct_engine::secret::{Secret, Vault, random};
use zeroize::Zeroizing;

/// Begins to seal, if there are keys: one seal for each of `peers`, so that a frame for one of them means
/// nothing to another; or one for all, where they share a `group` and frames name the node that they are for.
pub(super) fn begin(
    now: Millis,
    settings: Option<Settings>,
    peers: &[PeerNode],
    group: bool,
    log: &mut Log,
) -> Result<Vec<Seal>, Error> {
    let Some(settings) = settings else { return Ok(Vec::new()) };
    let mut seals = Vec::with_capacity(peers.len());
    for sharing in shares(peers, group) {
        let mut seed = Zeroizing::new([0; 32]);
        random(&mut seed[..])?;
        let settings = for_peers(&settings, sharing);
        seals.extend(Seal::new(now, settings, Vault::new()?, Secret::new(&mut seed[..])?));
    }
    if seals.iter().any(Seal::may_be_swapped) {
        log.warning("keys may be written to swap: the limit on locked memory (RLIMIT_MEMLOCK) is too low");
    }
    if let Some(s) = seals.first() {
        log.notice(&described(s.settings()));
    }
    Ok(seals)
}

/// The peers that share a seal.
fn shares(peers: &[PeerNode], group: bool) -> impl Iterator<Item = &[PeerNode]> {
    peers.chunks(if group { peers.len().max(1) } else { 1 })
}

/// Nobody but these speaks on the links, where it is known which nodes they are.
fn for_peers(settings: &Settings, peers: &[PeerNode]) -> Settings {
    let nodes: Vec<u16> = peers.iter().filter_map(PeerNode::node).collect();
    Settings { from: (!nodes.is_empty()).then_some(nodes), ..settings.clone() }
}

/// Takes over other keys, or their absence.
pub(super) fn change(
    now: Millis,
    seals: &mut Vec<Seal>,
    settings: Option<Settings>,
    (peers, group): (&[PeerNode], bool),
    log: &mut Log,
) -> Result<(), Error> {
    match settings {
        None if seals.is_empty() => {}
        None => {
            log.notice("messages are sent and taken without a seal");
            seals.clear();
        }
        new if seals.is_empty() => *seals = begin(now, new, peers, group, log)?,
        Some(new) => {
            let mut told = false;
            for (seal, sharing) in seals.iter_mut().zip(shares(peers, group)) {
                let new = for_peers(&new, sharing);
                if *seal.settings() != new {
                    if !std::mem::replace(&mut told, true) {
                        log.notice(&described(&new));
                    }
                    seal.reconfigure(now, new);
                }
            }
        }
    }
    Ok(())
}

fn described(s: &Settings) -> String {
    let keys: Vec<_> = s.keys.iter().map(|k| format!("{} ({})", k.number, k.fingerprint())).collect();
    format!("node {}: Auth in mode {}, key {} of {}", s.node, s.mode.word(), s.active, keys.join(", "))
}

/// The next datagram, sealed or not; `to` is the node that it is for, where several hear it.
pub(super) fn transmit(
    now: Millis,
    seal: Option<&mut Seal>,
    to: Option<u16>,
    machine: &mut Machine,
    buf: &mut [u8],
) -> Option<usize> {
    match (seal, to) {
        (Some(seal), Some(to)) => {
            seal.fill_for(now, to, buf, &mut |messages| machine.transmit(now, messages))
        }
        (Some(seal), None) => seal.fill(now, buf, &mut |messages| machine.transmit(now, messages)),
        (None, _) => machine.transmit(now, buf),
    }
}

/// Tells what has happened; the machines of the peers that share the seal make up for what was not taken.
pub(super) fn settle(
    now: Millis,
    seal: &mut Seal,
    machines: &mut [Machine],
    peers: &[PeerNode],
    log: &mut Log,
) {
    seal.turn(now);
    let only = if peers.len() == 1 { peers.first() } else { None };
    let shows = seal.settings().mode == AuthMode::Enforce;
    machines.iter_mut().for_each(|m| m.starts_show_in_keys(shows));
    while let Some(happening) = seal.poll() {
        let node = match happening {
            SealHappening::Started(node) | SealHappening::Proved(node) | SealHappening::Settled(node) => {
                Some(node)
            }
            SealHappening::Refused(_) => None,
        };
        let is = |p: &PeerNode| only.is_some() || p.node() == node;
        let at = peers.iter().position(is);
        let machine = at.and_then(|at| machines.get_mut(at));
        let peer = at.and_then(|at| peers.get(at)).filter(|_| only.is_some() || node.is_some());
        let said = |text: &str| peer.map_or_else(|| text.into(), |p| p.said(text));
        match happening {
            SealHappening::Proved(node) => {
                let text = format!("node {node} has proved that it is there: its messages are taken");
                log.notice(&said(&text));
                machine.into_iter().for_each(|m| m.peer_was_not_heard(now));
            }
            SealHappening::Started(_) => machine.into_iter().for_each(|m| m.peer_is_another(now)),
            SealHappening::Settled(_) => machine.into_iter().for_each(|m| m.peer_was_not_heard(now)),
            // Every start of a node begins like this.
            SealHappening::Refused(Refused::Unproved | Refused::Repeated) => {}
            SealHappening::Refused(why) => log.warning(&said(&format!("Auth: {}", why.describe()))),
        }
    }
}
