//! Completions for bash, zsh and fish, from the table. Each serves `zct` and `conntrack`.

use super::command::COMMANDS;
use super::flag::{Complete, Flag, Takes};
use super::help::LOAD_FLAGS;
use super::own::{OWN_COMMANDS, OwnCommand, OwnOption};
use super::protocol::PROTOCOLS;
use super::table::FLAGS;
use std::fmt::Write as _;

const HEAD: &str = "# Made from the table of options: ZCT_GOLDEN=write cargo test -p zct\n";
/// Prints the numbers that flows have for a key at this moment, in every shell. The original does not have
/// `--by`.
const SEEN: &str = "zct -L --by $KEY --top 100 2>/dev/null | sed -n 's/^\\([0-9][0-9]*\\) .*/\\1/p'";
const TABLES: &str = "conntrack expect dying unconfirmed";

/// All options; those that several protocols share appear once.
fn all_flags() -> Vec<&'static Flag> {
    let mut flags: Vec<&Flag> = FLAGS.iter().collect();
    for f in PROTOCOLS.iter().flat_map(|p| p.flags()) {
        if flags.iter().all(|g| g.names[0] != f.names[0]) {
            flags.push(f);
        }
    }
    flags
}

/// The words to offer for the value of an option, collected over all options of the same name.
fn words_of(flag: &Flag) -> Vec<&'static str> {
    let same =
        FLAGS.iter().chain(PROTOCOLS.iter().flat_map(|p| p.flags())).filter(|f| f.names[0] == flag.names[0]);
    let mut words: Vec<&str> = Vec::new();
    for f in same {
        if let Complete::Words(list) = f.complete {
            words.extend(list.iter().filter(|w| !words.contains(*w)).copied().collect::<Vec<_>>());
        }
    }
    words
}

fn short(flag: &Flag) -> Option<char> {
    flag.short().map(char::from)
}

/// All the ways to write the option: `-x` and every `--name`.
fn spellings(flag: &Flag) -> Vec<String> {
    let short = short(flag).map(|c| format!("-{c}"));
    short.into_iter().chain(flag.names.iter().map(|n| format!("--{n}"))).collect()
}

/// The completion script for bash.
pub fn bash() -> String {
    let mut out = format!(
        "{HEAD}_zct_seen() {{\n    {}\n}}\n_zct() {{\n    local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}}\n    local proto= own= i\n    COMPREPLY=()\n",
        SEEN.replace("$KEY", "\"$1\"")
    );
    out += &bash_own();
    out += "    for ((i = 1; i < COMP_CWORD; i++)); do\n        case ${COMP_WORDS[i]} in\n            -p|--protonum) proto=${COMP_WORDS[i+1]} ;;\n        esac\n    done\n    case $prev in\n";
    let commands: Vec<String> = COMMANDS
        .iter()
        .filter(|c| !c.tables.is_empty())
        .map(|c| format!("-{}|--{}", char::from(c.short), c.long))
        .collect();
    _ = writeln!(
        out,
        "        {})\n            [[ $cur == -* ]] || {{ COMPREPLY=($(compgen -W \"{TABLES}\" -- \"$cur\")); return; }} ;;",
        commands.join("|")
    );
    out += "        -R|--load-file) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;\n";
    for f in all_flags() {
        let names = spellings(f).join("|");
        let words = words_of(f);
        match (f.takes, f.complete) {
            (Takes::Nothing(_), _) => {}
            (_, Complete::File) => {
                _ = writeln!(out, "        {names}) COMPREPLY=($(compgen -f -- \"$cur\")); return ;;");
            }
            (_, Complete::Seen(key)) => {
                _ = writeln!(
                    out,
                    "        {names}) COMPREPLY=($(compgen -W \"$(_zct_seen {key})\" -- \"$cur\")); return ;;"
                );
            }
            _ if !words.is_empty() => {
                _ = writeln!(
                    out,
                    "        {names}) COMPREPLY=($(compgen -W \"{}\" -- \"$cur\")); return ;;",
                    words.join(" ")
                );
            }
            (Takes::Value(..), _) => _ = writeln!(out, "        {names}) return ;;"),
            (Takes::Maybe(..), _) => {}
        }
    }
    out += "    esac\n    local words=\"";
    for c in COMMANDS {
        _ = write!(out, "-{} --{} ", char::from(c.short), c.long);
    }
    out += "-R --load-file";
    for (name, _) in LOAD_FLAGS {
        _ = write!(out, " --{name}");
    }
    for f in FLAGS.iter().filter(|f| !LOAD_FLAGS.iter().any(|(n, _)| *n == f.names[0])) {
        _ = write!(out, " {}", spellings(f).join(" "));
    }
    out += "$own\"\n    case ${proto,,} in\n";
    for p in PROTOCOLS {
        let names: Vec<String> = p.flags().flat_map(spellings).collect();
        _ = writeln!(out, "        {}|{}) words+=\" {}\" ;;", p.name, p.num, names.join(" "));
    }
    out +=
        "    esac\n    COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n}\ncomplete -F _zct zct conntrack\n";
    out
}

