//! The settings of one type of helper, and the rules about addresses and ports that rest on them.

use crate::packet::Packet;
use crate::refusal::Refusal;
use zct_wire::tuple::Addr;

/// The lowest port that needs no privilege to listen on.
const UNPRIVILEGED: u16 = 1024;
/// The port mapper, which forwards calls to every other RPC service: never opened, whatever the settings say.
const PORTMAP: u16 = 111;

/// Addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    addr: Addr,
    bits: u8,
}

impl core::fmt::Display for Prefix {
    /// `10.0.0.0/8`; an address alone when all of its bits count.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.addr {
            Addr::V4(a) => write!(f, "{}", core::net::Ipv4Addr::from(a))?,
            Addr::V6(a) => write!(f, "{}", core::net::Ipv6Addr::from(a))?,
        }
        let whole = self.addr.bytes().len().saturating_mul(8);
        if usize::from(self.bits) < whole { write!(f, "/{}", self.bits) } else { Ok(()) }
    }
}

impl Prefix {
    /// `None` when the family has fewer bits.
    pub fn new(addr: Addr, bits: u8) -> Option<Prefix> {
        let whole = addr.bytes().len().saturating_mul(8);
        (usize::from(bits) <= whole).then_some(Prefix { addr, bits })
    }

    /// Whether the address is among them; one of the other family never is.
    pub fn contains(&self, addr: Addr) -> bool {
        self.addr.family() == addr.family()
            && self.addr.bytes().iter().zip(addr.bytes()).enumerate().all(|(at, (a, b))| {
                let before = u32::try_from(at.saturating_mul(8)).unwrap_or(u32::MAX);
                let bits = u32::from(self.bits).saturating_sub(before).min(8);
                // 0xff00 >> bits has its upper `bits` bits of the lower byte set.
                let mask = 0xff00_u16.checked_shr(bits).unwrap_or(0) & 0xff;
                u16::from(a ^ b) & mask == 0
            })
    }
}

/// The settings of one type of helper. [`Config::default`] is the strictest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Config<'a> {
    /// Ports below 1024 may be announced.
    pub privileged_ports: bool,
    /// Only senders with these addresses may announce anything; nobody is kept out while this is empty.
    pub senders: &'a [Prefix],
    /// Addresses other than the sender's own that it may announce.
    pub addresses: &'a [Prefix],
    /// Whether more than one flow may use what is expected, where that is a matter of choice; `None` leaves
    /// it to the protocol.
    pub permanent: Option<bool>,
    /// Servers may answer from other ports than that of their service.
    pub any_port: bool,
}

