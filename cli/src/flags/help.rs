//! `--help`, from the table.

use super::command::{COMMANDS, Cmd, Command, Table};
use super::examples;
use super::flag::{Flag, Section, Takes};
use super::legal::{COLUMNS, Rule};
use super::own::{OWN_COMMANDS, OwnCommand, RECONCILE};
use super::protocol::{PROTOCOLS, ProtocolFlags, protocol_flags};
use super::table::FLAGS;
use crate::fail::{Name, ORIGINAL, VERSION};
use crate::values::protocol::{Protocol, database_name};
use std::fmt::Write as _;

/// The column at which descriptions start.
const COLUMN: usize = 34;
/// The width at which descriptions are broken into lines.
const WIDTH: usize = 100;

/// The options of `-R`, which come after the file.
pub const LOAD_FLAGS: [(&str, &str); 2] = [
    ("keep-going", "report every line that fails and go on with the next"),
    ("dry-run", "show what the lines would do to the table as it is now, and change nothing"),
];

const SECTIONS: [(Section, &str); 4] = [
    (Section::Selection, "Which entries (! before an option, or before a value, leaves out what fits):"),
    (Section::Change, "What to change:"),
    (Section::Display, "What to show:"),
    (Section::Expectation, "Expectations to create:"),
];

/// The whole text of `--help`, with the options of `protocol` if one is given.
pub fn text(name: Name, protocol: Option<Protocol>) -> String {
    let command = name.command();
    let mut out = format!(
        "{command}: shows and changes the kernel's connection tracking table. Version {}\n\n\
         Usage: {command} COMMAND [TABLE] [OPTIONS]\n\nCommands:\n",
        version(name)
    );
    for c in COMMANDS {
        row(&mut out, &command_label(c), c.brief);
    }
    row(&mut out, "  -R, --load-file FILE", "run the commands of a file, or of standard input (-)");
    for (name, brief) in LOAD_FLAGS {
        row(&mut out, &format!("      --{name} (after -R FILE)"), brief);
    }
    if name == Name::Zct {
        for c in OWN_COMMANDS {
            row(&mut out, &format!("  {} {}", c.name, c.words), c.brief);
        }
    }
    for (section, title) in SECTIONS {
        _ = write!(out, "\n{title}\n");
        for f in FLAGS.iter().filter(|f| f.section == section) {
            row(&mut out, &flag_label(f), f.brief);
        }
    }
    out.push_str("\nOptions of protocols, which -p names:\n");
    for p in PROTOCOLS {
        let names: Vec<String> = p.flags().map(|f| format!("--{}", f.names[0])).collect();
        row(&mut out, &format!("  {}", p.name), &names.join(" "));
    }
    if let Some(p) = protocol {
        protocol_text(&mut out, p);
    }
    out
}

/// The whole text of `--help` after a command of our own.
pub fn own(c: &OwnCommand) -> String {
    let mut out = format!("zct {}: {}\n\nUsage: zct {} {}\n\n", c.name, c.brief, c.name, c.words);
    for o in c.options {
        row(&mut out, &format!("  {}", o.label()), o.brief);
    }
    row(&mut out, "  -h, --help", "this text");
    if c.selects {
        let like = if c.name == RECONCILE {
            "and all other options are those of zct -D"
        } else {
            "is that of zct -L"
        };
        _ = writeln!(out, "\nThe selection {like}; see zct -h.");
    }
    examples_of(&mut out, c.name);
    out
}

/// What `zct help` says of one of the commands that are letters: its paragraph, and the options that it
/// takes.
pub fn command(c: &Command) -> String {
    let mut out = format!("zct{}: {}\n\n", &command_label(c)[1..], c.brief);
    paragraph(&mut out, c.manual);
    let tables = if c.tables.is_empty() { "" } else { " [TABLE]" };
    _ = writeln!(out, "\nUsage: zct -{}{tables} [OPTIONS]", char::from(c.short));
    let flows = |f: &Flag| taken(f, c.cmd, Table::Conntrack);
    for (section, title) in SECTIONS {
        let rows: Vec<&Flag> = FLAGS.iter().filter(|f| f.section == section && flows(f)).collect();
        if !rows.is_empty() {
            _ = write!(out, "\n{title}\n");
            rows.iter().for_each(|f| row(&mut out, &flag_label(f), f.brief));
        }
    }
    let names = |flags: &mut dyn Iterator<Item = &'static Flag>| -> String {
        flags.map(|f| format!("--{}", f.names[0])).collect::<Vec<_>>().join(" ")
    };
    let protocols: Vec<_> =
        PROTOCOLS.iter().map(|p| (p.name, names(&mut p.flags().filter(|f| flows(f))))).collect();
    if protocols.iter().any(|(_, options)| !options.is_empty()) {
        out.push_str("\nOptions of protocols, which -p names (zct help PROTOCOL):\n");
        for (name, options) in protocols.iter().filter(|(_, options)| !options.is_empty()) {
            row(&mut out, &format!("  {name}"), options);
        }
    }
    let expectations = names(&mut FLAGS.iter().filter(|f| taken(f, c.cmd, Table::Expect)));
    if !expectations.is_empty() {
        out.push_str("\nWith the table expect:\n");
        row(&mut out, "", &expectations);
    }
    examples_of(&mut out, c.long);
    out
}

/// What `zct help` says of `-R`.
pub fn load_file() -> String {
    let mut out = String::from(
        "zct -R, --load-file FILE: run the commands of a file, or of standard input (-)\n\n\
         Usage: zct -R FILE [OPTIONS]\n\n",
    );
    for (name, brief) in LOAD_FLAGS {
        row(&mut out, &format!("      --{name}"), brief);
    }
    examples_of(&mut out, "load-file");
    out
}

