//! Rules about command lines: what words mean, and which mistake is named.

use super::{LATER, PREFIX, SCTP, TRY, ends_reading, warnings};
use crate::differences::Expected;
use crate::options::{Line, OPTIONS, Opt, Word, protocol_options};
use crate::program::Exit;

/// What the original's parser takes for an unknown word is options to ours: `-Lz` is `-L -z`.
pub fn clusters(e: &mut Expected<'_>) -> bool {
    // The place where the first command letter ends, if more follows and only -z stands before it.
    let cut = |word: &str| {
        let letters = word.strip_prefix('-').filter(|l| !l.starts_with('-'))?;
        let at = letters.find(|c| c != 'z')?;
        let more = letters.len() > at + 1 && "LIUDGEFA".contains(letters.as_bytes()[at] as char);
        more.then_some(at + 2)
    };
    let found = e.line.words.iter().enumerate().find_map(|(i, w)| Some((i, cut(&w.text[0])?)));
    let Some((at, cut)) = found.filter(|(i, _)| e.line.words[*i].opt.is_none()) else { return false };
    let word = e.line.words[at].text[0].clone();
    let args: Vec<String> = e.line.words.iter().enumerate().fold(Vec::new(), |mut args, (i, w)| {
        if i == at {
            args.extend([word[..cut].to_owned(), format!("-{}", &word[cut..])]);
        } else {
            args.extend(w.text.iter().cloned());
        }
        args
    });
    // Messages repeat the word as it was typed.
    let part = format!("-{}", &word[cut..]);
    if !e.line.words.iter().any(|w| w.text[0] == part) {
        e.renamed = Some((format!("option `{part}'"), format!("option `{word}'")));
    }
    e.retry(Line::parse(&args))
}

/// The same values as separate words.
pub fn attached(e: &mut Expected<'_>) -> bool {
    let takes = |name| ["src-nat", "dst-nat", "any-nat", "label-del"].contains(&name);
    let mut line = e.line.clone();
    let mut changed = false;
    let table = |w: &Word| w.is_command() && !["stats", "help", "version"].contains(&w.name());
    for word in line.words.iter_mut().filter(|w| w.attached && (takes(w.name()) || table(w))) {
        let value = word.value.clone().unwrap_or_default();
        word.text = vec![format!("--{}", word.name()), value];
        word.attached = false;
        changed = true;
    }
    // `-Cexpect`: the only letter that still takes the value attached to it.
    for word in &mut line.words {
        if let Some(table) = word.text[0].strip_prefix("-C").filter(|t| !t.is_empty()) {
            word.text = vec!["-C".into(), table.into()];
            changed = true;
        }
    }
    changed && e.retry(line)
}

/// `--id N` as `--id=N`.
pub fn long_id(e: &mut Expected<'_>) -> bool {
    let mut line = e.line.clone();
    let mut changed = false;
    for word in line.words.iter_mut().filter(|w| w.name() == "id" && w.text[0].starts_with("--")) {
        match word.text.get(1) {
            Some(value) => {
                word.text = vec![format!("--id={value}")];
                changed = true;
            }
            None if !word.attached => {
                let text = format!("option `{}' requires an argument", word.text[0]);
                return e.fails(&text, 2);
            }
            None => {}
        }
    }
    changed && e.retry(line)
}

/// Abbreviations of `SRC_NAT` and `DST_NAT` mean what else they abbreviate, if there is anything.
pub fn beginnings(e: &mut Expected<'_>) -> bool {
    let is_nat = |word: &str| {
        let word = word.to_ascii_uppercase();
        !word.is_empty() && ["SRC_NAT", "DST_NAT"].iter().any(|n| n.starts_with(&word))
    };
    let mut line = e.line.clone();
    let mut changed = false;
    for word in &mut line.words {
        let Some(whole) = word.value.clone().filter(|_| ["output", "event-mask"].contains(&word.name()))
        else {
            continue;
        };
        let mut from = 0;
        for part in whole.split(',') {
            if is_nat(part) {
                changed = true;
                let is_save = word.name() == "output" && part.eq_ignore_ascii_case("s");
                if !is_save {
                    return e.fails(&format!("Bad parameter `{}'", &whole[from..]), 2);
                }
            }
            from += part.len() + 1;
        }
        let parts: Vec<&str> = whole.split(',').map(|p| if is_nat(p) { "save" } else { p }).collect();
        let value = parts.join(",");
        word.text = vec!["-o".into(), value.clone()];
        word.value = Some(value);
    }
    changed && e.retry(line)
}

