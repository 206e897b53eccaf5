//! A packet of a flow that has a helper, as a protocol sees it.

use zct_wire::expected::{Ends, Expected, Follow};
use zct_wire::tuple::Addr;

/// Which side of the flow sent a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one that began it: the client.
    Original,
    /// The other one: the server.
    Reply,
}

/// The state of the flow as the kernel saw it with this packet (NFQA_CT_INFO, direction apart).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Packets have been seen in both directions.
    Established,
    /// The flow was expected, and this is its first direction.
    Related,
    /// Nothing has come back yet.
    New,
}

/// The transport header, as far as protocols need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// UDP.
    Udp,
    /// TCP.
    Tcp {
        /// Sequence number of the payload's first byte, as its sender counts: without the kernel's
        /// adjustment.
        seq: u32,
        /// A connection is being opened: the numbering of the sender's bytes begins with `seq + 1`.
        syn: bool,
    },
}

/// One packet: what is in it, and what the kernel knows of its flow. Never a fragment, never cut short.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// What follows the TCP or UDP header.
    pub payload: &'a [u8],
    /// The header itself.
    pub transport: Transport,
    /// Who sent it.
    pub side: Side,
    /// The state of the flow.
    pub state: State,
    /// The packet's own addresses and ports: already translated, unlike those of [`Packet::sender`].
    pub ends: Ends,
    /// The flow's original direction, as the client sends it.
    pub original: Ends,
    /// The flow's reply direction, as the server sends it.
    pub reply: Ends,
    /// The original direction of the flow that expected this one, if one did.
    pub master: Option<Ends>,
    /// Whether addresses or ports of the flow are translated (IPS_SRC_NAT or IPS_DST_NAT).
    pub translated: bool,
}

impl Packet<'_> {
    /// The tuple of the direction this packet travels in: its source is the sender as the sender sees itself.
    pub fn own(&self) -> &Ends {
        match self.side {
            Side::Original => &self.original,
            Side::Reply => &self.reply,
        }
    }

    /// The tuple of the other direction: its source is the receiver as the receiver sees itself, and its
    /// destination is the sender as the receiver sees it.
    pub fn other(&self) -> &Ends {
        match self.side {
            Side::Original => &self.reply,
            Side::Reply => &self.original,
        }
    }

    /// Address and port of the sender as it sees itself. An address in the payload should be this one.
    pub fn sender(&self) -> (Addr, u16) {
        (self.own().src(), self.own().src_port)
    }

    /// Whether addresses are of IPv6.
    pub fn is_ipv6(&self) -> bool {
        matches!(self.original.src(), Addr::V6(_))
    }

    /// A flow from the receiver of this packet to the port that its sender announces, and that follows the
    /// translation of this flow. Under NAT the port may be changed to a free one, if an
    /// [`Edit`](crate::Edit) says where it is written.
    pub fn expect_to_sender(&self, protocol: u8, port: u16) -> Expected {
        self.expect_translated(protocol, port, port)
    }

    /// The same where the receiver knows the sender's `port` as `outside` already: NAT chose it for this
    /// packet.
    pub fn expect_translated(&self, protocol: u8, port: u16, outside: u16) -> Expected {
        let dir = match self.side {
            Side::Original => 1,
            Side::Reply => 0,
        };
        let follow = self.translated.then_some(Follow { dir, port });
        Expected::along(self.other(), protocol, outside).follow(follow)
    }
}
