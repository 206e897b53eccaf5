//! Flows and expectations of the caches as text and XML (conntrackd.md §4): the lines of `-i` and `-e`, and
//! those under error messages.
//!
//! They are not the lines of `conntrack -L`: timeout, id and use count are left out, and a flow of the peer
//! has no reply direction.

use zct_wire::WireError;
use zct_wire::consts::{ipproto, nf_ct_expect};
use zct_wire::peer::{Expect, Flow};
use zct_wire::proto::StateOf;
use zct_wire::text::{
    Facts, LocalTime, Out, Style, TextContext, TimeZone, escape, family_name, line, proto_name, xml,
};
use zct_wire::tuple::{Shape, Tuple};

/// A buffer of this many bytes holds any single line or element.
pub const LINE_MAX: usize = 2048;

/// A flow as it is stored, and how it is to be shown.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// The flow.
    pub flow: &'a Flow,
    /// Whether the reply direction is shown: the kernel's flows have one, the peer's do not.
    pub reply: bool,
    /// The kernel's id, which XML shows.
    pub id: Option<u32>,
}

impl<'a> Row<'a> {
    /// A flow of the local kernel.
    pub fn local(flow: &'a Flow, id: u32) -> Row<'a> {
        Row { flow, reply: true, id: Some(id) }
    }

    /// A flow of the peer.
    pub fn peer(flow: &'a Flow) -> Row<'a> {
        Row { flow, reply: false, id: None }
    }

    /// Appends the line, without a newline.
    pub fn line(&self, out: &mut Out<'_>) {
        // A stored flow is decoded already, so no attribute can be unreadable.
        _ = line::facts(out, self, &Style::default(), &CONTEXT);
    }

    /// Appends the XML element, without a newline.
    pub fn xml(&self, out: &mut Out<'_>) {
        _ = xml::facts(out, self, &Style::default(), &CONTEXT);
    }
}

/// Labels and the time left are in the caches, but in no listing of the original.
impl Facts for Row<'_> {
    fn family(&self) -> u8 {
        self.flow.family().unwrap_or(0)
    }
    fn orig(&self) -> Result<Shape<'_>, WireError> {
        Ok(Shape::Other(self.flow.orig))
    }
    fn reply(&self) -> Result<Option<Shape<'_>>, WireError> {
        Ok(self.flow.reply().filter(|_| self.reply).map(Shape::Other))
    }
    fn status(&self) -> Result<Option<u32>, WireError> {
        Ok(self.flow.status)
    }
    fn mark(&self) -> Result<Option<u32>, WireError> {
        Ok(self.flow.mark)
    }
    fn zone(&self) -> Result<Option<u16>, WireError> {
        Ok(self.flow.zone)
    }
    fn state(&self) -> Result<Option<(StateOf, u8)>, WireError> {
        Ok(self.flow.proto.and_then(|p| p.state_of()))
    }
    fn helper(&self) -> Result<Option<&[u8]>, WireError> {
        Ok(self.flow.helper.as_ref().map(|h| h.as_bytes()))
    }
    fn master(&self) -> Result<Option<Tuple>, WireError> {
        Ok(self.flow.master)
    }
    fn id(&self) -> Result<Option<u32>, WireError> {
        Ok(self.id)
    }
}

/// Stored flows have no times, and their labels are not shown.
const CONTEXT: TextContext<'_> = TextContext { now_s: 0, zone: &NoTimes, labels: None };

struct NoTimes;

impl TimeZone for NoTimes {
    fn local(&self, _: i64) -> LocalTime {
        LocalTime::default()
    }
}

/// Appends ` [expires in Ns]` and ` [active since Ns]`.
pub fn ages(out: &mut Out<'_>, expires_s: Option<u64>, active_s: u64) {
    if let Some(s) = expires_s {
        out.lit(b" [expires in ");
        out.u64(s);
        out.lit(b"s]");
    }
    out.lit(b" [active since ");
    out.u64(active_s);
    out.lit(b"s]");
}