/// The commands of our own that have options; nfct has a completion file, which takes its words.
fn with_options() -> impl Iterator<Item = &'static OwnCommand> {
    OWN_COMMANDS.iter().filter(|c| !c.options.is_empty())
}

fn own_names() -> String {
    OWN_COMMANDS.iter().map(|c| c.name).collect::<Vec<_>>().join(" ")
}

/// The options of a command of our own, with the help that all have.
fn own_options(c: &OwnCommand) -> String {
    c.options.iter().map(|o| format!("--{} ", o.name)).collect::<String>() + "--help"
}

/// Completes the commands of our own: after the name of one that does not select, nothing but its options.
fn bash_own() -> String {
    let mut out = String::from("    if [[ ${COMP_WORDS[0]##*/} == zct ]]; then\n");
    _ = writeln!(
        out,
        "        ((COMP_CWORD == 1)) && [[ $cur != -* ]] && {{ COMPREPLY=($(compgen -W \"{}\" -- \"$cur\")); return; }}",
        own_names()
    );
    out += "        case ${COMP_WORDS[1]} in\n";
    for c in with_options() {
        _ = writeln!(out, "            {})\n                case $prev in", c.name);
        for o in c.options.iter().filter(|o| !o.value.is_empty()) {
            _ = writeln!(out, "                    --{}) {}return ;;", o.name, bash_value(o));
        }
        let options = own_options(c);
        _ = match c.selects {
            true => writeln!(out, "                esac\n                own=\" {options}\" ;;"),
            false => writeln!(
                out,
                "                esac\n                COMPREPLY=($(compgen -W \"{options}\" -- \"$cur\")); return ;;"
            ),
        };
    }
    out + "        esac\n    fi\n"
}

fn bash_value(o: &OwnOption) -> String {
    match o.complete {
        Complete::File => "COMPREPLY=($(compgen -f -- \"$cur\")); ".to_owned(),
        Complete::Words(words) => format!("COMPREPLY=($(compgen -W \"{}\" -- \"$cur\")); ", words.join(" ")),
        Complete::Seen(key) => format!("COMPREPLY=($(compgen -W \"$(_zct_seen {key})\" -- \"$cur\")); "),
        Complete::Nothing => String::new(),
    }
}

/// The specifications of a command of our own for zsh.
fn zsh_own(out: &mut String) {
    out.push_str("if [[ ${words[1]:t} == zct ]]; then\n");
    _ = writeln!(
        out,
        "    if ((CURRENT == 2)) && [[ $words[2] != -* ]]; then\n        compadd -- {}\n        return\n    fi",
        own_names()
    );
    out.push_str("    case $words[2] in\n");
    for c in with_options() {
        let start = if c.selects { "own=(" } else { "_arguments \\" };
        _ = writeln!(
            out,
            "        {})\n            shift words\n            ((CURRENT--))\n            {start}",
            c.name
        );
        let end = if c.selects { "" } else { " \\" };
        for o in c.options {
            let action = match (o.value, o.complete) {
                ("", _) => String::new(),
                (value, Complete::File) => format!(":{}:_files", zsh_text(value)),
                (value, Complete::Words(words)) => format!(":{}:({})", zsh_text(value), words.join(" ")),
                (value, Complete::Seen(key)) => format!(":{}:{{_zct_seen {key}}}", zsh_text(value)),
                (value, Complete::Nothing) => format!(":{}: ", zsh_text(value)),
            };
            _ = writeln!(out, "                '--{}[{}]{action}'{end}", o.name, zsh_text(o.brief));
        }
        let rest = if c.selects { ") ;;" } else { "return ;;" };
        _ = writeln!(out, "                '--help[this text]'\n            {rest}");
    }
    out.push_str("    esac\nfi\n");
}

/// The same for fish.
fn fish_own(out: &mut String) {
    for c in OWN_COMMANDS {
        _ = writeln!(
            out,
            "complete -c zct -n 'test \"(commandline -opc)\" = zct' -a {} -d '{}'",
            c.name,
            fish_text(c.brief)
        );
        for o in c.options {
            let value = match (o.value, o.complete) {
                ("", _) => String::new(),
                (_, Complete::File) => " -r -F".to_owned(),
                (_, Complete::Words(words)) => format!(" -x -a '{}'", words.join(" ")),
                (_, Complete::Seen(key)) => format!(" -x -a '(__zct_seen {key})'"),
                (_, Complete::Nothing) => " -x".to_owned(),
            };
            _ = writeln!(
                out,
                "complete -c zct -n 'test \"(commandline -opc)[2]\" = {}' -l {}{value} -d '{}'",
                c.name,
                o.name,
                fish_text(o.brief)
            );
        }
    }
}

/// Escapes text for the single quotes of a zsh specification.
fn zsh_text(text: &str) -> String {
    text.replace('\'', "'\\''").replace('[', "\\[").replace(']', "\\]").replace(':', "\\:")
}

