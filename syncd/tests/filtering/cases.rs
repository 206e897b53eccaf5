//! The flows that are judged, and the filters that judge them: Accept and Ignore of each criterion with lists
//! of every kind, and all criteria together.

use std::net::IpAddr;
use zct_wire::tuple::Addr;
use zctd::config::flow_filter::Subject;

/// A flow for both programs to judge.
pub(crate) struct Flow {
    /// The source port, or the id of an ICMP flow, by which it is found in the original's output.
    pub(crate) id: u16,
    proto: &'static str,
    src: &'static str,
    dst: &'static str,
    /// The address that the destination is translated to.
    dnat: Option<&'static str>,
    /// The TCP or SCTP state, by name and number.
    state: Option<(&'static str, u8)>,
}

const fn flow(id: u16, proto: &'static str, src: &'static str, dst: &'static str) -> Flow {
    Flow { id, proto, src, dst, dnat: None, state: None }
}

const fn tcp(id: u16, src: &'static str, dst: &'static str, state: &'static str, number: u8) -> Flow {
    Flow { state: Some((state, number)), ..flow(id, "tcp", src, dst) }
}

pub(crate) const FLOWS: [Flow; 18] = [
    tcp(1, "10.0.0.1", "10.0.0.2", "ESTABLISHED", 3),
    tcp(2, "10.0.0.1", "10.0.0.2", "SYN_SENT", 1),
    tcp(3, "10.0.0.3", "10.0.0.4", "TIME_WAIT", 7),
    tcp(4, "172.16.0.1", "172.16.0.2", "CLOSE", 8),
    tcp(5, "172.16.0.1", "172.16.0.2", "LISTEN", 9),
    tcp(16, "172.16.0.1", "172.16.0.2", "SYN_RECV", 2),
    tcp(17, "172.16.0.1", "172.16.0.2", "FIN_WAIT", 4),
    tcp(18, "172.16.0.1", "172.16.0.2", "LAST_ACK", 6),
    flow(6, "udp", "10.0.0.1", "10.0.0.2"),
    Flow { dnat: Some("10.0.0.2"), ..flow(7, "udp", "192.168.1.5", "10.9.9.9") },
    flow(8, "udp", "10.9.9.9", "192.168.1.5"),
    flow(9, "udp", "172.16.0.1", "172.16.0.2"),
    tcp(10, "fd00::1", "fd00::2", "ESTABLISHED", 3),
    flow(11, "udp", "fd00:1::1", "fd00::2"),
    flow(12, "udp", "fd01::1", "fd01::2"),
    flow(13, "icmp", "10.0.0.1", "10.0.0.2"),
    Flow { state: Some(("ESTABLISHED", 4)), ..flow(14, "sctp", "10.0.0.1", "10.0.0.2") },
    flow(15, "udp", "172.16.0.1", "10.0.0.1"),
];

impl Flow {
    /// The flow as a line for `conntrack -R`.
    pub(crate) fn line(&self) -> String {
        let mut line = format!("-I -p {} -s {} -d {} -t 36000", self.proto, self.src, self.dst);
        line += &match self.proto {
            "icmp" => format!(" --icmp-type 8 --icmp-code 0 --icmp-id {}", self.id),
            _ => format!(" --sport {} --dport 80", self.id),
        };
        if self.proto == "sctp" {
            line += " --orig-vtag 1 --reply-vtag 2";
        }
        if let Some((state, _)) = self.state {
            line += &format!(" --state {state}");
        }
        if let Some(to) = self.dnat {
            line += &format!(" --dst-nat {to}");
        }
        line
    }

