//! Fills the table with real packets, between this thread's namespace and a peer's.
//!
//! A socket stays in the namespace it was made in, so one thread drives both ends, one step after another. A
//! step is over when the other end has its bytes; by then the table has seen them.

use crate::netns::{Netns, Peer};
use crate::program::Tool;
use nix::sys::socket::{self, AddressFamily, SockFlag, SockProtocol, SockType, SockaddrIn, SockaddrIn6};
use std::collections::HashMap;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

/// This end of the link.
pub const HERE: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 1);
/// The other end.
pub const THERE: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
/// The address that a source translation leads to: for UDP to port 7001.
pub const TRANSLATED: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 11);
/// An address that leads to port 7080 of [`THERE`] when TCP asks for its port 8080.
pub const VIRTUAL: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 99);
/// This end of the link, IPv6.
pub const HERE6: Ipv6Addr = Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, 1);
/// The other end, IPv6.
pub const THERE6: Ipv6Addr = Ipv6Addr::new(0xfd09, 0, 0, 0, 0, 0, 0, 2);

/// Labels `udp dport 7002` with bit 1 and `udp dport 7003` with bits 1 and 5, translates as the constants
/// say, and watches port 21 for FTP.
const RULES: &str = "
table inet packets {
    ct helper ftp { type \"ftp\" protocol tcp; }
    chain in { type filter hook input priority 0; ct state established accept; }
    chain out {
        type filter hook output priority 0;
        udp dport { 7002, 7003 } ct label set 1
        udp dport 7003 ct label set 5
        udp dport 7004 ct mark set 0x2a
        tcp dport 21 ct helper set \"ftp\"
    }
}
table ip nat {
    chain out { type nat hook output priority -100; ip daddr 10.9.0.99 tcp dport 8080 dnat to 10.9.0.2:7080; }
    chain post { type nat hook postrouting priority 100; udp dport 7001 snat to 10.9.0.11:4000; }
}";

/// Nothing takes this long on a virtual link.
const PATIENCE: Duration = Duration::from_secs(20);

/// Makes connections and keeps them open.
///
/// Servers are kept too: a program that another test starts briefly holds copies of all sockets, and an
/// address stays in use as long as one of them exists.
#[derive(Debug)]
pub struct Traffic {
    peer: Peer,
    streams: Vec<TcpStream>,
    udp: HashMap<SocketAddr, UdpSocket>,
    tcp: HashMap<SocketAddr, TcpListener>,
}

impl Traffic {
    /// Makes the peer, the link and the rules.
    pub fn start(ns: &Netns) -> Traffic {
        let peer = ns.peer();
        crate::program::tool("ip", &["addr", "add", "10.9.0.11/24", "dev", "v0"]);
        ns.nft(RULES);
        Traffic { peer, streams: Vec::new(), udp: HashMap::new(), tcp: HashMap::new() }
    }

    /// Runs `f` at the other end of the link.
    pub fn inside_peer<T: Send>(&self, f: impl FnOnce() -> T + Send) -> T {
        self.peer.inside(f)
    }

    /// UDP from `src_port` here to `dst_port` there: this many datagrams, this many replies.
    pub fn udp(&mut self, here: IpAddr, src_port: u16, dst_port: u16, datagrams: u32, replies: u32) {
        let there: IpAddr = if here.is_ipv4() { THERE.into() } else { THERE6.into() };
        let at = SocketAddr::new(there, dst_port);
        let bind = || self.peer.inside(|| UdpSocket::bind(at).expect("bind"));
        let server = &*self.udp.entry(at).or_insert_with(bind);
        let client = UdpSocket::bind((here, src_port)).expect("bind");
        let mut buf = [0; 100];
        let mut from = None;
        for socket in [server, &client] {
            socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        }
        for _ in 0..datagrams {
            client.send_to(b"ten bytes.", at).expect("send");
            from = Some(server.recv_from(&mut buf).expect("the datagram arrives").1);
        }
        for _ in 0..replies {
            server.send_to(b"twenty bytes, really", from.expect("a datagram came first")).expect("send");
            client.recv_from(&mut buf).expect("the reply arrives");
        }
    }

    /// A TCP connection from `src_port` here to `dst`, which the server sees at `listen`. It stays open.
    fn connect(&mut self, src_port: u16, dst: SocketAddr, listen: SocketAddr) -> (TcpStream, TcpStream) {
        let bind = || self.peer.inside(|| TcpListener::bind(listen).expect("bind"));
        let listener = &*self.tcp.entry(listen).or_insert_with(bind);
        let client = connect_from(src_port, dst);
        let (server, _) = listener.accept().expect("accept");
        server.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        client.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        (client, server)
    }

    /// An established TCP connection with a few bytes each way.
    pub fn tcp(&mut self, here: IpAddr, src_port: u16, dst_port: u16) {
        let there: IpAddr = if here.is_ipv4() { THERE.into() } else { THERE6.into() };
        let to = SocketAddr::new(there, dst_port);
        let (mut client, mut server) = self.connect(src_port, to, to);
        exchange(&mut client, &mut server, b"question");
        exchange(&mut server, &mut client, b"answer");
        self.streams.extend([client, server]);
    }

    /// As [`Traffic::tcp`], to the translated destination.
    pub fn tcp_translated(&mut self, src_port: u16) {
        let (to, at) = (SocketAddr::new(VIRTUAL.into(), 8080), SocketAddr::new(THERE.into(), 7080));
        let (mut client, mut server) = self.connect(src_port, to, at);
        exchange(&mut client, &mut server, b"question");
        self.streams.extend([client, server]);
    }

    /// An FTP control connection that announces a data port, which creates an expectation. Each connection
    /// has to announce another port.
    pub fn ftp(&mut self, src_port: u16, data_port: u16) {
        let to = SocketAddr::new(THERE.into(), 21);
        let (mut client, mut server) = self.connect(src_port, to, to);
        exchange(&mut server, &mut client, b"220 ready\r\n");
        // The helper reads a line only once it knows where one begins, which is after another line.
        exchange(&mut client, &mut server, b"USER test\r\n");
        let [hi, lo] = data_port.to_be_bytes();
        exchange(&mut client, &mut server, format!("PORT 10,9,0,1,{hi},{lo}\r\n").as_bytes());
        self.streams.extend([client, server]);
    }

    /// Sends an echo request and awaits the reply.
    pub fn ping(&self, id: u16) {
        let socket = raw(AddressFamily::Inet, SockProtocol::Icmp);
        let to = SockaddrIn::new(10, 9, 0, 2, 0);
        let [hi, lo] = id.to_be_bytes();
        let mut packet = [8, 0, 0, 0, hi, lo, 0, 1];
        let sum = checksum(&packet).to_be_bytes();
        packet[2..4].copy_from_slice(&sum);
        socket::sendto(socket.as_raw_fd(), &packet, &to, socket::MsgFlags::empty()).expect("send");
        // The reply follows an IP header of 20 bytes; its type is 0.
        await_reply(&socket, |p| p.len() >= 28 && p[20] == 0 && p[24..26] == [hi, lo]);
    }

    /// Sends an IPv6 echo request and awaits the reply.
    pub fn ping6(&self, id: u16) {
        let socket = raw(AddressFamily::Inet6, SockProtocol::IcmpV6);
        let to = SockaddrIn6::from(std::net::SocketAddrV6::new(THERE6, 0, 0, 0));
        let [hi, lo] = id.to_be_bytes();
        // The kernel fills in the checksum of ICMPv6.
        let packet = [128, 0, 0, 0, hi, lo, 0, 1];
        socket::sendto(socket.as_raw_fd(), &packet, &to, socket::MsgFlags::empty()).expect("send");
        await_reply(&socket, |p| p.len() >= 8 && p[0] == 129 && p[4..6] == [hi, lo]);
    }

    /// Closes every TCP connection, client first, and waits until both sides know.
    pub fn close(&mut self) {
        while !self.streams.is_empty() {
            let mut pair = self.streams.drain(..2);
            let (Some(client), Some(mut server)) = (pair.next(), pair.next()) else { return };
            drop(client);
            let mut rest = Vec::new();
            server.read_to_end(&mut rest).expect("the end of the connection");
        }
    }

    /// Closes every TCP connection and waits until the table has noticed, because no side waits for
    /// the last acknowledgements.
    pub fn close_and_settle(&mut self) {
        self.close();
        let end = Instant::now() + PATIENCE;
        while Tool::Reference.run(&["-L", "-p", "tcp", "--state", "ESTABLISHED"]).out().contains("10.9.0.1")
            || Tool::Reference.run(&["-L", "-p", "tcp", "--state", "LAST_ACK"]).out().contains("10.9.0.1")
            || Tool::Reference.run(&["-L", "-p", "tcp", "--state", "FIN_WAIT"]).out().contains("10.9.0.1")
        {
            assert!(Instant::now() < end, "connections that were closed do not end");
        }
    }

    /// One of everything that a namespace with real packets may have.
    pub fn everything(&mut self) {
        let (v4, v6) = (IpAddr::from(HERE), IpAddr::from(HERE6));
        self.udp(v4, 5001, 7000, 3, 1);
        self.udp(v4, 5002, 7000, 2, 0);
        self.udp(v6, 5003, 7000, 1, 2);
        self.udp(v4, 5004, 7001, 2, 2);
        self.udp(v4, 5005, 7002, 1, 1);
        self.udp(v4, 5006, 7003, 1, 0);
        self.udp(v4, 5007, 7004, 1, 1);
        self.tcp(v4, 5008, 7005);
        self.tcp(v6, 5009, 7005);
        self.tcp_translated(5010);
        self.ping(77);
        self.ping6(78);
        self.ftp(5011, 1026);
        self.ftp(5012, 1027);
    }
}

fn exchange(from: &mut TcpStream, to: &mut TcpStream, text: &[u8]) {
    from.write_all(text).expect("write");
    let mut got = vec![0; text.len()];
    to.read_exact(&mut got).expect("the bytes arrive");
    assert_eq!(got, text);
}

/// `TcpStream::connect` with a chosen source port.
fn connect_from(src_port: u16, dst: SocketAddr) -> TcpStream {
    let family = if dst.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let fd =
        socket::socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, SockProtocol::Tcp).expect("socket");
    let fd_no = fd.as_raw_fd();
    match dst {
        SocketAddr::V4(dst) => {
            socket::bind(fd_no, &SockaddrIn::new(0, 0, 0, 0, src_port)).expect("bind");
            socket::connect(fd_no, &SockaddrIn::from(dst)).expect("connect");
        }
        SocketAddr::V6(dst) => {
            let any = std::net::SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, src_port, 0, 0);
            socket::bind(fd_no, &SockaddrIn6::from(any)).expect("bind");
            socket::connect(fd_no, &SockaddrIn6::from(dst)).expect("connect");
        }
    }
    TcpStream::from(fd)
}

