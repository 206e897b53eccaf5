//! What people change the table for, tried with real packets: ended connections hang, marks match rules,
//! created translations translate, expectations let the data connection in.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::{Duration, Instant};
use zct_tests::netns::{Netns, Peer, sysctl};
use zct_tests::program::{DEADLINE, Exit, Output, Tool, tool};
use zct_tests::traffic::{HERE, HERE6, THERE, THERE6, Traffic, VIRTUAL};

fn zct(line: &str) -> Output {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    Tool::Zct.run(&words)
}

fn done(line: &str) -> Output {
    let output = zct(line);
    assert_eq!(output.exit, Exit::Code(0), "{line}: {output:?}");
    output
}

/// Packets that a named counter has seen.
fn counter(name: &str) -> u64 {
    let text = tool("nft", &["list", "counter", "inet", "t", name]);
    let count = text.split("packets ").nth(1).and_then(|t| t.split(' ').next());
    count.and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("{text}"))
}

/// Waits until a counter exceeds a value, that is, until the rule has seen the packet that TCP sends again.
fn await_counter(name: &str, above: u64) {
    let end = Instant::now() + DEADLINE;
    while counter(name) <= above {
        assert!(Instant::now() < end, "the counter {name} stays at {above}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn connect(peer: &Peer, there: IpAddr) -> (TcpStream, TcpStream) {
    let at = SocketAddr::new(there, 7001);
    let listener = peer.inside(|| TcpListener::bind(at).expect("bind"));
    let client = TcpStream::connect(at).expect("connect");
    let (server, _) = listener.accept().expect("accept");
    for stream in [&client, &server] {
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        stream.set_nodelay(true).expect("no delay");
    }
    (client, server)
}

fn says(from: &mut TcpStream, to: &mut TcpStream) {
    from.write_all(b"hello").expect("write");
    let mut buf = [0; 5];
    to.read_exact(&mut buf).expect("it arrives");
    assert_eq!(&buf, b"hello");
}

/// Only new connections that begin with a SYN, and what belongs to them, may leave.
const STATEFUL: &str = "table inet t {
    counter dropped { }
    chain in { type filter hook input priority 0; ct state invalid drop; ct state established accept; }
    chain out {
        type filter hook output priority 0; policy drop;
        icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, mld2-listener-report } accept
        ct state established accept
        tcp flags & (syn | ack | rst | fin) == syn ct state new accept
        meta l4proto tcp counter name dropped
    }
}";

#[test]
fn a_deleted_connection_hangs_until_it_is_restored() {
    for (here, there, family) in
        [(IpAddr::from(HERE), IpAddr::from(THERE), "ipv4"), (HERE6.into(), THERE6.into(), "ipv6")]
    {
        let ns = Netns::fresh();
        let peer = ns.peer();
        // Flows are then not picked up midway, and packets of unknown flows are not new ones.
        sysctl("nf_conntrack_tcp_loose", "0");
        ns.nft(STATEFUL);
        let (mut client, mut server) = connect(&peer, there);
        let (mut other, mut other_server) = connect_other(&peer, there);
        says(&mut client, &mut server);
        says(&mut server, &mut client);
        let saved = done(&format!("-L -o save -f {family} -p tcp --dport 7001"));
        assert_eq!(saved.lines().len(), 1, "{saved:?}");

        let port = client.local_addr().expect("an address").port();
        let gone = done(&format!("-D -s {here} -d {there} -p tcp --sport {port} --dport 7001"));
        assert_eq!(gone.lines().len(), 1, "{gone:?}");
        let before = counter("dropped");
        client.write_all(b"hello").expect("into the buffer");
        await_counter("dropped", before);
        server.set_nonblocking(true).expect("non-blocking");
        let nothing = server.read(&mut [0; 5]).expect_err("nothing arrives");
        assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
        // The neighbour's connection must not be affected.
        says(&mut other, &mut other_server);

        // The saved line brings the flow back, and then what TCP sends again arrives.
        let restored = Tool::Zct.run_with_stdin(&["-R", "-"], &saved.stdout);
        assert_eq!(restored.exit, Exit::Code(0), "{restored:?}");
        server.set_nonblocking(false).expect("blocking");
        let mut buf = [0; 5];
        server.read_exact(&mut buf).expect("it arrives after all");
        assert_eq!(&buf, b"hello");
        says(&mut server, &mut client);
    }
}

