//! What this program was built for, and what the running kernel offers it: for `--version`.

use crate::read_file::{Bounds, read_file};
use std::path::Path;

/// Files of `/proc` and `/sys` that hold a word or a number.
const ONE_LINE: Bounds = Bounds { file: 256, line: 255 };

/// One line, without its end: the processor, its word and byte order, and how the C library is linked.
#[must_use]
pub fn built() -> String {
    let linked = if cfg!(target_feature = "crt-static") { "statically" } else { "dynamically" };
    let libc = if cfg!(target_env = "musl") { "musl" } else { "glibc" };
    let bits = usize::BITS;
    let order = if cfg!(target_endian = "big") { "big" } else { "little" };
    let machine = std::env::consts::ARCH;
    format!("built for {machine}, {bits} bits, {order}-endian, linked with {libc} {linked}")
}

/// The kernel's release, or `unknown`.
#[must_use]
pub fn kernel_release() -> String {
    line("/proc/sys/kernel/osrelease").unwrap_or_else(|| "unknown".to_owned())
}

/// What the kernel says of itself in this network namespace, without a module being loaded for the question: pairs of
/// what is meant and the answer, which names the way out where something is off.
#[must_use]
pub fn kernel_support() -> Vec<(&'static str, String)> {
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
    let helpers = match Path::new("/sys/module/nfnetlink_cthelper").exists() {
        true => "yes",
        false => "not loaded: modprobe nfnetlink_cthelper nfnetlink_queue",
    };
    vec![
        ("connection tracking", tracking),
        ("packets and bytes", switch("acct")),
        ("begin and end of flows", switch("timestamp")),
        ("events", switch("events")),
        ("helpers in user space", helpers.to_owned()),
    ]
}

/// The one line of such a file, without its end.
fn line(path: &str) -> Option<String> {
    let bytes = read_file(Path::new(path), ONE_LINE).ok()?;
    Some(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}
