//! Selections: `-L -D -U -E` with a value, sometimes negated by `!`, and `-G` with a key.

use super::address::{self, Form};
use super::flows::{Flow, addr};
use super::number::Verdict;
use super::options::{Kind, Meaning, Of, Row, has_bit};
use super::place::{Did, Found, Place, answered, did, ids, is_line, one, said, typed};
use super::words::protocol_number;
use fastrand::Rng;
use nix::sys::signal::Signal;
use zct_tests::listener::Listener;
use zct_tests::program::{Exit, Output, Tool};
use zct_wire::tuple::Addr;

/// What a selection means: a flow has to fit the first value and none of the others.
#[derive(Clone, Debug)]
struct Chosen {
    wanted: Option<Meaning>,
    left_out: Vec<Meaning>,
}

/// A selection as it is typed.
struct Selection {
    row: &'static Row,
    text: String,
    /// Whether a `!` stands before the option.
    negated: bool,
    protocol: Option<&'static str>,
    verdict: Verdict<Chosen>,
    said: Vec<String>,
}

/// Whether this option can be negated.
fn can_leave_out(row: &Row) -> bool {
    !matches!(row.names[0], "id" | "jobs" | "secmark" | "mask-src" | "mask-dst")
}

/// Judges a list in which values may be negated, `10.0.0.0/8,!10.1.0.0/16`, or all of them by a `!` before
/// the option.
fn judge(row: &Row, text: &str, negated: bool) -> Verdict<Chosen> {
    let out = negated || text.contains('!');
    if !out {
        return row.judge(text, true).map(|m| Chosen { wanted: Some(m), left_out: Vec::new() });
    }
    let pieces: Vec<(&str, bool)> =
        text.split(',').map(|p| p.strip_prefix('!').map_or((p, negated), |p| (p, !negated))).collect();
    let wanted: Vec<&str> = pieces.iter().filter(|(_, out)| !out).map(|(p, _)| *p).collect();
    // A program need not accept one `!` after another.
    if !can_leave_out(row) || negated && !wanted.is_empty() {
        return Verdict::Wrong;
    }
    let wanted = (!wanted.is_empty()).then(|| row.judge(&wanted.join(","), true));
    let left_out: Vec<Verdict<Meaning>> =
        pieces.iter().filter(|(_, out)| *out).map(|(p, _)| row.judge(p, true)).collect();
    let all: Vec<&Verdict<Meaning>> = left_out.iter().chain(&wanted).collect();
    if all.contains(&&Verdict::Wrong) {
        return Verdict::Wrong;
    }
    let chosen = Chosen {
        wanted: wanted.as_ref().and_then(|w| w.meaning()).cloned(),
        left_out: left_out.iter().filter_map(|v| v.meaning()).cloned().collect(),
    };
    // A `!` before the option and lists of addresses have to work.
    let sure = all.iter().all(|v| matches!(v, Verdict::Right(_)))
        && (left_out.len() == 1 && negated || matches!(row.kind, Kind::Address(_)))
        && all
            .iter()
            .filter_map(|v| v.meaning())
            .all(|m| Some(m.six()) == all[0].meaning().map(Meaning::six));
    if sure { Verdict::Right(chosen) } else { Verdict::Perhaps(chosen) }
}

impl Selection {
    fn random(rng: &mut Rng, row: &'static Row, flows: &[Flow]) -> Selection {
        let mut text = row.text(rng, flows);
        if rng.u8(..8) == 0 {
            text = match (rng.u8(..3), text.rsplit_once(',')) {
                (0, Some((before, after))) => format!("{before},!{after}"),
                _ => format!("!{text}"),
            };
        }
        let negated = rng.u8(..6) == 0;
        let verdict = judge(row, &text, negated);
        let said = verdict.meaning().into_iter().flat_map(|c| c.wanted.iter().chain(&c.left_out));
        let said = said.flat_map(|m| m.said().to_vec()).collect();
        let protocol = (!row.protocols.is_empty()).then(|| one(rng, row.protocols));
        Selection { row, text, negated, protocol, verdict, said }
    }

    /// Its words, with those of the protocol and of the other part of a mask.
    fn words(&self, rng: &mut Rng) -> Vec<String> {
        let mut words: Vec<String> =
            self.protocol.into_iter().flat_map(|p| ["-p".to_owned(), p.to_owned()]).collect();
        if let Some(side) = self.row.names[0].strip_prefix("mask-") {
            words.extend([format!("--{side}"), base(self.text.contains(':')).to_owned()]);
        }
        words.extend(self.negated.then(|| "!".to_owned()));
        words.extend(typed(rng, self.row, &self.text));
        words
    }

