//! Flows in a flowtable: `[OFFLOAD]`, without a timeout and a state.

use crate::compare::{same, sorted, without_value};
use crate::events;
use crate::flow::Flow;
use crate::lab::{self, By, Verdicts, conntrack, must, sysctl};
use crate::listing::{FORMATS, compare, json};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Two neighbours, with this machine between them as their router.
const NETWORK: &[&str] = &[
    "netns add a",
    "netns add b",
    "link add va type veth peer name ea netns a",
    "link add vb type veth peer name eb netns b",
    "link set va up",
    "link set vb up",
    "-n a link set ea up",
    "-n b link set eb up",
    "address add 10.7.1.1/24 dev va",
    "address add 10.7.2.1/24 dev vb",
    "-n a address add 10.7.1.2/24 dev ea",
    "-n b address add 10.7.2.2/24 dev eb",
    "address add fd07:1::1/64 dev va nodad",
    "address add fd07:2::1/64 dev vb nodad",
    "-n a address add fd07:1::2/64 dev ea nodad",
    "-n b address add fd07:2::2/64 dev eb nodad",
    "-n a route add default via 10.7.1.1",
    "-n b route add default via 10.7.2.1",
    "-n a route add default via fd07:1::1",
    "-n b route add default via fd07:2::1",
];

const RULES: &str = "table inet f {
    flowtable fast {
        hook ingress priority 0
        devices = { va, vb }
    }
    chain forward {
        type filter hook forward priority 0
        tcp dport 80 flow add @fast
    }
}
";

/// This program as one end of a connection, in another network namespace; ended when dropped.
struct End {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl End {
    fn start(ns: &str, words: &str) -> Result<End, String> {
        let line = format!("netns exec {ns} /zct/kernel-guest {words}");
        let mut child = Command::new("ip")
            .args(line.split_whitespace())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| format!("ip: {e}"))?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let stdout = BufReader::new(stdout.ok_or("no pipe")?);
        let mut end = End { child, stdin, stdout };
        end.wait()?;
        Ok(end)
    }

    /// Waits for the line that says it has done its part.
    fn wait(&mut self) -> Result<(), String> {
        let mut line = String::new();
        self.stdout.read_line(&mut line).map_err(|e| e.to_string())?;
        if line == "done\n" { Ok(()) } else { Err(format!("the other end said {line:?}")) }
    }

    fn say(&mut self) -> Result<(), String> {
        let stdin = self.stdin.as_mut().ok_or("no pipe")?;
        stdin.write_all(b"more\n").map_err(|e| e.to_string())?;
        self.wait()
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.stdin = None;
        _ = self.child.kill();
        _ = self.child.wait();
    }
}

/// `serve`: accepts connections on port 80 and answers each byte, until its input ends.
pub(crate) fn serve() -> std::io::Result<()> {
    let listener = TcpListener::bind(("::", 80))?;
    println!("done");
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let (mut from, mut to) = (&client, &client);
                let mut byte = [0];
                while from.read_exact(&mut byte).and_then(|()| to.write_all(&byte)).is_ok() {}
            });
        }
    });
    std::io::stdin().lines().for_each(drop);
    Ok(())
}

/// `talk ADDRESS`: connects, and for each line of its input sends a byte and waits for the answer.
pub(crate) fn talk(address: &str) -> std::io::Result<()> {
    let mut stream = TcpStream::connect((address, 80))?;
    let mut byte = *b"x";
    println!("done");
    for line in std::io::stdin().lines() {
        line?;
        stream.write_all(&byte)?;
        stream.read_exact(&mut byte)?;
        println!("done");
    }
    Ok(())
}

pub(crate) fn check(v: &mut Verdicts) -> Result<(), String> {
    must(By::Original.path(), "-F", "")?;
    for line in NETWORK {
        must("ip", line, "")?;
    }
    sysctl("net.ipv4.ip_forward", "1")?;
    sysctl("net.ipv6.conf.all.forwarding", "1")?;
    // They would leave the flowtable after 30 s without a packet.
    sysctl("net.netfilter.nf_flowtable_tcp_timeout", "3600")?;
    lab::nft(RULES)?;
    let result = checks(v);
    lab::nft("")?;
    for line in ["netns del a", "netns del b"] {
        must("ip", line, "")?;
    }
    result
}

