//! Completions of nfct for bash, zsh and fish, from its tables.
//!
//! There is one list of words for each place: command, subsystem, and then whatever the syntax names there.
//! States depend on the protocol, and names of policies come from the kernel.

use super::known::HELPERS;
use super::table::{COMMANDS, ROWS, Row, Subsystem};
use super::values::PROTOCOLS;
use std::fmt::Write as _;
use zct_wire::cttimeout::states;

const HEAD: &str = "# Made from the tables of nfct: ZCT_GOLDEN=write cargo test -p zct\n";
/// The shell command that prints the names of existing policies, or nothing without the right to ask.
const POLICIES: &str = "nfct list timeout 2>/dev/null | sed -n 's/^\\.\\([^ ]*\\) = {$/\\1/p'";

/// The subsystems that a command has.
fn subsystems(command: &str) -> String {
    let rows = ROWS.iter().filter(|r| r.command() == command);
    rows.map(Row::subsystem).collect::<Vec<_>>().join(" ")
}

fn commands() -> String {
    COMMANDS.iter().map(|(_, name)| *name).chain(["help", "version"]).collect::<Vec<_>>().join(" ")
}

/// The names of the protocols that have timeouts.
fn protocols() -> String {
    PROTOCOLS.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(" ")
}

fn helpers() -> String {
    let mut names: Vec<&str> = HELPERS.iter().map(|h| h.name).collect();
    names.dedup();
    names.join(" ")
}

/// What to offer for a parameter: fixed words, or a command that prints them.
enum Offer {
    Words(String),
    Policies,
    States,
    Nothing,
}

/// What can be offered in this place of a row's parameters.
fn offer(row: &Row, at: usize) -> Offer {
    let helper = row.subsystem == Subsystem::Helper;
    let names: Vec<&str> = row.params.split_whitespace().map(|w| w.trim_matches(['[', ']'])).collect();
    match names.get(at) {
        Some(&"name") if helper => Offer::Words(helpers()),
        Some(&"name") if row.command() != "add" => Offer::Policies,
        Some(&"family") => Offer::Words("inet inet6".into()),
        Some(&"protocol") if helper => Offer::Words("tcp udp".into()),
        Some(&"protocol") => Offer::Words(protocols()),
        Some(&"state1") => Offer::States,
        _ => Offer::Nothing,
    }
}

/// The rows and places for which there is something to offer.
fn places() -> impl Iterator<Item = (&'static Row, usize, Offer)> {
    ROWS.iter().flat_map(|row| (0..4).map(move |at| (row, at, offer(row, at))))
}

/// `PROTOCOL) STATES` for each protocol, in the syntax of `case`.
fn cases(indent: &str, offered: impl Fn(&str) -> String) -> String {
    let mut out = String::new();
    for (name, number) in PROTOCOLS {
        let words = states(*number).unwrap_or_default().iter().map(|(s, _)| *s).collect::<Vec<_>>().join(" ");
        _ = writeln!(out, "{indent}{name}) {} ;;", offered(&words));
    }
    out
}

/// The completion script for bash.
pub fn bash() -> String {
    let mut out = format!(
        "{HEAD}_nfct() {{\n    local cur=${{COMP_WORDS[COMP_CWORD]}} at=$COMP_CWORD words=\n    local command=${{COMP_WORDS[1]}} subsystem=${{COMP_WORDS[2]}}\n    COMPREPLY=()\n"
    );
    out += "    if ((at == 1)); then\n";
    _ = writeln!(out, "        words=\"{}\"", commands());
    out += "    elif ((at == 2)); then\n        case $command in\n";
    for (_, name) in COMMANDS {
        _ = writeln!(out, "            {name}) words=\"{}\" ;;", subsystems(name));
    }
    out += "        esac\n    else\n        case $command,$subsystem,$((at - 3)) in\n";
    for (row, at, offered) in places() {
        let key = format!("{},{},{at}", row.command(), row.subsystem());
        match offered {
            Offer::Words(words) => _ = writeln!(out, "            {key}) words=\"{words}\" ;;"),
            Offer::Policies => _ = writeln!(out, "            {key}) words=$({POLICIES}) ;;"),
            Offer::States => {
                // States and their timeouts alternate from here on.
                _ = writeln!(
                    out,
                    "            {},{},*)\n                (((at - 3 - {at}) % 2 == 0)) && case ${{COMP_WORDS[{}]}} in",
                    row.command(),
                    row.subsystem(),
                    at + 2
                );
                out += &cases("                    ", |words| format!("words=\"{words}\""));
                out += "                esac ;;\n";
            }
            Offer::Nothing => {}
        }
    }
    out += "        esac\n    fi\n    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n}\ncomplete -F _nfct nfct\n";
    out
}

