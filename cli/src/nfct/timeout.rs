//! `timeout`: policies and defaults (nfct.md §4).

use super::call::Call;
use super::values::{family, policy_name, protocol, timeouts};
use crate::fail::Fail;
use zct_wire::cttimeout;

/// `list timeout`: shows every policy.
pub(super) fn list(call: &Call<'_>) -> Result<(), Fail> {
    call.show_list()
}

/// `add timeout name family protocol state1 timeout1 ...`.
pub(super) fn add(call: &Call<'_>) -> Result<(), Fail> {
    let ([name, l3, l4], pairs) = call.first()?;
    let (l3, number) = (family(l3)?, protocol(l4)?);
    let timeouts = timeouts(number, l4, pairs)?;
    let name = policy_name(name)?;
    call.ask(&|buf, seq| cttimeout::add(buf, seq, name, l3, number, &timeouts), &|errno| match errno {
        libc::EBUSY | libc::EEXIST => {
            let again = [b"': ", call.name.nfct().as_bytes(), b" delete timeout ", name].concat();
            Some([b"There is already a policy `", name, &again].concat())
        }
        libc::EINVAL if timeouts.is_empty() => {
            Some(b"A policy needs at least one state and its timeout in seconds".to_vec())
        }
        errno => no_timeouts(errno, l4),
    })
}

/// `get timeout name`: shows one policy.
pub(super) fn get(call: &Call<'_>) -> Result<(), Fail> {
    let ([name], _) = call.first()?;
    let name = policy_name(name)?;
    let hint = |errno| missing(call, errno, name);
    match call.show(&|buf, seq| cttimeout::get(buf, seq, name), &hint)? {
        0 => Err(call.not_there(&hint)),
        _ => Ok(()),
    }
}

/// `delete timeout name`: deletes one policy.
pub(super) fn delete(call: &Call<'_>) -> Result<(), Fail> {
    let ([name], _) = call.first()?;
    let name = policy_name(name)?;
    call.ask(&|buf, seq| cttimeout::delete(buf, seq, name), &|errno| match errno {
        libc::EBUSY => Some([b"A rule uses policy `", name, b"': delete the rule first"].concat()),
        errno => missing(call, errno, name),
    })
}

/// `flush timeout`: deletes every policy that no rule uses.
pub(super) fn flush(call: &Call<'_>) -> Result<(), Fail> {
    call.ask(&cttimeout::flush, &|_| None)
}

/// `default-set timeout family protocol state1 timeout1...`.
pub(super) fn default_set(call: &Call<'_>) -> Result<(), Fail> {
    let ([l3, l4], pairs) = call.first()?;
    let (l3, number) = (family(l3)?, protocol(l4)?);
    let timeouts = timeouts(number, l4, pairs)?;
    call.ask(&|buf, seq| cttimeout::default_set(buf, seq, l3, number, &timeouts), &|errno| {
        no_timeouts(errno, l4)
    })
}

/// `default-get timeout family protocol`.
pub(super) fn default_get(call: &Call<'_>) -> Result<(), Fail> {
    let ([l3, l4], _) = call.first()?;
    let (l3, number) = (family(l3)?, protocol(l4)?);
    let hint = |errno| no_timeouts(errno, l4);
    call.show(&|buf, seq| cttimeout::default_get(buf, seq, l3, number), &hint).map(drop)
}

fn missing(call: &Call<'_>, errno: i32, name: &[u8]) -> Option<Vec<u8>> {
    let list = [b"': ", call.name.nfct().as_bytes(), b" list timeout shows those there are"].concat();
    (errno == libc::ENOENT).then(|| [b"There is no policy `", name, &list].concat())
}

fn no_timeouts(errno: i32, protocol: &[u8]) -> Option<Vec<u8>> {
    (errno == libc::EOPNOTSUPP).then(|| {
        [b"This kernel has no timeouts for protocol `", protocol, b"'; generic are those of all others"]
            .concat()
    })
}
