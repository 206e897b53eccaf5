//! `zctd --check` as a program: what goes to which stream, and the exit status.

use std::path::PathBuf;
use std::process::{Command, Output};

fn zctd(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_zctd")).args(words).output().unwrap()
}

fn file(name: &str, text: &[u8]) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn check(name: &str, text: &[u8]) -> (Option<i32>, String, String) {
    let path = file(name, text);
    let out = zctd(&["--check", "-C", path.to_str().unwrap()]);
    std::fs::remove_file(&path).unwrap();
    let [stdout, stderr] = [out.stdout, out.stderr]
        .map(|s| String::from_utf8(s).unwrap().replace(path.to_str().unwrap(), "FILE"));
    (out.status.code(), stdout, stderr)
}

#[test]
fn a_good_file_is_printed_whole_and_so_again() {
    let text = b"General {\n\tUNIX {\n\t\tPath /run/x\n\t}\n}\nStats {\n\tLogFile on\n}\n";
    let (status, printed, remarks) = check("good.conf", text);
    assert_eq!((status, remarks.as_str()), (Some(0), ""));
    assert!(printed.starts_with("# FILE\n"), "{printed}");
    for line in [
        "HashLimit 262144",
        "LogFile /var/log/conntrackd-stats.log",
        "Path /run/x",
        "NetlinkOverrunResync 30",
    ] {
        assert!(printed.contains(line), "{line}: {printed}");
    }
    let (status, again, remarks) = check("again.conf", printed.as_bytes());
    assert_eq!((status, again.as_str(), remarks.as_str()), (Some(0), printed.as_str(), ""));
}

/// What the original does not know is printed as it was given.
#[test]
fn our_own_settings_are_printed_whole_and_so_again() {
    let text = b"General {\n\tUNIX {\n\t\tPath /run/x\n\t}\n\tFilter From Kernelspace {\n\
        Port Ignore { 53 1000-2000 }\nZone Accept { 0 7 }\nNAT Ignore { SNAT }\nMark Ignore { 0x10 0x10/0xf0 }\n\
        Label Accept { 0 127 }\n}\n}\n\
        Sync { Mode FTFW { }\nOptions { SyncAfter 3 UpdateInterval 10 }\nUDP { IPv4_address 10.0.0.1 \
        IPv4_Destination_Address 10.0.0.2 Port 3780 Interface lo } }\n";
    let (status, printed, remarks) = check("own.conf", text);
    assert_eq!((status, remarks.as_str()), (Some(0), ""));
    let lines: Vec<&str> = printed.lines().map(str::trim).collect();
    for block in [
        &["Port Ignore {", "53", "1000-2000", "}"][..],
        &["Zone Accept {", "0", "7", "}"],
        &["NAT Ignore {", "SNAT", "}"],
        &["Mark Ignore {", "16", "0x10/0xf0", "}"],
        &["Label Accept {", "0", "127", "}"],
        &["SyncAfter 3", "UpdateInterval 10", "}"],
    ] {
        assert!(lines.windows(block.len()).any(|w| w == block), "{block:?}: {printed}");
    }
    let (status, again, remarks) = check("own-again.conf", printed.as_bytes());
    assert_eq!((status, again.as_str(), remarks.as_str()), (Some(0), printed.as_str(), ""));
}

#[test]
fn errors_go_to_stderr_and_nothing_is_printed() {
    let (status, printed, remarks) = check("bad.conf", b"General {\n\tHashSize x\n\tLogFile y\n}\n");
    assert_eq!((status, printed.as_str()), (Some(1), ""));
    assert_eq!(
        remarks,
        "FILE:2:11: error: expected a number from 0 to 4294967295 after HashSize, found `x'\n\
         FILE:3:10: error: expected on, off or a path after LogFile, found `y'\n"
    );
    // A file that is good only for commands is not good enough.
    let (status, printed, remarks) =
        check("links.conf", b"General {\n\tUNIX { Path /x }\n}\nSync { Mode FTFW { } }\n");
    assert_eq!((status, printed.as_str()), (Some(1), ""));
    assert_eq!(remarks, "FILE:4:1: error: no link to a peer in Sync: expected Multicast, UDP or TCP\n");
}

