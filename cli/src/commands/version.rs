//! `-V`: the version and, under our own name, how the program was built and what this kernel offers it.

use crate::fail::Name;
use std::fmt::Write as _;
use zct_engine::platform;
use zct_engine::table::Table;

/// What `-V` prints. Under the original's names it is one line, for scripts that read it.
pub fn text(name: Name) -> String {
    let mut out = format!("{}\n", name.version());
    if name != Name::Zct {
        return out;
    }
    let reader = match Table::open() {
        Ok(_) => "yes".to_owned(),
        Err(why) => format!("no: {why}"),
    };
    _ = writeln!(out, "{}\nkernel {}", platform::built(), platform::kernel_release());
    for (what, answer) in platform::kernel_support().into_iter().chain([("table read by BPF", reader)]) {
        _ = writeln!(out, "  {what:<24}{answer}");
    }
    out
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