/// What `zct help` says of a protocol.
pub fn protocol(p: &ProtocolFlags) -> String {
    let mut out = format!("zct … -p {}: options of the protocol\n\n", p.name);
    for f in p.flags() {
        row(&mut out, &flag_label(f), f.brief);
    }
    out
}

/// Whether the command takes the option.
fn taken(f: &Flag, cmd: Cmd, table: Table) -> bool {
    let column = COLUMNS.iter().position(|c| *c == (cmd, table));
    column.is_some_and(|column| f.legal.rule(column) != Rule::Illegal)
}

/// Appends the examples of a command, each with what it does above it.
fn examples_of(out: &mut String, command: &str) {
    for (i, e) in examples::of(command).enumerate() {
        out.push_str(if i == 0 { "\nExamples:\n" } else { "" });
        _ = writeln!(out, "  # {}\n  {}", e.what, e.line);
    }
}

/// Appends text in lines of [`WIDTH`].
fn paragraph(out: &mut String, text: &str) {
    let mut at = 0;
    for word in text.split(' ') {
        if at > 0 {
            let fits = at + 1 + word.len() <= WIDTH;
            out.push(if fits { ' ' } else { '\n' });
            at = if fits { at + 1 } else { 0 };
        }
        out.push_str(word);
        at += word.len();
    }
    out.push('\n');
}

fn version(name: Name) -> &'static str {
    match name {
        Name::Zct => VERSION,
        Name::Conntrack | Name::Nfct => ORIGINAL,
    }
}

/// Appends the options of one protocol, after its name.
fn protocol_text(out: &mut String, p: Protocol) {
    let known = protocol_flags(p.num);
    let name = match known {
        Some(k) if p.has_options => k.name.to_owned(),
        _ => database_name(p.num)
            .map_or_else(|| "unknown".to_owned(), |n| String::from_utf8_lossy(n).into_owned()),
    };
    _ = write!(out, "\nProto `{name}' help:\n");
    match known.filter(|_| p.has_options) {
        Some(k) => {
            for f in k.flags() {
                row(out, &flag_label(f), f.brief);
            }
        }
        None => out.push_str("  no options (unsupported)\n"),
    }
}

fn command_label(c: &Command) -> String {
    format!("  -{}, --{} {}", char::from(c.short), c.long, c.tables).trim_end().to_owned()
}

/// The names and the value of an option, as help shows them.
pub fn flag_label(f: &Flag) -> String {
    let mut label = match f.short() {
        Some(letter) => format!("  -{}, ", char::from(letter)),
        None => "      ".to_owned(),
    };
    let names: Vec<String> = f.names.iter().map(|n| format!("--{n}")).collect();
    label += &names.join(", ");
    match f.takes {
        Takes::Nothing(_) => {}
        Takes::Value(value, _) => _ = write!(label, " {value}"),
        Takes::Maybe(value, _) => _ = write!(label, " [{value}]"),
    }
    label
}

/// Appends one line or, if the label or the text is long, several.
pub(crate) fn row(out: &mut String, label: &str, text: &str) {
    out.push_str(label);
    let mut at = label.len();
    if at + 2 > COLUMN {
        out.push('\n');
        at = 0;
    }
    let mut first = true;
    for word in text.split(' ') {
        if !first && at + 1 + word.len() > WIDTH {
            out.push('\n');
            at = 0;
            first = true;
        }
        if first {
            out.push_str(&" ".repeat(COLUMN - at));
            at = COLUMN;
        } else {
            out.push(' ');
            at += 1;
        }
        out.push_str(word);
        at += word.len();
        first = false;
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::{complete, man};

    /// The texts made from the table are kept in the repository, so that a change to them shows up.
    /// `ZCT_GOLDEN=write` renews them.
    #[test]
    fn texts_are_those_of_the_repository() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/");
        let text = |name| text(name, None).replace(VERSION, "VERSION").replace(ORIGINAL, "VERSION");
        for (file, made) in [
            ("help.txt", text(Name::Zct)),
            ("zct.8", man::page()),
            ("nfct.8", crate::nfct::man::page()),
            ("completions/zct.bash", complete::bash()),
            ("completions/_zct", complete::zsh()),
            ("completions/zct.fish", complete::fish()),
            ("completions/nfct.bash", crate::nfct::complete::bash()),
            ("completions/_nfct", crate::nfct::complete::zsh()),
            ("completions/nfct.fish", crate::nfct::complete::fish()),
        ] {
            let path = format!("{root}{file}");
            if std::env::var_os("ZCT_GOLDEN").is_some_and(|v| v == "write") {
                std::fs::create_dir_all(format!("{root}completions")).unwrap();
                std::fs::write(&path, &made).unwrap();
            }
            let golden = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(made == golden, "{file} is not what the table says: ZCT_GOLDEN=write cargo test -p zct");
        }
    }

    #[test]
    fn every_option_is_in_the_help_and_the_man_page() {
        let (help, page) = (text(Name::Conntrack, None), man::page());
        for f in FLAGS.iter().chain(PROTOCOLS.iter().flat_map(|p| p.flags())) {
            assert!(help.contains(&format!("--{}", f.names[0])), "{}", f.names[0]);
            assert!(page.contains(&man::escape(f.names[0])), "{}", f.names[0]);
        }
        assert!(help.lines().all(|l| l.len() <= 160 && !l.ends_with(' ')));
    }
}
