//! Lines of batch files for `-R`: the flows of the mix as commands that both programs understand.

use crate::mix;
use std::fmt::Write as _;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use zct_wire::consts::ipproto;
use zct_wire::tuple::{Addr, Tuple};

fn address(a: Option<Addr>) -> String {
    match a {
        Some(Addr::V4(a)) => Ipv4Addr::from(a).to_string(),
        Some(Addr::V6(a)) => Ipv6Addr::from(a).to_string(),
        None => String::new(),
    }
}

fn tuple(line: &mut String, t: &Tuple) {
    let proto = if t.proto == Some(ipproto::UDP) { "udp" } else { "tcp" };
    let (src, dst) = (address(t.src), address(t.dst));
    let (sport, dport) = (t.src_port.unwrap_or(0), t.dst_port.unwrap_or(0));
    _ = write!(line, " -s {src} -d {dst} -p {proto} --sport {sport} --dport {dport}");
}

/// The command that makes flow `i` of the common mix.
pub fn create(i: u32) -> String {
    let (f, mut line) = (mix::flow(i), String::from("-I"));
    if let Some(t) = f.orig {
        tuple(&mut line, &t);
    }
    _ = write!(line, " -t {}", f.timeout_s.unwrap_or(0));
    if f.protoinfo.is_some() {
        let state = if mix::is_closing(i) { "TIME_WAIT" } else { "ESTABLISHED" };
        _ = write!(line, " --state {state} -u SEEN_REPLY,ASSURED");
    }
    if let Some(mark) = f.mark {
        _ = write!(line, " -m {}", mark.value);
    }
    if let Some(nat) = f.nat_src {
        _ = write!(line, " --src-nat {}", address(nat.addr));
    }
    line
}

/// The command that deletes flow `i` of the common mix.
pub fn delete(i: u32) -> String {
    let mut line = String::from("-D");
    if let Some(t) = mix::flow(i).orig {
        tuple(&mut line, &t);
    }
    line
}

/// The destination of flow `i` of the common mix.
pub fn destination(i: u32) -> String {
    address(mix::flow(i).orig.and_then(|t| t.dst))
}

/// Writes one line for each of the numbers.
///
/// # Errors
/// Those of the writer.
pub fn write(
    to: &mut impl io::Write,
    numbers: impl IntoIterator<Item = u32>,
    line: impl Fn(u32) -> String,
) -> io::Result<()> {
    numbers.into_iter().try_for_each(|i| writeln!(to, "{}", line(i)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_complete_commands() {
        assert_eq!(create(6), "-I -s 10.0.0.6 -d 198.51.100.7 -p udp --sport 1030 --dport 53 -t 30006");
        assert_eq!(
            create(8),
            "-I -s 10.0.0.8 -d 192.0.2.9 -p tcp --sport 1032 --dport 443 -t 30008 \
             --state ESTABLISHED -u SEEN_REPLY,ASSURED --src-nat 203.0.113.9"
        );
        assert_eq!(destination(6), "198.51.100.7");
        assert_eq!(delete(9), "-D -s 2001:db8::9 -d 2001:db8:1::1 -p tcp --sport 1033 --dport 443");
    }
}
