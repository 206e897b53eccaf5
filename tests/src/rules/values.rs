//! Rules about the values of options: which numbers and addresses are refused, and what is read in one.

use super::{any_base, warnings};
use crate::differences::Expected;
use crate::options::{Line, Word};

/// Ends the command at the first word in which zct finds a mistake: a word that the original has read or, if
/// `its_own`, the one that the original itself objected to. Warnings about earlier words stay.
fn ended_by(e: &mut Expected<'_>, code: i32, its_own: bool, judge: impl Fn(&Word) -> Option<String>) -> bool {
    let read = e.words_read() + usize::from(its_own);
    let found = e.line.words.iter().take(read).enumerate().find_map(|(i, w)| Some((i, judge(w)?)));
    let Some((at, text)) = found else { return false };
    e.read = Some(at);
    let before = Line { words: e.line.words[..at].to_vec() };
    let warnings = warnings(&e.asked(&before.with(&["--no-such-option"])));
    e.fails(&text, code);
    e.output.stderr = (warnings + &e.output.err()).into();
    true
}

/// A text that is a whole number as C reads it, in decimal or any base, and not negative.
fn whole(text: &str, decimal: bool) -> Option<u64> {
    let text = text.trim_start();
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let is_digit = |c: char| if decimal { c.is_ascii_digit() } else { c.is_ascii_hexdigit() || c == 'x' };
    let value = if digits.is_empty() || !digits.chars().all(is_digit) {
        None
    } else if decimal {
        digits.parse().ok()
    } else {
        any_base(digits)
    };
    value.filter(|v| !negative || *v == 0)
}

/// The message about a value that is not between 0 and `max`.
fn unexpected(value: &str, option: &str, max: u64, decimal: bool) -> Option<String> {
    let fits = whole(value, decimal).is_some_and(|v| v <= max);
    (!fits).then(|| format!("unexpected value '{value}' with {option} option: a number from 0 to {max}"))
}

/// The first bad number ends the command.
pub fn numbers(e: &mut Expected<'_>) -> bool {
    const MAX: u64 = 0xffff_ffff;
    ended_by(e, 1, false, |w| {
        let value = w.value.as_deref()?;
        match w.name() {
            "zone" => unexpected(value, "-w", 0xffff, false),
            "orig-zone" => unexpected(value, "--orig-zone", 0xffff, false),
            "reply-zone" => unexpected(value, "--reply-zone", 0xffff, false),
            "id" => unexpected(value, "-i", MAX, false),
            "secmark" => unexpected(value, "-c", MAX, false),
            "mark" => bad_mark(value, value.split('/').next().unwrap_or(value)),
            _ => None,
        }
    })
}

fn bad_mark(value: &str, part: &str) -> Option<String> {
    let fits = whole(part, false).is_some_and(|v| v <= 0xffff_ffff);
    let wanted = "MARK or MARK/MASK, each a number from 0 to 4294967295";
    (!fits).then(|| format!("unexpected value '{value}' with -m option: {wanted}"))
}

/// The first bad mask ends the command too.
pub fn masks_of_marks(e: &mut Expected<'_>) -> bool {
    ended_by(e, 1, false, |w| {
        let value = w.value.as_deref().filter(|_| w.name() == "mark")?;
        let (_, mask) = value.split_once('/')?;
        bad_mark(value, mask)
    })
}

/// Whether this is a list or a range.
pub(super) fn is_list(value: &str) -> bool {
    value.contains([',', ':', '-'])
}

/// The ranges in a list of ports, if all its items are numbers or ranges.
pub(super) fn ranges(list: &str, decimal: bool) -> Option<Vec<(u64, u64)>> {
    let port = |text: &str| whole(text, decimal).filter(|p| *p <= 0xffff && !text.contains('-'));
    let range = |text: &str| {
        let (first, last) = text.split_once(['-', ':']).unwrap_or((text, text));
        Some((port(first)?, port(last)?)).filter(|(first, last)| first <= last)
    };
    list.split(',').map(range).collect()
}

