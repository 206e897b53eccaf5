//! Chains of 1,024 entries and more. The kernel refuses an entry that would make one longer than 50 to 80, but it
//! keeps those that come of a table that is made smaller.

use crate::lab::{self, By, Verdicts, ZCT, must, run};
use std::collections::HashSet;

/// Each of them is in two of the 512 buckets of the smallest table there is, which makes chains of some 1,055.
const FLOWS: usize = 270_000;
/// Enough buckets to make them in.
const ROOMY: &str = "524288";
/// Flows to an address, whose ports tell them apart.
const PORTS: usize = 50_000;

pub(crate) fn check(v: &mut Verdicts) -> Result<(), String> {
    let [max, buckets] = ["max", "buckets"].map(|name| format!("net.netfilter.nf_conntrack_{name}"));
    let path = |name: &str| format!("/proc/sys/{}", name.replace('.', "/"));
    let before = must("cat", &path(&buckets), "")?;
    lab::sysctl(&max, "300000")?;
    must(By::Original.path(), "-F", "")?;
    lab::sysctl(&buckets, ROOMY)?;
    let lines: String = (0..FLOWS).map(line).collect();
    must(ZCT, "-R -", &lines)?;
    drop(lines);
    lab::sysctl(&buckets, "512")?;
    v.add("-L --reader bpf, chains of 1,024 and more", listed());
    v.add("-C --reader bpf, chains of 1,024 and more", counted());
    lab::sysctl(&buckets, before.trim())?;
    must(By::Original.path(), "-F", "").map(drop)
}

fn line(n: usize) -> String {
    let (to, port) = (n / PORTS + 1, n % PORTS + 1);
    format!("-I -t 20000 -p udp -s 10.1.0.1 -d 10.0.0.{to} --sport {port} --dport 53\n")
}

/// So many entries do not fit the memory of a run: netlink lists them, each once, and the user is told.
fn listed() -> Result<(), String> {
    let o = run(ZCT, "-L --reader bpf", "");
    let flows: HashSet<&str> = o.out.lines().filter_map(|l| l.split(" src=").nth(1)).collect();
    let said = o.err.starts_with("WARNING: --reader=bpf: netlink reads the table: its chains are too long\n");
    match (o.code, o.out.lines().count(), flows.len(), said) {
        (Some(0), FLOWS, FLOWS, true) => Ok(()),
        (code, lines, flows, _) => {
            Err(format!("exit {code:?}, {lines} lines about {flows} flows of {FLOWS}: {}", o.err))
        }
    }
}

fn counted() -> Result<(), String> {
    let count = must(ZCT, "-C -p udp --dport 53 --reader bpf", "")?;
    if count.trim() == FLOWS.to_string() { Ok(()) } else { Err(format!("{count} of {FLOWS}")) }
}
