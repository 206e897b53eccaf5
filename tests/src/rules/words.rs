//! Rules about command lines: what words mean, and which mistake is named.

use super::{LATER, PREFIX, SCTP, TRY, any_base, ends_reading, warnings};
use crate::differences::Expected;
use crate::options::{Line, Word};
use crate::program::Exit;

/// Words to the original's parser that are options to ours: `-Lz` is `-L -z`.
pub fn clusters(e: &mut Expected<'_>) -> bool {
    // Where the first command letter ends, when more follows and only -z stands before it.
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

/// The same values in words of their own.
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
    // `-Cexpect`: the only letter that still takes what is glued to it.
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

/// Beginnings of `SRC_NAT` and `DST_NAT` as what else they begin.
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

/// `-u` before `-m`.
pub fn mark_then_status(e: &mut Expected<'_>) -> bool {
    let at = |name| e.line.words.iter().position(|w| w.name() == name);
    let (Some(mark), Some(status)) = (at("mark"), at("status")) else { return false };
    if status < mark || e.output.exit == Exit::Code(2) {
        return false;
    }
    let (first, rest): (Vec<_>, Vec<_>) = e.line.words.iter().cloned().partition(|w| w.name() == "status");
    e.retry(Line { words: [first, rest].concat() })
}

/// The file given is the one the original reads anyway.
pub fn labelmap(e: &mut Expected<'_>) -> bool {
    let Some(word) = e.line.all("labelmap").next() else { return false };
    if word.value.is_none() {
        let text = format!("option `{}' requires an argument", word.text[0]);
        return e.fails(&text, 2);
    }
    e.retry(e.line.without(&["labelmap"]))
}

/// The mistake that is found while options are read, not the unknown label.
pub fn labels_late(e: &mut Expected<'_>) -> bool {
    if !e.output.err().contains("unknown label '") {
        return false;
    }
    // A name that is there, since without the option a stray word might get another meaning.
    let mut line = e.line.clone();
    let labels = |w: &&mut Word| ["label", "label-add", "label-del"].contains(&w.name()) && w.value.is_some();
    for word in line.words.iter_mut().filter(labels) {
        word.text = vec![format!("--{}", word.name()), "one".to_owned()];
    }
    let rest = e.asked(&line);
    let early = ends_reading(&rest) && !LATER.iter().any(|l| rest.err().contains(l));
    // Without a name it is all labels, and names before it are not looked up.
    let all = e.line.all("label-del").next_back().is_some_and(|w| w.value.is_none());
    let looked_up = e.line.has("label") || e.line.has("label-add") || !all;
    if early || !looked_up {
        (e.output, e.line) = (rest, line);
        return true;
    }
    // All words have been read by then, with what there was to warn of. Of two unknown names either may be
    // named: the order of looking them up is not that of the words.
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

/// Nothing has an option of the first protocol and is of the second.
pub fn second_protocol(e: &mut Expected<'_>) -> bool {
    let names_another = e.output.err().contains("Illegal option `--");
    let lists_nothing = e.ours.exit == Exit::Code(0) && e.ours.stdout.is_empty();
    let differs = e.line.has_two_protocols() && names_another && lists_nothing;
    if differs {
        e.output = e.ours.clone();
    }
    differs
}

/// The error that the original means to give.
pub fn sctp_state(e: &mut Expected<'_>) -> bool {
    const MORE: [&str; 2] = ["HEARTBEAT_SENT", "HEARTBEAT_ACKED"];
    let sctp = e.line.value("protonum").is_some_and(|p| p.eq_ignore_ascii_case("sctp") || p == "132");
    let known = |s: &str| SCTP.contains(&s) || MORE.contains(&s);
    let unknown = e.line.value("state").filter(|s| sctp && !known(s)).map(str::to_owned);
    unknown.is_some_and(|name| e.fails(&format!("unknown SCTP state `{name}'"), 2))
}

/// The first bad number ends the command.
pub fn numbers(e: &mut Expected<'_>) -> bool {
    let is_bad = |text: &str, max: u64| {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        !any_base(digits).is_some_and(|v| v <= max && (!negative || v == 0))
    };
    let read = e.words_read();
    let bad = e.line.words.iter().take(read).enumerate().find_map(|(i, w)| {
        let value = w.value.as_deref()?;
        let (letter, max) = match w.name() {
            "zone" => ('w', 0xffff),
            "orig-zone" => ('(', 0xffff),
            "reply-zone" => (')', 0xffff),
            "id" => ('i', 0xffff_ffff),
            "secmark" => ('c', 0xffff_ffff),
            // The mask may be anything.
            "mark" => {
                let number = value.split('/').next().unwrap_or(value);
                return is_bad(number, 0xffff_ffff).then(|| (i, value.to_owned(), 'm'));
            }
            _ => return None,
        };
        is_bad(value, max).then(|| (i, value.to_owned(), letter))
    });
    let Some((at, value, letter)) = bad else { return false };
    e.read = Some(at);
    let before = Line { words: e.line.words[..at].to_vec() };
    let warnings = warnings(&e.asked(&before.with(&["--no-such-option"])));
    e.fails(&format!("unexpected value '{value}' with -{letter} option"), 1);
    e.output.stderr = (warnings + &e.output.err()).into();
    true
}

/// A warning for each text that is no number, where it stands between the original's own warnings.
pub fn not_a_number(e: &mut Expected<'_>) -> bool {
    let decimal = [
        "timeout",
        "buffer-size",
        "sport",
        "dport",
        "reply-port-src",
        "reply-port-dst",
        "mask-port-src",
        "mask-port-dst",
        "tuple-port-src",
        "tuple-port-dst",
        "orig-vtag",
        "reply-vtag",
        "icmp-type",
        "icmp-code",
        "icmp-id",
        "icmpv6-type",
        "icmpv6-code",
        "icmpv6-id",
    ];
    let keys = [
        "srckey",
        "dstkey",
        "reply-key-src",
        "reply-key-dst",
        "mask-key-src",
        "mask-key-dst",
        "tuple-key-src",
        "tuple-key-dst",
    ];
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
        } else if decimal.contains(&name) || keys.contains(&name) {
            let hex = keys.contains(&name) && value.starts_with("0x");
            let body = if hex { &value[2..] } else { value.trim_start().trim_start_matches(['-', '+']) };
            let is_digit = |c: char| if hex { c.is_ascii_hexdigit() } else { c.is_ascii_digit() };
            let digits = body.chars().take_while(|c| is_digit(*c)).count();
            if digits != body.len() || digits == 0 {
                let number = if digits == 0 { "0" } else { &value[..value.len() - body.len() + digits] };
                lines.push(format!("WARNING: `{value}' with --{name} is not a number, using {number}"));
                changed = true;
            }
        }
    }
    lines.extend(warnings.chain(rest).map(str::to_owned));
    if changed {
        e.output.stderr = lines.iter().fold(String::new(), |all, l| all + l + "\n").into();
    }
    changed
}

/// One more warning, behind those of the original.
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

/// One more line, behind the count.
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

/// What `-L` says about it.
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

/// What is said about every other option.
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
    // Ours has to be a word of several letters that was given, theirs the word before it.
    let args: Vec<String> = std::iter::once("conntrack".to_owned()).chain(e.line.args()).collect();
    let cluster = |w: &str| w.len() > 2 && w.starts_with('-') && !w.starts_with("--");
    let mut pairs = args.windows(2);
    if !pairs.any(|p| p[1] == ours && cluster(&p[1]) && (p[0] == theirs || theirs.ends_with("conntrack"))) {
        return false;
    }
    e.output.stderr = err.replace(&format!("`{theirs}'"), &format!("`{ours}'")).into();
    true
}
