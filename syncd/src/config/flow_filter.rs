//! `Filter` at work: whether the daemon wants to know about a flow (conntrackd.md §5.6).

use super::settings::{Filter, Listed, Logic, MarkBits, Network, Ports};
use std::collections::HashSet;
use zct_wire::consts::ipproto;
use zct_wire::error::WireError;
use zct_wire::flow::FlowView;
use zct_wire::tuple::Addr;

/// The properties by which a flow is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subject {
    /// IPPROTO_* number.
    pub proto: u8,
    /// The source of the original direction: the client.
    pub orig_src: Addr,
    /// The source of the reply direction: the real server, even behind a destination NAT.
    pub reply_src: Addr,
    /// The TCP state's number. `None` for other protocols, and in the destroy events of older kernels.
    pub tcp_state: Option<u8>,
    /// The port that the client has asked for, and the one that answers; `None` for protocols without ports.
    pub ports: [Option<u16>; 2],
    /// Its zone, or that of one direction if it has only that.
    pub zone: u16,
    /// Its status (IPS_*).
    pub status: u32,
    /// Its mark.
    pub mark: u32,
    /// Its labels, as far as this message tells of them.
    pub labels: u128,
}

/// Whether a flow is wanted, and if not, why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FilterVerdict {
    /// The flow is wanted.
    Pass,
    /// Its protocol is not wanted.
    Protocol,
    /// Its addresses are not wanted.
    Address,
    /// Its TCP state is not wanted.
    State,
    /// Its ports are not wanted.
    Port,
    /// Its zone is not wanted.
    Zone,
    /// Its translation is not wanted, or that it has none.
    Nat,
    /// Its mark is not wanted.
    Mark,
    /// Its labels are not wanted.
    Label,
}

/// A filter in the form in which it is asked: with sets in place of lists.
///
/// A flow must pass all criteria that are given, in the order protocol, address, port, zone, translation,
/// mark, label, state. Of its two addresses, one match is enough, and so it is of two ports and of several
/// labels. Networks and single addresses of both families form one criterion, so a list of IPv4 addresses
/// alone accepts no IPv6 flow. States are TCP states; other protocols pass. The original, which knows
/// protocols, addresses and states, judges flows the same way with `From Userspace`; with `From Kernelspace`
/// it compares the destination instead of the reply source and gets other results, which are not imitated.
///
/// # Allocation
/// None for a question.
#[derive(Clone, Debug)]
pub struct FlowFilter {
    protocols: Option<Set<[u64; 4]>>,
    addresses: Option<Set<Addresses>>,
    states: Option<Set<u64>>,
    ports: Option<Set<Vec<Ports>>>,
    zones: Option<Set<Vec<u16>>>,
    // Bits of the status, of which one has to be set.
    translations: Option<Set<u32>>,
    marks: Option<Set<Vec<MarkBits>>>,
    labels: Option<Set<u128>>,
}

#[derive(Clone, Debug)]
struct Set<T> {
    logic: Logic,
    of: T,
}

impl<T> Set<T> {
    fn passes(&self, listed: bool) -> bool {
        listed == (self.logic == Logic::Accept)
    }
}

/// Single addresses are hashed; networks are few and compared one by one.
#[derive(Clone, Debug, Default)]
struct Addresses {
    exact: HashSet<Addr>,
    v4: Vec<Masked<u32>>,
    v6: Vec<Masked<u128>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Masked<T> {
    net: T,
    mask: T,
}

impl FlowFilter {
    /// Builds the sets from the configuration.
    pub fn new(filter: &Filter) -> Self {
        FlowFilter {
            protocols: set(&filter.protocol, |items| {
                let mut bits = [0u64; 4];
                for p in items {
                    bits[usize::from(p.number / 64)] |= 1 << (p.number % 64);
                }
                bits
            }),
            addresses: set(&filter.address, Addresses::new),
            states: set(&filter.state, |items| items.iter().fold(0, |bits, s| bits | 1 << s.number())),
            ports: set(&filter.port, <[Ports]>::to_vec),
            zones: set(&filter.zone, <[u16]>::to_vec),
            translations: set(&filter.nat, |items| items.iter().fold(0, |bits, t| bits | t.status())),
            marks: set(&filter.mark, <[MarkBits]>::to_vec),
            labels: set(&filter.label, |items| items.iter().fold(0, |bits, n| bits | 1 << n)),
        }
    }