fn checks(v: &mut Verdicts) -> Result<(), String> {
    let _server = End::start("b", "serve")?;
    let mut clients = Vec::new();
    let events = ["-E", "-E -o extended,id", "-E -o xml", "-E -o save", "-E -f ipv6"];
    let heard = events::listen(&events, || {
        for address in ["10.7.2.2", "fd07:2::2"] {
            let mut client = End::start("a", &format!("talk {address}"))?;
            for _ in 0..3 {
                client.say()?;
            }
            clients.push(client);
        }
        lab::until("two offloaded flows", || {
            conntrack(By::Original, "-L -u OFFLOAD").out.matches("[OFFLOAD]").count() == 2
        })
    })?;
    for (line, pair) in events.iter().zip(&heard) {
        v.add(format_args!("{line} of offloaded flows"), events::alike(pair));
    }
    for format in FORMATS {
        v.add(format_args!("-L {format} of offloaded flows"), compare(&format!("-L {format}")).map(drop));
    }
    v.add("-L -o json of offloaded flows", json());
    for line in [
        "-L -u OFFLOAD",
        "-L -u OFFLOAD -o save",
        "-L -u !OFFLOAD",
        "-L -u ASSURED,OFFLOAD",
        "-L -u HW_OFFLOAD",
        "-L -p tcp --state ESTABLISHED",
        "-L -p tcp -s 10.7.1.2 --dport 80",
        "-L -s fd07:1::2 -o xml",
        "-L -f ipv6",
        "-G -p tcp -s 10.7.1.2 -d 10.7.2.2 --sport 1 --dport 80",
        "-C",
    ] {
        v.add(format_args!("{line} of offloaded flows"), compare(line).map(drop));
    }
    for (line, families) in [
        ("-D -u OFFLOAD", &[2, 10][..]),
        ("-D -s 10.7.1.2", &[2]),
        ("-D -s fd07:1::2 -o save", &[10]),
        ("-D -p tcp --dport 80 -o extended", &[2, 10]),
        ("-D -p tcp --dport 80 -f ipv4 --kernel-filter=always", &[2]),
        ("-F", &[2, 10]),
        ("-F -f ipv4", &[2]),
        ("-F -f ipv6", &[10]),
    ] {
        v.add(format_args!("{line} of offloaded flows"), deletes(&mut clients, line, families));
    }
    Ok(())
}

/// Deletes offloaded flows with both programs. The connections go on: their next packets make the flows anew.
fn deletes(clients: &mut [End], line: &str, families: &[u8]) -> Result<(), String> {
    let mut ran = Vec::new();
    for by in [By::Ours, By::Original] {
        offloaded(clients)?;
        // Leaves out what the original does not know, or gets wrong (W3).
        let original = line.split_once(" --kernel-filter").map_or(line, |(line, _)| line);
        if by == By::Original && line.starts_with("-F -f") {
            break;
        }
        let o = conntrack(by, if by == By::Original { original } else { line });
        let left = Flow::all(&lab::table()?)?;
        if left.iter().any(|f| families.contains(&f.family)) || left.len() != 2 - families.len() {
            return Err(o.wrong(format!("{by:?} leaves {left:?}")));
        }
        ran.push(o);
    }
    match ran.as_slice() {
        [ours, original] => {
            if (original.code, &original.err) != (ours.code, &ours.err) {
                return Err(format!("{}\n{}", original.wrong("the original"), ours.wrong("ours")));
            }
            let masked = |text: &str| sorted(&without_value(text, "use="));
            same("printed", &masked(&original.out), &masked(&ours.out))
        }
        [ours] if ours.code == Some(0) => Ok(()),
        all => Err(format!("{all:?}")),
    }
}

/// Sends packets until both connections are offloaded, as flows that the kernel has picked up on the way.
fn offloaded(clients: &mut [End]) -> Result<(), String> {
    must(By::Original.path(), "-F", "")?;
    let mut said = Ok(());
    lab::until("two offloaded flows", || {
        said = clients.iter_mut().try_for_each(End::say);
        said.is_err() || conntrack(By::Original, "-L -u OFFLOAD").out.matches("[OFFLOAD]").count() == 2
    })?;
    said
}
