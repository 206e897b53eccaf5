//! What goes through the firewalls: a download, a translated upload, and UDP that shows how long nothing comes.

use crate::firewall::Lab;
use std::hash::{DefaultHasher, Hasher as _};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use zct_tests::cluster::eventually;

/// Bytes per transfer, sent in pieces with pauses so that it takes longer than a take-over.
const TRANSFER: usize = 40 << 20;
const PIECE: usize = 64 << 10;

/// A stream of bytes that both ends can generate, and a hash of what has arrived.
struct Stream {
    rng: fastrand::Rng,
    hash: DefaultHasher,
}

impl Stream {
    fn new(seed: u64) -> Stream {
        Stream { rng: fastrand::Rng::with_seed(seed), hash: DefaultHasher::new() }
    }

    fn send(&mut self, to: &mut TcpStream, progress: &AtomicU64) {
        let mut piece = vec![0; PIECE];
        for _ in 0..TRANSFER / PIECE {
            self.rng.fill(&mut piece);
            self.hash.write(&piece);
            to.write_all(&piece).expect("the connection holds");
            progress.fetch_add(PIECE as u64, Ordering::Relaxed);
            // Makes the transfer take time; no verdict depends on it.
            std::thread::sleep(Duration::from_millis(8));
        }
        to.shutdown(std::net::Shutdown::Write).expect("shutdown");
    }

    /// The hash of everything up to the end. Pieces are hashed as they were generated.
    fn receive(from: &mut TcpStream) -> u64 {
        let (mut hash, mut piece) = (DefaultHasher::new(), vec![0; PIECE]);
        from.set_read_timeout(Some(Duration::from_secs(60))).expect("a timeout");
        for _ in 0..TRANSFER / PIECE {
            from.read_exact(&mut piece).expect("the connection holds");
            hash.write(&piece);
        }
        hash.finish()
    }
}

/// What the transfers across one take-over have shown.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) longest_gap: Duration,
}

/// Runs a download, a translated upload and UDP, with `disaster` in the middle.
pub(crate) fn transfers(lab: &Lab, disaster: impl FnOnce()) -> Seen {
    let progress = [AtomicU64::new(0), AtomicU64::new(0)];
    let over = AtomicBool::new(false);
    let ready = std::sync::Barrier::new(4);
    std::thread::scope(|scope| {
        let server = scope.spawn(|| {
            lab.server.enter();
            let down = TcpListener::bind("10.2.0.1:9000").expect("a listener");
            let up = TcpListener::bind("10.2.0.1:9001").expect("a listener");
            ready.wait();
            let (mut to, _) = down.accept().expect("a client");
            let (mut from, address) = up.accept().expect("a client");
            assert_eq!(address.ip().to_string(), "10.2.0.254", "it is translated");
            std::thread::scope(|s| {
                let sent = s.spawn(|| {
                    let mut stream = Stream::new(1);
                    stream.send(&mut to, &progress[0]);
                    stream.hash.finish()
                });
                (sent.join().expect("the download"), Stream::receive(&mut from))
            })
        });
        scope.spawn(|| {
            lab.server.enter();
            let echo = UdpSocket::bind("10.2.0.1:9003").expect("a socket");
            echo.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
            ready.wait();
            let mut buf = [0; 64];
            while !over.load(Ordering::Relaxed) {
                if let Ok((n, from)) = echo.recv_from(&mut buf) {
                    _ = echo.send_to(&buf[..n], from);
                }
            }
        });
        let gaps = scope.spawn(|| {
            lab.client.enter();
            let socket = UdpSocket::bind("10.1.0.1:5003").expect("a socket");
            socket.set_read_timeout(Some(Duration::from_millis(10))).expect("a timeout");
            ready.wait();
            let (mut last, mut longest, mut echoes) = (Instant::now(), Duration::ZERO, 0u64);
            let mut buf = [0; 64];
            while !over.load(Ordering::Relaxed) {
                _ = socket.send_to(b"ping", "10.2.0.1:9003");
                if socket.recv(&mut buf).is_ok() {
                    longest = longest.max(last.elapsed());
                    last = Instant::now();
                    echoes += 1;
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
            assert!(echoes > 100 && last.elapsed() < Duration::from_secs(10), "UDP goes on: {echoes}");
            longest
        });
        let client = scope.spawn(|| {
            lab.client.enter();
            ready.wait();
            let mut from = TcpStream::connect("10.2.0.1:9000").expect("a connection");
            let mut to = TcpStream::connect("10.2.0.1:9001").expect("a connection");
            std::thread::scope(|s| {
                let sent = s.spawn(|| {
                    let mut stream = Stream::new(2);
                    stream.send(&mut to, &progress[1]);
                    stream.hash.finish()
                });
                (Stream::receive(&mut from), sent.join().expect("the upload"))
            })
        });
        eventually("a quarter of both transfers", || {
            let so_far = progress.each_ref().map(|p| p.load(Ordering::Relaxed));
            match so_far.iter().all(|p| *p > TRANSFER as u64 / 4) {
                true => Ok(()),
                false if client.is_finished() || server.is_finished() => panic!("a transfer has ended early"),
                false => Err(format!("{so_far:?}")),
            }
        });
        disaster();
        let (received, sent_up) = client.join().unwrap_or_else(|p| std::panic::resume_unwind(p));
        let (sent, received_up) = server.join().unwrap_or_else(|p| std::panic::resume_unwind(p));
        over.store(true, Ordering::Relaxed);
        assert_eq!(received, sent, "the download is whole");
        assert_eq!(received_up, sent_up, "the upload is whole");
        Seen { longest_gap: gaps.join().unwrap_or_else(|p| std::panic::resume_unwind(p)) }
    })
}