/// Appends the line of an expectation, without a newline.
pub fn expect_line(out: &mut Out<'_>, e: &Expect) {
    let proto = e.tuple.proto.unwrap_or(0);
    out.lit(b"proto=");
    out.u32(proto.into());
    out.byte(b' ');
    direction(out, b"", &e.tuple, proto);
    direction(out, b"mask-", &e.mask, proto);
    direction(out, b"master-", &e.master, proto);
    let flags = e.flags.unwrap_or(0);
    let mut separator: &[u8] = b"";
    for (bit, name) in [
        (nf_ct_expect::PERMANENT, &b"PERMANENT"[..]),
        (nf_ct_expect::INACTIVE, b"INACTIVE"),
        (nf_ct_expect::USERSPACE, b"USERSPACE"),
    ] {
        if flags & bit != 0 {
            out.put(separator);
            out.put(name);
            separator = b",";
        }
    }
    if flags != 0 {
        out.byte(b' ');
    }
    if let Some(c) = e.class {
        out.lit(b"class=");
        out.u32(c);
        out.byte(b' ');
    }
    if let Some(h) = &e.helper {
        out.lit(b"helper=");
        out.put(h.as_bytes());
    }
    out.trim_blank();
}

/// Appends the XML element of an expectation, without a newline.
pub fn expect_xml(out: &mut Out<'_>, e: &Expect) {
    let proto = e.tuple.proto.unwrap_or(0);
    let parts = [("expected", &e.tuple), ("mask", &e.mask), ("master", &e.master)];
    out.lit(b"<flow>");
    xml_layer3(out, e.family().unwrap_or(0));
    for (name, t) in parts {
        xml_open(out, name);
        xml_addresses(out, t);
        xml_close(out, name);
    }
    out.lit(b"</layer3>");
    xml_layer4(out, proto);
    for (name, t) in parts {
        xml_open(out, name);
        xml_ports(out, t, proto);
        xml_close(out, name);
    }
    out.lit(b"</layer4><meta>");
    if let Some(h) = &e.helper {
        xml_text(out, "helper-name", h.as_bytes());
    }
    if let Some(c) = e.class {
        xml_number(out, "class", c);
    }
    out.lit(b"</meta></flow>");
}

/// The protocols whose lines show ports.
fn has_ports(proto: u8) -> bool {
    matches!(proto, ipproto::TCP | ipproto::UDP | ipproto::UDPLITE | ipproto::SCTP | ipproto::DCCP)
}

/// The addresses, with `prefix` before their names, and what identifies the flow above IP.
fn direction(out: &mut Out<'_>, prefix: &[u8], t: &Tuple, proto: u8) {
    for (name, addr) in [(&b"src="[..], &t.src), (b"dst=", &t.dst)] {
        out.put(prefix);
        out.put(name);
        if let Some(a) = addr {
            out.addr(a);
        }
        out.byte(b' ');
    }
    let (src, dst) = (u32::from(t.src_port.unwrap_or(0)), u32::from(t.dst_port.unwrap_or(0)));
    match proto {
        p if has_ports(p) => {
            out.lit(b"sport=");
            out.u32(src);
            out.lit(b" dport=");
            out.u32(dst);
            out.byte(b' ');
        }
        ipproto::GRE => {
            out.lit(b"srckey=0x");
            out.hex(src);
            out.lit(b" dstkey=0x");
            out.hex(dst);
            out.byte(b' ');
        }
        ipproto::ICMP | ipproto::ICMPV6 => {
            out.lit(b"type=");
            out.u32(t.icmp_type.unwrap_or(0).into());
            out.lit(b" code=");
            out.u32(t.icmp_code.unwrap_or(0).into());
            out.lit(b" id=");
            out.u32(t.icmp_id.unwrap_or(0).into());
            out.byte(b' ');
        }
        _ => {}
    }
}

fn xml_open(out: &mut Out<'_>, name: &str) {
    out.byte(b'<');
    out.put(name.as_bytes());
    out.byte(b'>');
}

fn xml_close(out: &mut Out<'_>, name: &str) {
    out.lit(b"</");
    out.put(name.as_bytes());
    out.byte(b'>');
}

