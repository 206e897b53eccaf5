//! Every directive that takes a number, an address or a prefix, with values at, above and far above its
//! limit, negative, empty, with units and with trailing text: either the value counts as written, or the
//! error names line, word, value and range.

use super::corpus::Dice;
use super::load;
use zctd::config;
use zctd::config::report::Severity;

/// Where the directive stands, `@` being the directive with its value.
struct Place {
    word: &'static str,
    text: &'static str,
    range: (i64, i64),
    /// How `--check` prints a value; `None` for a directive without effect.
    printed: Option<&'static str>,
}

const LINK: &str = "IPv4_address 10.0.0.1\nIPv4_Destination_Address 10.0.0.2\nInterface lo\n";
const INT: i64 = i32::MAX as i64;
const U32: i64 = u32::MAX as i64;

const fn place(
    word: &'static str,
    text: &'static str,
    range: (i64, i64),
    printed: Option<&'static str>,
) -> Place {
    Place { word, text, range, printed }
}

const GENERAL: &str = "General {\n@\n}\n";
const FTFW: &str = "Sync {\nMode FTFW {\n@\n}\nUDP {\nLINKPort 3780\n}\n}\n";
const ALARM: &str = "Sync {\nMode ALARM {\n@\n}\nUDP {\nLINKPort 3780\n}\n}\n";
const UDP: &str = "Sync {\nMode FTFW { }\nUDP {\nLINK@\n}\n}\n";
const UDP_AND_PORT: &str = "Sync {\nMode FTFW { }\nUDP {\nLINKPort 3780\n@\n}\n}\n";
const TCP: &str = "Sync {\nMode FTFW { }\nTCP {\nLINKPort 3780\n@\n}\n}\n";
const MULTICAST: &str = "Sync {\nMode FTFW { }\nMulticast {\nIPv4_address 225.0.0.50\nIPv4_interface 10.0.0.1\n\
     Interface lo\n@\n}\n}\n";
const TYPE: &str = "Helper {\nType ftp inet tcp {\n@\n}\n}\n";
const POLICY: &str = "Helper {\nType ftp inet tcp {\nPolicy ftp {\n@\n}\n}\n}\n";

/// A 0 that means something other than itself is below the range, and is tried separately.
const PLACES: &[Place] = &[
    place("HashSize", GENERAL, (1, U32), Some("HashSize")),
    place("HashLimit", GENERAL, (1, U32), Some("HashLimit")),
    place("NetlinkBufferSize", GENERAL, (1, INT), Some("NetlinkBufferSize")),
    place("SocketBufferSize", GENERAL, (1, INT), Some("NetlinkBufferSize")),
    place("NetlinkBufferSizeMaxGrowth", GENERAL, (0, INT), Some("NetlinkBufferSizeMaxGrowth")),
    place("SocketBufferSizeMaxGrowth", GENERAL, (0, INT), Some("NetlinkBufferSizeMaxGrowth")),
    place("SocketBufferSizeMaxGrown", GENERAL, (0, INT), Some("NetlinkBufferSizeMaxGrowth")),
    place("NetlinkOverrunResync", GENERAL, (1, INT), Some("NetlinkOverrunResync")),
    place("EventIterationLimit", GENERAL, (1, U32), Some("EventIterationLimit")),
    place("PollSecs", GENERAL, (1, INT), Some("PollSecs")),
    place("Backlog", "General {\nUNIX {\n@\n}\n}\n", (0, INT), None),
    place("Priority", "General {\nScheduler {\nType rr\n@\n}\n}\n", (0, 99), Some("Priority")),
    place("ResendQueueSize", FTFW, (300, INT), Some("ResendQueueSize")),
    place("ACKWindowSize", FTFW, (2, 131_072), Some("ACKWindowSize")),
    place("CommitTimeout", FTFW, (1, INT), Some("CommitTimeout")),
    place("PurgeTimeout", FTFW, (1, INT), Some("PurgeTimeout")),
    place("RefreshTime", ALARM, (1, INT), Some("RefreshTime")),
    place("CacheTimeout", ALARM, (1, INT), Some("CacheTimeout")),
    place("Port", UDP, (1, 65_535), Some("Port")),
    place("Group", MULTICAST, (1, 65_535), Some("Group")),
    place("SndSocketBuffer", UDP_AND_PORT, (1, INT), Some("SndSocketBuffer")),
    place("RcvSocketBuffer", UDP_AND_PORT, (1, INT), Some("RcvSocketBuffer")),
    place("ErrorQueueLength", TCP, (1, U32), Some("ErrorQueueLength")),
    place("QueueNum", TYPE, (0, 65_535), Some("QueueNum")),
    place("QueueLen", TYPE, (1, INT), Some("QueueLen")),
    place("ExpectMax", POLICY, (0, 255), Some("ExpectMax")),
    place("ExpectTimeout", POLICY, (0, INT), Some("ExpectTimeout")),
];

