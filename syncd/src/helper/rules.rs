//! The rules that send packets to helpers: what `zctd helpers --rules` prints, and `--check` shows a line of.

use super::types;
use crate::config::settings::{Helper as Settings, HelperFamily};
use std::fmt::Write as _;
use zct_helpers::Helper;

/// The name of the object in the ruleset.
fn object(h: &Settings) -> String {
    let family = if h.family == HelperFamily::Inet { "" } else { "6" };
    format!("{}{family}-{}-user", h.kind.name, h.protocol.word())
}

fn l3(h: &Settings) -> &'static str {
    if h.family == HelperFamily::Inet { "ip" } else { "ip6" }
}

fn port(h: &Settings) -> Option<u16> {
    Helper::find(h.kind.name, types::l4(h.protocol)).map(|p| p.port)
}

/// The rule that gives a flow its helper, without the object that it names.
pub(super) fn assign(h: &Settings) -> Option<String> {
    let version = if h.family == HelperFamily::Inet { "ipv4" } else { "ipv6" };
    let (l4, object) = (h.protocol.word(), object(h));
    Some(format!("meta nfproto {version} {l4} dport {} ct helper set \"{object}\"", port(h)?))
}

/// A ruleset for these types, to be read by `nft -f` when the stubs are in the kernel. It admits nothing by
/// itself but what is established or related.
pub fn ruleset(helpers: &[Settings]) -> String {
    let mut out = String::from(
        "# Load this after zctd has made its stubs. Narrow the rules of \"assign\" and \"assign-local\" to the\n\
         # servers that are meant (ip daddr \u{2026}): only their flows need a helper.\n\
         table inet zct-helpers {\n",
    );
    let known: Vec<&Settings> = helpers.iter().filter(|h| port(h).is_some()).collect();
    for h in &known {
        let (object, name, l4, l3) = (object(h), h.kind.name, h.protocol.word(), l3(h));
        _ = writeln!(
            out,
            "\tct helper {object} {{\n\t\ttype \"{name}\" protocol {l4}\n\t\tl3proto {l3}\n\t}}"
        );
    }
    for (chain, hook) in [("assign", "prerouting"), ("assign-local", "output")] {
        _ = writeln!(out, "\tchain {chain} {{\n\t\ttype filter hook {hook} priority filter; policy accept;");
        known.iter().filter_map(|h| assign(h)).for_each(|rule| _ = writeln!(out, "\t\t{rule}"));
        out.push_str("\t}\n");
    }
    out.push_str("\tchain forward {\n\t\ttype filter hook forward priority filter; policy accept;\n");
    out.push_str("\t\tct state established,related accept\n\t}\n}\n");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::protocols::Protocols;

    #[test]
    fn every_type_has_an_object_and_a_rule_in_both_chains() {
        let text =
            b"Helper { Type ftp inet tcp { } Type ftp inet6 tcp { } Type tftp inet udp { } }\nStats { }\n";
        let config = crate::config::load(text, &Protocols::default()).config.unwrap();
        let rules = ruleset(&config.helpers.types);
        for object in ["ftp-tcp-user", "ftp6-tcp-user", "tftp-udp-user"] {
            assert_eq!(rules.matches(&format!("ct helper {object} {{")).count(), 1, "{rules}");
            assert_eq!(rules.matches(&format!("ct helper set \"{object}\"")).count(), 2, "{rules}");
        }
        assert!(rules.contains("meta nfproto ipv6 tcp dport 21 ct helper set \"ftp6-tcp-user\""), "{rules}");
        assert_eq!(rules.matches('{').count(), rules.matches('}').count());
    }
}