fn xml_text(out: &mut Out<'_>, name: &str, text: &[u8]) {
    xml_open(out, name);
    escape::xml(out, text);
    xml_close(out, name);
}

fn xml_number(out: &mut Out<'_>, name: &str, value: u32) {
    xml_open(out, name);
    out.u32(value);
    xml_close(out, name);
}

fn xml_layer3(out: &mut Out<'_>, family: u8) {
    out.lit(b"<layer3 protonum=\"");
    out.u32(family.into());
    out.lit(b"\" protoname=\"");
    out.put(family_name(family));
    out.lit(b"\">");
}

fn xml_layer4(out: &mut Out<'_>, proto: u8) {
    out.lit(b"<layer4 protonum=\"");
    out.u32(proto.into());
    out.lit(b"\" protoname=\"");
    out.put(proto_name(proto));
    out.lit(b"\">");
}

fn xml_addresses(out: &mut Out<'_>, t: &Tuple) {
    for (name, addr) in [("src", &t.src), ("dst", &t.dst)] {
        xml_open(out, name);
        if let Some(a) = addr {
            out.addr(a);
        }
        xml_close(out, name);
    }
}

fn xml_ports(out: &mut Out<'_>, t: &Tuple, proto: u8) {
    let (src, dst) = (u32::from(t.src_port.unwrap_or(0)), u32::from(t.dst_port.unwrap_or(0)));
    if has_ports(proto) {
        xml_number(out, "sport", src);
        xml_number(out, "dport", dst);
    } else if proto == ipproto::GRE {
        for (name, key) in [("srckey", src), ("dstkey", dst)] {
            xml_open(out, name);
            out.lit(b"0x");
            out.hex(key);
            xml_close(out, name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zct_wire::peer::Name;
    use zct_wire::proto::ProtoInfo;
    use zct_wire::proto::TcpInfo;
    use zct_wire::tuple::Addr;

    fn text(write: impl FnOnce(&mut Out<'_>)) -> String {
        let mut buf = [0; LINE_MAX];
        let mut out = Out::new(&mut buf);
        write(&mut out);
        String::from_utf8(out.written().to_vec()).unwrap()
    }

    fn tcp() -> Flow {
        Flow {
            orig: Tuple {
                src: Some(Addr::V4([10, 1, 0, 2])),
                dst: Some(Addr::V4([10, 2, 0, 2])),
                proto: Some(6),
                src_port: Some(43888),
                dst_port: Some(21),
                ..Tuple::default()
            },
            proto: Some(ProtoInfo::Tcp(TcpInfo { state: Some(3), ..TcpInfo::default() })),
            status: Some(0x0e),
            mark: Some(0),
            helper: Name::new(b"ftp"),
            ..Flow::default()
        }
    }

    /// The lines of conntrackd.md §4, captured from the original.
    #[test]
    fn lines_are_the_originals() {
        let f = tcp();
        let line = text(|o| {
            Row::local(&f, 1).line(o);
            ages(o, None, 3);
        });
        assert_eq!(
            line,
            "tcp      6 ESTABLISHED src=10.1.0.2 dst=10.2.0.2 sport=43888 dport=21 src=10.2.0.2 \
             dst=10.1.0.2 sport=21 dport=43888 [ASSURED] mark=0 helper=ftp [active since 3s]"
        );
        let f = Flow { mark: None, ..f };
        let line = text(|o| {
            Row::peer(&f).line(o);
            ages(o, None, 3);
        });
        assert_eq!(
            line,
            "tcp      6 ESTABLISHED src=10.1.0.2 dst=10.2.0.2 sport=43888 dport=21 [ASSURED] helper=ftp \
             [active since 3s]"
        );
        let icmp = Tuple {
            proto: Some(1),
            src_port: None,
            dst_port: None,
            icmp_type: Some(8),
            icmp_code: Some(0),
            icmp_id: Some(77),
            ..f.orig
        };
        let f = Flow { orig: icmp, status: Some(8), mark: Some(0), ..Flow::default() };
        assert_eq!(
            text(|o| Row::peer(&f).line(o)),
            "icmp     1 src=10.1.0.2 dst=10.2.0.2 type=8 code=0 id=77 [UNREPLIED] mark=0"
        );
        let udp = Tuple { proto: Some(17), src_port: Some(5000), dst_port: Some(53), ..tcp().orig };
        let f = Flow { orig: udp, status: Some(8), mark: Some(0), zone: Some(7), ..Flow::default() };
        let line = text(|o| {
            Row::peer(&f).line(o);
            ages(o, Some(3), 4);
        });
        assert_eq!(
            line,
            "udp      17 src=10.1.0.2 dst=10.2.0.2 sport=5000 dport=53 [UNREPLIED] mark=0 zone=7 \
             [expires in 3s] [active since 4s]"
        );
    }

    #[test]
    fn elements_are_the_originals() {
        let udp = Tuple { proto: Some(17), src_port: Some(20010), dst_port: Some(53), ..tcp().orig };
        let f = Flow { orig: udp, status: Some(0x0a), ..Flow::default() };
        assert_eq!(
            text(|o| Row::local(&f, 1_752_499_073).xml(o)),
            "<flow><meta direction=\"original\"><layer3 protonum=\"2\" protoname=\"ipv4\"><src>10.1.0.2</src>\
             <dst>10.2.0.2</dst></layer3><layer4 protonum=\"17\" protoname=\"udp\"><sport>20010</sport>\
             <dport>53</dport></layer4></meta><meta direction=\"reply\"><layer3 protonum=\"2\" \
             protoname=\"ipv4\"><src>10.2.0.2</src><dst>10.1.0.2</dst></layer3><layer4 protonum=\"17\" \
             protoname=\"udp\"><sport>53</sport><dport>20010</dport></layer4></meta>\
             <meta direction=\"independent\"><id>1752499073</id></meta></flow>"
        );
        let external = text(|o| Row::peer(&f).xml(o));
        assert!(external.ends_with(
            "<meta direction=\"reply\"><layer3 protonum=\"0\" protoname=\"unknown\"><src></src><dst></dst>\
             </layer3><layer4 protonum=\"0\" protoname=\"unknown\"></layer4></meta>\
             <meta direction=\"independent\"></meta></flow>"
        ));
    }

    #[test]
    fn expectations_are_the_originals() {
        let master = tcp().orig;
        let tuple = Tuple { src_port: Some(0), dst_port: Some(50000), ..master };
        let all = Some(Addr::V4([255; 4]));
        let mask = Tuple { src: all, dst: all, src_port: Some(0), dst_port: Some(65535), ..master };
        let (class, flags) = (Some(0), Some(0));
        let e = Expect { master, tuple, mask, class, flags, helper: Name::new(b"ftp"), ..Expect::default() };
        let line = text(|o| {
            expect_line(o, &e);
            ages(o, None, 1);
        });
        assert_eq!(
            line,
            "proto=6 src=10.1.0.2 dst=10.2.0.2 sport=0 dport=50000 mask-src=255.255.255.255 \
             mask-dst=255.255.255.255 sport=0 dport=65535 master-src=10.1.0.2 master-dst=10.2.0.2 \
             sport=43888 dport=21 class=0 helper=ftp [active since 1s]"
        );
        assert_eq!(
            text(|o| expect_xml(o, &e)),
            "<flow><layer3 protonum=\"2\" protoname=\"ipv4\"><expected><src>10.1.0.2</src><dst>10.2.0.2</dst>\
             </expected><mask><src>255.255.255.255</src><dst>255.255.255.255</dst></mask><master>\
             <src>10.1.0.2</src><dst>10.2.0.2</dst></master></layer3><layer4 protonum=\"6\" \
             protoname=\"tcp\"><expected><sport>0</sport><dport>50000</dport></expected><mask>\
             <sport>0</sport><dport>65535</dport></mask><master><sport>43888</sport><dport>21</dport>\
             </master></layer4><meta><helper-name>ftp</helper-name><class>0</class></meta></flow>"
        );
    }
}
