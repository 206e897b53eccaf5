//! Which options a command takes, must have, or refuses (command-line.md §1.3).

use super::args::Args;
use super::command::{Cmd, Table};
use super::flag::Flag;
use super::id::{Given, Id};
use super::legal::{COLUMNS, Rule};
use super::protocol::{PROTOCOLS, ProtocolFlags};
use super::table::FLAGS;
use super::{from_files, negation, stray};
use crate::fail::{Fail, Name};
use crate::flags::selection;
use crate::values::list::Output;
use std::sync::OnceLock;
use zct_wire::consts::ipproto;

/// Checks the combination of options, in the order in which the original finds mistakes.
pub fn check(args: &Args, name: Name) -> Result<(), Fail> {
    if args.src_nat.or(args.dst_nat).is_some() && args.any_nat.is_some() {
        return Err(Fail::usage("cannot specify `--src-nat' or `--dst-nat' with `--any-nat'"));
    }
    let column = args.action.and_then(|action| COLUMNS.iter().position(|c| same_column(*c, action)));
    check_rows(0, column, args)?;
    if column.is_some_and(|c| is_pair(FLAGS.iter(), c)) {
        check_pair(
            args,
            [Id::Src, Id::Dst, Id::ReplySrc, Id::ReplyDst],
            [
                "you have to specify `--src' and `--dst'",
                "you have to specify `--reply-src' and `--reply-dst'",
            ],
        )?;
    }
    if !matches!(args.action, Some((Cmd::Help, _))) {
        check_protocol(args, column)?;
    }
    check_meaning(args)?;
    negation::check(args)?;
    // These come last: the original has no such checks, and finds every other mistake first.
    stray::check(args)?;
    check_everything(args, name)
}

/// Refuses `-D` without a selection, so that a script whose variable is empty does not lose every flow. As
/// `conntrack` it deletes all flows as ever, with a warning.
fn check_everything(args: &Args, name: Name) -> Result<(), Fail> {
    if args.action != Some((Cmd::Delete, Table::Conntrack)) {
        return Ok(());
    }
    let all = args.given.has(Id::All);
    if all && !selection::is_family_alone(args) {
        return Err(Fail::usage("`--all' deletes everything: it takes -f and no other selection"));
    }
    if !all && name != Name::Conntrack && selection::is_everything(args) {
        return Err(Fail::usage(
            "-D without a selection deletes nothing: use -F to empty the table, or -D --all to see what is deleted",
        ));
    }
    Ok(())
}

/// The dying and unconfirmed lists take the options of the conntrack table, and so does help for any table.
fn same_column(column: (Cmd, Table), (cmd, table): (Cmd, Table)) -> bool {
    let any = matches!(table, Table::Dying | Table::Unconfirmed) || cmd == Cmd::Help;
    let table = if any { Table::Conntrack } else { table };
    column == (cmd, table)
}

/// The options a command requires and refuses, as sets.
#[derive(Clone, Copy, Debug, Default)]
struct Rules {
    must: Given,
    illegal: Given,
}

/// The rules of one column; the last column is commands without one. `which` is 0 for the options that need
/// no protocol, and then counts the protocols. Kept, because every line of a batch file asks; made when first
/// asked for, because a command line asks for one or two of them.
fn rules(which: usize, column: usize) -> &'static Rules {
    type Columns = [OnceLock<Rules>; COLUMNS.len() + 1];
    static RULES: [Columns; PROTOCOLS.len() + 1] =
        [const { [const { OnceLock::new() }; COLUMNS.len() + 1] }; PROTOCOLS.len() + 1];
    RULES[which][column].get_or_init(|| {
        let mut rules = Rules::default();
        for flag in flags_of(which) {
            // After the last column come the commands without one, which refuse every option.
            match flag.legal.rule(column) {
                Rule::Illegal => rules.illegal.add(flag.id),
                Rule::Must => rules.must.add(flag.id),
                Rule::May | Rule::Pair => {}
            }
        }
        rules
    })
}

/// The options that need no protocol for 0, then those of each protocol.
fn flags_of(which: usize) -> impl Iterator<Item = &'static Flag> {
    let protocol = which.checked_sub(1).map(|at| &PROTOCOLS[at]);
    let general = if protocol.is_none() { FLAGS } else { &[] };
    general.iter().chain(protocol.into_iter().flat_map(ProtocolFlags::flags))
}