/// Userspace helpers are printed as they will be kept, each once.
#[test]
fn helpers_are_kept_as_they_are_given() {
    let text = b"General { UNIX { Path /x } }\nStats { LogFile on }\nHelper {\n\tType ftp inet tcp {\n\t\tQueueNum 7\n\t\t\
        Policy ftp {\n\t\t\tExpectMax 1\n\t\t\tExpectTimeout 300\n\t\t}\n\t}\n\tType rpc inet6 udp { }\n\tType ftp inet tcp { }\n}\n";
    let (status, printed, remarks) = check("helpers.conf", text);
    assert_eq!(status, Some(0));
    // What this kernel lacks is another matter.
    let remarks: String =
        remarks.split_inclusive('\n').filter(|l| !l.contains(": the kernel lacks ")).collect();
    assert_eq!(remarks, "FILE:12:2: warning: Helper ftp inet tcp is there twice: the first counts\n");
    for line in
        ["Type ftp inet tcp {", "QueueNum 7", "Policy ftp {", "ExpectTimeout 300", "Type rpc inet6 udp {"]
    {
        assert_eq!(printed.lines().filter(|l| l.trim() == line).count(), 1, "{line}: {printed}");
    }
    for (text, said) in [
        ("Type ftp inet tcp", "2:23: error: expected `{' after Type, found `}'"),
        ("Type ftp inet udp { }", "2:19: error: the helper ftp is not for udp"),
        ("Type ftp inet sctp { }", "2:19: error: unknown protocol `sctp': expected tcp or udp"),
        ("Type ftp inet7 tcp { }", "2:14: error: unknown family `inet7': expected inet or inet6"),
        (
            "Type sip inet udp { }",
            "2:10: error: unknown helper `sip': expected one of amanda, dhcpv6, ftp, mdns, rpc, sane, slp, ssdp, tftp, \
             tns",
        ),
        (
            "Type ftp inet tcp { Policy sip { ExpectMax 1 } }",
            "2:32: error: unknown policy `sip': the one of the helper ftp is ftp",
        ),
        (
            "Type ftp inet tcp { Policy ftp { } }",
            "2:25: error: the Policy is empty: expected ExpectMax or ExpectTimeout",
        ),
        ("QueueNum 5", "2:5: error: `QueueNum' does not belong in Helper, but in Type"),
    ] {
        let (status, _, remarks) = check("helper.conf", format!("Helper {{\n    {text} }}\n").as_bytes());
        assert!(
            status == Some(1) && remarks.lines().any(|l| l == format!("FILE:{said}")),
            "{text}: {remarks}"
        );
    }
}

#[test]
fn files_that_cannot_be_read_are_named() {
    for (words, said) in [
        (
            &["--check", "-C", "/nonexistent/zctd.conf"][..],
            "can't open config file `/nonexistent/zctd.conf': No such",
        ),
        (&["--check", "-C", "/"], "can't open config file `/': Is a directory"),
        (&["--check", "-C", "/dev/zero"], "can't open config file `/dev/zero': line 1 is longer than 1 MiB"),
        (&["--check", "-C"], "Missing config filename"),
        (&["-C", "/nonexistent/zctd.conf"], "can't open config file `/nonexistent/zctd.conf': No such"),
        (&["-s", "-C", "/nonexistent/zctd.conf"], "can't open config file `/nonexistent/zctd.conf': No such"),
        (&["-n", "-C", "/dev/null"], "`/dev/null' has no control socket"),
    ] {
        let out = zctd(words);
        let stderr = String::from_utf8_lossy(&out.stderr).into_owned();
        assert_eq!(out.status.code(), Some(1), "{words:?}");
        assert!(stderr.contains(said), "{words:?}: {stderr}");
    }
}