/// Puts `-u` before `-m`.
pub fn mark_then_status(e: &mut Expected<'_>) -> bool {
    let at = |name| e.line.words.iter().position(|w| w.name() == name);
    let (Some(mark), Some(status)) = (at("mark"), at("status")) else { return false };
    if status < mark || e.output.exit == Exit::Code(2) {
        return false;
    }
    let (first, rest): (Vec<_>, Vec<_>) = e.line.words.iter().cloned().partition(|w| w.name() == "status");
    e.retry(Line { words: [first, rest].concat() })
}

/// The given file is the one that the original reads anyway.
pub fn labelmap(e: &mut Expected<'_>) -> bool {
    let Some(word) = e.line.all("labelmap").next() else { return false };
    if word.value.is_none() {
        let text = format!("option `{}' requires an argument", word.text[0]);
        return e.fails(&text, 2);
    }
    e.retry(e.line.without(&["labelmap"]))
}

/// The mistake found while reading options counts, not the unknown label.
pub fn labels_late(e: &mut Expected<'_>) -> bool {
    if !e.output.err().contains("unknown label '") {
        return false;
    }
    // The name has to exist: without the option, a stray word might get another meaning.
    let mut line = e.line.clone();
    let labels = |w: &&mut Word| ["label", "label-add", "label-del"].contains(&w.name()) && w.value.is_some();
    for word in line.words.iter_mut().filter(labels) {
        word.text = vec![format!("--{}", word.name()), "one".to_owned()];
    }
    let rest = e.asked(&line);
    let early = ends_reading(&rest) && !LATER.iter().any(|l| rest.err().contains(l));
    // Without a name it means all labels, and names before it are not looked up.
    let all = e.line.all("label-del").next_back().is_some_and(|w| w.value.is_none());
    let looked_up = e.line.has("label") || e.line.has("label-add") || !all;
    if early || !looked_up {
        (e.output, e.line) = (rest, line);
        return true;
    }
    // By then all words have been read and warned about. Of two unknown names either may be named: they are
    // not looked up in the order of the words.
    let label = e.output.err();
    let mut message = label[label.find(PREFIX).unwrap_or(0)..].to_owned();
    let unknown =
        |w: &&Word| w.value.as_ref().is_some_and(|v| e.ours.err().contains(&format!("unknown label '{v}'")));
    let kinds = ["label", "label-add", "label-del"];
    if let Some(other) = e.line.words.iter().filter(|w| kinds.contains(&w.name())).find(unknown) {
        let name = other.value.as_deref().unwrap_or("");
        message = format!("{PREFIX}unknown label '{name}'\n{TRY}");
    }
    e.output.stderr = (warnings(&rest) + &message).into();
    true
}

/// No flow can fit an option of the first protocol and be of the second.
pub fn second_protocol(e: &mut Expected<'_>) -> bool {
    let names_another = e.output.err().contains("Illegal option `--");
    let lists_nothing = e.ours.exit == Exit::Code(0) && e.ours.stdout.is_empty();
    let differs = e.line.has_two_protocols() && names_another && lists_nothing;
    if differs {
        e.output = e.ours.clone();
    }
    differs
}

/// The error message that the original intends.
pub fn sctp_state(e: &mut Expected<'_>) -> bool {
    const MORE: [&str; 2] = ["HEARTBEAT_SENT", "HEARTBEAT_ACKED"];
    let sctp = e.line.value("protonum").is_some_and(|p| p.eq_ignore_ascii_case("sctp") || p == "132");
    let known = |s: &str| SCTP.contains(&s) || MORE.contains(&s);
    let unknown = e.line.value("state").filter(|s| sctp && !known(s)).map(str::to_owned);
    let there_are = [&SCTP[..], &MORE[..]].concat().join(", ");
    unknown.is_some_and(|name| e.fails(&format!("unknown SCTP state `{name}'; there are {there_are}"), 2))
}