    /// True when nothing can be filtered out.
    pub fn is_empty(&self) -> bool {
        self.protocols.is_none()
            && self.addresses.is_none()
            && self.states.is_none()
            && self.ports.is_none()
            && self.zones.is_none()
            && self.translations.is_none()
            && self.marks.is_none()
            && self.labels.is_none()
    }

    /// True when labels decide, of which only some messages tell.
    pub fn asks_for_labels(&self) -> bool {
        self.labels.is_some()
    }

    /// Judges a flow.
    pub fn judge(&self, s: &Subject) -> FilterVerdict {
        if let Some(set) = &self.protocols {
            let listed = set.of[usize::from(s.proto / 64)] >> (s.proto % 64) & 1 == 1;
            if !set.passes(listed) {
                return FilterVerdict::Protocol;
            }
        }
        if let Some(set) = &self.addresses {
            let listed = set.of.contains(&s.orig_src) || set.of.contains(&s.reply_src);
            if !set.passes(listed) {
                return FilterVerdict::Address;
            }
        }
        if let Some(set) = &self.ports {
            let listed = |port: &u16| set.of.iter().any(|p| (p.first..=p.last).contains(port));
            if !set.passes(s.ports.iter().flatten().any(listed)) {
                return FilterVerdict::Port;
            }
        }
        if self.zones.as_ref().is_some_and(|set| !set.passes(set.of.contains(&s.zone))) {
            return FilterVerdict::Zone;
        }
        if self.translations.as_ref().is_some_and(|set| !set.passes(s.status & set.of != 0)) {
            return FilterVerdict::Nat;
        }
        let marked = |set: &Set<Vec<MarkBits>>| set.of.iter().any(|m| s.mark & m.mask == m.value);
        if self.marks.as_ref().is_some_and(|set| !set.passes(marked(set))) {
            return FilterVerdict::Mark;
        }
        if self.labels.as_ref().is_some_and(|set| !set.passes(s.labels & set.of != 0)) {
            return FilterVerdict::Label;
        }
        if let (Some(set), ipproto::TCP, Some(state)) = (&self.states, s.proto, s.tcp_state) {
            let listed = state < 64 && set.of >> state & 1 == 1;
            if !set.passes(listed) {
                return FilterVerdict::State;
            }
        }
        FilterVerdict::Pass
    }
}

fn set<T, S>(listed: &Option<Listed<T>>, of: impl FnOnce(&[T]) -> S) -> Option<Set<S>> {
    listed.as_ref().map(|l| Set { logic: l.logic, of: of(&l.items) })
}

impl Addresses {
    fn new(items: &[Network]) -> Self {
        let mut all = Addresses::default();
        for item in items {
            match *item {
                Network::V4(a, 32) => _ = all.exact.insert(Addr::V4(a.octets())),
                Network::V6(a, 128) => _ = all.exact.insert(Addr::V6(a.octets())),
                Network::V4(a, len) => {
                    // A shift by the full width gives `None`: a length of 0 means every address.
                    let mask = u32::MAX.checked_shl(32 - u32::from(len)).unwrap_or(0);
                    all.v4.push(Masked { net: a.to_bits() & mask, mask });
                }
                Network::V6(a, len) => {
                    let mask = u128::MAX.checked_shl(128 - u32::from(len)).unwrap_or(0);
                    all.v6.push(Masked { net: a.to_bits() & mask, mask });
                }
            }
        }
        all
    }

