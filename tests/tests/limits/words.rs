//! Words that stand for numbers: names of protocols and labels.

use super::number::{Base, Verdict, one};

/// The file of label names for the programs under test.
pub(crate) const LABELS: &str = "1 web\n17 mail\n127 last\n";

/// The protocols that have ports.
pub(crate) const WITH_PORTS: &[&str] = &["tcp", "udp", "udplite", "sctp", "dccp"];

/// The number of a protocol that has options.
pub(crate) fn protocol_number(name: &str) -> u8 {
    match name {
        "tcp" => 6,
        "udp" => 17,
        "udplite" => 136,
        "sctp" => 132,
        "dccp" => 33,
        "gre" => 47,
        "icmp" => 1,
        "icmpv6" => 58,
        other => panic!("{other}"),
    }
}

/// A protocol: one of the eight names, a name from the machine's list, or a number.
pub(crate) fn protocol(text: &str) -> Verdict<u128> {
    let lower = text.to_ascii_lowercase();
    if WITH_PORTS.iter().chain(&["gre", "icmp", "icmpv6"]).any(|n| *n == lower) {
        return Verdict::Right(protocol_number(&lower).into());
    }
    let list = std::fs::read_to_string("/etc/protocols").unwrap_or_default();
    for line in list.lines() {
        let words: Vec<&str> = line.split('#').next().unwrap_or_default().split_ascii_whitespace().collect();
        if let [name, number, aliases @ ..] = &words[..] {
            if *name == text || aliases.contains(&text) {
                return Verdict::Right(number.parse().expect("a number"));
            }
        }
    }
    match one(text, Base::Any) {
        Verdict::Right(n) | Verdict::Perhaps(n) if n > 255 => Verdict::Wrong,
        v => v,
    }
}

/// Names from [`LABELS`], and `bit-N`.
pub(crate) fn label(text: &str) -> Verdict<Vec<u8>> {
    let mut bits = Vec::new();
    let mut unsure = false;
    for word in text.split(',') {
        match word {
            "web" => bits.push(1),
            "mail" => bits.push(17),
            "last" => bits.push(127),
            _ => {
                // A number without a name may be refused as a label.
                unsure = true;
                let number = word.strip_prefix("bit-").unwrap_or(word);
                match one(number, Base::Ten) {
                    Verdict::Right(n) if n < 128 => bits.push(n as u8),
                    _ => return Verdict::Wrong,
                }
            }
        }
    }
    if unsure { Verdict::Perhaps(bits) } else { Verdict::Right(bits) }
}