/// The names of the states follow the message.
pub fn state_names(e: &mut Expected<'_>) -> bool {
    let err = e.output.err();
    let Some(line) =
        err.lines().find(|l| l.contains("nknown TCP state `") || l.contains("nknown DCCP state `"))
    else {
        return false;
    };
    let ours = e.ours.err();
    let more = ours.lines().find_map(|l| l.strip_prefix(line)).unwrap_or("");
    let all = ["NONE", "ESTABLISHED", "TIME_WAIT", "LISTEN"].iter().all(|name| more.contains(name));
    let wanted =
        more.starts_with("; there are ") && (all || line.contains("DCCP") && more.contains("PARTOPEN"));
    if wanted {
        e.output.stderr = err.replace(line, &format!("{line}{more}")).into();
    }
    wanted
}

/// Where the option of a protocol that comes before every `-p` starts, and where its value ends.
fn late_option(line: &Line) -> Option<(usize, usize)> {
    const PROTOCOLS: [&str; 8] = ["tcp", "udp", "udplite", "sctp", "dccp", "gre", "icmp", "icmpv6"];
    let is_late = |word: &str| {
        let name = word.strip_prefix("--").and_then(|w| w.split('=').next()).filter(|n| !n.is_empty());
        let begins = |o: &Opt| o.names.iter().any(|n| name.is_some_and(|name| n.starts_with(name)));
        PROTOCOLS.iter().any(|p| protocol_options(p).iter().any(|o| begins(o))) && !OPTIONS.iter().any(begins)
    };
    let mut at = 0;
    for word in &line.words {
        if word.name() == "protonum" {
            return None;
        }
        if is_late(&word.text[0]) {
            return Some((at, if word.text[0].contains('=') { at + 1 } else { at + 2 }));
        }
        at += word.text.len();
    }
    None
}

/// The same line with the option after `-p`. Where both refuse the line, it may be for different mistakes,
/// since zct reads on; without a `-p`, zct says more.
pub fn late_protocol(e: &mut Expected<'_>) -> bool {
    let before = e.output.clone();
    let (theirs, ours) = (before.err(), e.ours.err());
    let unknown = theirs.lines().find(|l| l.contains("unknown option `")).unwrap_or(PREFIX);
    let more = ours.lines().find_map(|l| l.strip_prefix(unknown)).unwrap_or("");
    let says_more = more.starts_with("; it needs -p with one of: ");
    let Some((mut at, mut end)) = late_option(&e.line) else {
        if says_more {
            e.output.stderr = theirs.replace(unknown, &format!("{unknown}{more}")).into();
            e.read = e.line.words.iter().position(|w| unknown.ends_with(&format!("`{}'", w.text[0])));
        }
        return says_more;
    };
    let refused = |code| code != Exit::Code(0);
    if refused(before.exit) && refused(e.ours.exit) {
        if theirs != ours && theirs.contains("unknown ") {
            e.output = e.ours.clone();
            (e.line, e.read) = (Line { words: Vec::new() }, Some(0));
        }
        return e.output != before;
    }
    loop {
        let args = e.line.args();
        if end > args.len() {
            break;
        }
        let rest = Line::parse(&[&args[..at], &args[end..]].concat());
        let Some(place) = rest.words.iter().rposition(|w| w.name() == "protonum") else { break };
        let mut words = rest.words.clone();
        words.splice(place + 1..place + 1, Line::parse(&args[at..end]).words);
        e.line = Line { words };
        match late_option(&e.line) {
            Some(next) => (at, end) = next,
            None => break,
        }
    }
    e.retry(e.line.clone())
}

/// Names the selector that is empty, and says what to use instead.
pub fn empty_status(e: &mut Expected<'_>) -> bool {
    let err = e.output.err();
    let named = ["SRC_NAT", "DST_NAT"].map(|n| err.contains(&format!("WARNING: ignoring {n}")).then_some(n));
    let named: Vec<&str> = named.into_iter().flatten().collect();
    let plain = "Operation failed: invalid parameters\n";
    if named.is_empty() || !e.line.has("dump") || !err.ends_with(plain) {
        return false;
    }
    let options: Vec<String> =
        named.iter().map(|n| format!("--{}", n.to_lowercase().replace('_', "-"))).collect();
    let why = format!(" (`--status {}' selects nothing: use {})\n", named.join(","), options.join(" "));
    e.output.stderr = err.replace(plain, &(plain.trim_end().to_owned() + &why)).into();
    true
}

