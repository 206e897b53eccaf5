//! Whether a daemon starts: what zctd considers good only for commands, beside conntrackd as a daemon.

use super::golden::{escape, unescape};
use super::load;
use std::path::PathBuf;
use std::process::Command;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/acceptance/starts-1.4.7.txt");
const HEADER: &str = "\
# Whether conntrackd 1.4.7 (Debian 12) starts with these Sync sections in a namespace where lo is up, has 127.0.0.1
# and ::1, and is the only interface.
# Renewed by: ZCT_GOLDEN=write cargo test -p zctd --test acceptance conntrackd_starts
";

/// A section, and the reason if zctd intends to judge it differently. Everything they name exists.
const SECTIONS: [(&str, Option<&str>); 34] = [
    ("", None),
    ("UDP { }", None),
    ("UDP { Interface lo }", None),
    (UDP, None),
    ("UDP { Interface lo IPv6_address ::1 IPv6_Destination_Address ::1 Port 3780 }", None),
    ("UDP { Interface lo IPv4_Destination_Address 127.0.0.2 Port 3780 }", None),
    ("UDP { Interface lo IPv6_Destination_Address ::1 Port 3780 }", None),
    ("UDP { IPv4_address 127.0.0.1 IPv4_Destination_Address 127.0.0.2 Port 3780 }", None),
    (
        "UDP { Interface lo IPv4_address 127.0.0.1 IPv4_Destination_Address 127.0.0.2 }",
        Some("without a port the original listens where nobody sends to"),
    ),
    (
        "UDP { Interface lo IPv4_address 127.0.0.1 IPv4_Destination_Address 127.0.0.2 Port 0 }",
        Some("without a port the original listens where nobody sends to"),
    ),
    (
        "UDP { Interface lo IPv4_address 127.0.0.1 Port 3780 }",
        Some("without a peer the original sends to itself"),
    ),
    ("UDP { Interface lo IPv6_address ::1 Port 3780 }", Some("without a peer the original sends to itself")),
    (
        "UDP { Interface lo IPv6_address ::1 IPv4_address 127.0.0.1 IPv4_Destination_Address 127.0.0.2 Port 3780 }",
        None,
    ),
    ("UDP { Interface lo IPv4_address 127.0.0.1 IPv6_Destination_Address ::1 Port 3780 }", None),
    ("TCP { Interface lo IPv4_address 127.0.0.1 IPv4_Destination_Address 127.0.0.2 Port 3780 }", None),
    ("TCP { Interface lo IPv4_Destination_Address 127.0.0.2 Port 3780 ErrorQueueLength 0 }", None),
    ("TCP { Interface lo }", None),
    (
        "TCP { Interface lo IPv4_address 127.0.0.1 IPv4_Destination_Address 127.0.0.2 }",
        Some("without a port the original listens where nobody sends to"),
    ),
    ("Multicast { Interface lo IPv4_address 225.0.0.50 IPv4_interface 127.0.0.1 Group 3780 }", None),
    ("Multicast { Interface lo IPv4_address 225.0.0.50 Group 3780 }", None),
    ("Multicast { IPv4_address 225.0.0.50 IPv4_interface 127.0.0.1 Group 3780 }", None),
    ("Multicast { Interface lo IPv4_address 10.0.0.50 IPv4_interface 127.0.0.1 Group 3780 }", None),
    (
        "Multicast { Interface lo IPv4_address 225.0.0.50 IPv4_interface 127.0.0.1 }",
        Some("without a port the original listens where nobody sends to"),
    ),
    ("Multicast { IPv6_address ff02::5 Interface lo Group 3780 }", None),
    (
        "Multicast { Interface lo IPv6_address ff02::5 Group 3780 }",
        Some("with Interface before the address the original looks up the address as an interface"),
    ),
    ("Multicast { IPv6_address fe80::5 Interface lo Group 3780 }", None),
    ("Multicast { Interface lo Group 3780 }", None),
    ("Multicast { Interface lo IPv4_interface 127.0.0.1 Group 3780 }", None),
    ("Mode ALARM { RefreshTime 0 } UDP", None),
    ("Mode NOTRACK { DisableInternalCache on DisableExternalCache on } UDP", None),
    ("Mode FTFW { ACKWindowSize 2 ResendQueueSize 2 } UDP", None),
    (
        "Mode FTFW { ACKWindowSize 1 } UDP",
        Some("with a window of 1 acknowledgements stop after the first gap"),
    ),
    ("Mode FTFW { ResendQueueSize 5 } UDP", Some("a queue below the window loses what is to be sent again")),
    ("UDP UDP UDP UDP UDP", None),
];