/// Each peer keeps its links, and which of them is the default.
#[test]
fn peers_are_printed_whole_and_so_again() {
    let link = |node: u8, net: u8| {
        format!(
            "{{ IPv4_address 10.0.{net}.1 IPv4_Destination_Address 10.0.{net}.{node} Port 3780 Interface lo }}"
        )
    };
    let text = format!(
        "General {{ UNIX {{ Path /run/x\n}} }}\nSync {{ Mode FTFW {{ }} NodeID 1\nPeer fw-b {{ NodeID 2 TCP {} TCP \
         Default {} }}\nPeer fw-c {{ NodeID 3 TCP {} }} }}\n",
        link(2, 0),
        link(2, 1),
        link(3, 0)
    );
    let (status, printed, remarks) = check("peers.conf", text.as_bytes());
    assert_eq!((status, remarks.as_str()), (Some(0), ""));
    let lines: Vec<&str> = printed.lines().map(str::trim).collect();
    for line in [
        "# more than two nodes: each of them has to run zctd, as conntrackd knows two",
        "Peer fw-b {",
        "NodeID 2",
        "TCP {",
        "IPv4_Destination_Address 10.0.0.2",
        "TCP Default {",
        "IPv4_Destination_Address 10.0.1.2",
        "Peer fw-c {",
        "NodeID 3",
        "TCP Default {",
        "IPv4_Destination_Address 10.0.0.3",
    ] {
        assert!(lines.contains(&line), "{line}: {printed}");
    }
    let (status, again, remarks) = check("peers-again.conf", printed.as_bytes());
    assert_eq!((status, again.as_str(), remarks.as_str()), (Some(0), printed.as_str(), ""));
}

/// Two and more peers compare in every mode, over every kind of link, with keys and without; a group of more than two
/// needs keys, and says so.
#[test]
fn any_number_of_peers_can_compare() {
    let ends = |node| {
        format!("{{ IPv4_address 10.0.0.1 IPv4_Destination_Address 10.0.0.{node} Port 3780 Interface lo }}")
    };
    let group = "Multicast { IPv4_address 225.0.0.50 Group 3780 IPv4_interface 10.0.0.1 Interface lo }";
    let key = file("compare.key", "0123456789abcdef".repeat(4).as_bytes());
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let auth = format!("Auth {{ Key 1 file:{}\nActiveKey 1 }}", key.display());
    for mode in ["FTFW { }", "NOTRACK { }", "ALARM { }"] {
        for links in ["UDP", "TCP", "Multicast"] {
            for (peers, auth) in [(1, ""), (1, &*auth), (3, ""), (3, &*auth)] {
                let peers = (2..2 + peers).map(|node| {
                    let link =
                        if links == "Multicast" { String::new() } else { format!("{links} {}", ends(node)) };
                    format!("Peer fw-{node} {{ NodeID {node}\n{link} }}\n")
                });
                let peers: Vec<String> = peers.collect();
                let shared = if links == "Multicast" { group } else { "" };
                let text = format!(
                    "General {{ UNIX {{ Path /run/x\n}} }}\nSync {{ Mode {mode} NodeID 1\n{shared}\n{}{auth}\n\
                     Options {{ Digest on DigestInterval 7 }} }}\n",
                    peers.concat()
                );
                let (status, printed, remarks) = check("compare.conf", text.as_bytes());
                if links == "Multicast" && peers.len() > 1 && auth.is_empty() {
                    assert_ne!(status, Some(0), "{text}");
                    assert!(remarks.contains("needs Auth in mode enforce"), "{remarks}");
                    continue;
                }
                assert_eq!(status, Some(0), "{text}{remarks}");
                assert!(!remarks.contains("Digest"), "{text}{remarks}");
                assert!(printed.contains("DigestInterval 7"), "{printed}");
                assert!(printed.contains("Digest on") != mode.starts_with("FTFW"), "{printed}");
            }
        }
    }
    std::fs::remove_file(&key).unwrap();
}

/// The example is one that a daemon runs with, and shows the peers that it has.
#[test]
fn the_example_of_three_nodes_is_good() {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/three-nodes.conf"));
    let key = file("three-nodes.key", "0123456789abcdef".repeat(4).as_bytes());
    std::fs::set_permissions(&key, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    let text = text.replace("file:/etc/zctd/keys/1", &format!("file:{}", key.display()));
    let (status, printed, remarks) = check("three-nodes.conf", text.as_bytes());
    std::fs::remove_file(&key).unwrap();
    assert_eq!((status, remarks.as_str()), (Some(0), ""), "{printed}");
    assert!(printed.contains("Peer fw-b {") && printed.contains("Peer fw-c {"), "{printed}");
}
