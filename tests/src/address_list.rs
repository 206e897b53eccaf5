//! Lists of many addresses, as files for zct and as sets of its own for the tests: what is in them is found out
//! without zct.

use fastrand::Rng;
use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use zct_wire::tuple::Addr;

/// Addresses and networks of both families.
#[derive(Debug, Default)]
pub struct AddressList {
    hosts: HashSet<IpAddr>,
    /// First address and length of the prefix.
    networks: Vec<(IpAddr, u32)>,
}

impl AddressList {
    /// Adds addresses.
    pub fn add(&mut self, hosts: impl IntoIterator<Item = IpAddr>) {
        self.hosts.extend(hosts);
    }

    /// Adds a network.
    pub fn add_network(&mut self, addr: IpAddr, len: u32) {
        self.networks.push((addr, len));
    }

    /// How many addresses and networks there are.
    pub fn len(&self) -> usize {
        self.hosts.len() + self.networks.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the address is one of them, or in one of the networks.
    pub fn has(&self, addr: &IpAddr) -> bool {
        let within = |(net, len): &(IpAddr, u32)| match (net, addr) {
            (IpAddr::V4(net), IpAddr::V4(a)) => {
                (u32::from(*net) ^ u32::from(*a)).checked_shr(32 - len).unwrap_or(0) == 0
            }
            (IpAddr::V6(net), IpAddr::V6(a)) => {
                (u128::from(*net) ^ u128::from(*a)).checked_shr(128 - len).unwrap_or(0) == 0
            }
            _ => false,
        };
        self.hosts.contains(addr) || self.networks.iter().any(within)
    }

    /// All of it as text, shuffled: one or several words a line, with comments here and there.
    pub fn text(&self, rng: &mut Rng) -> String {
        let networks = self.networks.iter().map(|(addr, len)| format!("{addr}/{len}"));
        let mut words: Vec<String> = self.hosts.iter().map(IpAddr::to_string).chain(networks).collect();
        rng.shuffle(&mut words);
        let mut text = String::from("# made by a test\n");
        for word in words {
            text += &word;
            text += ["\n", "\n", " ", ", ", "\t", "\n\n", " # more 10.0.0.1\n", "\r\n"][rng.usize(..8)];
        }
        text
    }
}

/// A random address of this family in a network that tests have for themselves.
pub fn random_address(rng: &mut Rng, ipv6: bool) -> IpAddr {
    if ipv6 {
        Ipv6Addr::from(0x2001_0db8u128 << 96 | u128::from(rng.u32(..))).into()
    } else {
        Ipv4Addr::from(10 << 24 | rng.u32(..1 << 24)).into()
    }
}

/// The same address as zct's own type has it.
pub fn wire(addr: IpAddr) -> Addr {
    match addr {
        IpAddr::V4(a) => Addr::V4(a.octets()),
        IpAddr::V6(a) => Addr::V6(a.octets()),
    }
}