/// Checks the options of one table; `which` is that of [`rules`].
fn check_rows(which: usize, column: Option<usize>, args: &Args) -> Result<(), Fail> {
    let rules = rules(which, column.unwrap_or(COLUMNS.len()));
    if args.given.has_all(rules.must) && !args.given.has_some(rules.illegal) {
        return Ok(());
    }
    // Something is wrong, and the first row that finds it decides on the message.
    for flag in flags_of(which) {
        let (given, name) = (args.given.has(flag.id), flag.names[0]);
        match column.map_or(Rule::Illegal, |c| flag.legal.rule(c)) {
            _ if flag.id == Id::Output && counts_as_json(args) => {}
            Rule::Illegal if given => {
                return Err(Fail::usage(format!("Illegal option `--{name}' with this command")));
            }
            Rule::Must if !given => {
                let text = format!("You need to supply the `--{name}' option for this command");
                return Err(Fail::usage(text));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Of all outputs `-C` and `-S` take json alone, which the original does not have.
fn counts_as_json(args: &Args) -> bool {
    let json = Output { json: true, ..Output::default() };
    matches!(args.action, Some((Cmd::Count | Cmd::Stats, _))) && args.output == json
}

fn is_pair(mut flags: impl Iterator<Item = &'static Flag>, column: usize) -> bool {
    flags.any(|f| f.legal.rule(column) == Rule::Pair)
}

/// One of two pairs must be complete. The message depends on which options were given.
fn check_pair(args: &Args, [a, b, c, d]: [Id; 4], messages: [&'static str; 2]) -> Result<(), Fail> {
    let all = |x, y| args.given.has(x) && args.given.has(y);
    if all(a, b) || all(c, d) {
        return Ok(());
    }
    let only_reply = args.given.any(&[c, d]) && !args.given.any(&[a, b]);
    Err(Fail::usage(messages[usize::from(only_reply)]))
}

fn check_protocol(args: &Args, column: Option<usize>) -> Result<(), Fail> {
    let Some(p) = args.protocol.filter(|p| p.has_options) else { return Ok(()) };
    let Some(at) = PROTOCOLS.iter().position(|f| f.num == p.num) else { return Ok(()) };
    let protocol = &PROTOCOLS[at];
    if protocol.num == ipproto::DCCP && args.is_untracked(protocol.flags().map(|f| f.id)) {
        return Ok(());
    }
    check_rows(at + 1, column, args)?;
    if column.is_some_and(|c| is_pair(protocol.flags(), c)) {
        check_pair(args, [Id::Sport, Id::Dport, Id::ReplyPortSrc, Id::ReplyPortDst], protocol.pairs)?;
    }
    Ok(())
}

/// What does not go together with groups, or means nothing without them.
fn check_groups(args: &Args) -> Result<(), Fail> {
    if args.by.is_none() {
        let alone = [(Id::Top, "top"), (Id::Sort, "sort")].into_iter().find(|(id, _)| args.given.has(*id));
        return alone.map_or(Ok(()), |(_, name)| Err(Fail::usage(format!("`--{name}' needs --by"))));
    }
    let json = Output { json: args.output.json, ..Output::default() };
    if args.output != json {
        return Err(Fail::usage("`--by' shows groups, not flows: of -o it takes json alone"));
    }
    let other = [(Id::Zero, "--zero"), (Id::Jobs, "--jobs")].into_iter().find(|(id, _)| args.given.has(*id));
    other.map_or(Ok(()), |(_, name)| Err(Fail::usage(format!("--by cannot be combined with {name}"))))
}

/// Combinations that are wrong because of what they mean, which no column can say.
fn check_meaning(args: &Args) -> Result<(), Fail> {
    if args.jobs > 0 && (args.output.xml || args.given.has(Id::Zero)) {
        return Err(Fail::usage("--jobs cannot be combined with xml output or --zero"));
    }
    check_groups(args)?;
    let selects = |name: &str| match args.action {
        Some((Cmd::Update, _)) => name != "state",
        Some((Cmd::Get, Table::Conntrack)) => name == "state",
        Some((Cmd::List | Cmd::Delete | Cmd::Event | Cmd::Count, table)) => table != Table::Expect,
        _ => false,
    };
    if let Some(name) = args.listed().filter(|name| !selects(name)) {
        return Err(Fail::usage(format!("`--{name}' takes one value with this command")));
    }
    const SELECTORS: [Id; 13] = [
        Id::Src,
        Id::Dst,
        Id::ReplySrc,
        Id::ReplyDst,
        Id::Protonum,
        Id::Mark,
        Id::Secmark,
        Id::Status,
        Id::EntryId,
        Id::Zone,
        Id::OrigZone,
        Id::ReplyZone,
        Id::Label,
    ];
    from_files::check(args)?;
    // The dying and unconfirmed lists have nothing to reset, so `-z` is harmless there.
    let resets = args.given.has(Id::Zero) && args.action == Some((Cmd::List, Table::Conntrack));
    if resets && args.given.any(&SELECTORS) {
        return Err(Fail::usage("Can't use -z with filtering parameters"));
    }
    // An expectation's mask belongs to its tuple.
    if !matches!(args.action, Some((_, Table::Expect))) {
        // An address after `!` has its mask from its own prefix length.
        for (mask, with, name) in [(Id::MaskSrc, args.orig_src, "src"), (Id::MaskDst, args.orig_dst, "dst")] {
            if args.given.has(mask) && with.is_none() {
                return Err(Fail::usage(format!("Can't use --mask-{name} without --{name}")));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::parse::parse;

    fn of(line: &str) -> Result<(), String> {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let mut args = Args::default();
        let done = parse(&words, &mut args).and_then(|()| check(&args, Name::Zct));
        done.map_err(|f| String::from_utf8(f.text).unwrap())
    }

    #[test]
    fn the_first_row_decides() {
        for (line, want) in [
            ("-L -t 10", "Illegal option `--timeout' with this command"),
            ("-E -u ASSURED -t 1", "Illegal option `--timeout' with this command"),
            ("-C -o xml", "Illegal option `--output' with this command"),
            ("-S -o json,id", "Illegal option `--output' with this command"),
            ("-C expect -f ipv4", "Illegal option `--family' with this command"),
            ("-C -i 5", "Illegal option `--id' with this command"),
            ("-C -p udp -z", "Illegal option `--zero' with this command"),
            ("-C -p udp -o json,id", "Illegal option `--output' with this command"),
            ("-I -s 1.1.1.1 -d 2.2.2.2", "You need to supply the `--protonum' option for this command"),
            (
                "-I -s 10.0.0.1/24 -d 1.1.1.1 -p udp --sport 1 --dport 2 -t 1",
                "Illegal option `--mask-src' with this command",
            ),
            ("-G -p tcp", "you have to specify `--src' and `--dst'"),
            ("-G -p tcp -r 1.1.1.1", "you have to specify `--reply-src' and `--reply-dst'"),
            ("-G -p tcp -r 1.1.1.1 -s 1.1.1.1", "you have to specify `--src' and `--dst'"),
            ("-I -s 1.1.1.1 -d 2.2.2.2 -p udp -t 3", "you have to specify `--sport' and `--dport'"),
            (
                "-I -s 1.1.1.1 -d 2.2.2.2 -p tcp --sport 1 --dport 2 -t 3",
                "You need to supply the `--state' option for this command",
            ),
            ("-L -z -s 1.1.1.1", "Can't use -z with filtering parameters"),
            ("-L --mask-src 255.0.0.0", "Can't use --mask-src without --src"),
            ("-L -n -j", "cannot specify `--src-nat' or `--dst-nat' with `--any-nat'"),
            ("-L -p tcp --tuple-port-src 1", "Illegal option `--tuple-port-src' with this command"),
            (
                "-G -p tcp -s 1.1.1.1,2.2.2.2 -d 1.1.1.1 --sport 1 --dport 2",
                "`--src' takes one value with this command",
            ),
            (
                "-G -p tcp -s 1.1.1.1 -d 1.1.1.1 --sport 1:2 --dport 2",
                "`--sport' takes one value with this command",
            ),
            ("-f ipv4", "Illegal option `--family' with this command"),
        ] {
            assert_eq!(of(line), Err(want.to_owned()), "{line}");
        }
        for line in [
            "-L",
            "-L -a x",
            "-h -p tcp --sport 1",
            "-h expect -p tcp --sport 1",
            "-L dying -z -p tcp",
            "-E -e NEW",
            "-L -z -n -f ipv4",
            "-L dying -s 1.1.1.1",
            "-C -o json",
            "-C -p tcp --state ESTABLISHED ! -s 1.1.1.1,::1 -o json",
            "-C -f ipv4",
            "-S expect -o json",
            "stray",
        ] {
            assert_eq!(of(line), Ok(()), "{line}");
        }
    }
}
