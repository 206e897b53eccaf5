//! The flows of every measurement. Of ten, six are established TCP, two UDP, one source-NATed TCP and one TCP
//! over IPv6. Flow `i` is always the same, so that runs and programs can be compared.

use zct_wire::build::{Builder, Full, Head};
use zct_wire::consts::{af, cta, ipctnl, ipproto, ips, nlm_f};
use zct_wire::filter::Masked;
use zct_wire::nat::Nat;
use zct_wire::proto::{ProtoInfo, TcpFlags, TcpInfo};
use zct_wire::request::NewFlow;
use zct_wire::tuple::{Addr, Tuple};

/// Which flows a table is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mix {
    /// One flow in ten is IPv6.
    #[default]
    Common,
    /// Every other flow is IPv6; established TCP throughout.
    HalfIpv6,
}

impl Mix {
    /// Flow number `i` as a request to create it.
    pub fn flow(self, i: u32) -> NewFlow<'static> {
        match self {
            Mix::Common => flow(i),
            Mix::HalfIpv6 => flow_of(i, false, i % 2 == 1, false),
        }
    }
}

/// Flow number `i` of the common mix as a request to create it.
pub fn flow(i: u32) -> NewFlow<'static> {
    flow_of(i, is_udp(i), i % 10 == 9, i % 10 == 8)
}

/// Whether flow number `i` of the common mix is UDP.
pub fn is_udp(i: u32) -> bool {
    matches!(i % 10, 6 | 7)
}

/// The mark of one flow in 250; the others have none.
pub const MARK: u32 = 7;

/// Whether flow number `i` has the mark.
pub fn is_marked(i: u32) -> bool {
    i % 250 == 12
}

/// Whether flow number `i`, which is TCP, is in TIME_WAIT and not ESTABLISHED: one in 250.
pub fn is_closing(i: u32) -> bool {
    i % 250 == 13
}

fn state(i: u32) -> u8 {
    if is_closing(i) { 7 } else { 3 }
}

fn flow_of(i: u32, udp: bool, v6: bool, snat: bool) -> NewFlow<'static> {
    let last = (1 + i % 250) as u8;
    let (src, dst) = if v6 {
        let mut src = [0u8; 16];
        src[..4].copy_from_slice(&[0x20, 1, 0xd, 0xb8]);
        let mut dst = src;
        src[12..].copy_from_slice(&i.to_be_bytes());
        dst[5] = 1;
        dst[15] = 1;
        (Addr::V6(src), Addr::V6(dst))
    } else {
        let src = (0x0a00_0000 | i).to_be_bytes();
        (Addr::V4(src), Addr::V4(if udp { [198, 51, 100, last] } else { [192, 0, 2, last] }))
    };
    let orig = Tuple {
        src: Some(src),
        dst: Some(dst),
        proto: Some(if udp { ipproto::UDP } else { ipproto::TCP }),
        src_port: Some((1024 + i % 60_000) as u16),
        dst_port: Some(if udp { 53 } else { 443 }),
        ..Tuple::default()
    };
    NewFlow::default().with(|it| {
        it.family = if v6 { af::INET6 } else { af::INET };
        it.orig = Some(orig);
        it.reply = orig.inverse();
        it.timeout_s = Some(30_000 + i % 1000);
        it.status = (!udp).then_some(ips::SEEN_REPLY | ips::ASSURED | ips::CONFIRMED);
        it.mark = is_marked(i).then_some(Masked { value: MARK, mask: u32::MAX });
        it.protoinfo =
            (!udp).then(|| ProtoInfo::Tcp(TcpInfo { state: Some(state(i)), ..TcpInfo::default() }));
        it.nat_src = snat.then_some(Nat { addr: Some(Addr::V4([203, 0, 113, last])), port: None });
    })
}

/// Flow number `i` as a dump shows it, in the kernel's order of attributes.
pub fn dumped(i: u32, buf: &mut [u8]) -> Result<&[u8], Full> {
    let f = flow(i);
    let mut b = Builder::new(buf, Head::new(ipctnl::NEW, 1).flags(nlm_f::MULTI).family(f.family));
    let (orig, mut reply) = (f.orig.unwrap_or_default(), f.reply.unwrap_or_default());
    let mut status = f.status.unwrap_or(ips::CONFIRMED);
    if let Some(nat) = f.nat_src {
        reply.dst = nat.addr;
        status |= ips::SRC_NAT | ips::SRC_NAT_DONE | ips::DST_NAT_DONE;
    }
    orig.build(&mut b, cta::TUPLE_ORIG);
    reply.build(&mut b, cta::TUPLE_REPLY);
    b.put_be32(cta::STATUS, status);
    b.put_be32(cta::MARK, f.mark.unwrap_or(Masked { value: 0, mask: 0 }).value);
    b.put_be32(cta::ID, i.wrapping_mul(2_654_435_761));
    b.put_be32(cta::USE, 1);
    b.put_be32(cta::TIMEOUT, f.timeout_s.unwrap_or(0));
    if f.protoinfo.is_some() {
        let flags = Some(TcpFlags::default());
        let info = TcpInfo { state: Some(state(i)), wscale: [Some(0); 2], flags: [flags; 2] };
        ProtoInfo::Tcp(info).build(&mut b, cta::PROTOINFO);
    }
    b.nest(cta::SYNPROXY, |b| _ = b.put_be32(1, 0).put_be32(2, 0).put_be32(3, 0));
    b.finish()
}
