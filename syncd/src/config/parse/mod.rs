//! The grammar: from words to what the file says. Whether the settings fit together is checked
//! later, in [`super::check`].

mod auth;
mod filter;
mod general;
mod helper;
mod link;
mod metrics;
mod parser;
mod peer;
pub(crate) mod raw;
mod sync;
pub(crate) mod unique;
mod words;

use super::lexer::TokenKind;
use super::names::Names;
use super::report::{FilePlace, Report};
use parser::{Parser, place};
use raw::{Raw, RawLink, RawLinkKind};

/// Reads a section after its name.
type Section = fn(&mut Parser<'_>, &mut Raw, FilePlace) -> Option<()>;

/// Reads a file. Whatever could not be read is missing in the result and listed as an error in the report.
pub(crate) fn parse(text: &[u8], names: Names<'_>) -> (Raw, Report) {
    let mut p = Parser::new(text, names);
    let mut raw = Raw::default();
    loop {
        p.at_top();
        let t = p.peek();
        if t.kind == TokenKind::End {
            return (raw, p.report);
        }
        let section: Option<Section> = match t.text {
            _ if t.kind != TokenKind::Word => None,
            b"General" => Some(general::general),
            b"Sync" => Some(sync::sync),
            b"Stats" => Some(general::stats),
            b"Helper" => Some(helper::helper),
            b"Metrics" => Some(metrics::metrics),
            _ => None,
        };
        let read = match section {
            Some(read) => {
                p.take();
                read(&mut p, &mut raw, place(&t))
            }
            None => {
                p.unknown("the file", words::SECTIONS.into_iter());
                p.take();
                None
            }
        };
        if read.is_none() {
            p.skip();
        }
    }
}

impl RawLink {
    fn new(kind: RawLinkKind, place: FilePlace) -> Self {
        RawLink {
            kind,
            place,
            is_default: false,
            interface: None,
            v4: None,
            v6: None,
            v4_peer: None,
            v6_peer: None,
            v4_interface: None,
            port: None,
            send_buffer: None,
            receive_buffer: None,
            checksum: None,
            error_queue_length: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::protocols::Protocols;
    use super::*;
    use parser::Directive;

    /// The list of all directives and the tables of the blocks must agree.
    #[test]
    fn every_directive_is_listed_with_the_blocks_it_belongs_in() {
        fn words<T>(block: &'static str, table: &[Directive<T>]) -> Vec<(&'static str, &'static str)> {
            table.iter().map(|d| (d.word, block)).collect()
        }
        let tables = [
            words("General", general::GENERAL),
            words("UNIX", general::UNIX),
            words("Scheduler", general::SCHEDULER),
            words("Stats", general::STATS),
            words("Helper", helper::HELPER),
            words("Type", helper::TYPE),
            words("Metrics", metrics::METRICS),
            words("Policy", helper::POLICY),
            words("Filter", filter::FILTER),
            words("Address", filter::ADDRESS),
            words("Sync", sync::SYNC),
            words("Mode", sync::FTFW),
            words("Mode", sync::ALARM),
            words("Mode", sync::NOTRACK),
            words("Options", sync::OPTIONS),
            words("Auth", auth::AUTH),
            words("Peer", peer::PEER),
            words("Multicast", link::MULTICAST),
            words("UDP", link::UDP),
            words("TCP", link::TCP),
        ]
        .concat();
        for (word, block) in &tables {
            let listed = words::DIRECTIVES.iter().find(|(w, _)| w == word);
            assert!(
                listed.is_some_and(|(_, blocks)| blocks.contains(block)),
                "{word} in {block}: {listed:?}"
            );
        }
        for (word, blocks) in words::DIRECTIVES.iter() {
            for block in blocks.split(", ").flat_map(|b| b.split(" or ")) {
                let block = block.split(' ').next().unwrap_or(block);
                assert!(tables.contains(&(word, block)), "{word} in {block}");
            }
        }
    }

    #[test]
    fn the_last_of_repeated_settings_counts_and_lists_are_put_together() {
        let text = b"General { HashLimit 1 }\nSync { RefreshTime 1 Mode ALARM { RefreshTime 2 } RefreshTime 3 }\n\
            General { HashLimit 2 Filter { Protocol Accept { TCP } } Filter { Protocol Ignore { UDP TCP } } }\n";
        let (raw, report) = parse(text, (&Protocols::default()).into());
        assert!(!report.is_refused());
        assert_eq!(raw.general.hash_limit.map(|s| s.value), Some(2));
        let refresh = raw.sync.refresh_time_s.map(|s| (s.value, s.place));
        assert_eq!(refresh, Some((3, FilePlace { line: 2, column: 51 })));
        let protocol = raw.general.filter.protocol.expect("there is a list");
        let names: Vec<_> = protocol.items.into_vec().into_iter().map(|p| p.name).collect();
        assert_eq!(
            (names, protocol.logic.value.word()),
            (vec!["TCP".to_owned(), "UDP".to_owned()], "Ignore")
        );
    }
}