impl Config<'_> {
    /// Whether the sender of this packet may announce anything. Asked by [`Helper::packet`] for every verdict
    /// with an expectation, so protocols need not.
    ///
    /// [`Helper::packet`]: crate::Helper::packet
    ///
    /// # Errors
    /// [`Refusal::SenderNotAllowed`].
    pub fn sender(&self, packet: &Packet<'_>) -> Result<(), Refusal> {
        let (addr, _) = packet.sender();
        let fits = self.senders.is_empty() || self.senders.iter().any(|p| p.contains(addr));
        if fits { Ok(()) } else { Err(Refusal::SenderNotAllowed) }
    }

    /// An announced port, which is 1024 to 65535, or any but 0 and 111 if the settings say so.
    ///
    /// # Errors
    /// [`Refusal::PortZero`], [`Refusal::PrivilegedPort`], [`Refusal::ReservedPort`]; [`Refusal::Malformed`]
    /// for a number that is not a port.
    pub fn port(&self, number: u32) -> Result<u16, Refusal> {
        self.port_or(number, &[])
    }

    /// The same; the ports in `usual` are what the protocol is known to use, and need no setting.
    ///
    /// # Errors
    /// As [`Config::port`].
    pub fn port_or(&self, number: u32, usual: &[u16]) -> Result<u16, Refusal> {
        match u16::try_from(number) {
            Err(_) => Err(Refusal::Malformed),
            Ok(0) => Err(Refusal::PortZero),
            Ok(PORTMAP) => Err(Refusal::ReservedPort),
            Ok(p) if p >= UNPRIVILEGED || self.privileged_ports || usual.contains(&p) => Ok(p),
            Ok(_) => Err(Refusal::PrivilegedPort),
        }
    }

    /// Whether an address in the payload is the sender's, or one of those that the settings allow beside it.
    /// True says it is the sender's, so that the expectation follows the flow's translation; one to a third
    /// host cannot.
    ///
    /// # Errors
    /// [`Refusal::ForeignAddress`].
    pub fn address(&self, packet: &Packet<'_>, announced: Addr) -> Result<bool, Refusal> {
        let (sender, _) = packet.sender();
        if announced == sender {
            return Ok(true);
        }
        let same_family = announced.family() == sender.family();
        let allowed = same_family && self.addresses.iter().any(|p| p.contains(announced));
        // Across a translation, the address under which the other side could reach a third host is not known.
        if allowed && !packet.translated { Ok(false) } else { Err(Refusal::ForeignAddress) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{CLIENT, client};

    const V6: Addr = Addr::V6([0xfd, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);

    #[test]
    fn prefixes_compare_the_bits_that_count() {
        let p = |addr, bits| Prefix::new(addr, bits).unwrap();
        assert!(Prefix::new(CLIENT, 33).is_none() && Prefix::new(V6, 129).is_none());
        assert!(p(CLIENT, 32).contains(CLIENT) && p(V6, 128).contains(V6));
        assert!(p(CLIENT, 0).contains(Addr::V4([255; 4])) && !p(CLIENT, 0).contains(V6));
        assert!(p(Addr::V4([10, 1, 64, 0]), 18).contains(Addr::V4([10, 1, 127, 255])));
        assert!(!p(Addr::V4([10, 1, 64, 0]), 18).contains(Addr::V4([10, 1, 128, 0])));
        assert!(!p(V6, 64).contains(Addr::V6([0xfd; 16])));
        assert_eq!(
            std::format!("{} {} {}", p(CLIENT, 8), p(CLIENT, 32), p(V6, 64)),
            "10.1.0.2/8 10.1.0.2 fd00:1::9/64"
        );
    }

    #[test]
    fn ports_that_are_never_or_not_without_a_setting_opened() {
        let open = Config { privileged_ports: true, ..Config::default() };
        let strict = Config::default();
        for (number, strictly, openly) in [
            (0, Err(Refusal::PortZero), Err(Refusal::PortZero)),
            (1, Err(Refusal::PrivilegedPort), Ok(1)),
            (111, Err(Refusal::ReservedPort), Err(Refusal::ReservedPort)),
            (1023, Err(Refusal::PrivilegedPort), Ok(1023)),
            (1024, Ok(1024), Ok(1024)),
            (65535, Ok(65535), Ok(65535)),
            (65536, Err(Refusal::Malformed), Err(Refusal::Malformed)),
            (65536 + 22, Err(Refusal::Malformed), Err(Refusal::Malformed)),
        ] {
            assert_eq!((strict.port(number), open.port(number)), (strictly, openly), "{number}");
        }
        assert_eq!(strict.port_or(80, &[80]), Ok(80));
        assert_eq!(strict.port_or(81, &[80]), Err(Refusal::PrivilegedPort));
        assert_eq!(strict.port_or(111, &[111]), Err(Refusal::ReservedPort));
    }

    #[test]
    fn only_the_sender_and_allowed_addresses_may_be_announced() {
        let other = Addr::V4([10, 9, 9, 9]);
        let packet = client(b"");
        let strict = Config::default();
        assert_eq!(strict.address(&packet, CLIENT), Ok(true));
        assert_eq!(strict.address(&packet, other), Err(Refusal::ForeignAddress));
        assert_eq!(strict.address(&packet, V6), Err(Refusal::ForeignAddress));
        let prefixes = [Prefix::new(Addr::V4([10, 9, 0, 0]), 16).unwrap(), Prefix::new(V6, 0).unwrap()];
        let wide = Config { addresses: &prefixes, ..strict };
        assert_eq!(wide.address(&packet, other), Ok(false));
        assert_eq!(wide.address(&packet, V6), Err(Refusal::ForeignAddress));
        let behind_nat = Packet { translated: true, ..packet };
        assert_eq!(wide.address(&behind_nat, other), Err(Refusal::ForeignAddress));
        assert_eq!(strict.sender(&packet), Ok(()));
        let senders = Config { senders: &prefixes, ..strict };
        assert_eq!(senders.sender(&packet), Err(Refusal::SenderNotAllowed));
    }
}
