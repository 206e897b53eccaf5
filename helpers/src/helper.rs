//! The helpers there are, by name.

use crate::config::Config;
use crate::datagram::{TCP, UDP};
use crate::packet::{Packet, Transport};
use crate::private::Private;
use crate::verdict::Verdict;
use crate::{amanda, dhcpv6, ftp, mdns, rpc, sane, slp, ssdp, tftp, tns};

/// How many expectations of one kind a flow may have at a time, and how long they wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class {
    /// The name of the kind.
    pub name: &'static str,
    /// How many a flow may have; beyond that the oldest goes.
    pub max: u32,
    /// Seconds until one is dropped.
    pub timeout_s: u32,
}

/// The function of a protocol: the settings, what was noted in the flow before, and a packet of it.
pub type Read = fn(&Config<'_>, &mut Private, &Packet<'_>) -> Verdict;

/// A protocol over one transport.
#[derive(Clone, Copy, Debug)]
pub struct Helper {
    /// The name by which rules refer to it.
    pub name: &'static str,
    /// Its transport: 6 or 17.
    pub protocol: u8,
    /// How many bytes of private data it keeps with a flow: as many as the original, because the kernel
    /// refuses another length while a stub is there.
    pub private_len: usize,
    /// The policy that holds unless the configuration has one.
    pub class: Class,
    /// The port that a ruleset usually sends here.
    pub port: u16,
    /// Whether it notes where a TCP connection's bytes begin, and so wants the segments that open one.
    pub opening: bool,
    read: Read,
}

const fn helper(
    name: &'static str,
    protocol: u8,
    port: u16,
    private_len: usize,
    (max, timeout_s): (u32, u32),
    read: Read,
) -> Helper {
    Helper { name, protocol, private_len, class: Class { name, max, timeout_s }, port, opening: false, read }
}

/// All of them: name, transport, port, bytes of private data, expectations and their seconds, function.
pub static HELPERS: [Helper; 12] = [
    helper("amanda", UDP, 10080, 0, (4, 180), amanda::packet),
    helper("dhcpv6", UDP, 547, 0, (1, 300), dhcpv6::packet),
    Helper { opening: true, ..helper("ftp", TCP, 21, 24, (1, 300), ftp::packet) },
    helper("mdns", UDP, 5353, 0, (8, 30), mdns::packet),
    helper("rpc", TCP, 111, 16, (1, 300), rpc::packet),
    helper("rpc", UDP, 111, 16, (1, 300), rpc::packet),
    helper("sane", TCP, 6566, 4, (1, 300), sane::packet),
    helper("slp", UDP, 427, 0, (8, 16), slp::packet),
    helper("ssdp", TCP, 1900, 0, (8, 300), ssdp::segment),
    helper("ssdp", UDP, 1900, 0, (8, 300), ssdp::datagram),
    helper("tftp", UDP, 69, 0, (1, 300), tftp::packet),
    helper("tns", TCP, 1521, 1, (1, 300), tns::packet),
];

impl Helper {
    /// The one with this name and transport.
    pub fn find(name: &str, protocol: u8) -> Option<&'static Helper> {
        HELPERS.iter().find(|h| h.name == name && h.protocol == protocol)
    }

    /// Reads a packet of a flow that has this helper. Packets of other transports, and those without payload,
    /// have nothing for it.
    pub fn packet(&self, config: &Config<'_>, private: &mut Private, packet: &Packet<'_>) -> Verdict {
        let opens = matches!(packet.transport, Transport::Tcp { syn: true, .. });
        let wanted = if opens { self.opening } else { !packet.payload.is_empty() };
        if packet.original.protocol != self.protocol || !wanted {
            return Verdict::PASS;
        }
        let verdict = (self.read)(config, private, packet);
        match config.sender(packet) {
            Err(why) if !verdict.expected.is_empty() => {
                Verdict { timeout_s: verdict.timeout_s, ..Verdict::refuse(why) }
            }
            _ => verdict,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::udp_client;
    use crate::{Addr, Refusal, config::Prefix, private};

    #[test]
    fn every_helper_is_one_that_the_kernel_takes() {
        for (at, h) in HELPERS.iter().enumerate() {
            assert!(h.name.len() < 16 && h.private_len <= private::MAX, "{}", h.name);
            assert!((1..=255).contains(&h.class.max) && h.class.timeout_s > 0, "{}", h.name);
            assert!([TCP, UDP].contains(&h.protocol), "{}", h.name);
            assert!(HELPERS[..at].iter().all(|o| (o.name, o.protocol) < (h.name, h.protocol)), "{}", h.name);
            assert!(core::ptr::eq(Helper::find(h.name, h.protocol).unwrap(), h));
        }
        assert!(Helper::find("nothing", TCP).is_none());
    }

    #[test]
    fn senders_that_are_not_allowed_open_nothing() {
        let tftp = Helper::find("tftp", UDP).unwrap();
        let packet = udp_client(69, b"\0\x01file\0octet\0");
        let mut private = Private::zero(0);
        let only = [Prefix::new(Addr::V4([192, 0, 2, 0]), 24).unwrap()];
        let config = Config { senders: &only, ..Config::default() };
        assert_eq!(tftp.packet(&config, &mut private, &packet), Verdict::refuse(Refusal::SenderNotAllowed));
        assert_eq!(tftp.packet(&Config::default(), &mut private, &packet).expected.len(), 1);
    }
}
