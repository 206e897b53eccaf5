//! What flows have only when packets made them: security contexts, counters and times.

use crate::compare::{same, without_timeouts, without_value};
use crate::events;
use crate::lab::{self, By, Verdicts, conntrack, must, sysctl};
use crate::listing::{FORMATS, compare, json};
use crate::reader::same_as_the_original;
use crate::traffic::{self, Tcp};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Gives every flow the security context "kernel", the only one that SELinux knows without a policy.
const SECMARK: &str = "table inet s {
    secmark known {
        \"kernel\"
    }
    chain out {
        type filter hook output priority 0
        meta secmark set \"known\"
        ct state new ct secmark set meta secmark
    }
}
";

fn packets() -> Result<(), String> {
    traffic::udp(Ipv4Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into())?;
    traffic::udp(Ipv6Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into())
}

pub(crate) fn secctx(v: &mut Verdicts) -> Result<(), String> {
    must(By::Original.path(), "-F", "")?;
    lab::nft(SECMARK)?;
    // An emulated processor may take longer than the 30 seconds that a flow of UDP has.
    sysctl("net.netfilter.nf_conntrack_udp_timeout", "600")?;
    let lines = ["-E", "-E -o xml", "-E -o save"];
    let heard = events::listen(&lines, packets)?;
    for (line, pair) in lines.iter().zip(&heard) {
        v.add(format_args!("{line} with secctx"), events::alike(pair));
    }
    for format in FORMATS {
        let line = format!("-L {format}");
        let shown = compare(&line).and_then(|o| {
            // The original does not save the security context.
            let shown = o.out.contains("secctx=kernel") || o.out.contains("<secctx>kernel</secctx>");
            if shown || format.contains("save") { Ok(()) } else { Err(o.wrong("no context")) }
        });
        v.add(format_args!("{line} with secctx"), shown);
    }
    v.add("-L -o json with secctx", json());
    v.add("-L --reader bpf with secctx", same_as_the_original("-o extended"));
    v.add("-D with secctx", {
        let ours = conntrack(By::Ours, "-D -f ipv4");
        packets()?;
        let original = conntrack(By::Original, "-D -f ipv4");
        let masked = |text: &str| without_value(&without_timeouts(text), "use=");
        same("printed", &masked(&original.out), &masked(&ours.out))
    });
    sysctl("net.netfilter.nf_conntrack_udp_timeout", "30")
}

pub(crate) fn counters(v: &mut Verdicts) -> Result<(), String> {
    must(By::Original.path(), "-F", "")?;
    sysctl("net.netfilter.nf_conntrack_acct", "1")?;
    sysctl("net.netfilter.nf_conntrack_timestamp", "1")?;
    lab::nft(traffic::TRACK)?;
    packets()?;
    let tcp = Tcp::open(8080)?;
    for format in FORMATS {
        let line = format!("-L {format}");
        v.add(format_args!("{line} with counters and times"), compare(&line).map(drop));
    }
    let before = conntrack(By::Original, "-L -o xml");
    let zeroed = conntrack(By::Ours, "-L -z -o xml");
    let after = conntrack(By::Original, "-L");
    let masked = |text: &str| {
        let text = without_timeouts(text);
        without_value(&text, "<deltatime>")
    };
    v.add("-L -z shows the counters", {
        let counted =
            if before.out.contains("<packets>0") { Err(before.wrong("no packets")) } else { Ok(()) };
        counted.and(same("printed", &masked(&before.out), &masked(&zeroed.out)))
    });
    let (all, zero) = (after.out.matches("packets=").count(), after.out.matches("packets=0 bytes=0").count());
    v.add(
        "-L -z resets them",
        if all == zero && all == 6 { Ok(()) } else { Err(after.wrong("not all are 0")) },
    );
    tcp.close()?;
    sysctl("net.netfilter.nf_conntrack_acct", "0")?;
    sysctl("net.netfilter.nf_conntrack_timestamp", "0")
}
