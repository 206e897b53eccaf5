//! `--help` and `version`, from the tables.

use super::known::HELPERS;
use super::table::{ROWS, Subsystem};
use super::values::{FAMILIES, PROTOCOLS};
use crate::fail::{Name, VERSION};
use crate::flags::help::row;
use std::fmt::Write as _;
use zct_wire::cttimeout::states;

/// The whole text of `--help`.
pub(super) fn text(name: Name) -> String {
    let nfct = name.nfct();
    let mut out = format!(
        "{nfct}: timeout policies and userspace helpers of the kernel's connection tracking.\n\n\
         Usage: {nfct} COMMAND SUBSYSTEM [PARAMETERS]\n\
         COMMAND and SUBSYSTEM may be shortened, and come in either order.\n"
    );
    for (subsystem, title) in
        [(Subsystem::Timeout, "Timeout policies:"), (Subsystem::Helper, "Helpers in user space:")]
    {
        _ = write!(out, "\n{title}\n");
        for r in ROWS.iter().filter(|r| r.subsystem == subsystem) {
            row(&mut out, &format!("  {}", r.syntax()), r.brief);
        }
    }
    out.push_str("\nAlso:\n");
    row(&mut out, "  help, --help, -h", "this text");
    row(&mut out, "  version, --version, -V", "which release this is");
    let families: Vec<&str> = FAMILIES.iter().map(|(name, _)| *name).collect();
    _ = write!(out, "\nFamilies: {}\n\nProtocols and their states:\n", families.join(", "));
    for (protocol, number) in PROTOCOLS {
        let states: Vec<&str> = states(*number).unwrap_or_default().iter().map(|(name, _)| *name).collect();
        row(&mut out, &format!("  {protocol}"), &states.join(" "));
    }
    out.push_str("\nHelpers:\n");
    for h in HELPERS {
        row(&mut out, &format!("  {} {}", h.name, h.protocol()), h.brief);
    }
    out
}

/// The release: the first line as the original has it, then what this is.
pub(super) fn version(name: Name) -> String {
    format!(
        "{}: utility for the Netfilter's Connection Tracking System\n\
         This is zct {VERSION}, a replacement for the original nfct.\n\
         It is licensed under MIT or Apache-2.0 and comes with ABSOLUTELY NO WARRANTY.\n",
        name.version()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nfct::table::COMMANDS;

    #[test]
    fn help_names_everything_there_is() {
        for name in [Name::Nfct, Name::Zct] {
            let text = text(name);
            assert!(text.contains(&format!("Usage: {} COMMAND", name.nfct())));
            for (_, command) in COMMANDS {
                assert!(text.contains(&format!("\n  {command} ")), "{command}");
            }
            for r in ROWS {
                assert!(text.contains(&r.syntax()) && text.contains(r.brief), "{}", r.syntax());
            }
            for word in ["inet6", "SHUTDOWN_ACK_SENT", "generic", "dccp", "ssdp udp", "ssdp tcp"] {
                assert!(text.contains(word), "{word}");
            }
            assert!(text.lines().all(|l| l.len() <= 100));
        }
    }

    #[test]
    fn the_first_line_of_the_version_is_the_original_one() {
        let want = "nfct v1.4.9: utility for the Netfilter's Connection Tracking System";
        assert_eq!(version(Name::Nfct).lines().next(), Some(want));
        assert!(version(Name::Zct).contains(VERSION));
    }
}