impl Place {
    fn file(&self, value: &str) -> String {
        let text = self.text.replace("LINK", LINK);
        text.replace('@', &format!("{} {value}", self.word))
    }

    /// The line that the directive is in.
    fn line(&self) -> usize {
        self.file("").lines().position(|l| l.starts_with(&format!("{} ", self.word))).expect("a line") + 1
    }

    /// The file is refused, for a reason that names the line, the word, the value and the range.
    fn refuses(&self, value: &str) {
        let file = self.file(value);
        let loaded = load(file.as_bytes());
        assert!(!loaded.report.can_start(), "{file}");
        let remarks = loaded.report.remarks();
        let worst = remarks.iter().find(|r| r.severity != Severity::Warning).expect("an error");
        let text = loaded.report.lines("f").to_string();
        // If the value is empty, what is found instead is on the next line.
        let at = self.line() + usize::from(value.is_empty());
        assert_eq!(worst.place.expect("a place").line as usize, at, "{file}{text}");
        assert!(worst.text.contains(self.word), "{file}{text}");
        // Of a quoted number, only the quote is found.
        let shown = if value.starts_with('"') { "\"" } else { value };
        assert!(worst.text.contains(shown), "{file}{text}");
        assert!(worst.text.contains("must be ") || worst.text.contains(" to "), "no range: {file}{text}");
    }

    fn takes(&self, value: i64) {
        let file = self.file(&value.to_string());
        let loaded = load(file.as_bytes());
        let Some(config) = &loaded.config else { panic!("{file}{}", loaded.report.lines("f")) };
        let printed = String::from_utf8(config::print(config)).expect("text");
        // The default is not printed for a directive without effect.
        if let Some(word) = self.printed.filter(|w| (*w, value) != ("HashSize", 65_536)) {
            let line = format!("{word} {value}");
            assert!(printed.lines().any(|l| l.trim() == line), "{line}: {printed}");
        }
    }
}

#[test]
fn numbers_count_as_they_are_written_or_are_refused() {
    for p in PLACES {
        let (min, max) = p.range;
        for value in [min, min + 1, max / 2, max - 1, max] {
            p.takes(value.max(min));
        }
        for value in [max + 1, max + 2, max * 2 + 2, max + (1 << 16), max + (1 << 32), i64::MAX] {
            // The window and its queue limit each other.
            p.refuses(&value.to_string());
        }
        for value in
            ["18446744073709551616", "99999999999999999999999999", "-1", "+1", "", "x", "\"5\"", "on5"]
        {
            p.refuses(value);
        }
        for value in ["5s", "5m", "1h", "1e3", "0x10", "5.5", "5,5", "5-6", "5k", "5%", "5_0", "5 000"] {
            if value == "5 000" {
                // It is two words, and the second cannot begin anything.
                assert!(load(p.file(value).as_bytes()).report.is_refused(), "{}", p.file(value));
            } else {
                p.refuses(value);
            }
        }
    }
}

/// A 0 is the number, an error, or the default, and in the last case that is said.
#[test]
fn zero_is_never_taken_for_something_else_in_silence() {
    for p in PLACES.iter().filter(|p| p.range.0 > 0) {
        let loaded = load(p.file("0").as_bytes());
        let said: Vec<_> = loaded.report.remarks().iter().filter(|r| r.text.contains(p.word)).collect();
        let names = |r: &&&config::report::Remark| r.text.contains(" 0 ") || r.text.contains("`0'");
        let alias = p.printed.unwrap_or(p.word);
        let all = loaded.report.remarks();
        assert!(
            said.iter().any(|r| names(&r)) || all.iter().any(|r| r.text.starts_with(&format!("{alias} 0 "))),
            "{}: {}",
            p.word,
            loaded.report.lines("f")
        );
    }
}

/// With random values of all kinds, a directive is refused or means exactly what was written.
#[test]
fn random_numbers_never_become_others() {
    let mut dice = Dice(9);
    for _ in 0..4000 {
        let p = dice.pick(PLACES);
        let near = *dice.pick(&[p.range.0, p.range.1, 1 << 8, 1 << 16, 1 << 31, 1 << 32, 1 << 40]);
        let value = near.saturating_add(dice.below(7) as i64 - 3);
        match dice.below(3) {
            0 => {
                let tail = *dice.pick(&["s", "x", "k", ".", ":", "-1", "/8", "e3", "_", "\u{e4}", "Hash"]);
                let file = p.file(&format!("{}{tail}", value.unsigned_abs()));
                assert!(load(file.as_bytes()).report.is_refused(), "{file}");
            }
            _ if (p.range.0..=p.range.1).contains(&value) => p.takes(value),
            _ if value > 0 && value < p.range.0 => {}
            _ if value == 0 => {}
            _ => p.refuses(&value.to_string()),
        }
    }
}