fn zsh_spec(f: &Flag, spelling: &str) -> String {
    let action = match (f.takes, f.complete) {
        (Takes::Nothing(_), _) => String::new(),
        (takes, complete) => {
            let (value, colon) = match takes {
                Takes::Maybe(v, _) => (v, "::"),
                Takes::Value(v, _) => (v, ":"),
                Takes::Nothing(_) => ("", ""),
            };
            let words = words_of(f);
            let offered = match complete {
                Complete::File => "_files".to_owned(),
                Complete::Seen(key) => format!("{{_zct_seen {key}}}"),
                _ if !words.is_empty() => format!("({})", words.join(" ")),
                _ => " ".to_owned(),
            };
            format!("{colon}{}:{offered}", zsh_text(value))
        }
    };
    format!("'*{spelling}[{}]{action}'", zsh_text(f.brief))
}

/// The completion script for zsh.
pub fn zsh() -> String {
    let mut out = format!(
        "#compdef zct conntrack\n{HEAD}\n_zct_seen() {{\n    compadd -- $({})\n}}\nlocal proto\nlocal -a specs own\n",
        SEEN.replace("$KEY", "$1")
    );
    zsh_own(&mut out);
    out += "proto=${words[(i)-p]}\nproto=${(L)words[proto+1]}\nspecs=(\n";
    for c in COMMANDS {
        let table = if c.tables.is_empty() { String::new() } else { format!("::table:({TABLES})") };
        for spelling in [format!("-{}", char::from(c.short)), format!("--{}", c.long)] {
            _ = writeln!(out, "    '{spelling}[{}]{table}'", zsh_text(c.brief));
        }
    }
    for spelling in ["-R", "--load-file"] {
        _ = writeln!(out, "    '{spelling}[run the commands of a file]:file:_files'");
    }
    for (name, brief) in LOAD_FLAGS.iter().filter(|(n, _)| FLAGS.iter().all(|f| f.names[0] != *n)) {
        _ = writeln!(out, "    '--{name}[{}]'", zsh_text(brief));
    }
    for f in FLAGS {
        for spelling in spellings(f) {
            _ = writeln!(out, "    {}", zsh_spec(f, &spelling));
        }
    }
    out += "    $own\n)\ncase $proto in\n";
    for p in PROTOCOLS {
        _ = writeln!(out, "    {}|{}) specs+=(", p.name, p.num);
        for f in p.flags() {
            for spelling in spellings(f) {
                _ = writeln!(out, "        {}", zsh_spec(f, &spelling));
            }
        }
        out += "    ) ;;\n";
    }
    out += "esac\n_arguments -s $specs\n";
    out
}

/// Escapes text for single quotes in fish.
fn fish_text(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\'', "\\'")
}

/// The completion script for fish.
pub fn fish() -> String {
    let mut out = HEAD.to_owned();
    _ = writeln!(out, "function __zct_seen\n    {}\nend", SEEN.replace("$KEY", "$argv[1]"));
    out += "complete -c zct -f\n";
    for c in COMMANDS {
        _ = writeln!(
            out,
            "complete -c zct -s {} -l {} -d '{}'",
            char::from(c.short),
            c.long,
            fish_text(c.brief)
        );
    }
    let with_tables: Vec<String> = COMMANDS
        .iter()
        .filter(|c| !c.tables.is_empty())
        .map(|c| format!("-s {} {}", char::from(c.short), c.long))
        .collect();
    _ = writeln!(out, "complete -c zct -n '__fish_contains_opt {}' -a '{TABLES}'", with_tables.join(" "));
    out += "complete -c zct -s R -l load-file -r -F -d 'run the commands of a file'\n";
    for (name, brief) in LOAD_FLAGS.iter().filter(|(n, _)| FLAGS.iter().all(|f| f.names[0] != *n)) {
        _ = writeln!(out, "complete -c zct -l {name} -d '{}'", fish_text(brief));
    }
    FLAGS.iter().for_each(|f| fish_flag(&mut out, f, ""));
    for p in PROTOCOLS {
        let only = format!(
            " -n 'string match -qir -- \"-p *{}|--protonum[= ]{}\" (commandline -p)'",
            p.name, p.name
        );
        p.flags().for_each(|f| fish_flag(&mut out, f, &only));
    }
    fish_own(&mut out);
    out += "complete -c conntrack -w zct\n";
    out
}

fn fish_flag(out: &mut String, f: &Flag, only: &str) {
    _ = write!(out, "complete -c zct{only}");
    if let Some(c) = short(f) {
        _ = write!(out, " -s {c}");
    }
    f.names.iter().for_each(|n| _ = write!(out, " -l {n}"));
    let words = words_of(f);
    match (f.takes, f.complete) {
        (Takes::Nothing(_), _) => {}
        (_, Complete::File) => out.push_str(" -r -F"),
        (_, Complete::Seen(key)) => _ = write!(out, " -x -a '(__zct_seen {key})'"),
        (Takes::Value(..), _) if words.is_empty() => out.push_str(" -x"),
        (Takes::Value(..), _) => _ = write!(out, " -x -a '{}'", words.join(" ")),
        (Takes::Maybe(..), _) => {}
    }
    _ = writeln!(out, " -d '{}'", fish_text(f.brief));
}