/// The completion script for zsh.
pub fn zsh() -> String {
    let mut out = format!("#compdef nfct\n{HEAD}\nlocal at=$((CURRENT - 4))\ncase $CURRENT in\n");
    _ = writeln!(out, "    2) compadd -- {} ;;", commands());
    out += "    3)\n        case $words[2] in\n";
    for (_, name) in COMMANDS {
        _ = writeln!(out, "            {name}) compadd -- {} ;;", subsystems(name));
    }
    out += "        esac ;;\n    *)\n        case $words[2],$words[3],$at in\n";
    for (row, at, offered) in places() {
        let key = format!("{},{},{at}", row.command(), row.subsystem());
        match offered {
            Offer::Words(words) => _ = writeln!(out, "            {key}) compadd -- {words} ;;"),
            Offer::Policies => {
                _ = writeln!(out, "            {key}) compadd -- ${{(f)\"$({POLICIES})\"}} ;;");
            }
            Offer::States => {
                _ = writeln!(
                    out,
                    "            {},{},*)\n                if (((at - {at}) % 2 == 0)); then\n                    case $words[{}] in",
                    row.command(),
                    row.subsystem(),
                    at + 3
                );
                out += &cases("                        ", |words| format!("compadd -- {words}"));
                out += "                    esac\n                fi ;;\n";
            }
            Offer::Nothing => {}
        }
    }
    out += "        esac ;;\nesac\n";
    out
}

/// The completion script for fish.
pub fn fish() -> String {
    let mut out = format!("{HEAD}complete -c nfct -f\n");
    let words = |n: usize| format!("test (count (commandline -opc)) -eq {n}");
    _ = writeln!(out, "complete -c nfct -n '{}' -a '{}'", words(1), commands());
    for (_, name) in COMMANDS {
        _ = writeln!(
            out,
            "complete -c nfct -n '{}; and string match -q -- \"nfct {name}\" (commandline -opc | string join \" \")' -a '{}'",
            words(2),
            subsystems(name)
        );
    }
    for (row, at, offered) in places() {
        let key = format!(
            "string match -q -- \"nfct {} {} *\" (string join \" \" (commandline -opc))\" \"",
            row.command(),
            row.subsystem()
        );
        match offered {
            Offer::Words(list) => {
                _ = writeln!(out, "complete -c nfct -n '{}; and {key}' -a '{list}'", words(at + 3));
            }
            Offer::Policies => {
                let list =
                    format!("command -q nfct; and {POLICIES}").replace('\\', "\\\\").replace('\'', "\\'");
                _ = writeln!(out, "complete -c nfct -n '{}; and {key}' -a '({list})'", words(at + 3));
            }
            Offer::States => {
                for (name, number) in PROTOCOLS {
                    let list: Vec<&str> =
                        states(*number).unwrap_or_default().iter().map(|(s, _)| *s).collect();
                    _ = writeln!(
                        out,
                        "complete -c nfct -n 'test (count (commandline -opc)) -ge {}; and test (math (count (commandline -opc)) % 2) -eq {}; and {key}; and contains -- {name} (commandline -opc)[{}]' -a '{}'",
                        at + 3,
                        (at + 3) % 2,
                        at + 3,
                        list.join(" ")
                    );
                }
            }
            Offer::Nothing => {}
        }
    }
    out
}
