//! `-v` and `--version`.

use crate::config::settings::{HELPERS, PEERS_MAX};
use std::fmt::Write as _;
use zct_engine::platform;

/// The line of `-v`.
pub fn line() -> String {
    format!(
        "Connection tracking userspace daemon v1.4.9 (zctd {}). Licensed under MIT or Apache-2.0.\n",
        env!("CARGO_PKG_VERSION")
    )
}

/// The text of `--version`, which the original does not have: that line, what the daemon can do, and what this kernel
/// offers it.
pub fn features() -> String {
    let helpers: Vec<_> = HELPERS.iter().map(|h| h.name).collect();
    let mut out = line();
    for line in [
        &platform::built(),
        &format!(
            "modes FTFW, ALARM, NOTRACK over UDP, multicast or TCP; sealed peers; digests; up to {} nodes",
            PEERS_MAX + 1
        ),
        &format!("helpers {}", helpers.join(", ")),
        &format!("kernel {}", platform::kernel_release()),
    ] {
        _ = writeln!(out, "{line}");
    }
    for (what, answer) in platform::kernel_support() {
        _ = writeln!(out, "  {what:<24}{answer}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_find_the_line_first() {
        let text = features();
        assert!(text.starts_with(&line()) && line().lines().count() == 1, "{text}");
        assert!(
            text.contains("\nhelpers amanda, ") && text.contains("\n  events                  "),
            "{text}"
        );
    }
}
