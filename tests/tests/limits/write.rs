//! Values that are written, `-I -A -U`, and others that do not select.

use super::address::{self, Form};
use super::flows::Flow;
use super::options::{Kind, Meaning, Of, Row, has_bit};
use super::place::{Did, Found, Place, answered, did, ids, one, said, typed};
use super::words::protocol_number;
use fastrand::Rng;
use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use zct_tests::listener::Listener;
use zct_tests::program::Tool;

impl Place {
    /// `-D -t` selects the flows that have this much time left, which are none unless by chance.
    pub(crate) fn time_left(&mut self, rng: &mut Rng, row: &'static Row) -> Found {
        let text = row.text(rng, &self.table.flows);
        let verdict = row.judge(&text, false);
        let mut words: Vec<String> = ["-D", "-p", "gre", "-o", "id"].map(str::to_owned).to_vec();
        words.extend(typed(rng, row, &text));
        let (output, shown) = self.run(&words, false);
        let before = self.table.flows.clone();
        let gone = self.gone();
        let did =
            answered(row, &text, &verdict, said(&verdict), &output).map_err(|e| format!("{e}: {shown}"))?;
        let seconds = verdict.meaning().and_then(Meaning::number).unwrap_or(0);
        let fits = |f: &Flow| u128::from(f.timeout).abs_diff(seconds) < 60 && f.orig.proto == Some(47);
        let fitting = before.iter().filter(|f| gone.contains(&f.id)).all(fits);
        if ids(&output.out()) != gone || !fitting || did == Did::Refused && !gone.is_empty() {
            return Err(format!("{gone:?} are gone: {shown}"));
        }
        Ok(())
    }

    /// `-E -b` makes the buffer as large as was asked.
    pub(crate) fn buffer(&mut self, rng: &mut Rng, row: &'static Row) -> Found {
        let text = row.text(rng, &[]);
        let verdict = row.judge(&text, false);
        let mut words = vec!["-E".to_owned()];
        words.extend(typed(rng, row, &text));
        let output = match Listener::attempt(Tool::Zct.command().args(&words), None) {
            Err(output) => output,
            Ok(listener) => listener.stop(Signal::SIGINT),
        };
        let shown = self.count(&words, &output);
        let did =
            answered(row, &text, &verdict, said(&verdict), &output).map_err(|e| format!("{e}: {shown}"))?;
        let bytes = verdict.meaning().and_then(Meaning::number).unwrap_or(0);
        let doubled = (bytes * 2).clamp(2304, i32::MAX as u128 - 1);
        if did == Did::Took && !output.err().contains(&format!(" {doubled} bytes")) {
            return Err(format!("{doubled} bytes expected: {shown}"));
        }
        Ok(())
    }

    /// `-U` writes the value.
    pub(crate) fn update(&mut self, rng: &mut Rng, row: &'static Row) -> Found {
        let text = row.text(rng, &[]);
        let verdict = row.judge(&text, false);
        let tag = row.names[0].ends_with("-vtag");
        let proto = if tag { "sctp" } else { one(rng, &["gre", "udplite", "sctp"]) };
        let mut words: Vec<String> = ["-U", "-p", proto, "-o", "id"].map(str::to_owned).to_vec();
        words.extend(self.label_file(row, 'U'));
        if tag {
            let other = if row.names[0] == "orig-vtag" { "--reply-vtag" } else { "--orig-vtag" };
            words.extend(["--state", "SHUTDOWN_SENT", other, "9"].map(str::to_owned));
        }
        words.extend(typed(rng, row, &text));
        let (output, shown) = self.run(&words, false);
        let now = self.table.now();
        let before = self.table.flows.clone();
        let touched = !self.table.is_untouched(&now) || row.names[0] == "timeout";
        if touched && did(&output) == Did::Took {
            self.table.restore();
        }
        let did =
            answered(row, &text, &verdict, said(&verdict), &output).map_err(|e| format!("{e}: {shown}"))?;
        if did == Did::Refused {
            return self.unchanged("the value was refused").map_err(|e| format!("{e}: {shown}"));
        }
        let meaning = verdict.meaning().expect("taken, so not wrong");
        let chosen = |f: &Flow| f.orig.proto == Some(protocol_number(proto));
        let mut changes = 0;
        for old in &before {
            let new = now.iter().find(|f| f.id == old.id);
            let as_asked = match (chosen(old), new) {
                (false, new) => new.map(Flow::still).as_ref() == Some(&old.still()),
                (true, new) => {
                    changes += u32::from(new.map(Flow::still).as_ref() != Some(&old.still()));
                    written(row, meaning, old, new, &output.err())
                }
            };
            if !as_asked {
                return Err(format!("{old:?} has become {new:?}: {shown}"));
            }
        }
        // The program counts the flows it has changed, including those that ended by it.
        let count: u32 = output.err().split(" flow entries have been updated").next().map_or(0, last_number);
        if row.names[0] != "timeout" && !tag && !matches!(row.kind, Kind::Label) && count != changes {
            return Err(format!("{changes} flows were changed: {shown}"));
        }
        if row.names[0] == "timeout" && count as usize != before.iter().filter(|f| chosen(f)).count() {
            return Err(format!("every flow of the protocol was to be changed: {shown}"));
        }
        Ok(())
    }

