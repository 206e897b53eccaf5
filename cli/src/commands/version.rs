//! `-V`: the version and, under our own name, how the program was built and what this kernel offers it.

use crate::fail::Name;
use std::fmt::Write as _;
use std::path::Path;
use zct_engine::read_file::{Bounds, read_file};
use zct_engine::table::Table;

/// Files of `/proc` and `/sys` that hold a word or a number.
const ONE_LINE: Bounds = Bounds { file: 256, line: 255 };

/// What `-V` prints. Under the original's names it is one line, for scripts that read it.
pub fn text(name: Name) -> String {
    let mut out = format!("{}\n", name.version());
    if name == Name::Zct {
        built(&mut out);
        kernel(&mut out);
    }
    out
}

fn built(out: &mut String) {
    let linked = if cfg!(target_feature = "crt-static") { "statically" } else { "dynamically" };
    let libc = if cfg!(target_env = "musl") { "musl" } else { "glibc" };
    let bits = usize::BITS;
    let order = if cfg!(target_endian = "big") { "big" } else { "little" };
    _ = writeln!(
        out,
        "built for {}, {bits} bits, {order}-endian, linked with {libc} {linked}",
        std::env::consts::ARCH
    );
}

/// What the kernel says of itself without a module being loaded for the question.
fn kernel(out: &mut String) {
    let release = line("/proc/sys/kernel/osrelease").unwrap_or_else(|| "unknown".to_owned());
    _ = writeln!(out, "kernel {release}");
    let sysctl = |name: &str| line(&format!("/proc/sys/net/netfilter/nf_conntrack_{name}"));
    let tracking = match (sysctl("count"), sysctl("max")) {
        (Some(count), Some(max)) => format!("{count} of {max} flows"),
        _ => "off: modprobe nf_conntrack nf_conntrack_netlink".to_owned(),
    };
    let switch = |name: &str| match sysctl(name).as_deref() {
        Some("0") => format!("off: sysctl -w net.netfilter.nf_conntrack_{name}=1"),
        Some(_) => "on".to_owned(),
        None => "not there".to_owned(),
    };
    let reader = match Table::open() {
        Ok(_) => "yes".to_owned(),
        Err(why) => format!("no: {why}"),
    };
    let helpers = match Path::new("/sys/module/nfnetlink_cthelper").exists() {
        true => "yes",
        false => "not loaded: modprobe nfnetlink_cthelper nfnetlink_queue",
    };
    for (what, answer) in [
        ("connection tracking", tracking.as_str()),
        ("packets and bytes", &switch("acct")),
        ("begin and end of flows", &switch("timestamp")),
        ("events", &switch("events")),
        ("table read by BPF", &reader),
        ("helpers in user space", helpers),
    ] {
        _ = writeln!(out, "  {what:<24}{answer}");
    }
}

/// The one line of such a file, without its end.
fn line(path: &str) -> Option<String> {
    let bytes = read_file(Path::new(path), ONE_LINE).ok()?;
    Some(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_originals_names_have_one_line() {
        assert_eq!(text(Name::Conntrack), "conntrack v1.4.9 (conntrack-tools)\n");
        assert_eq!(text(Name::Nfct), "nfct v1.4.9\n");
    }

    #[test]
    fn ours_says_what_there_is() {
        let text = text(Name::Zct);
        let mut lines = text.lines();
        assert_eq!(lines.next(), Some(Name::Zct.version().as_str()));
        assert!(lines.next().is_some_and(|l| l.starts_with("built for ")), "{text}");
        assert!(lines.next().is_some_and(|l| l.starts_with("kernel ")), "{text}");
        assert!(text.contains("\n  table read by BPF       "), "{text}");
    }
}
