//! The words that say what a floor program asks the kernel for: `family=ipv4 proto=udp dst=192.0.2.1`.

use std::net::Ipv4Addr;
use std::str::FromStr;
use zct_wire::consts::{af, ipproto};
use zct_wire::filter::DumpFilter;

/// Takes `word` into `filter`; false when it is not one of the filter's words.
///
/// # Errors
/// A value that cannot be read, in words.
pub fn take(word: &str, filter: &mut DumpFilter) -> Result<bool, String> {
    let Some((name, value)) = word.split_once('=') else { return Ok(false) };
    match name {
        "family" => {
            filter.family = match value {
                "ipv4" => af::INET,
                "ipv6" => af::INET6,
                _ => return Err(format!("{word}: ipv4 or ipv6")),
            }
        }
        "proto" => {
            filter.orig.proto = Some(match value {
                "tcp" => ipproto::TCP,
                "udp" => ipproto::UDP,
                _ => return Err(format!("{word}: tcp or udp")),
            })
        }
        "src" => filter.orig.src = Some(number::<Ipv4Addr>(word, value)?.octets()),
        "dst" => filter.orig.dst = Some(number::<Ipv4Addr>(word, value)?.octets()),
        "reply-src" => filter.reply.src = Some(number::<Ipv4Addr>(word, value)?.octets()),
        _ => return Ok(false),
    }
    Ok(true)
}

/// Reads a number or an address.
///
/// # Errors
/// The word it belongs to, and what is wrong with it.
pub fn number<T: FromStr<Err: std::fmt::Display>>(word: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|e| format!("{word}: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_a_filter() {
        let mut f = DumpFilter::default();
        for word in ["family=ipv4", "proto=udp", "dst=192.0.2.1", "reply-src=10.0.0.1"] {
            assert_eq!(take(word, &mut f), Ok(true), "{word}");
        }
        assert_eq!((f.family, f.orig.proto), (af::INET, Some(ipproto::UDP)));
        assert_eq!((f.orig.dst, f.reply.src), (Some([192, 0, 2, 1]), Some([10, 0, 0, 1])));
        assert_eq!(take("every=3", &mut f), Ok(false));
        for wrong in ["family=x", "proto=1", "src=::1"] {
            assert!(take(wrong, &mut f).is_err(), "{wrong}");
        }
    }
}