    /// `-I` and `-A` make one more flow, and it is as the value says.
    pub(crate) fn create(&mut self, rng: &mut Rng, row: &'static Row, command: char) -> Found {
        let text = row.text(rng, &self.table.flows);
        let mut verdict = row.judge(&text, false);
        if let Kind::Address(_) = row.kind {
            // A flow has a single address.
            let form = Form { length: false, list: false };
            verdict = address::nets(&text, form).map(Meaning::Nets);
        }
        let number = verdict.meaning().and_then(Meaning::number);
        // Which ICMP types exist is for the kernel to decide; and a protocol may need more than
        // is given here.
        if matches!(row.names[0], "icmp-type" | "icmpv6-type" | "protonum") {
            verdict = verdict.perhaps();
        }
        let protocols: Vec<&str> = match row.names[0] {
            "protonum" => vec![""],
            "src-nat" | "dst-nat" => vec!["tcp", "udp", "sctp", "udplite"],
            _ if row.protocols.is_empty() => vec!["tcp", "udp", "sctp", "gre"],
            // The newest kernels have no DCCP.
            _ => row.protocols.iter().copied().filter(|p| *p != "dccp").collect(),
        };
        let proto = one(rng, &protocols);
        let six = verdict.meaning().is_some_and(Meaning::six) || proto == "icmpv6";
        let mut words = vec![format!("-{command}")];
        let mut given = false;
        for (name, value) in template(row, proto, six) {
            if row.names.contains(&name) {
                words.extend(typed(rng, row, &text));
                given = true;
            } else {
                words.extend([format!("--{name}"), value.to_owned()]);
            }
        }
        if !given {
            words.extend(typed(rng, row, &text));
        }
        let (output, shown) = self.run(&words, false);
        let now = self.table.now();
        let ids: BTreeSet<u32> = self.table.flows.iter().map(|f| f.id).collect();
        let new: Vec<&Flow> = now.iter().filter(|f| !ids.contains(&f.id)).collect();
        let old: Vec<Flow> = now.iter().filter(|f| ids.contains(&f.id)).cloned().collect();
        let others = self.table.is_untouched(&old);
        if !new.is_empty() || !others {
            self.table.restore();
        }
        let did =
            answered(row, &text, &verdict, said(&verdict), &output).map_err(|e| format!("{e}: {shown}"))?;
        if !others {
            return Err(format!("other flows were changed: {shown}"));
        }
        match (did, new[..].first()) {
            (Did::Refused, None) => Ok(()),
            (Did::Refused, Some(_)) => Err(format!("refused, but there is another flow: {shown}")),
            // With no time left, the flow is gone at once.
            (Did::Took, None) if row.names[0] == "timeout" && number == Some(0) => Ok(()),
            (Did::Took, None) => Err(format!("no flow was made: {shown}")),
            (Did::Took, Some(new)) => {
                let meaning = verdict.meaning().expect("taken, so not wrong");
                if created(row, meaning, new, &output.err()) {
                    Ok(())
                } else {
                    Err(format!("{new:?}: {shown}"))
                }
            }
        }
    }
}

fn last_number(text: &str) -> u32 {
    let digits: String = text.chars().rev().take_while(char::is_ascii_digit).collect();
    digits.chars().rev().collect::<String>().parse().unwrap_or(0)
}

