//! Nothing is left out: compares the program's own table of options with that of this test.

use super::options::{OTHERS, ROWS};
use zct::flags::command::{Cmd, Table};
use zct::flags::flag::{Flag, Takes};
use zct::flags::legal::{COLUMNS, Rule};
use zct::flags::protocol::PROTOCOLS;
use zct::flags::table::FLAGS;

/// The commands that take an option, in this test's notation: small letters are commands on expectations.
fn commands(flag: &Flag) -> String {
    let letter = |(cmd, table): (Cmd, Table)| {
        let c = match cmd {
            Cmd::List => 'L',
            Cmd::Create => 'I',
            Cmd::Add => 'A',
            Cmd::Update => 'U',
            Cmd::Delete => 'D',
            Cmd::Get => 'G',
            Cmd::Flush => 'F',
            Cmd::Event => 'E',
            _ => 'h',
        };
        if table == Table::Expect { c.to_ascii_lowercase() } else { c }
    };
    let legal = COLUMNS.iter().enumerate().filter(|(at, _)| flag.legal.rule(*at) != Rule::Illegal);
    // Help reads no values, so none can be wrong.
    let mut all: Vec<char> = legal.map(|(_, c)| letter(*c)).filter(|c| *c != 'h').collect();
    all.sort_unstable();
    all.into_iter().collect()
}

/// A new option, or one that another command now takes, has to be judged here first: is its value a number or
/// an address, and how wide is the field?
#[test]
fn every_option_is_judged() {
    let of = |protocol: &'static str, flag: &'static Flag| (protocol, flag);
    let all = FLAGS.iter().map(|f| of("", f));
    let all = all.chain(PROTOCOLS.iter().flat_map(|p| p.flags().map(move |f| of(p.name, f))));
    for (protocol, flag) in all {
        let row = ROWS.iter().find(|r| {
            r.names == flag.names
                && (protocol.is_empty() == r.protocols.is_empty())
                && (protocol.is_empty() || r.protocols.contains(&protocol))
        });
        let Some(row) = row else {
            let known = OTHERS.contains(&flag.names[0]) || matches!(flag.takes, Takes::Nothing(_));
            assert!(
                known,
                "--{}: is its value a number or an address? A row in options.rs, please",
                flag.names[0]
            );
            continue;
        };
        let expects = row.expects.to_ascii_lowercase();
        let mut ours: Vec<char> =
            row.selects.chars().chain(row.sets.chars()).chain(expects.chars()).collect();
        ours.sort_unstable();
        assert_eq!(ours.into_iter().collect::<String>(), commands(flag), "commands with --{}", flag.names[0]);
        assert_eq!(row.letter.map(|l| l as u8), flag.short(), "the letter of --{}", flag.names[0]);
    }
}
