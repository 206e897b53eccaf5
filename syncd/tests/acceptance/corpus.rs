//! The texts whose acceptance is compared: every directive with every kind of value and in every block, the
//! peculiarities of words, blocks of all shapes, and mutations of whole files. They are always the same.

/// A block, as what surrounds a text inside it.
const BLOCKS: [(&str, &str); 21] = [
    ("", ""),
    ("General {", "}"),
    ("General { UNIX {", "} }"),
    ("General { Scheduler {", "} }"),
    ("General { Filter {", "} }"),
    ("General { Filter { Protocol Accept {", "} } }"),
    ("General { Filter { Address Accept {", "} } }"),
    ("General { Filter { State Accept {", "} } }"),
    ("Sync {", "}"),
    ("Sync { Mode FTFW {", "} }"),
    ("Sync { Mode ALARM {", "} }"),
    ("Sync { Mode NOTRACK {", "} }"),
    ("Sync { Multicast {", "} }"),
    ("Sync { UDP {", "} }"),
    ("Sync { TCP {", "} }"),
    ("Sync { Options {", "} }"),
    ("Sync { Options { ExpectationSync {", "} } }"),
    ("Stats {", "}"),
    ("Helper {", "}"),
    ("Helper { Type ftp inet tcp {", "} }"),
    ("Helper { Type ftp inet tcp { Policy ftp {", "} } }"),
];

/// A directive, what may follow it, and the block in [`BLOCKS`] it belongs in.
const DIRECTIVES: [(&str, &str, usize); 71] = [
    ("HashSize", "5", 1),
    ("HashLimit", "5", 1),
    ("LogFile", "on", 1),
    ("Syslog", "local3", 1),
    ("LockFile", "/x ", 1),
    ("UNIX", "{ }", 1),
    ("NetlinkBufferSize", "5", 1),
    ("NetlinkBufferSizeMaxGrowth", "5", 1),
    ("SocketBufferSize", "5", 1),
    ("SocketBufferSizeMaxGrown", "5", 1),
    ("SocketBufferSizeMaxGrowth", "5", 1),
    ("NetlinkOverrunResync", "on", 1),
    ("NetlinkEventsReliable", "on", 1),
    ("EventIterationLimit", "5", 1),
    ("PollSecs", "5", 1),
    ("Filter", "{ }", 1),
    ("Scheduler", "{ }", 1),
    ("Nice", "-5", 1),
    ("Systemd", "on", 1),
    ("Path", "/x ", 2),
    ("Backlog", "5", 2),
    ("Type", "rr", 3),
    ("Priority", "5", 3),
    ("Protocol", "Accept { }", 4),
    ("Address", "Accept { }", 4),
    ("State", "Accept { }", 4),
    ("", "SCTP", 5),
    ("IPv4_address", "1.2.3.4", 6),
    ("IPv6_address", "::1", 6),
    ("ESTABLISHED", "for TCP", 7),
    ("for", "TCP", 7),
    ("Mode", "FTFW { }", 8),
    ("Multicast", "{ }", 8),
    ("UDP", "{ }", 8),
    ("TCP", "{ }", 8),
    ("Options", "{ }", 8),
    ("RefreshTime", "5", 10),
    ("CacheTimeout", "5", 10),
    ("CommitTimeout", "5", 9),
    ("PurgeTimeout", "5", 9),
    ("ResendQueueSize", "500", 9),
    ("ACKWindowSize", "5", 9),
    ("DisableExternalCache", "on", 9),
    ("StartupResync", "on", 9),
    ("DisableInternalCache", "on", 11),
    ("IPv4_interface", "1.2.3.4", 12),
    ("IPv6_interface", "::1", 12),
    ("Group", "5", 12),
    ("Interface", "lo", 12),
    ("SndSocketBuffer", "5", 12),
    ("RcvSocketBuffer", "5", 12),
    ("Checksum", "on", 12),
    ("IPv4_Destination_Address", "1.2.3.4", 13),
    ("IPv6_Destination_Address", "::1", 13),
    ("Port", "5", 13),
    ("ErrorQueueLength", "5", 14),
    ("TCPWindowTracking", "on", 15),
    ("ExpectationSync", "on", 15),
    ("", "ftp", 16),
    ("LogFormat", "json", 17),
    ("Setup", "on", 18),
    ("Type", "ftp inet tcp { }", 18),
    ("QueueNum", "5", 19),
    ("QueueLen", "5", 19),
    ("Policy", "ftp { ExpectMax 1 }", 19),
    ("ExpectMax", "5", 20),
    ("ExpectTimeout", "5", 20),
    ("Helper", "{ }", 0),
    ("General", "{ }", 0),
    ("Sync", "{ }", 0),
    ("Stats", "{ }", 0),
];

const VALUES: [&str; 29] = [
    "",
    "5",
    "0",
    "100",
    "-5",
    "on",
    "OFF",
    "ftp",
    "local9",
    "TCP",
    "Default",
    "1.2.3.4",
    "1.2.3.4/8",
    "300.1.1.1",
    "::1",
    "::1/129",
    "fe0",
    "/x ",
    "{ }",
    "{ ftp }",
    "-1",
    "+5",
    "256",
    "65536",
    "4294967296",
    "5s",
    "5HashSize 6",
    "99999999999",
    "\"x\"",
];

