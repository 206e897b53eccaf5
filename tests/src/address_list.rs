//! Lists of many addresses, as files for zct and as sets of its own for the tests: what is in them is found
//! out without zct.

use crate::entries::Facts;
use crate::netns::Netns;
use crate::program::{Exit, Output, Tool};
use crate::seed::{Kernel, Mix, Storm, plain};
use fastrand::Rng;
use std::collections::{BTreeSet, HashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use zct_wire::consts::ipproto;
use zct_wire::nat::Nat;
use zct_wire::request::NewFlow;
use zct_wire::tuple::{Addr, Tuple};

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

    /// All of it as text, shuffled: one or several words on each line, with comments here and there.
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

/// Random flows between many addresses, besides those of [`Mix`].
const FLOWS: u32 = 2000;
/// The size of a list.
pub const MEMBERS: usize = 100_000;

/// A namespace with flows, and a directory for lists.
#[derive(Debug)]
pub struct Many {
    /// The source of its randomness.
    pub rng: Rng,
    dir: tempfile::TempDir,
    _ns: Netns,
}

impl Many {
    /// Makes the namespace and its flows.
    pub fn new(seed: u64) -> Many {
        let ns = Netns::fresh();
        let mut rng = Rng::with_seed(seed);
        let mut kernel = Kernel::open();
        Mix { rng: rng.fork(), labels: false, wide: true }.fill(&mut kernel, 200);
        let mut storm = Storm::open();
        storm.create((0..FLOWS).map(|n| flow(&mut rng, n)));
        Many { rng, dir: tempfile::tempdir().expect("a directory"), _ns: ns }
    }

    /// Writes a list of many addresses, among them some that flows have at this place of [`Flow::addrs`].
    pub fn list(&mut self, name: &str, of: usize, one_in: usize) -> (AddressList, String) {
        let mut list = AddressList::default();
        for (n, flow) in flows().iter().enumerate() {
            let addr = flow.addrs[of];
            match (n + of) % (3 * one_in) {
                0 => list.add([addr]),
                1 => list.add_network(addr, if addr.is_ipv6() { 120 } else { 28 }),
                _ => {}
            }
        }
        while list.len() < MEMBERS {
            let ipv6 = self.rng.bool();
            list.add([random_address(&mut self.rng, ipv6)]);
        }
        let text = list.text(&mut self.rng);
        (list, format!("@{}", self.write(name, &text).display()))
    }

    /// Writes a file into the directory.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, text).expect("a file is written");
        path
    }
}

/// A flow between random addresses, sometimes translated.
fn flow(rng: &mut Rng, n: u32) -> NewFlow<'static> {
    let ipv6 = n % 3 == 0;
    let orig = Tuple {
        src: Some(wire(random_address(rng, ipv6))),
        dst: Some(wire(random_address(rng, ipv6))),
        proto: Some(if n % 2 == 0 { ipproto::UDP } else { 201 }),
        src_port: (n % 2 == 0).then_some(1000),
        dst_port: (n % 2 == 0).then_some(53),
        ..Tuple::default()
    };
    let to = |rng: &mut Rng| Some(Nat { addr: Some(wire(random_address(rng, ipv6))), port: None });
    let nat_dst = if n % 5 == 0 { to(rng) } else { None };
    plain(orig).with(|it| it.nat_dst = nat_dst)
}

/// What a listing says about a flow.
#[derive(Clone, Debug)]
pub struct Flow {
    /// Its id.
    pub id: String,
    /// Original source and destination, reply source and destination.
    pub addrs: [IpAddr; 4],
}

/// The flows of a listing with ids.
pub fn flows_of(output: &Output) -> Vec<Flow> {
    let flow = |line: &String| {
        let id = line.rsplit_once(" id=").expect("an id").1.trim().to_owned();
        Flow { id, addrs: Facts::of(line).addrs.map(|a| a.parse().expect("an address")) }
    };
    output.lines().iter().map(flow).collect()
}

/// All flows, by the original.
pub fn flows() -> Vec<Flow> {
    let output = Tool::Reference.run(&["-L", "-o", "id"]);
    assert_eq!(output.exit, Exit::Code(0), "{output:?}");
    flows_of(&output)
}

/// The ids of these flows.
pub fn ids<'f>(flows: impl IntoIterator<Item = &'f Flow>) -> BTreeSet<String> {
    flows.into_iter().map(|f| f.id.clone()).collect()
}