#[test]
fn nice_has_a_sign_and_limits() {
    let said = |value: &str| {
        let loaded = load(format!("General {{\nNice {value}\n}}\n").as_bytes());
        loaded.report.lines("f").to_string().lines().next().expect("a remark").to_owned()
    };
    for value in ["-20", "+19", "-0"] {
        let text = "f:2:1: warning: Nice is deprecated and has no effect: use nice(1) or renice(1)";
        assert_eq!(said(value), text, "{value}");
    }
    for value in ["-21", "+20", "-99999999999", "-5x", "+5m"] {
        assert_eq!(said(value), format!("f:2:6: error: Nice is a number from -20 to 19, not `{value}'"));
    }
    for value in ["5", "x"] {
        let text =
            format!("f:2:6: error: expected a number with a sign from -20 to 19 after Nice, found `{value}'");
        assert_eq!(said(value), text);
    }
}

/// An invalid address or prefix is never left out.
#[test]
fn addresses_and_prefixes_count_as_they_are_written_or_are_refused() {
    let link =
        |line: &str| format!("Sync {{\nMode FTFW {{ }}\nUDP {{\nPort 3780\nInterface lo\n{line}\n}}\n}}\n");
    let filter = |line: &str| format!("General {{\nFilter {{\nAddress Ignore {{\n{line}\n}}\n}}\n}}\n");
    let mut dice = Dice(11);
    let bad_v4 = [
        "10.1",
        "10.1.0",
        "10.1.2.300",
        "010.1.0.5",
        "1.2.3.4x",
        "1.2.3.4.5",
        "::1",
        "fe0",
        "5",
        "x",
        "-1.2.3.4",
        "",
    ];
    let bad_v6 = ["1.2.3.4", "1::2::3", "12345::1", "1:2:3", ":::", "fe80::1%lo", "::g", "x", ""];
    for (word, bad) in [
        ("IPv4_address", &bad_v4[..]),
        ("IPv4_Destination_Address", &bad_v4),
        ("IPv6_address", &bad_v6),
        ("IPv6_Destination_Address", &bad_v6),
    ] {
        for value in bad.iter().chain(["1.2.3.4/8", "::1/64"].iter()) {
            let file = link(&format!("{word} {value}"));
            let loaded = load(file.as_bytes());
            assert!(loaded.report.is_refused(), "{file}{}", loaded.report.lines("f"));
        }
    }
    for (word, bad) in [("IPv4_address", &bad_v4[..]), ("IPv6_address", &bad_v6)] {
        for value in bad {
            let file = filter(&format!("{word} {value}"));
            assert!(load(file.as_bytes()).report.is_refused(), "{file}");
        }
        let (addr, max) = if word == "IPv4_address" { ("10.1.2.3", 32u64) } else { ("fd00::1", 128) };
        for prefix in [0, 1, max - 1, max, max + 1, 255, 256, 1 << 16, 1 << 32] {
            let file = filter(&format!("{word} {addr}/{prefix}"));
            let loaded = load(file.as_bytes());
            if prefix <= max {
                let printed = config::print(loaded.config.as_ref().expect(&file));
                let line = if prefix == max {
                    format!("{word} {addr}\n")
                } else {
                    format!("{word} {addr}/{prefix}\n")
                };
                assert!(String::from_utf8_lossy(&printed).contains(&line), "{file}");
            } else {
                let text = loaded.report.lines("f").to_string();
                let names =
                    text.contains(&format!("{addr}/{prefix}")) && text.contains(&format!("0 to {max}"));
                assert!(loaded.report.is_refused() && names, "{file}{text}");
            }
        }
        for tail in ["/", "/x", "/-1", "/ 8", "/24x", "/255.0.0.0"] {
            let file = filter(&format!("{word} {addr}{tail}"));
            assert!(load(file.as_bytes()).report.is_refused(), "{file}");
        }
    }
    // Four random numbers are an address if each fits a byte.
    for _ in 0..1000 {
        let parts: [usize; 4] = std::array::from_fn(|_| *dice.pick(&[0, 1, 10, 255, 256, 300, 1000]));
        let text = parts.map(|p| p.to_string()).join(".");
        let loaded = load(filter(&format!("IPv4_address {text}")).as_bytes());
        assert_eq!(loaded.report.is_refused(), parts.iter().any(|p| *p > 255), "{text}");
    }
}
