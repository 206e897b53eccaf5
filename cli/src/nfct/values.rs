//! Families, protocols, names and timeouts as nfct reads them.

use crate::fail::Fail;
use crate::values::{number, protocol};
use zct_wire::consts::{af, cta_timeout, ipproto, nfcth};
use zct_wire::cttimeout::{GENERIC, Timeouts, states};
use zct_wire::tracked::TRACKED;

/// Address families by their names on the command line.
pub const FAMILIES: [(&str, u8); 2] = [("inet", af::INET), ("inet6", af::INET6)];

/// The protocols with timeouts, in the order of help: those with a tracker, and a word for all others.
pub const PROTOCOLS: &[(&str, u8)] = &{
    let mut all = [("generic", GENERIC); TRACKED.len() + 1];
    let mut at = 0;
    while at < TRACKED.len() {
        all[at] = (TRACKED[at].name, TRACKED[at].number);
        at += 1;
    }
    all
};

/// Reads the name of a family.
pub(super) fn family(word: &[u8]) -> Result<u16, Fail> {
    let found = FAMILIES.iter().find(|(name, _)| name.as_bytes() == word);
    found.map(|(_, n)| u16::from(*n)).ok_or_else(|| Fail::runtime("unknown layer 3 protocol"))
}

/// Reads a protocol that may have timeouts: one of two names that `/etc/protocols` does not have, or a name
/// or alias in that file. The names in [`PROTOCOLS`] are known even without the file, as on small systems.
pub(super) fn protocol(word: &[u8]) -> Result<u8, Fail> {
    match word {
        b"generic" => return Ok(GENERIC),
        b"icmpv6" => return Ok(ipproto::ICMPV6),
        _ => {}
    }
    let known = || PROTOCOLS.iter().find(|(name, _)| name.as_bytes() == word).map(|(_, n)| *n);
    protocol::database_number(word).or_else(known).ok_or_else(|| Fail::runtime("unknown layer 4 protocol"))
}

/// Reads a protocol for which there are helpers.
pub(super) fn helper_protocol(word: &[u8]) -> Result<u8, Fail> {
    match word {
        b"tcp" => Ok(ipproto::TCP),
        b"udp" => Ok(ipproto::UDP),
        _ => Err(Fail::runtime("unsupported layer 4 protocol")),
    }
}

/// Reads pairs of a state and its timeout. `protocol` is the word that `l4` was read from.
///
/// A timeout above the limit is refused: the kernel would accept it, and flows would end at once.
pub(super) fn timeouts(l4: u8, protocol: &[u8], words: &[&[u8]]) -> Result<Timeouts, Fail> {
    let mut out = Timeouts::default();
    let table = states(l4).unwrap_or_default();
    for pair in words.chunks(2) {
        let [state, seconds] = pair else { return Err(Fail::runtime("missing value for this timeout")) };
        let found = table.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(state));
        let Some((_, member)) = found else {
            let text = [b"Wrong state name: `", *state, b"' for protocol `", protocol, b"'"].concat();
            return Err(Fail::runtime(text));
        };
        let wanted = || {
            let wanted = format!(": {}", number::seconds_wanted());
            Fail::runtime([b"unexpected value '", *seconds, b"' with ", *state, wanted.as_bytes()].concat())
        };
        out.set(*member, number::seconds(seconds).ok_or_else(wanted)?);
    }
    Ok(out)
}

/// Checks the name of a policy. The original truncates a long one, and so may delete another policy.
pub(super) fn policy_name(word: &[u8]) -> Result<&[u8], Fail> {
    checked("timeout policy", word, cta_timeout::NAME_MAX - 1)
}

/// Checks the length of a helper's name.
pub(super) fn helper_name(word: &[u8]) -> Result<&[u8], Fail> {
    checked("helper", word, nfcth::NAME_MAX - 1)
}

fn checked<'a>(what: &str, word: &'a [u8], max: usize) -> Result<&'a [u8], Fail> {
    if word.len() <= max {
        return Ok(word);
    }
    let before = format!("{what} name `").into_bytes();
    let after = format!("' is too long: {} bytes, at most {max}", word.len()).into_bytes();
    Err(Fail::runtime([&before, word, &after].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_by_name() {
        for (word, want) in [
            ("tcp", Some(6)),
            ("udplite", Some(136)),
            ("icmpv6", Some(58)),
            ("generic", Some(255)),
            ("Generic", None),
            ("6", None),
            ("", None),
            ("nope", None),
        ] {
            assert_eq!(protocol(word.as_bytes()).ok(), want, "{word}");
        }
        assert_eq!((helper_protocol(b"udp"), helper_protocol(b"TCP").is_err()), (Ok(17), true));
        assert_eq!((family(b"inet6"), family(b"INET").is_err()), (Ok(10), true));
    }

    #[test]
    fn every_protocol_of_help_has_states_and_no_other() {
        let mut numbers: Vec<u8> = PROTOCOLS.iter().map(|(_, n)| *n).collect();
        numbers.sort_unstable();
        let known: Vec<u8> = (0..=255).filter(|n| states(*n).is_some()).collect();
        assert_eq!(numbers, known);
    }

    #[test]
    fn states_in_any_case_and_timeouts_with_units() {
        let pairs: [&[u8]; 6] = [b"Close", b"7", b"ESTABLISHED", b"1h", b"close", b"1d12h"];
        let mut want = Timeouts::default();
        want.set(8, 129_600);
        want.set(3, 3600);
        assert_eq!(timeouts(6, b"tcp", &pairs), Ok(want));
        assert_eq!(timeouts(6, b"tcp", &[]), Ok(Timeouts::default()));
    }

    #[test]
    fn what_is_no_time_is_refused_with_the_state_it_was_for() {
        for bad in ["abc", "-1", "", "7x", "0x10", "1e3", "4294967303", "99999999999999999999", "25000d"] {
            let pairs: [&[u8]; 4] = [b"close", b"7", b"Established", bad.as_bytes()];
            let text = String::from_utf8(timeouts(6, b"tcp", &pairs).unwrap_err().text).unwrap();
            let start = format!("unexpected value '{bad}' with Established: seconds, or with units");
            assert!(text.starts_with(&start) && text.contains(", at most "), "{text}");
        }
    }

    #[test]
    fn the_first_mistake_counts() {
        let fail = |l4, words: &[&[u8]]| String::from_utf8(timeouts(l4, b"TCP", words).unwrap_err().text);
        assert_eq!(fail(6, &[b"foo", b"1", b"x"]).unwrap(), "Wrong state name: `foo' for protocol `TCP'");
        assert_eq!(fail(6, &[b"close", b"1", b"x"]).unwrap(), "missing value for this timeout");
        assert_eq!(fail(50, &[b"TIMEOUT", b"1"]).unwrap(), "Wrong state name: `TIMEOUT' for protocol `TCP'");
        assert_eq!(fail(50, &[b"TIMEOUT"]).unwrap(), "missing value for this timeout");
    }

    #[test]
    fn names_that_the_kernel_would_cut_are_refused() {
        assert!(policy_name(&[b'x'; 31]).is_ok() && helper_name(&[b'x'; 15]).is_ok());
        let text = String::from_utf8(policy_name(&[b'x'; 32]).unwrap_err().text).unwrap();
        assert!(text.starts_with("timeout policy name `xxx") && text.ends_with(": 32 bytes, at most 31"));
        assert!(helper_name(&[b'x'; 16]).is_err());
    }
}