const UDP: &str = "UDP { Interface lo IPv4_address 127.0.0.1 IPv4_Destination_Address 127.0.0.2 Port 3780 }";

/// The whole file; a bare `UDP` stands for a link that works, with a port of its own in each file.
fn file(section: &str) -> Vec<u8> {
    let mut out =
        String::from("General { UNIX { Path /run/socket\n } LockFile /run/lock-file\n HashSize 64 }\nSync {");
    for (i, part) in section.split_inclusive("UDP").enumerate() {
        out += part;
        if part.ends_with("UDP") && !section.contains("UDP {") {
            out += &UDP["UDP".len()..].replace("3780", &format!("{}", 3780 + i));
            out.push('\n');
        }
    }
    (out + "}\n").into_bytes()
}

/// One start per file. Only a client that is answered proves that the daemon has come up: the socket is there
/// before the links are, so a client that is accepted and gets nothing proves nothing.
const SCRIPT: &str = "\
mount -t tmpfs none /run && ip link set lo up && ip addr show dev lo | grep -q ::1 && cd \"$1\" || exit 90
i=0
while [ -e $i.conf ]; do
    rm -f /run/lock-file /run/socket
    conntrackd -C $i.conf >$i.log 2>&1 &
    pid=$!
    tries=0
    said=
    until [ \"$said\" ]; do
        if [ \"$(conntrackd -C $i.conf -s 2>/dev/null)\" ]; then said=starts; kill $pid
        elif ! kill -0 $pid 2>/dev/null; then said=fails
        else
            tries=$((tries+1))
            if [ $tries -gt 3000 ]; then kill $pid; exit 93; fi
            sleep 0.01
        fi
    done
    wait $pid
    echo $said >$i.out
    i=$((i+1))
done
";

fn real() -> Vec<bool> {
    for (program, package) in [("conntrackd", "conntrackd"), ("unshare", "util-linux"), ("ip", "iproute2")] {
        let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output().unwrap();
        assert!(found.status.success(), "{program} is missing: apt-get install {package}");
    }
    let dir = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("starts");
    std::fs::create_dir_all(&dir).unwrap();
    for (i, (section, _)) in SECTIONS.iter().enumerate() {
        std::fs::write(dir.join(format!("{i}.conf")), file(section)).unwrap();
    }
    let run = Command::new("unshare").args(["--net", "--mount", "sh", "-c", SCRIPT, "sh"]).arg(&dir).output();
    let run = run.unwrap();
    assert!(run.status.success(), "{}: {}", run.status, String::from_utf8_lossy(&run.stderr));
    let said = |i| std::fs::read_to_string(dir.join(format!("{i}.out"))).unwrap();
    let starts = (0..SECTIONS.len()).map(|i| said(i).trim() == "starts").collect();
    std::fs::remove_dir_all(&dir).unwrap();
    starts
}

fn golden() -> Vec<(bool, Vec<u8>)> {
    let text = std::fs::read_to_string(GOLDEN).unwrap_or_else(|e| panic!("{GOLDEN}: {e}"));
    let lines = text.lines().filter(|l| !l.starts_with('#'));
    lines.map(|l| l.split_once('\t').map(|(said, t)| (said == "starts", unescape(t))).unwrap()).collect()
}

#[test]
fn zctd_can_start_where_conntrackd_starts() {
    let golden = golden();
    assert_eq!(golden.len(), SECTIONS.len());
    for ((starts, text), (section, difference)) in golden.into_iter().zip(SECTIONS) {
        let ours = load(&text);
        assert!(!ours.report.is_refused(), "{section}");
        let remarks = ours.report.lines("zctd").to_string();
        let differs = ours.report.can_start() != starts;
        assert_eq!(differs, difference.is_some(), "{section}: {difference:?}\n{remarks}");
    }
}

#[test]
fn conntrackd_starts_where_the_golden_file_says() {
    let now = real();
    if std::env::var_os("ZCT_GOLDEN").is_some_and(|v| v == "write") {
        let word = |starts: bool| if starts { "starts" } else { "fails" };
        let lines =
            now.iter().zip(SECTIONS).map(|(s, (text, _))| format!("{}\t{}\n", word(*s), escape(&file(text))));
        return std::fs::write(GOLDEN, HEADER.to_owned() + &lines.collect::<String>()).unwrap();
    }
    for ((starts, (then, text)), (section, _)) in now.into_iter().zip(golden()).zip(SECTIONS) {
        assert_eq!((starts, file(section)), (then, text), "{section}");
    }
}
