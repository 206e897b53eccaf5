//! The layer 4 protocols that have a tracker of their own, and their names. The kernel tracks all others by
//! their addresses alone.

use crate::consts::ipproto;

/// A protocol with a tracker of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tracked {
    /// IPPROTO_* number.
    pub number: u8,
    /// Its name in all output, and on command lines.
    pub name: &'static str,
    /// Its name and an alias in files like /etc/protocols, which have another word for ICMPv6.
    pub listed: [&'static str; 2],
}

/// All tracked protocols, in the order of help texts.
pub const TRACKED: [Tracked; 8] = [
    Tracked { number: ipproto::TCP, name: "tcp", listed: ["tcp", "TCP"] },
    Tracked { number: ipproto::UDP, name: "udp", listed: ["udp", "UDP"] },
    Tracked { number: ipproto::UDPLITE, name: "udplite", listed: ["udplite", "UDPLite"] },
    Tracked { number: ipproto::ICMP, name: "icmp", listed: ["icmp", "ICMP"] },
    Tracked { number: ipproto::ICMPV6, name: "icmpv6", listed: ["ipv6-icmp", "IPv6-ICMP"] },
    Tracked { number: ipproto::SCTP, name: "sctp", listed: ["sctp", "SCTP"] },
    Tracked { number: ipproto::GRE, name: "gre", listed: ["gre", "GRE"] },
    Tracked { number: ipproto::DCCP, name: "dccp", listed: ["dccp", "DCCP"] },
];

/// The names of the tracked protocols, in the same order.
pub const NAMES: [&str; TRACKED.len()] = {
    let [a, b, c, d, e, f, g, h] = TRACKED;
    [a.name, b.name, c.name, d.name, e.name, f.name, g.name, h.name]
};

/// The name of a protocol; `None` for one that has no tracker of its own.
pub fn name(number: u8) -> Option<&'static str> {
    TRACKED.iter().find(|p| p.number == number).map(|p| p.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_one_name() {
        for number in 0..=255 {
            let rows = TRACKED.iter().filter(|p| p.number == number).count();
            assert!(rows <= 1, "{number}");
            assert_eq!(name(number).is_some(), rows == 1);
        }
        assert_eq!((name(58), name(6), name(50)), (Some("icmpv6"), Some("tcp"), None));
        // Exactly the protocols whose timeouts nfct can set, apart from the row that stands for all others.
        for number in (0..=255).filter(|n| *n != crate::cttimeout::GENERIC) {
            assert_eq!(name(number).is_some(), crate::cttimeout::states(number).is_some(), "{number}");
        }
    }
}
