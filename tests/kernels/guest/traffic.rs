//! Packets for the kernel to track, for tests of its own events and counters.

use crate::lab::{self, By};
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};

/// Rules that have the kernel track what this machine sends.
pub(crate) const TRACK: &str = "table inet track {\n chain out {\n type filter hook output priority 0\n \
                                ct state new counter\n }\n}\n";

/// Both ends of a TCP connection over the loopback device.
pub(crate) struct Tcp {
    pub(crate) client: TcpStream,
    server: TcpStream,
}

impl Tcp {
    /// Connects to `port` and sends a few bytes each way.
    pub(crate) fn open(port: u16) -> Result<Tcp, String> {
        let connected = || -> io::Result<Tcp> {
            let listener = TcpListener::bind(("127.0.0.1", port))?;
            let client = TcpStream::connect(("127.0.0.1", port))?;
            let (server, _) = listener.accept()?;
            Ok(Tcp { client, server })
        };
        let mut tcp = connected().map_err(|e| format!("TCP over loopback: {e}"))?;
        tcp.say("hello")?;
        Ok(tcp)
    }

    /// Sends a line that the other side receives and answers.
    pub(crate) fn say(&mut self, line: &str) -> Result<(), String> {
        let mut exchange = || -> io::Result<()> {
            let mut buf = vec![0; line.len()];
            self.client.write_all(line.as_bytes())?;
            self.server.read_exact(&mut buf)?;
            self.server.write_all(b"+")?;
            self.client.read_exact(&mut buf[..1])
        };
        exchange().map_err(|e| format!("TCP over loopback: {e}"))
    }

    /// Closes it and waits until the kernel has seen the end.
    pub(crate) fn close(self) -> Result<(), String> {
        drop(self.client);
        drop(self.server);
        lab::until("a flow in TIME_WAIT", || {
            lab::conntrack(By::Original, "-L -p tcp --state TIME_WAIT").out.contains("TIME_WAIT")
        })
    }
}

/// A question and an answer over UDP; both addresses are this machine's.
pub(crate) fn udp(client: IpAddr, server: IpAddr) -> Result<(), String> {
    let exchange = || -> io::Result<()> {
        let server = UdpSocket::bind(SocketAddr::new(server, 5353))?;
        let client = UdpSocket::bind(SocketAddr::new(client, 5354))?;
        let mut buf = [0; 16];
        client.send_to(b"question", server.local_addr()?)?;
        let (_, from) = server.recv_from(&mut buf)?;
        server.send_to(b"answer", from)?;
        client.recv_from(&mut buf)?;
        Ok(())
    };
    exchange().map_err(|e| format!("UDP over loopback: {e}"))
}
