//! `-L dying`: flows that have ended but whose last event has not reached a listener yet.
//!
//! The kernel keeps them for listeners that ask for reliable delivery. conntrackd is one; stopped, and with a
//! small buffer, it takes a few events and leaves the others waiting.

use crate::compare::without_value;
use crate::events::subscribed;
use crate::flow::{Flow, lasting};
use crate::lab::{self, By, Verdicts, conntrack, must, signal};
use crate::listing::{FORMATS, compare_but};
use crate::selectors::MIXED;
use std::fs;
use std::process::{Child, Command, Stdio};

const CONFIG: &str = "\
General {
    LockFile /tmp/conntrackd.lock
    UNIX {
        Path /tmp/conntrackd.ctl
    }
    NetlinkBufferSize 2304
    NetlinkBufferSizeMaxGrowth 2304
    NetlinkEventsReliable Yes
}
Stats {
    LogFile no
}
";

struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        // SIGKILL ends it even though it is stopped.
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

pub(crate) fn check(v: &mut Verdicts) -> Result<(), String> {
    // The kernel attaches what events need when a flow is made, and by default only while somebody listens.
    lab::sysctl("net.netfilter.nf_conntrack_events", "1")?;
    lab::seed(MIXED)?;
    let table = Flow::all(&lab::table()?)?;
    fs::write("/tmp/conntrackd.conf", CONFIG).map_err(|e| e.to_string())?;
    let child = Command::new("conntrackd")
        .args(["-C", "/tmp/conntrackd.conf"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .map_err(|e| format!("conntrackd: {e}"))?;
    let daemon = Daemon(child);
    lab::until("conntrackd listens", || subscribed().0 > 0)?;
    signal("STOP", daemon.0.id())?;
    must(By::Original.path(), "-F", "")?;

    let dying = conntrack(By::Original, "-L dying -o extended,id");
    let flows = Flow::all(&dying.out).map_err(|e| dying.wrong(e))?;
    let known = |f: &Flow| table.iter().any(|t| t.get("id") == f.get("id"));
    let enough = flows.len() > table.len() / 2 && flows.iter().all(known);
    v.add("flows are dying", if enough { Ok(()) } else { Err(dying.wrong(lasting(&table))) });
    for format in FORMATS {
        let line = format!("-L dying {format}");
        v.add(&line, compare_but(&line, without_users).map(drop));
    }
    for (line, means) in SELECTIONS {
        let line = format!("-L dying {line} -o extended,id");
        let meant: Vec<&Flow> = flows.iter().filter(|f| means(f)).collect();
        let result = compare_but(&line, without_users).and_then(|o| {
            let listed = Flow::all(&o.out)?;
            let [meant, listed] = [lasting(meant), lasting(&listed)];
            if meant == listed { Ok(()) } else { Err(o.wrong(format!("meant:\n{meant}"))) }
        });
        v.add(line, result);
    }
    drop(daemon);
    lab::until("all have died", || lab::count() == Ok(0))
}

/// The flow at which the kernel interrupts a dump has one more user, and our larger buffer holds more flows
/// between two interruptions.
fn without_users(text: &str) -> String {
    without_value(&without_value(text, " use="), "<use>")
}

/// Selections that the original applies to this list as well.
type Selection = (&'static str, fn(&Flow) -> bool);
const SELECTIONS: &[Selection] = &[
    ("-p udp", |f| f.proto == 17),
    ("-p tcp", |f| f.proto == 6),
    ("-p dccp", |f| f.proto == 33),
    ("-s 10.0.0.1", |f| f.orig("src") == "10.0.0.1"),
    ("-s fd00::1", |f| f.orig("src") == "fd00::1"),
    ("-p udp --dport 53 -d fd00::2", |f| {
        f.proto == 17 && f.orig("dport") == "53" && f.orig("dst") == "fd00::2"
    }),
    ("-w 7", |f| f.zone() == 7),
    ("-m 5", |f| f.mark() == 5),
];