    fn fits(&self, f: &Flow) -> bool {
        let Some(chosen) = self.verdict.meaning() else { return false };
        let one = |m: &Meaning| match (self.row.names[0].starts_with("mask-"), m, self.row.of) {
            (true, Meaning::Nets(n), Of::Addr(of)) => {
                let (six, base) = address::number_of(addr(base(n.six)));
                let have = of(f).map(address::number_of);
                have.is_some_and(|(s, h)| s == six && h & n.ranges[0].0 == base & n.ranges[0].0)
            }
            _ => self.row.selects_flow(m, f),
        };
        // Of several negated labels, a flow may have none.
        let out = |m: &Meaning| match m {
            Meaning::Bits(bits) => bits.iter().any(|b| has_bit(f, *b)),
            _ => one(m),
        };
        self.protocol.is_none_or(|p| f.orig.proto == Some(protocol_number(p)))
            && chosen.wanted.as_ref().is_none_or(one)
            && !chosen.left_out.iter().any(out)
    }

    fn answered(&self, output: &Output) -> Result<Did, String> {
        if self.negated && !can_leave_out(self.row) && output.err().contains("`!' cannot negate `-") {
            return if did(output) == Did::Refused {
                Ok(Did::Refused)
            } else {
                Err("a wrong `!' was taken".into())
            };
        }
        answered(self.row, &self.text, &self.verdict, &self.said, output)
    }
}

/// The address that masks are tried with.
fn base(six: bool) -> &'static str {
    if six { "2001:db8::5" } else { "10.1.0.5" }
}

impl Place {
    /// Tries a selection with `-L -D -U -E`.
    pub(crate) fn select(&mut self, rng: &mut Rng, row: &'static Row, command: char) -> Found {
        let selection = Selection::random(rng, row, &self.table.flows);
        let mut words = vec![format!("-{command}")];
        words.extend(self.label_file(row, command));
        words.extend(selection.words(rng));
        if "LDU".contains(command) && rng.u8(..3) == 0 {
            words.push(format!("--kernel-filter={}", one(rng, &["always", "never"])));
        }
        match command {
            'L' => self.list(rng, &selection, words),
            'D' => self.delete(rng, &selection, words),
            'U' => self.mark(rng, &selection, words),
            _ => self.listen(&selection, words),
        }
    }

    fn list(&mut self, rng: &mut Rng, s: &Selection, mut words: Vec<String>) -> Found {
        let expected = self.table.ids(|f| s.fits(f));
        // The output for a part of the table is not a complete document.
        let formats: &[&str] = if s.row.names[0] == "jobs" { &["id"] } else { &["id", "xml", "json,id"] };
        words.extend(["-o".to_owned(), one(rng, formats).to_owned()]);
        let (output, shown) = self.run(&words, false);
        let did = s.answered(&output).map_err(|e| format!("{e}: {shown}"))?;
        if did == Did::Took && (ids(&output.out()) != expected || output.exit != Exit::Code(0)) {
            return Err(format!("{} flows expected, {:?}: {shown}", expected.len(), s.verdict));
        }
        Ok(())
    }

    fn delete(&mut self, rng: &mut Rng, s: &Selection, mut words: Vec<String>) -> Found {
        let expected = self.table.ids(|f| s.fits(f));
        let dry = rng.u8(..3) > 0;
        words.extend(["-o".to_owned(), "id".to_owned()]);
        words.extend(dry.then(|| "--dry-run".to_owned()));
        let by_file = !dry && rng.bool() && is_line(&words);
        let (output, shown) = self.run(&words, by_file);
        let did = s.answered(&output).map_err(|e| format!("{e}: {shown}"));
        if did == Ok(Did::Refused) || dry {
            self.unchanged("nothing was to be deleted").map_err(|e| format!("{e}: {shown}"))?;
        }
        if did? == Did::Refused {
            return Ok(());
        }
        let exit = Exit::Code(i32::from(expected.is_empty() && !by_file));
        let gone = if dry { expected.clone() } else { self.gone() };
        if ids(&output.out()) != expected || gone != expected || output.exit != exit {
            let (n, gone) = (expected.len(), gone.len());
            return Err(format!("{n} flows expected, {gone} gone, {:?}: {shown}", s.verdict));
        }
        Ok(())
    }

    fn mark(&mut self, rng: &mut Rng, s: &Selection, mut words: Vec<String>) -> Found {
        words.extend(["-m", "0x1234567", "-o", "id"].map(str::to_owned));
        let by_file = rng.u8(..4) == 0 && is_line(&words);
        let (output, shown) = self.run(&words, by_file);
        let now = self.table.now();
        let changed: Vec<u32> = now.iter().filter(|f| f.mark == 0x0123_4567).map(|f| f.id).collect();
        let expected = self.table.ids(|f| s.fits(f) && did(&output) == Did::Took);
        if !changed.is_empty() {
            self.table.restore();
        }
        // The kernel cannot change a translation, so what was selected by one may stay as it was.
        if matches!(s.row.kind, Kind::Nat) && changed.is_empty() && output.exit != Exit::Code(0) {
            return Ok(());
        }
        let did = s.answered(&output).map_err(|e| format!("{e}: {shown}"))?;
        let exit = i32::from(expected.is_empty() && !by_file);
        if changed != expected || did == Did::Took && output.exit != Exit::Code(exit) {
            return Err(format!("{} changed, {} expected: {shown}", changed.len(), expected.len()));
        }
        Ok(())
    }

