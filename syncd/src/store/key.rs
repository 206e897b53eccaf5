//! What identifies a flow: original tuple and zone (sync-protocol.md §6).

use zct_wire::WireError;
use zct_wire::flow::FlowView;
use zct_wire::peer::Flow;
use zct_wire::tuple::{Addr, Tuple};

/// Bytes of an IPv4 key.
pub(crate) const V4: usize = 16;
/// Bytes of an IPv6 key.
pub(crate) const V6: usize = 40;

/// The key of a flow, as it stands at the front of its record: source and destination address, ports or ICMP
/// type, code and identifier (zero where there are none), protocol, direction of the zone, zone; all in
/// network byte order.
///
/// The kernel's id is not part of it: a peer's flows have none, and it changes when a flow is created again.
/// The zone is, with its direction (0 both, 1 original, 2 reply): the same tuple may exist once in each. The
/// original hashes the zone but does not compare it, so two of its zones may share one entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// The key of an IPv4 flow.
    V4([u8; V4]),
    /// The key of an IPv6 flow.
    V6([u8; V6]),
}

/// The direction that a zone applies to.
pub(crate) mod zone_dir {
    pub(crate) const BOTH: u8 = 0;
    pub(crate) const ORIG: u8 = 1;
    pub(crate) const REPLY: u8 = 2;
}

impl Key {
    /// The key of `flow`; `None` when it lacks a protocol or an address of either direction, or mixes
    /// families. Such a flow can neither be told from others nor ever be committed.
    pub fn of(flow: &Flow) -> Option<Key> {
        Key::new(&flow.orig, flow.reply_zone, flow.zone)
    }

    /// The key of a flow that the kernel reports: that of [`Flow::from_kernel`], without building the rest.
    ///
    /// # Errors
    /// When a tuple or zone cannot be read.
    pub fn of_kernel(view: &FlowView<'_>) -> Result<Option<Key>, WireError> {
        let reply_zone = view.reply_shape()?.tuple().zone;
        Ok(Key::new(&view.orig_shape()?.tuple(), reply_zone, view.zone()?))
    }

    fn new(t: &Tuple, reply_zone: Option<u16>, zone: Option<u16>) -> Option<Key> {
        // By name and without `..`: a member that is not in the key would make one flow of two.
        let Tuple { src, dst, proto, src_port, dst_port, icmp_id, icmp_type, icmp_code, zone: orig_zone } =
            *t;
        let l4 = match (src_port, dst_port) {
            (None, None) => {
                let [id0, id1] = icmp_id.unwrap_or(0).to_be_bytes();
                [icmp_type.unwrap_or(0), icmp_code.unwrap_or(0), id0, id1]
            }
            (src, dst) => {
                let ([s0, s1], [d0, d1]) = (src.unwrap_or(0).to_be_bytes(), dst.unwrap_or(0).to_be_bytes());
                [s0, s1, d0, d1]
            }
        };
        let (dir, zone) = match (zone, orig_zone, reply_zone) {
            (_, Some(z), _) => (zone_dir::ORIG, z),
            (_, None, Some(z)) => (zone_dir::REPLY, z),
            (z, None, None) => (zone_dir::BOTH, z.unwrap_or(0)),
        };
        let [z0, z1] = zone.to_be_bytes();
        let tail = [proto?, dir, z0, z1];
        Some(match (src?, dst?) {
            (Addr::V4(src), Addr::V4(dst)) => {
                let mut key = [0; V4];
                key[..4].copy_from_slice(&src);
                key[4..8].copy_from_slice(&dst);
                key[8..12].copy_from_slice(&l4);
                key[12..].copy_from_slice(&tail);
                Key::V4(key)
            }
            (Addr::V6(src), Addr::V6(dst)) => {
                let mut key = [0; V6];
                key[..16].copy_from_slice(&src);
                key[16..32].copy_from_slice(&dst);
                key[32..36].copy_from_slice(&l4);
                key[36..].copy_from_slice(&tail);
                Key::V6(key)
            }
            _ => return None,
        })
    }