/// A second connection between the same hosts, to another port.
fn connect_other(peer: &Peer, there: IpAddr) -> (TcpStream, TcpStream) {
    let at = SocketAddr::new(there, 7002);
    let listener = peer.inside(|| TcpListener::bind(at).expect("bind"));
    let client = TcpStream::connect(at).expect("connect");
    let (server, _) = listener.accept().expect("accept");
    server.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    (client, server)
}

#[test]
fn a_mark_is_seen_by_rules() {
    let ns = Netns::fresh();
    let peer = ns.peer();
    ns.nft(
        "table inet t { counter marked { }
           chain out { type filter hook output priority 0; ct mark 7 counter name marked; }
        }",
    );
    let (mut client, mut server) = connect(&peer, THERE.into());
    says(&mut client, &mut server);
    assert_eq!(counter("marked"), 0);
    done("-U -p tcp --dport 7001 -m 7");
    says(&mut client, &mut server);
    let seen = counter("marked");
    assert!(seen > 0);
    // Bits outside the mask stay: 7 becomes 5.
    done("-U -p tcp --dport 7001 -m 0/2");
    assert_eq!(done("-L -p tcp -m 5").lines().len(), 1);
    let seen = counter("marked");
    says(&mut client, &mut server);
    assert_eq!(counter("marked"), seen);
}

#[test]
fn a_created_translation_translates() {
    let ns = Netns::fresh();
    let peer = ns.peer();
    // The hooks of translation and tracking, without a rule that translates anything.
    ns.nft(
        "table ip t {
            chain out { type nat hook output priority -100; }
            chain post { type nat hook postrouting priority 100; ct state established accept; }
            chain pre { type nat hook prerouting priority -100; }
            chain in { type nat hook input priority 100; }
        }",
    );
    tool("ip", &["addr", "add", "10.9.0.11/24", "dev", "v0"]);
    done(&format!(
        "-I -s {HERE} -d {VIRTUAL} -p udp --sport 6000 --dport 7100 -g {THERE}:7200 -n 10.9.0.11:6100 -t 100"
    ));
    let server = peer.inside(|| UdpSocket::bind((THERE, 7200)).expect("bind"));
    let client = UdpSocket::bind((HERE, 6000)).expect("bind");
    for socket in [&server, &client] {
        socket.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    }
    let mut buf = [0; 9];
    client.send_to(b"there", (VIRTUAL, 7100)).expect("send");
    let (len, from) = server.recv_from(&mut buf).expect("translated on the way there");
    assert_eq!((&buf[..len], from.to_string().as_str()), (&b"there"[..], "10.9.0.11:6100"));
    server.send_to(b"and back", from).expect("send");
    let (len, from) = client.recv_from(&mut buf).expect("translated on the way back");
    assert_eq!((&buf[..len], from), (&b"and back"[..], SocketAddr::new(VIRTUAL.into(), 7100)));
    let flow = done("-L -p udp --dport 7100 -g").out();
    assert!(flow.contains("src=10.9.0.2 dst=10.9.0.11 sport=7200 dport=6100"), "{flow}");
}

