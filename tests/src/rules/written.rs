//! Rules about how an entry is written: long lines, names of states, and what a saved line has.

use super::SCTP;
use crate::differences::Expected;
use crate::entries::Facts;

/// The end of a line that the original cut is taken from ours; all before it has to agree.
pub fn long_lines(e: &mut Expected<'_>) -> bool {
    let (theirs, ours) = (e.output.lines(), e.ours.lines());
    let cut = |l: &String| l.len() >= 4095 || e.line.value("dump") == Some("expect") && l.len() >= 1023;
    if !theirs.iter().any(cut) {
        return false;
    }
    let mut text = String::new();
    for line in &theirs {
        // A large table has an order of its own.
        let longer = ours.iter().find(|o| cut(line) && o.starts_with(&line[..line.len() - 1]));
        text += longer.unwrap_or(line);
        text.push('\n');
    }
    e.output.stdout = text.into();
    true
}

const TCP: [&str; 10] = [
    "NONE",
    "SYN_SENT",
    "SYN_RECV",
    "ESTABLISHED",
    "FIN_WAIT",
    "CLOSE_WAIT",
    "LAST_ACK",
    "TIME_WAIT",
    "CLOSE",
    "SYN_SENT2",
];

/// XML with the SCTP name for the state number whose TCP name is shown.
pub fn sctp_names(xml: &str) -> String {
    let mut text = String::new();
    for line in xml.split_inclusive('\n') {
        let sctp = line.contains("protoname=\"sctp\"");
        let state = line.split_once("<state>").and_then(|(_, rest)| rest.split_once("</state>"));
        match state {
            Some((name, _)) if sctp => {
                let number = TCP.iter().position(|n| *n == name).unwrap_or(0);
                let more = ["HEARTBEAT_SENT", "HEARTBEAT_ACKED"];
                let right = SCTP.iter().chain(&more).nth(number).unwrap_or(&"NONE");
                text += &line.replace(&format!("<state>{name}<"), &format!("<state>{right}<"));
            }
            _ => text += line,
        }
    }
    text
}

/// States have SCTP's names.
pub fn sctp_xml(e: &mut Expected<'_>) -> bool {
    let before = e.output.out();
    let after = sctp_names(&before);
    let changed = before != after;
    if changed {
        e.output.stdout = after.into();
    }
    changed
}

/// Names the states that the original leaves out of saved lines.
pub fn saved_states(e: &mut Expected<'_>) -> bool {
    let (theirs, ours) = (e.output.lines(), e.ours.lines());
    if theirs.len() != ours.len() || !theirs.iter().any(|l| l.contains("--state (null)")) {
        return false;
    }
    e.output.stdout = with_states(&theirs, &ours).into();
    true
}

/// The original's saved lines, with our names for the states that it has none for.
pub fn with_states(theirs: &[String], ours: &[String]) -> String {
    let state = |l: &String| l.split(" --state ").nth(1)?.split(' ').next().map(str::to_owned);
    let named = |(theirs, ours): (&String, &String)| {
        let name = state(ours).filter(|s| ["HEARTBEAT_SENT", "HEARTBEAT_ACKED"].contains(&s.as_str()));
        theirs.replace("(null)", &name.unwrap_or_default()) + "\n"
    };
    theirs.iter().zip(ours).map(named).collect()
}

/// Adds NAT options to flows of which only a port is translated.
pub fn saved_ports(e: &mut Expected<'_>) -> bool {
    let (theirs, ours) = (e.output.lines(), e.ours.lines());
    let saved = |l: &String| l.starts_with("-A ");
    if theirs.len() != ours.len() || !ours.iter().any(saved) {
        return false;
    }
    e.output.stdout = with_ports(&theirs, &ours).into();
    true
}

/// The original's saved lines, with our NAT options where only a port is translated.
pub fn with_ports(theirs: &[String], ours: &[String]) -> String {
    let saved = |l: &String| l.starts_with("-A ");
    let with_nat = |(theirs, ours): (&String, &String)| {
        let (f, mut line) = (Facts::of(theirs), theirs.clone());
        if !saved(theirs) || f.proto == "gre" {
            return line + "\n";
        }
        if f.ports[2] != f.ports[1] && ours.contains(" -g ") {
            line = line.replacen(" -r ", " -g ", 1);
        }
        if f.ports[3] != f.ports[0] && ours.contains(" -n ") {
            line = line.replacen(" -q ", " -n ", 1);
        }
        line + "\n"
    };
    theirs.iter().zip(ours).map(with_nat).collect()
}

/// Adds marks to saved lines: those that a plain listing of the original shows.
pub fn saved_marks(e: &mut Expected<'_>) -> bool {
    let (theirs, ours) = (e.output.lines(), e.ours.lines());
    if !e.ours.out().starts_with("-A ") || theirs.len() != ours.len() {
        return false;
    }
    let after = |l: &String, name: &str| l.split(name).nth(1)?.split(' ').next().map(str::to_owned);
    if e.line.has("dump") {
        let mut plain: Vec<_> =
            (e.ask)(&e.line.without(&["output"])).lines().iter().map(|l| after(l, " mark=")).collect();
        let mut saved: Vec<_> = ours.iter().map(|l| after(l, " -m ")).collect();
        plain.sort();
        saved.sort();
        // Another rule may have put the list together from several, which no single command line prints.
        if plain.len() == saved.len() && plain != saved {
            return false;
        }
    }
    e.output.stdout = with_marks(&theirs, &ours).into();
    true
}

/// The original's saved lines, with our marks where these are the only difference.
pub fn with_marks(theirs: &[String], ours: &[String]) -> String {
    let unmarked = |l: &str| match l.split_once(" -m ") {
        Some((before, rest)) => format!("{before}{}", rest.find(' ').map_or("", |at| &rest[at..])),
        None => l.to_owned(),
    };
    let with_mark = |(theirs, ours): (&String, &String)| {
        format!("{}\n", if unmarked(ours) == *theirs { ours } else { theirs })
    };
    theirs.iter().zip(ours).map(with_mark).collect()
}
