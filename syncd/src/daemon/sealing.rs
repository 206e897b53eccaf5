//! Sealing in the running daemon: it begins, changes and ends with the configuration, and what happens is
//! told.

use crate::daemon::peer_node::PeerNode;
use crate::host::log::Log;
use crate::peer::seal::{Happening, Refused, Seal, Settings};
use crate::peer::{Machine, Millis};
use zct_engine::Error;
use zct_engine::secret::{Secret, Vault, random};
use zeroize::Zeroizing;

/// Begins to seal, if there are keys: one seal for each of `peers`, so that a frame for one of them means
/// nothing to another.
pub(super) fn begin(
    now: Millis,
    settings: Option<Settings>,
    peers: &[PeerNode],
    log: &mut Log,
) -> Result<Vec<Seal>, Error> {
    let Some(settings) = settings else { return Ok(Vec::new()) };
    let mut seals = Vec::with_capacity(peers.len());
    for peer in peers {
        let mut seed = Zeroizing::new([0; 32]);
        random(&mut seed[..])?;
        let settings = for_peer(&settings, peer);
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

/// Nobody but the peer speaks on its links, where it is known which node it is.
fn for_peer(settings: &Settings, peer: &PeerNode) -> Settings {
    Settings { from: peer.who.as_ref().map(|(_, node)| *node), ..settings.clone() }
}

/// Takes over other keys, or their absence.
pub(super) fn change(
    now: Millis,
    seals: &mut Vec<Seal>,
    settings: Option<Settings>,
    peers: &[PeerNode],
    log: &mut Log,
) -> Result<(), Error> {
    match settings {
        None if seals.is_empty() => {}
        None => {
            log.notice("messages are sent and taken without a seal");
            seals.clear();
        }
        new if seals.is_empty() => *seals = begin(now, new, peers, log)?,
        Some(new) => {
            let mut told = false;
            for (seal, peer) in seals.iter_mut().zip(peers) {
                let new = for_peer(&new, peer);
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

/// The next datagram, sealed or not.
pub(super) fn transmit(
    now: Millis,
    seal: Option<&mut Seal>,
    machine: &mut Machine,
    buf: &mut [u8],
) -> Option<usize> {
    match seal {
        Some(seal) => seal.fill(now, buf, &mut |messages| machine.transmit(now, messages)),
        None => machine.transmit(now, buf),
    }
}

/// Tells what has happened; the machine makes up for what was not taken.
pub(super) fn settle(now: Millis, seal: &mut Seal, machine: &mut Machine, peer: &PeerNode, log: &mut Log) {
    seal.turn(now);
    while let Some(happening) = seal.poll() {
        match happening {
            Happening::Proved(node) => {
                let text = format!("node {node} has proved that it is there: its messages are taken");
                log.notice(&peer.said(&text));
                machine.peer_was_not_heard(now);
            }
            Happening::Settled(_) => machine.peer_was_not_heard(now),
            // Every start of a node begins like this.
            Happening::Refused(Refused::Unproved | Refused::Repeated) => {}
            Happening::Refused(why) => log.warning(&peer.said(&format!("Auth: {}", why.describe()))),
        }
    }
}