fn raw(family: AddressFamily, proto: SockProtocol) -> OwnedFd {
    let fd = socket::socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC, proto).expect("a raw socket");
    let patience = nix::sys::time::TimeVal::new(20, 0);
    socket::setsockopt(&fd, socket::sockopt::ReceiveTimeout, &patience).expect("a timeout");
    fd
}

fn await_reply(socket: &OwnedFd, is_reply: impl Fn(&[u8]) -> bool) {
    let mut buf = [0; 256];
    loop {
        let len = socket::recv(socket.as_raw_fd(), &mut buf, socket::MsgFlags::empty()).expect("a reply");
        if is_reply(&buf[..len]) {
            return;
        }
    }
}

/// The internet checksum of an even number of bytes.
fn checksum(bytes: &[u8]) -> u16 {
    let sum: u32 = bytes.chunks_exact(2).map(|w| u32::from(u16::from_be_bytes([w[0], w[1]]))).sum();
    !((sum & 0xffff) + (sum >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_is_in_the_table() {
        let ns = Netns::fresh().accounting();
        let mut traffic = Traffic::start(&ns);
        traffic.everything();
        let table = Tool::Reference.run(&["-L", "-o", "extended"]).out();
        for part in [
            "ipv4     2 udp      17",
            "sport=5001 dport=7000 packets=3 bytes=114 src=10.9.0.2 dst=10.9.0.1 sport=7000 dport=5001 packets=1",
            "sport=5002 dport=7000 packets=2 bytes=76 [UNREPLIED]",
            "src=fd09::1 dst=fd09::2 sport=5003 dport=7000 packets=1",
            "src=10.9.0.2 dst=10.9.0.11 sport=7001 dport=4000",
            "mark=42",
            "ESTABLISHED src=fd09::1",
            "dst=10.9.0.99 sport=5010 dport=8080",
            "src=10.9.0.2 dst=10.9.0.1 sport=7080 dport=5010",
            "type=8 code=0 id=77",
            "type=128 code=0 id=78",
            "helper=ftp",
        ] {
            assert!(table.contains(part), "no {part} in\n{table}");
        }
        let expected = Tool::Reference.run(&["-L", "expect"]).out();
        assert!(expected.contains("dport=1026") && expected.contains("dport=1027"), "{expected}");
    }
}