/// One more warning, after those of the original.
pub fn stray(e: &mut Expected<'_>) -> bool {
    let changes = ["delete", "update", "flush", "create", "add"].iter().any(|c| e.line.has(c));
    let mut ended = false;
    let mut stray = Vec::new();
    for word in &e.line.words {
        let text = word.text[0].as_str();
        if ended || word.opt.is_none() && (!text.starts_with('-') || text == "-") {
            stray.extend(word.text.iter().map(|t| format!("`{t}'")));
        }
        ended |= text == "--";
    }
    let ours = e.ours.err();
    let warning = ours.lines().find(|l| l.starts_with("WARNING: ignoring the stray word"));
    let Some(warning) = warning.filter(|w| !changes && !stray.is_empty() && w.contains(&stray.join(", ")))
    else {
        return false;
    };
    let before = warnings(&e.output);
    let err = e.output.err();
    e.output.stderr = format!("{before}{warning}\n{}", &err[before.len()..]).into();
    true
}

/// One more line, after the count.
pub fn bare_deletion(e: &mut Expected<'_>) -> bool {
    const NARROWS_NOTHING: [&str; 6] = ["delete", "output", "timeout", "nat-range", "labelmap", "dry-run"];
    let flows = e.line.has("delete") && e.line.value("delete").is_none_or(|t| "conntrack".starts_with(t));
    let bare = flows && e.line.words.iter().all(|w| NARROWS_NOTHING.contains(&w.name()));
    if !bare || !e.output.err().contains("have been deleted") {
        return false;
    }
    let text = "no selection was given: all flows were deleted (-F does this at once; zct -D asks for --all)";
    e.output.stderr = format!("{}{PREFIX}{text}\n", e.output.err()).into();
    true
}

/// A warning for each single-valued option given several times, once all words have been read.
pub fn given_twice(e: &mut Expected<'_>) -> bool {
    let all = e.words_read() == e.line.words.len();
    let early = ends_reading(&e.output) && !LATER.iter().any(|l| e.output.err().contains(l));
    let label = e.output.err().contains("unknown label '");
    // The messages of a listener are not waited for.
    let listens = e.output.stdout == b"listens";
    if !all || early && !label || e.read.is_some() || listens {
        return false;
    }
    let many = [
        "status",
        "event-mask",
        "output",
        "label",
        "label-add",
        "label-del",
        "nat-range",
        "family",
        "labelmap",
    ];
    let mut given: Vec<(&str, Vec<&str>)> = Vec::new();
    let mut again: Vec<&str> = Vec::new();
    for word in e.line.words.iter().filter(|w| !w.is_command() && !many.contains(&w.name())) {
        let (Some(value), name) = (word.value.as_deref(), word.name()) else { continue };
        match given.iter_mut().find(|(n, _)| *n == name) {
            None => given.push((name, vec![value])),
            Some((_, values)) => {
                values.push(value);
                if values.len() == 2 {
                    again.push(name);
                }
            }
        }
    }
    let mut lines = String::new();
    for name in &again {
        let values = &given.iter().find(|(n, _)| n == name).expect("it was given").1;
        let times = if values.len() == 2 { "twice".to_owned() } else { format!("{} times", values.len()) };
        let last = values[values.len() - 1];
        let opt = e.line.all(name).next().and_then(|w| w.opt).expect("an option");
        let option = opt.short.map_or(format!("--{name}"), |c| format!("-{c}"));
        lines += &format!("WARNING: {option} given {times}: using {last}{}\n", kept(&e.line, name, values));
    }
    let err = e.output.err();
    let at: usize = err.split_inclusive('\n').take_while(|l| l.starts_with("WARNING")).map(str::len).sum();
    e.output.stderr = format!("{}{lines}{}", &err[..at], &err[at..]).into();
    !again.is_empty()
}