/// All texts, in the order of the golden file.
pub(crate) fn all() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = Vec::new();
    let mut add = |text: String| all.push(text.into_bytes());
    for (word, value, _) in DIRECTIVES {
        for (open, close) in BLOCKS {
            add(format!("{open} {word} {value} {close}\n"));
        }
    }
    for (word, _, block) in DIRECTIVES {
        let (open, close) = BLOCKS[block];
        for value in VALUES {
            add(format!("{open} {word} {value} {close}\n"));
        }
    }
    all.extend(super::texts::all());
    all.extend(mutations(400));
    let mut seen = std::collections::HashSet::new();
    all.retain(|text| seen.insert(text.clone()));
    all
}

/// A generator of the same numbers everywhere (splitmix64).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub(crate) fn below(&mut self, n: usize) -> usize {
        (self.roll() % n as u64) as usize
    }

    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// Whole files to start from; together they contain most of the language.
pub(crate) const FILES: [&str; 5] = [
    "General {\n\tHashSize 8192\n\tHashLimit 65535\n\tLogFile /var/log/x.log\n\tSyslog local2\n\tUNIX {\n\t\tPath \
     /run/x.ctl\n\t\tBacklog 20\n\t}\n\tNetlinkOverrunResync 5\n\tScheduler {\n\t\tType FIFO\n\t\tPriority \
     99\n\t}\n}\nStats {\n\tLogFile on\n}\n",
    "Sync {\n\tMode FTFW {\n\t\tResendQueueSize 1000 # objects\n\t\tACKWindowSize 50\n\t\tDisableExternalCache \
     Off\n\t}\n\tMulticast Default {\n\t\tIPv4_address 225.0.0.50\n\t\tGroup 3780\n\t\tIPv4_interface \
     10.0.0.1\n\t\tInterface lo\n\t\tChecksum on\n\t}\n}\n",
    "Sync {\n\tMode ALARM {\n\t\tRefreshTime 15\n\t\tCacheTimeout 180\n\t}\n\tUDP {\n\t\tIPv6_address \
     fe80::215:58ff:fe28:5a27\n\t\tIPv6_Destination_Address fe80::1\n\t\tPort 3781\n\t\tInterface \
     lo\n\t}\n\tOptions {\n\t\tExpectationSync {\n\t\t\tftp\n\t\t\th.245\n\t\t}\n\t}\n}\n",
    "General {\n\tNice -1\n\tFilter From Kernelspace {\n\t\tProtocol Accept {\n\t\t\tTCP\n\t\t\tSCTP\n\t\t}\n\t\t\
     Address Ignore {\n\t\t\tIPv4_address 192.168.0.0/24\n\t\t\tIPv6_address ::1\n\t\t}\n\t\tState Accept {\n\t\t\t\
     ESTABLISHED CLOSED for TCP\n\t\t}\n\t}\n}\n",
    "Helper {\n\tSetup yes\n\tType rpc inet tcp {\n\t\tQueueNum 3\n\t\tQueueLen 10240\n\t\tPolicy rpc {\n\t\t\tExpectMax 1\n\t\t\t\
     ExpectTimeout 300\n\t\t}\n\t}\n\tType tns inet6 tcp {\n\t\tQueueNum 5\n\t}\n}\nStats {\n\tSyslog on\n}\n",
];

/// Files in which a few words or bytes were dropped, doubled, exchanged or replaced.
pub(crate) fn mutations(count: usize) -> Vec<Vec<u8>> {
    let mut dice = Dice(7);
    (0..count).map(|_| mutation(&mut dice)).collect()
}

/// One of the files, with one to three changes.
pub(crate) fn mutation(dice: &mut Dice) -> Vec<u8> {
    let mut text = dice.pick(&FILES).as_bytes().to_vec();
    for _ in 0..=dice.below(3) {
        change(dice, &mut text);
    }
    text
}

fn change(dice: &mut Dice, text: &mut Vec<u8>) {
    const WORDS: [&str; 22] = [
        "{",
        "}",
        "5",
        "on",
        "off",
        "/x",
        "1.2.3.4",
        "fe80::1/64",
        "General",
        "Filter",
        "Mode",
        "TCP",
        "Accept",
        "for",
        "eth0",
        "#",
        "Default",
        "-1",
        "::",
        "\n",
        "local0",
        "HashSize",
    ];
    const BYTES: [u8; 14] = *b"{}#/:.-+ \n\"a0@";
    let at = dice.below(text.len() + 1);
    match dice.below(6) {
        0 => {
            let (start, end) = word_at(text, at);
            text.drain(start..end);
        }
        1 => {
            let (start, end) = word_at(text, at);
            text.splice(start..end, dice.pick(&WORDS).bytes());
        }
        2 => {
            let (start, end) = word_at(text, at);
            let word = text[start..end].to_vec();
            text.splice(start..start, word.into_iter().chain([b' ']));
        }
        3 => {
            text.insert(at, *dice.pick(&BYTES));
        }
        4 if at < text.len() => {
            text.remove(at);
        }
        _ => text.truncate(at),
    }
    if text.is_empty() {
        text.push(b'\n');
    }
}

/// The word around a byte.
fn word_at(text: &[u8], at: usize) -> (usize, usize) {
    let is_blank = |i: &usize| text[*i].is_ascii_whitespace();
    let start = (0..at.min(text.len())).rev().find(is_blank).map_or(0, |i| i + 1);
    let end = (start..text.len()).find(is_blank).unwrap_or(text.len());
    (start, end)
}