    fn listen(&mut self, s: &Selection, mut words: Vec<String>) -> Found {
        words.extend(["-e", "NEW", "-o", "id"].map(str::to_owned));
        let output = match Listener::attempt(Tool::Zct.command().args(&words), Some(1)) {
            Err(output) => output,
            Ok(listener) => {
                self.table.restore();
                listener.settle();
                listener.stop(Signal::SIGINT)
            }
        };
        let shown = self.count(&words, &output);
        let did = s.answered(&output).map_err(|e| format!("{e}: {shown}"))?;
        let expected = self.table.ids(|f| s.fits(f));
        if did == Did::Took && ids(&output.out()) != expected {
            return Err(format!("{} events expected: {shown}", expected.len()));
        }
        Ok(())
    }

    /// `-G` finds the flow with this key, if there is one.
    pub(crate) fn get(&mut self, rng: &mut Rng, row: &'static Row) -> Found {
        let proto = match row.protocols {
            [] if row.names[0] == "protonum" => 201,
            [] => one(rng, &[6, 17, 136, 132, 47]),
            all => protocol_number(one(rng, all)),
        };
        let plain = |f: &&Flow| f.zones == [0, 0] && f.orig.proto == Some(proto) && f.status & 0x180 == 0;
        let some: Vec<Flow> = self.table.flows.iter().filter(plain).cloned().collect();
        let Some(flow) = rng.choice(&some).cloned() else { return Ok(()) };
        // Often it is a number that this flow has, or one that could be taken for it.
        let near = if rng.bool() { std::slice::from_ref(&flow) } else { &self.table.flows };
        let text = row.text(rng, near);
        let mut verdict = row.judge(&text, false);
        if let Kind::Address(_) = row.kind {
            let form = Form { length: false, list: false };
            verdict = address::nets(&text, form).map(Meaning::Nets);
        }
        let six = matches!(flow.orig.src, Some(Addr::V6(_)));
        // It is a mistake if its family is not that of the rest of the key; and a protocol may need ports.
        if verdict.meaning().is_some_and(|m| matches!(m, Meaning::Nets(n) if n.six != six)) {
            verdict = Verdict::Wrong;
        } else if matches!(row.names[0], "protonum" | "icmp-type" | "icmpv6-type") {
            // Which types exist is for the kernel to decide.
            verdict = verdict.perhaps();
        }
        let mut words: Vec<String> = ["-G", "-o", "id"].map(str::to_owned).to_vec();
        for (name, value) in key(&flow) {
            if row.names.contains(&name) {
                words.extend(typed(rng, row, &text));
            } else {
                words.extend([format!("--{name}"), value]);
            }
        }
        if !key(&flow).iter().any(|(name, _)| row.names.contains(name)) {
            words.extend(typed(rng, row, &text));
        }
        let mut expected = self.table.ids(|f| {
            let same = |name: &str| {
                let (a, b) = (key(f), key(&flow));
                a.iter().find(|(n, _)| *n == name).map(|(_, v)| v)
                    == b.iter().find(|(n, _)| *n == name).map(|(_, v)| v)
            };
            let rest = key(&flow).iter().all(|(name, _)| row.names.contains(name) || same(name));
            f.zones == [0, 0] && rest && verdict.meaning().is_some_and(|m| row.selects_flow(m, f))
        });
        let (output, shown) = self.run(&words, false);
        if matches!(row.of, Of::Labels) && did(&output) == Did::Refused && output.err().contains("label") {
            // This command takes no file of labels.
            return Ok(());
        }
        let did =
            answered(row, &text, &verdict, said(&verdict), &output).map_err(|e| format!("{e}: {shown}"))?;
        if did == Did::Refused {
            expected.clear();
        }
        if ids(&output.out()) != expected
            || did == Did::Took && (output.exit == Exit::Code(0)) == expected.is_empty()
        {
            return Err(format!("{expected:?} expected: {shown}"));
        }
        self.unchanged("a flow was only to be shown").map_err(|e| format!("{e}: {shown}"))
    }
}

/// The options that identify this flow.
fn key(f: &Flow) -> Vec<(&'static str, String)> {
    let text = |a: Option<Addr>| match a.expect("an address") {
        Addr::V4(a) => std::net::Ipv4Addr::from(a).to_string(),
        Addr::V6(a) => std::net::Ipv6Addr::from(a).to_string(),
    };
    let proto = f.orig.proto.expect("a protocol");
    let mut all = vec![("protonum", proto.to_string()), ("src", text(f.orig.src)), ("dst", text(f.orig.dst))];
    let t = &f.orig;
    let mut add = |name, v: Option<u16>| all.extend(v.map(|v| (name, v.to_string())));
    match proto {
        47 => {
            add("srckey", t.src_port);
            add("dstkey", t.dst_port);
        }
        1 => {
            add("icmp-type", t.icmp_type.map(u16::from));
            add("icmp-code", t.icmp_code.map(u16::from));
            add("icmp-id", t.icmp_id);
        }
        58 => {
            add("icmpv6-type", t.icmp_type.map(u16::from));
            add("icmpv6-code", t.icmp_code.map(u16::from));
            add("icmpv6-id", t.icmp_id);
        }
        _ => {
            add("sport", t.src_port);
            add("dport", t.dst_port);
        }
    }
    all
}