    pub(crate) fn subject(&self) -> Subject {
        let addr = |text: &str| match text.parse().unwrap() {
            IpAddr::V4(a) => Addr::V4(a.octets()),
            IpAddr::V6(a) => Addr::V6(a.octets()),
        };
        Subject {
            proto: [("icmp", 1), ("tcp", 6), ("udp", 17), ("sctp", 132)]
                .into_iter()
                .find(|p| p.0 == self.proto)
                .unwrap()
                .1,
            orig_src: addr(self.src),
            reply_src: addr(self.dnat.unwrap_or(self.dst)),
            tcp_state: self.state.filter(|_| self.proto == "tcp").map(|s| s.1),
            // The original knows nothing of these.
            ports: [None; 2],
            zone: 0,
            status: 0,
            mark: 0,
            labels: 0,
        }
    }
}

const PROTOCOLS: [&str; 8] = [
    "",
    "Protocol Accept { TCP }",
    "Protocol Ignore { TCP }",
    "Protocol Accept { UDP ICMP }",
    "Protocol Ignore { udp sctp }",
    "Protocol Accept { }",
    "Protocol Ignore { }",
    "Protocol Ignore { TCP } Protocol Accept { UDP }",
];

const ADDRESSES: [&str; 26] = [
    "",
    "Address Accept { }",
    "Address Ignore { }",
    "Address Accept { IPv4_address 10.0.0.1 }",
    "Address Ignore { IPv4_address 10.0.0.1 }",
    "Address Accept { IPv4_address 10.0.0.2 }",
    "Address Ignore { IPv4_address 10.0.0.2 }",
    "Address Accept { IPv4_address 10.9.9.9 }",
    "Address Accept { IPv4_address 10.0.0.0/24 }",
    "Address Ignore { IPv4_address 10.0.0.0/24 }",
    "Address Accept { IPv4_address 10.0.0.77/24 }",
    "Address Ignore { IPv4_address 10.0.0.2/31 }",
    "Address Accept { IPv4_address 10.0.0.1/32 }",
    "Address Accept { IPv4_address 0.0.0.0/0 }",
    "Address Ignore { IPv4_address 1.2.3.4/0 }",
    "Address Accept { IPv6_address fd00::1 }",
    "Address Ignore { IPv6_address fd00::1 }",
    "Address Accept { IPv6_address fd00::99/32 }",
    "Address Ignore { IPv6_address fd00::/31 }",
    "Address Accept { IPv6_address ::/0 }",
    "Address Ignore { IPv6_address fd01::1/128 }",
    "Address Accept { IPv4_address 10.0.0.1 IPv4_address 192.168.0.0/16 IPv6_address fd01::1 }",
    "Address Ignore { IPv4_address 10.0.0.1 IPv4_address 192.168.0.0/16 IPv6_address fd01::1 }",
    "Address Accept { IPv4_address 10.0.0.1 } Address Ignore { IPv4_address 172.16.0.1 }",
    "Address Ignore { IPv4_address 10.0.0.0/24 } Address Accept { IPv4_address 172.16.0.1 }",
    "Address Accept { IPv4_address 10.0.0.0/30 IPv6_address fd00::/33 IPv6_address fd00:1::1 }",
];

const STATES: [&str; 11] = [
    "",
    "State Accept { ESTABLISHED for TCP }",
    "State Ignore { ESTABLISHED for TCP }",
    "State Accept { SYN_SENT SYN_RECV FIN_WAIT CLOSE_WAIT LAST_ACK for TCP }",
    "State Ignore { TIME_WAIT CLOSE LISTEN for TCP }",
    "State Accept { CLOSED for TCP LISTEN for TCP }",
    "State Accept { for TCP }",
    "State Ignore { for TCP }",
    "State Accept { }",
    "State Ignore { }",
    "State Accept { ESTABLISHED for TCP } State Ignore { CLOSE for TCP }",
];

/// All filters: each list with every list of one other criterion, and some of the combinations of three.
pub(crate) fn filters() -> Vec<String> {
    let mut all = Vec::new();
    for (i, p) in PROTOCOLS.iter().enumerate() {
        for (j, a) in ADDRESSES.iter().enumerate() {
            for (k, s) in STATES.iter().enumerate() {
                let empty = [i, j, k].iter().filter(|n| **n == 0).count();
                if empty > 0 || (i + j + k) % 23 == 0 {
                    all.push(
                        ["Filter {", p, a, s, "}"]
                            .into_iter()
                            .filter(|w| !w.is_empty())
                            .collect::<Vec<_>>()
                            .join(" "),
                    );
                }
            }
        }
    }
    all
}
