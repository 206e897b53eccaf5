//! The options that say what a floor program asks the kernel for: `--family ipv4 --proto udp --dst
//! 192.0.2.1`.

use lexopt::{Arg, Error, Parser, ValueExt as _};
use std::net::Ipv4Addr;
use zct_wire::consts::{af, ipproto};
use zct_wire::filter::DumpFilter;

/// Takes the option `name` and the value behind it into `filter`.
///
/// # Errors
/// When it is not one of the filter's options, or its value cannot be read.
pub fn take(name: &str, words: &mut Parser, filter: &mut DumpFilter) -> Result<(), Error> {
    let address = |words: &mut Parser| Ok::<_, Error>(words.value()?.parse::<Ipv4Addr>()?.octets());
    match name {
        "family" => {
            filter.family = words.value()?.parse_with(|family| match family {
                "ipv4" => Ok(af::INET),
                "ipv6" => Ok(af::INET6),
                _ => Err("ipv4 or ipv6"),
            })?;
        }
        "proto" => {
            filter.orig.proto = Some(words.value()?.parse_with(|proto| match proto {
                "tcp" => Ok(ipproto::TCP),
                "udp" => Ok(ipproto::UDP),
                _ => Err("tcp or udp"),
            })?);
        }
        "src" => filter.orig.src = Some(address(words)?),
        "dst" => filter.orig.dst = Some(address(words)?),
        "reply-src" => filter.reply.src = Some(address(words)?),
        _ => return Err(Arg::Long(name).unexpected()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(line: &str) -> Result<DumpFilter, Error> {
        let (mut words, mut f) = (Parser::from_args(line.split(' ')), DumpFilter::default());
        while let Some(word) = words.next()? {
            match word {
                Arg::Long(name) => {
                    let name = name.to_owned();
                    take(&name, &mut words, &mut f)?;
                }
                _ => return Err(word.unexpected()),
            }
        }
        Ok(f)
    }

    #[test]
    fn options_become_a_filter() {
        let f = filter("--family ipv4 --proto=udp --dst 192.0.2.1 --reply-src=10.0.0.1").unwrap();
        assert_eq!((f.family, f.orig.proto), (af::INET, Some(ipproto::UDP)));
        assert_eq!((f.orig.dst, f.reply.src), (Some([192, 0, 2, 1]), Some([10, 0, 0, 1])));
        for wrong in ["--every 3", "family=ipv4", "--family x", "--proto 1", "--src ::1", "--dst"] {
            assert!(filter(wrong).is_err(), "{wrong}");
        }
    }
}