/// The mask or port that comes from a word other than the last.
fn kept(line: &Line, name: &str, values: &[&str]) -> String {
    let last = values[values.len() - 1];
    if name.ends_with("-nat") {
        let port = |v: &str| match v.split_once("]:") {
            Some((_, port)) => Some(port.to_owned()),
            None if v.matches(':').count() == 1 => v.split_once(':').map(|(_, port)| port.to_owned()),
            None => None,
        };
        let before = values.iter().rev().find_map(|v| port(v)).filter(|_| port(last).is_none());
        return before.map_or(String::new(), |p| format!(" with the port {p}"));
    }
    let mask_option = match name {
        "src" | "tuple-src" => "mask-src",
        "dst" | "tuple-dst" => "mask-dst",
        _ => return String::new(),
    };
    let whole = last.split_once('/').is_none_or(|(host, len)| {
        let len: Option<u32> = len.parse().ok();
        len == Some(if host.contains(':') { 128 } else { 32 })
    });
    if last.contains(',') || !whole {
        return String::new();
    }
    let mask = line.words.iter().rev().find_map(|w| {
        let value = w.value.as_deref()?;
        if w.name() == mask_option {
            return value.parse::<std::net::IpAddr>().ok();
        }
        let (host, len) = value.split_once('/').filter(|_| w.name() == name && !value.contains(','))?;
        let len: u32 = len.parse().ok()?;
        if host.contains(':') {
            (len < 128).then(|| u128::MAX.checked_shl(128 - len).unwrap_or(0).to_be_bytes().into())
        } else {
            (len < 32).then(|| u32::MAX.checked_shl(32 - len).unwrap_or(0).to_be_bytes().into())
        }
    });
    mask.map_or(String::new(), |m| format!(" with the mask {m}"))
}

/// What `-L` says about a mask without an address.
pub fn lone_mask(e: &mut Expected<'_>) -> bool {
    let other = e.line.has("event") || matches!(e.line.value("dump"), Some("dying" | "unconfirmed"));
    let lone = [("mask-src", "src"), ("mask-dst", "dst")]
        .into_iter()
        .find(|(mask, address)| e.line.has(mask) && !e.line.has(address));
    match lone {
        Some((mask, address)) if other && e.output.exit == Exit::Code(0) => {
            e.fails(&format!("Can't use --{mask} without --{address}"), 2)
        }
        _ => false,
    }
}

/// The same message as for every other option.
pub fn lone_reply_zone(e: &mut Expected<'_>) -> bool {
    let command = e.line.words.iter().any(|w| w.is_command());
    let lone = !command && e.line.has("reply-zone") && e.output.exit == Exit::Code(0);
    lone && e.fails("Illegal option `--reply-zone' with this command", 2)
}

/// Any text that looks like help.
pub fn help(e: &mut Expected<'_>) -> bool {
    let command = e.line.words.iter().any(|w| w.is_command());
    let wanted = (e.line.has("help") || !command) && e.output.exit == Exit::Code(0);
    if wanted && e.ours.out().contains("Usage: conntrack COMMAND") {
        e.output.stdout = e.ours.stdout.clone();
    }
    wanted
}

/// The whole cluster is blamed for any of its letters.
pub fn blamed_word(e: &mut Expected<'_>) -> bool {
    let err = e.output.err();
    let blamed = err.split_once("unknown option `").and_then(|(_, rest)| rest.split_once('\''));
    let ours = e.ours.err();
    let by_us = ours.split_once("unknown option `").and_then(|(_, rest)| rest.split_once('\''));
    let (Some((theirs, _)), Some((ours, _))) = (blamed, by_us) else { return false };
    // Ours has to blame a word of several letters that was given, theirs the word before it.
    let args: Vec<String> = std::iter::once("conntrack".to_owned()).chain(e.line.args()).collect();
    let cluster = |w: &str| w.len() > 2 && w.starts_with('-') && !w.starts_with("--");
    let mut pairs = args.windows(2);
    if !pairs.any(|p| p[1] == ours && cluster(&p[1]) && (p[0] == theirs || theirs.ends_with("conntrack"))) {
        return false;
    }
    e.output.stderr = err.replace(&format!("`{theirs}'"), &format!("`{ours}'")).into();
    true
}