    fn contains(&self, addr: &Addr) -> bool {
        let in_network = match addr {
            Addr::V4(a) => {
                let a = u32::from_be_bytes(*a);
                self.v4.iter().any(|n| a & n.mask == n.net)
            }
            Addr::V6(a) => {
                let a = u128::from_be_bytes(*a);
                self.v6.iter().any(|n| a & n.mask == n.net)
            }
        };
        in_network || self.exact.contains(addr)
    }
}

impl Subject {
    /// What a flow from the kernel is judged by; `None` when it has no protocol or lacks an address. The
    /// original drops such a flow with an error message.
    ///
    /// # Errors
    /// When an attribute cannot be read.
    pub fn of(flow: &FlowView<'_>) -> Result<Option<Subject>, WireError> {
        let (Some(orig), Some(reply)) = (flow.orig()?, flow.reply()?) else { return Ok(None) };
        let (Some(proto), Some(orig_src), Some(reply_src)) = (orig.proto, orig.src, reply.src) else {
            return Ok(None);
        };
        let tcp_state = match flow.state()? {
            Some((zct_wire::proto::StateOf::Tcp, state)) => Some(state),
            _ => None,
        };
        let zone = flow.zone()?.or(orig.zone).or(reply.zone).unwrap_or(0);
        let labels = flow
            .labels()
            .map_or(0, |l| l.iter().fold(0, |bits, n| bits | 1u128.checked_shl(n.into()).unwrap_or(0)));
        Ok(Some(Subject {
            proto,
            orig_src,
            reply_src,
            tcp_state,
            ports: [orig.dst_port, reply.src_port],
            zone,
            status: flow.status()?.unwrap_or(0),
            // A mark of 0 is left out of most messages.
            mark: flow.mark()?.unwrap_or(0),
            labels,
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Names, load, protocols::Protocols};
    use super::*;
    use zct_engine::labels::LabelMap;

    fn filter(text: &str) -> FlowFilter {
        let text = format!("General {{ Filter {{ {text} }} }}\n");
        let loaded = load(text.as_bytes(), &Protocols::default());
        FlowFilter::new(
            &loaded.config.unwrap_or_else(|| panic!("{}", loaded.report.lines("f"))).general.filter,
        )
    }

    fn v4(a: [u8; 4]) -> Addr {
        Addr::V4(a)
    }

    const TCP: Subject = Subject {
        proto: 6,
        orig_src: Addr::V4([10, 0, 0, 1]),
        reply_src: Addr::V4([10, 0, 0, 2]),
        tcp_state: Some(3),
        ports: [Some(443), Some(8443)],
        zone: 0,
        status: 0x8 | 0x20,
        mark: 0x12,
        labels: 1 << 5,
    };

    #[test]
    fn criteria_are_asked_in_order_and_all_must_pass() {
        let f = filter(
            "Protocol Ignore { UDP } Address Ignore { IPv4_address 10.9.0.0/16 } State Accept { ESTABLISHED for TCP }",
        );
        assert_eq!(f.judge(&TCP), FilterVerdict::Pass);
        let udp = Subject { proto: 17, orig_src: v4([10, 9, 1, 1]), tcp_state: None, ..TCP };
        assert_eq!(f.judge(&udp), FilterVerdict::Protocol);
        let other = Subject { reply_src: v4([10, 9, 255, 255]), tcp_state: Some(7), ..TCP };
        assert_eq!(f.judge(&other), FilterVerdict::Address);
        assert_eq!(f.judge(&Subject { tcp_state: Some(7), ..TCP }), FilterVerdict::State);
        assert!(filter("").is_empty() && !f.is_empty());
        assert_eq!(filter("").judge(&udp), FilterVerdict::Pass);
    }

    #[test]
    fn states_are_of_tcp_alone_and_may_be_missing() {
        let none = filter("State Accept { for TCP }");
        assert_eq!(none.judge(&TCP), FilterVerdict::State);
        assert_eq!(none.judge(&Subject { tcp_state: None, ..TCP }), FilterVerdict::Pass);
        // An SCTP state may have the same number, but is not meant.
        assert_eq!(none.judge(&Subject { proto: 132, ..TCP }), FilterVerdict::Pass);
        assert_eq!(none.judge(&Subject { tcp_state: Some(255), ..TCP }), FilterVerdict::State);
        let listen = filter("State Ignore { LISTEN CLOSE for TCP }");
        for (state, verdict) in [
            (9, FilterVerdict::State),
            (8, FilterVerdict::State),
            (3, FilterVerdict::Pass),
            (255, FilterVerdict::Pass),
        ] {
            assert_eq!(listen.judge(&Subject { tcp_state: Some(state), ..TCP }), verdict, "{state}");
        }
    }

    /// The criteria that the original does not have: each with what is listed and what is not.
    #[test]
    fn ports_zones_translations_marks_and_labels() {
        let icmp = Subject { proto: 1, ports: [None; 2], tcp_state: None, ..TCP };
        let zoned = Subject { zone: 7, ..TCP };
        let plain = Subject { status: 0x8, mark: 0, labels: 0, ..TCP };
        for (text, verdict, subject, listed) in [
            ("Port {W} { 443 }", FilterVerdict::Port, TCP, true),
            ("Port {W} { 8000-9000 80 }", FilterVerdict::Port, TCP, true),
            ("Port {W} { 444-8442 0 65535 }", FilterVerdict::Port, TCP, false),
            ("Port {W} { 0-65535 }", FilterVerdict::Port, icmp, false),
            ("Zone {W} { 7 9 }", FilterVerdict::Zone, zoned, true),
            ("Zone {W} { 7 9 }", FilterVerdict::Zone, TCP, false),
            ("Zone {W} { 0 }", FilterVerdict::Zone, TCP, true),
            ("NAT {W} { DNAT }", FilterVerdict::Nat, TCP, true),
            ("NAT {W} { SNAT }", FilterVerdict::Nat, TCP, false),
            ("NAT {W} { SNAT DNAT }", FilterVerdict::Nat, plain, false),
            ("Mark {W} { 18 }", FilterVerdict::Mark, TCP, true),
            ("Mark {W} { 0x10/0xf0 }", FilterVerdict::Mark, TCP, true),
            ("Mark {W} { 0x20/0xf0 2 }", FilterVerdict::Mark, TCP, false),
            ("Mark {W} { 0 }", FilterVerdict::Mark, plain, true),
            ("Mark {W} { 0/1 }", FilterVerdict::Mark, TCP, true),
            ("Label {W} { 3 5 127 }", FilterVerdict::Label, TCP, true),
            ("Label {W} { 127 }", FilterVerdict::Label, TCP, false),
            ("Label {W} { 5 }", FilterVerdict::Label, plain, false),
        ] {
            let accept = filter(&text.replace("{W}", "Accept")).judge(&subject);
            let ignore = filter(&text.replace("{W}", "Ignore")).judge(&subject);
            let wanted = [FilterVerdict::Pass, verdict];
            let wanted = if listed { wanted } else { [verdict, FilterVerdict::Pass] };
            assert_eq!([accept, ignore], wanted, "{text} {subject:?}");
        }
        assert!(!filter("Label Accept { 1 }").is_empty() && filter("Label Accept { 1 }").asks_for_labels());
        assert!(!filter("Mark Ignore { 1 }").asks_for_labels());
    }

    #[test]
    fn labels_have_names_too() {
        let labels = LabelMap::parse(b"5 voice\n7 12\n8 bit-9\n200 beyond\n");
        let names = Names { protocols: &Protocols::default(), labels: &labels };
        let of = |word: &str| {
            let text = format!("General {{ Filter {{ Label Accept {{ {word} }} }} }}\n");
            let loaded = load(text.as_bytes(), names);
            (loaded.config.and_then(|c| c.general.filter.label).map(|l| l.items), loaded.report)
        };
        // A number is a number, whatever the file says.
        for (word, bits) in [("voice", [5]), ("12", [12]), ("bit-9", [8]), ("bit-127", [127])] {
            assert_eq!(of(word).0, Some(bits.to_vec()), "{word}");
        }
        for word in ["beyond", "Voice", "bit-128", "128"] {
            let said = of(word).1.lines("f").to_string();
            let message =
                format!("`{word}' is not the number of a label, from 0 to 127, or its name in /etc/");
            assert!(said.contains(&message), "{said}");
        }
    }

    /// What is not one of these is refused, with its place and what it should have been.
    #[test]
    fn items_that_are_none_are_named() {
        for (text, message) in [
            ("Port Ignore {\n70000 }", "f:2:1: error: `70000' is not a port from 0 to 65535 or a range"),
            ("Port Ignore {\n 20-10 }", "f:2:2: error: `20-10' is not a port"),
            ("Port Ignore {\n http }", "f:2:2: error: `http' is not a port"),
            ("Port Accept {\n+5 }", "f:2:1: error: `+5' is not a port from 0 to 65535 or a range"),
            ("Zone Ignore {\n 65536 }", "f:2:2: error: `65536' is not a zone from 0 to 65535"),
            ("NAT Ignore {\n snat }", "f:2:2: error: `snat' is not SNAT or DNAT"),
            ("Mark Ignore {\n 0x1g }", "f:2:2: error: `0x1g' is not a mark like 5, 0x10 or 0x10/0xf0"),
            ("Mark Ignore {\n 0x11/0xf0 }", "f:2:2: error: `0x11/0xf0' is not a mark"),
            ("Mark Ignore {\n 4294967296 }", "f:2:2: error: `4294967296' is not a mark"),
            ("Label Ignore {\n 128 }", "f:2:2: error: `128' is not the number of a label, from 0 to 127"),
            ("Port { 1 }", "f:1:25: error: expected Accept or Ignore after Port"),
        ] {
            let text = format!("General {{ Filter {{ {text} }} }}\n");
            let said = load(text.as_bytes(), &Protocols::default()).report.lines("f").to_string();
            assert!(said.contains(message), "{text}: {said}");
        }
    }

    #[test]
    fn every_prefix_length_matches_its_addresses_and_no_others() {
        for len in 0..=32u8 {
            let f = filter(&format!("Address Accept {{ IPv4_address 170.85.170.85/{len} }}"));
            let base = u32::from_be_bytes([170, 85, 170, 85]);
            for bit in 0..32u8 {
                let addr = (base ^ 1 << (31 - bit)).to_be_bytes();
                let s = Subject { orig_src: v4(addr), reply_src: v4([1, 1, 1, 1]), ..TCP };
                assert_eq!(f.judge(&s) == FilterVerdict::Pass, bit >= len, "/{len} bit {bit}");
            }
        }
        for len in 0..=128u8 {
            let f = filter(&format!(
                "Address Accept {{ IPv6_address aa55:aa55:aa55:aa55:aa55:aa55:aa55:aa55/{len} }}"
            ));
            for bit in 0..128u8 {
                let addr = 0xaa55_aa55_aa55_aa55_aa55_aa55_aa55_aa55u128 ^ 1 << (127 - bit);
                let s =
                    Subject { orig_src: Addr::V6(addr.to_be_bytes()), reply_src: Addr::V6([1; 16]), ..TCP };
                assert_eq!(f.judge(&s) == FilterVerdict::Pass, bit >= len, "/{len} bit {bit}");
            }
        }
    }

    #[test]
    fn a_subject_is_what_the_kernel_says() {
        use zct_wire::build::{Builder, Head};
        use zct_wire::consts::cta;
        use zct_wire::header::{CtMsg, Frames};
        use zct_wire::tuple::Tuple;
        let subject = |src: Option<Addr>, state: Option<u8>| {
            let mut buf = [0; 512];
            let mut b = Builder::new(&mut buf, Head::new(0x100, 0).family(2));
            let dst = Some(v4([10, 0, 0, 2]));
            let orig =
                Tuple { src, dst, proto: Some(6), src_port: Some(1), dst_port: Some(2), ..Tuple::default() };
            let reply = Tuple { src: Some(v4([10, 0, 0, 7])), dst: src, ..orig };
            orig.build(&mut b, cta::TUPLE_ORIG);
            reply.build(&mut b, cta::TUPLE_REPLY);
            if let Some(state) = state {
                b.nest(cta::PROTOINFO, |b| _ = b.nest(1, |b| _ = b.put(1, &[state])));
            }
            let bytes = b.finish().unwrap();
            let frame = Frames::new(bytes).next().unwrap().unwrap();
            Subject::of(&FlowView::index(CtMsg::parse(frame).unwrap()).unwrap())
        };
        let client = v4([10, 0, 0, 1]);
        let whole = Subject {
            proto: 6,
            orig_src: client,
            reply_src: v4([10, 0, 0, 7]),
            tcp_state: Some(7),
            ports: [Some(2), Some(1)],
            zone: 0,
            status: 0,
            mark: 0,
            labels: 0,
        };
        assert_eq!(subject(Some(client), Some(7)), Ok(Some(whole)));
        assert_eq!(subject(Some(client), None), Ok(Some(Subject { tcp_state: None, ..whole })));
        assert_eq!(subject(None, Some(7)), Ok(None));
    }

    #[test]
    fn every_protocol_number_has_its_bit() {
        let names =
            Protocols::parse(&(0..=255).map(|n| format!("p{n} {n}\n")).collect::<String>().into_bytes());
        for listed in [0, 1, 63, 64, 127, 128, 200, 255u8] {
            let text = format!("General {{ Filter {{ Protocol Accept {{ p{listed} }} }} }}\n");
            let f = FlowFilter::new(&load(text.as_bytes(), &names).config.unwrap().general.filter);
            for proto in 0..=255 {
                let passes = f.judge(&Subject { proto, tcp_state: None, ..TCP }) == FilterVerdict::Pass;
                assert_eq!(passes, proto == listed, "{proto}");
            }
        }
    }
}
