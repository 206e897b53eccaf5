//! Sealing in the running daemon: it begins, changes and ends with the configuration, and what happens is
//! told.

use crate::host::log::Log;
use crate::peer::seal::{Happening, Refused, Seal, Settings};
use crate::peer::{Machine, Millis};
use zct_engine::Error;
use zct_engine::secret::{Secret, Vault, random};
use zeroize::Zeroizing;

/// Begins to seal, if there are keys.
pub(super) fn begin(now: Millis, settings: Option<Settings>, log: &mut Log) -> Result<Option<Seal>, Error> {
    let Some(settings) = settings else { return Ok(None) };
    let mut seed = Zeroizing::new([0; 32]);
    random(&mut seed[..])?;
    let seal = Seal::new(now, settings, Vault::new()?, Secret::new(&mut seed[..])?);
    if seal.as_ref().is_some_and(Seal::may_be_swapped) {
        log.warning("keys may be written to swap: the limit on locked memory (RLIMIT_MEMLOCK) is too low");
    }
    if let Some(s) = &seal {
        log.notice(&described(s.settings()));
    }
    Ok(seal)
}

/// Takes over other keys, or their absence.
pub(super) fn change(
    now: Millis,
    seal: &mut Option<Seal>,
    settings: Option<Settings>,
    log: &mut Log,
) -> Result<(), Error> {
    match (seal.as_mut(), settings) {
        (Some(s), Some(new)) if *s.settings() != new => {
            log.notice(&described(&new));
            s.reconfigure(now, new);
        }
        (Some(_), Some(_)) | (None, None) => {}
        (Some(_), None) => {
            log.notice("messages are sent and taken without a seal");
            *seal = None;
        }
        (None, new) => *seal = begin(now, new, log)?,
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
pub(super) fn settle(now: Millis, seal: &mut Seal, machine: &mut Machine, log: &mut Log) {
    seal.turn(now);
    while let Some(happening) = seal.poll() {
        match happening {
            Happening::Proved(node) => {
                log.notice(&format!("node {node} has proved that it is there: its messages are taken"));
                machine.peer_was_not_heard(now);
            }
            Happening::Settled(_) => machine.peer_was_not_heard(now),
            // Every start of a node begins like this.
            Happening::Refused(Refused::Unproved | Refused::Repeated) => {}
            Happening::Refused(why) => log.warning(&format!("Auth: {}", why.describe())),
        }
    }
}