/// The first of the other numbers ends the command too: those that the original takes for 0, for their first
/// digits, or for their lowest bits.
pub fn other_numbers(e: &mut Expected<'_>) -> bool {
    let err = e.ours.err();
    // How long a timeout may be depends on the kernel.
    let longest = err.rsplit_once("at most ").map_or("", |(_, rest)| rest.trim_end()).to_owned();
    assert!(["", "21474836", "8589934", "7158278", "2147483"].contains(&longest.as_str()), "{err}");
    ended_by(e, 1, false, |w| {
        let (name, value) = (w.name(), w.value.as_deref()?);
        let option = format!("--{name}");
        let list = |decimal| {
            let bad = is_list(value) && ranges(value, decimal).is_none();
            let wanted =
                "numbers from 0 to 65535 or ranges FIRST-LAST, separated by commas, FIRST not above LAST";
            if bad {
                return Some(format!("unexpected value '{value}' with {option} option: {wanted}"));
            }
            unexpected(value, &option, 0xffff, decimal).filter(|_| !is_list(value))
        };
        match name {
            "sport" | "dport" | "reply-port-src" | "reply-port-dst" => list(true),
            "srckey" | "dstkey" | "reply-key-src" | "reply-key-dst" => list(false),
            "mask-port-src" | "mask-port-dst" | "tuple-port-src" | "tuple-port-dst" | "icmp-id"
            | "icmpv6-id" => unexpected(value, &option, 0xffff, true),
            "mask-key-src" | "mask-key-dst" | "tuple-key-src" | "tuple-key-dst" => {
                unexpected(value, &option, 0xffff, false)
            }
            "icmp-type" | "icmp-code" | "icmpv6-type" | "icmpv6-code" => {
                unexpected(value, &option, 0xff, true)
            }
            "orig-vtag" | "reply-vtag" => unexpected(value, &option, 0xffff_ffff, true),
            "buffer-size" => {
                let text = unexpected(value, "-b", 0x3fff_ffff, true);
                text.map(|t| t.replace("a number from", "a number of bytes from"))
            }
            "timeout" => {
                let start = format!("unexpected value '{value}' with -t option: ");
                let wanted = format!("seconds, or with units as 90s, 5m, 1h30m, 2d, at most {longest}");
                let has_units =
                    value.ends_with(['s', 'm', 'h', 'd']) && value.starts_with(|c: char| c.is_ascii_digit());
                let fits = whole(value, true).is_some_and(|v| v <= longest.parse().unwrap_or(0xffff_ffff));
                (!fits && !has_units).then(|| start + &wanted)
            }
            _ => None,
        }
    })
}

/// The options that take addresses.
const ADDRESSES: [&str; 11] = [
    "src",
    "dst",
    "reply-src",
    "reply-dst",
    "tuple-src",
    "tuple-dst",
    "mask-src",
    "mask-dst",
    "src-nat",
    "dst-nat",
    "any-nat",
];

/// An invalid prefix length, and the length in the message.
pub fn netmasks(e: &mut Expected<'_>) -> bool {
    let its_own = e.output.err().contains("Invalid netmask\n");
    ended_by(e, 2, its_own, |w| {
        let value =
            w.value.as_deref().filter(|_| ["src", "dst", "tuple-src", "tuple-dst"].contains(&w.name()))?;
        value.split(',').find_map(|network| {
            let (host, len) = network.split_once('/')?;
            let max = if host.contains(':') { 128 } else { 32 };
            let fits = whole(len, true).is_some_and(|l| l <= max);
            (!fits).then(|| format!("Invalid netmask `{len}': a prefix length from 0 to {max}"))
        })
    })
}

/// Text that follows an address.
pub fn text_behind_an_address(e: &mut Expected<'_>) -> bool {
    ended_by(e, 2, false, |w| {
        let value = w.value.as_deref().filter(|_| ADDRESSES.contains(&w.name()))?;
        let host = value.split('/').next().unwrap_or(value);
        let more = host.trim_end().contains([' ', '\t', '\n']) || host.len() > 45;
        more.then(|| format!("Invalid IP address `{value}'"))
    })
}

/// The meaning that `inet_aton` gives to an address not written in the usual way.
fn stands_for(host: &str) -> Option<std::net::Ipv4Addr> {
    let host = host.trim_end();
    if host.parse::<std::net::IpAddr>().is_ok() {
        return None;
    }
    let mut parts: Vec<u32> =
        host.split('.').map(|p| any_base(p).and_then(|v| v.try_into().ok())).collect::<Option<_>>()?;
    let last = parts.pop()?;
    let front = parts.iter().enumerate().map(|(i, p)| p << (24 - 8 * i)).sum::<u32>();
    Some((front + last).into())
}

/// A warning for each address written that way, at its place among the original's own warnings.
pub fn unusual_addresses(e: &mut Expected<'_>) -> bool {
    let err = e.output.err();
    let (warnings, rest): (Vec<&str>, Vec<&str>) =
        err.lines().partition(|l| l.starts_with("WARNING: ignoring"));
    let mut warnings = warnings.into_iter();
    let mut lines: Vec<String> = Vec::new();
    let mut changed = false;
    let read = e.words_read();
    for word in &e.line.words[..read] {
        let (name, value) = (word.name(), word.value.as_deref().unwrap_or(""));
        if name == "nat-range" {
            lines.extend(warnings.next().map(str::to_owned));
        } else if name == "status" {
            let begins = |w: &str, name: &str| !w.is_empty() && name.starts_with(&w.to_ascii_uppercase());
            let nat = |w: &str| {
                begins(w.trim_start_matches('!'), "SRC_NAT") || begins(w.trim_start_matches('!'), "DST_NAT")
            };
            let count = value.split(',').filter(|w| nat(w)).count();
            lines.extend(warnings.by_ref().take(count).map(str::to_owned));
        } else if ADDRESSES.contains(&name) {
            for piece in value.split(',') {
                let host = piece.split('/').next().unwrap_or(piece);
                // A single colon separates the port.
                let port = name.ends_with("-nat") && host.matches(':').count() == 1;
                let host = host.split(':').next().filter(|_| port).unwrap_or(host);
                if let Some(usual) = stands_for(host) {
                    lines.push(format!("WARNING: `{host}' with --{name} is read as {usual}"));
                    changed = true;
                }
            }
        }
    }
    lines.extend(warnings.chain(rest).map(str::to_owned));
    if changed {
        e.output.stderr = lines.iter().fold(String::new(), |all, l| all + l + "\n").into();
    }
    changed
}