/// Whether the timeout is what was asked for, or the program said what it has become.
fn timed(asked: u128, is: u32, err: &str) -> bool {
    let passed = asked.saturating_sub(is.into());
    u128::from(is) <= asked && passed <= 30
        || err.contains(&is.to_string())
        || err.contains(&(is + 1).to_string())
}

/// Whether an updated flow is as it should be.
fn written(row: &Row, meaning: &Meaning, old: &Flow, new: Option<&Flow>, err: &str) -> bool {
    let number = meaning.number();
    let Some(new) = new else { return row.names[0] == "timeout" && number == Some(0) };
    let wanted = match (row.of, meaning) {
        (Of::Mark, Meaning::Mark(value, mask)) => Flow { mark: old.mark & !mask ^ value, ..old.clone() },
        (Of::Number(_), _) if row.names[0] == "timeout" => {
            return number.is_some_and(|n| n > 0 && timed(n, new.timeout, err)) && new.still() == old.still();
        }
        (Of::Number(_), _) => {
            let tag = number.expect("one number") as u32;
            let vtags = if row.names[0] == "orig-vtag" { [tag, 9] } else { [9, tag] };
            Flow { vtags, ..old.clone() }
        }
        (Of::Labels, Meaning::Bits(bits)) => {
            let add = row.names[0] == "label-add";
            return (0..128)
                .all(|b| has_bit(new, b) == if bits.contains(&b) { add } else { has_bit(old, b) });
        }
        _ => panic!("{:?}", row.names),
    };
    new.still() == wanted.still()
}

/// Whether a new flow is as it should be.
fn created(row: &Row, meaning: &Meaning, new: &Flow, err: &str) -> bool {
    match (row.of, meaning) {
        (Of::Number(_), _) if row.names[0] == "timeout" => {
            meaning.number().is_some_and(|n| timed(n, new.timeout, err))
        }
        // A new flow has no bits that could be kept.
        (Of::Mark, Meaning::Mark(value, _)) => new.mark == *value,
        (Of::Nat(src, _), Meaning::Nat(to)) => {
            let after =
                if src { (new.reply.dst, new.reply.dst_port) } else { (new.reply.src, new.reply.src_port) };
            after.0.is_some_and(|a| to.to.contain(a))
                && to.ports.is_none_or(|(a, b)| after.1.is_some_and(|p| (a..=b).contains(&p.into())))
        }
        _ => row.selects_flow(meaning, new),
    }
}

/// Everything that a flow needs, by the direction that the option is about.
fn template(row: &Row, proto: &'static str, six: bool) -> Vec<(&'static str, &'static str)> {
    let (a, b) = if six { ("2001:db8:7::1", "2001:db8:7::2") } else { ("10.7.0.1", "10.7.0.2") };
    let reply = matches!(
        row.names[0],
        "reply-src" | "reply-dst" | "reply-port-src" | "reply-port-dst" | "reply-key-src" | "reply-key-dst"
    );
    let mut all = vec![("protonum", proto)];
    all.extend(if reply { [("reply-src", a), ("reply-dst", b)] } else { [("src", a), ("dst", b)] });
    let ports = |x, y| [(x, "50001"), (y, "50002")];
    match (proto, reply) {
        ("" | "icmp" | "icmpv6", _) => {}
        ("gre", false) => all.extend(ports("srckey", "dstkey")),
        ("gre", true) => all.extend(ports("reply-key-src", "reply-key-dst")),
        (_, false) => all.extend(ports("sport", "dport")),
        (_, true) => all.extend(ports("reply-port-src", "reply-port-dst")),
    }
    match proto {
        "icmp" => all.extend([("icmp-type", "8"), ("icmp-code", "0"), ("icmp-id", "50")]),
        "icmpv6" => all.extend([("icmpv6-type", "128"), ("icmpv6-code", "0"), ("icmpv6-id", "50")]),
        "tcp" => all.push(("state", "ESTABLISHED")),
        "sctp" => all.extend([("state", "ESTABLISHED"), ("orig-vtag", "7"), ("reply-vtag", "8")]),
        _ => {}
    }
    all.push(("timeout", "1000"));
    all
}