#[test]
fn an_expectation_is_listed_deleted_and_made_again() {
    const KEY: &str =
        "-s 10.9.0.2 -d 10.9.0.1 -p tcp --sport 0 --dport 1026 --reply-port-src 1 --reply-port-dst 1";
    let ns = Netns::fresh();
    let mut traffic = Traffic::start(&ns);
    traffic.ftp(5011, 1026);
    ns.nft(
        "table inet t { counter related { }
           chain in { type filter hook input priority 0; ct state related tcp dport 1026 counter name related; }
        }",
    );
    let listed = done("-L expect").out();
    assert!(listed.contains("src=10.9.0.2 dst=10.9.0.1 sport=0 dport=1026"), "{listed}");
    assert_eq!(listed.lines().count(), 1);
    assert_eq!(done(&format!("-G expect {KEY}")).lines().len(), 1);

    // Exit code and message are the original's (W7).
    let ours = zct(&format!("-D expect {KEY}"));
    assert_eq!(ours.exit, Exit::Code(1));
    assert!(ours.err().ends_with("0 expectations have been shown.\n"), "{ours:?}");
    assert_eq!(done("-L expect").lines().len(), 0);
    let again = zct(&format!("-D expect {KEY}"));
    assert!(again.err().contains("No such file or directory"), "{again:?}");

    done(
        "-I expect -t 300 -p tcp -s 10.9.0.1 -d 10.9.0.2 --sport 5011 --dport 21 \
         --tuple-src 10.9.0.2 --tuple-dst 10.9.0.1 --tuple-port-src 0 --tuple-port-dst 1026 \
         --mask-src 255.255.255.255 --mask-dst 255.255.255.255 --mask-port-src 0 --mask-port-dst 65535",
    );
    let timeout = |line: &str| line.split_once(" proto").expect("a line").1.to_owned();
    let made = done("-L expect").out();
    assert_eq!(timeout(&made), timeout(&listed));

    // The data connection comes in as expected, and uses the expectation up.
    let listener = TcpListener::bind((HERE, 1026)).expect("bind");
    let data = traffic.inside_peer(|| TcpStream::connect((HERE, 1026)).expect("connect"));
    drop((listener.accept().expect("accept"), data));
    assert_eq!(counter("related"), 1);
    assert_eq!(done("-L expect").lines().len(), 0);
    let err = zct("-I expect -t 300 -p udp -s 10.9.0.1 -d 10.9.0.2 --sport 9 --dport 9 \
                   --tuple-src 10.9.0.2 --tuple-dst 10.9.0.1 --tuple-port-src 0 --tuple-port-dst 1026 \
                   --mask-src 255.255.255.255 --mask-dst 255.255.255.255 --mask-port-src 0 --mask-port-dst 65535");
    assert_eq!(err.exit, Exit::Code(1));
    assert!(err.err().contains("master conntrack not found"), "{err:?}");
}

/// Under traffic, all readings with `-z` add up to what was sent: nothing counted twice, nothing missing.
#[test]
fn zeroed_readings_add_up_to_the_packets_sent() {
    const PACKETS: u64 = 20_000;
    let ns = Netns::fresh().accounting();
    let peer = ns.peer();
    ns.nft(
        "table inet t { chain out { type filter hook output priority 0; ct state established accept; }
        }",
    );
    let server = peer.inside(|| UdpSocket::bind((THERE, 7000)).expect("bind"));
    let clients: Vec<UdpSocket> = (0..4u16)
        .map(|n| {
            let client = UdpSocket::bind((HERE, 6000 + n)).expect("bind");
            client.connect((THERE, 7000)).expect("connect");
            // The flow has to exist before the first reading.
            client.send(b"ten bytes.").expect("send");
            client
        })
        .collect();
    let packets_and_bytes = |output: &Output| {
        let number = |line: &str, name: &str| -> u64 {
            let from = line.split(name).nth(1).unwrap_or_else(|| panic!("{line}"));
            from.split(' ').next().and_then(|n| n.parse().ok()).expect("a number")
        };
        let out = output.out();
        out.lines().fold((0, 0), |(p, b), l| (p + number(l, "packets="), b + number(l, "bytes=")))
    };
    let sender = std::thread::spawn(move || {
        for n in 0..PACKETS {
            clients[(n % 4) as usize].send(b"ten bytes.").expect("send");
        }
    });
    let (mut sum, mut readings) = ((0, 0), 0);
    let mut add = |output: &Output| {
        let (packets, bytes) = packets_and_bytes(output);
        sum = (sum.0 + packets, sum.1 + bytes);
        readings += 1;
    };
    let lines = ["-L -z", "-L -z -o extended"];
    for line in lines.iter().cycle() {
        let over = sender.is_finished();
        add(&done(line));
        if over {
            break;
        }
    }
    sender.join().expect("all sent");
    add(&done("-L -z"));
    println!("{readings} readings");
    assert_eq!(sum, (PACKETS + 4, 38 * (PACKETS + 4)));
    let after = packets_and_bytes(&done("-L"));
    assert_eq!(after, (0, 0));
    drop(server);
}