    /// The key as bytes.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Key::V4(b) => b,
            Key::V6(b) => b,
        }
    }

    /// The number of the layer 4 protocol.
    #[inline]
    pub fn proto(&self) -> u8 {
        match self {
            Key::V4(b) => b[12],
            Key::V6(b) => b[36],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zct_wire::build::{Builder, Head};
    use zct_wire::consts::cta;
    use zct_wire::header::{CtMsg, Frames};

    fn flow() -> Flow {
        let orig = Tuple {
            src: Some(Addr::V4([1, 2, 3, 4])),
            dst: Some(Addr::V4([5, 6, 7, 8])),
            proto: Some(6),
            src_port: Some(0x0102),
            dst_port: Some(0x0304),
            ..Tuple::default()
        };
        Flow { orig, ..Flow::default() }
    }

    #[test]
    fn bytes_stand_in_network_order() {
        let f = Flow { zone: Some(0x0506), ..flow() };
        assert_eq!(Key::of(&f), Some(Key::V4([1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 6, 0, 5, 6])));
        assert_eq!(Key::of(&f).unwrap().proto(), 6);
    }

    #[test]
    fn zones_and_their_directions_differ() {
        let zone = |both, orig, reply| {
            let mut f = Flow { zone: both, reply_zone: reply, ..flow() };
            f.orig.zone = orig;
            Key::of(&f).unwrap()
        };
        let all = [
            zone(None, None, None),
            zone(Some(7), None, None),
            zone(None, Some(7), None),
            zone(None, None, Some(7)),
        ];
        for (i, a) in all.iter().enumerate() {
            assert!(all[..i].iter().all(|b| a != b));
        }
        // No zone and zone 0 are the same.
        assert_eq!(zone(None, None, None), zone(Some(0), None, None));
    }

    #[test]
    fn flows_without_a_place_have_no_key() {
        for cut in [
            |f: &mut Flow| f.orig.src = None,
            |f: &mut Flow| f.orig.dst = None,
            |f: &mut Flow| f.orig.proto = None,
            |f: &mut Flow| f.orig.dst = Some(Addr::V6([0; 16])),
        ] {
            let mut f = flow();
            cut(&mut f);
            assert_eq!(Key::of(&f), None);
        }
    }

    #[test]
    fn the_kernel_s_message_and_the_flow_of_it_have_one_key() {
        let zone = |b: &mut Builder<'_>, z: Option<u16>| {
            if let Some(z) = z {
                b.put_be16(cta::ZONE, z);
            }
        };
        for (orig, reply, both) in
            [(None, None, None), (Some(7), None, None), (None, Some(7), None), (None, None, Some(7))]
        {
            let mut buf = [0; 512];
            let mut b = Builder::new(&mut buf, Head::new(0x100, 0).family(2));
            Tuple { zone: orig, ..flow().orig }.build(&mut b, cta::TUPLE_ORIG);
            Tuple { zone: reply, ..flow().orig }.build(&mut b, cta::TUPLE_REPLY);
            zone(&mut b, both);
            let bytes = b.finish().unwrap();
            let msg = CtMsg::parse(Frames::new(bytes).next().unwrap().unwrap()).unwrap();
            let view = FlowView::index(msg).unwrap();
            let key = Key::of_kernel(&view).unwrap();
            assert!(key.is_some());
            assert_eq!(key, Key::of(&Flow::from_kernel(&view).unwrap()));
        }
    }

    #[test]
    fn icmp_members_stand_where_ports_do() {
        let mut f = flow();
        f.orig = Tuple {
            proto: Some(1),
            src_port: None,
            dst_port: None,
            icmp_type: Some(8),
            icmp_code: Some(1),
            icmp_id: Some(0x4d00),
            ..f.orig
        };
        assert_eq!(Key::of(&f), Some(Key::V4([1, 2, 3, 4, 5, 6, 7, 8, 8, 1, 0x4d, 0, 1, 0, 0, 0])));
    }
}
