//! Completions for bash, zsh and fish, from the table. Each serves `zct` and `conntrack`.

use super::command::COMMANDS;
use super::flag::{Complete, Flag, Takes};
use super::help::LOAD_FLAGS;
use super::own::{OWN_COMMANDS, OwnCommand};
use super::protocol::{PROTOCOLS, ProtocolFlags};
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

/// The words for the value of a protocol's option, by protocol, where they are not the same for all.
fn words_by_protocol(flag: &Flag) -> Vec<(&'static ProtocolFlags, &'static [&'static str])> {
    let own = |p: &'static ProtocolFlags| {
        p.flags().filter(|f| f.names[0] == flag.names[0]).find_map(|f| match f.complete {
            Complete::Words(words) => Some((p, words)),
            _ => None,
        })
    };
    let all: Vec<_> = PROTOCOLS.iter().filter_map(own).collect();
    if all.iter().all(|(_, words)| *words == all[0].1) { Vec::new() } else { all }
}

/// Whether a value can be several, with commas between them.
fn is_list(value: &str) -> bool {
    value.ends_with("[,...]")
}

/// What help calls the value.
fn value_of(flag: &Flag) -> &'static str {
    match flag.takes {
        Takes::Value(value, _) | Takes::Maybe(value, _) => value,
        Takes::Nothing(_) => "",
    }
}

/// What `zct help` has something to say about.
fn topics() -> String {
    let commands = COMMANDS.iter().map(|c| c.long).chain(["load-file"]);
    let own = OWN_COMMANDS.iter().map(|c| c.name).filter(|n| *n != "help");
    commands.chain(own).chain(PROTOCOLS.iter().map(|p| p.name)).collect::<Vec<_>>().join(" ")
}

fn short(flag: &Flag) -> Option<char> {
    flag.short().map(char::from)
}

/// All the ways to write the option: `-x` and every `--name`.
fn spellings(flag: &Flag) -> Vec<String> {
    let short = short(flag).map(|c| format!("-{c}"));
    short.into_iter().chain(flag.names.iter().map(|n| format!("--{n}"))).collect()
}

/// What the functions of the bash script share. A list is completed behind its last comma, and `--option=value` comes
/// as three words, since `=` is one of those that bash breaks words at.
const BASH: &str = r#"_zct_offer() {
    COMPREPLY=($(compgen -W "$1" -- "$cur"))
}
_zct_list() {
    local head=
    [[ $cur != *,* ]] || head=${cur%,*},
    COMPREPLY=($(compgen -P "$head" -W "$1" -- "${cur##*,}"))
}
_zct() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
    local proto= own= i
    COMPREPLY=()
    [[ $cur != = ]] || cur=
    [[ $prev != = ]] || prev=${COMP_WORDS[COMP_CWORD-2]}
"#;

/// The completion script for bash.
pub fn bash() -> String {
    let mut out = format!("{HEAD}_zct_seen() {{\n    {}\n}}\n{BASH}", SEEN.replace("$KEY", "\"$1\""));
    out += &bash_own();
    out += r#"    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
            -p|--protonum)
                proto=${COMP_WORDS[i+1]}
                [[ $proto != = ]] || proto=${COMP_WORDS[i+2]} ;;
        esac
    done
    case $prev in
"#;
    let commands: Vec<String> = COMMANDS
        .iter()
        .filter(|c| !c.tables.is_empty())
        .map(|c| format!("-{}|--{}", char::from(c.short), c.long))
        .collect();
    _ = writeln!(
        out,
        "        {})\n            [[ $cur == -* ]] || {{ _zct_offer \"{TABLES}\"; return; }} ;;",
        commands.join("|")
    );
    out += "        -R|--load-file) compopt -o default; return ;;\n";
    for f in all_flags() {
        let names = spellings(f).join("|");
        let words = words_of(f);
        match (f.takes, f.complete) {
            (Takes::Nothing(_), _) => {}
            (_, Complete::Words(_)) => {
                _ = writeln!(out, "        {names})");
                let by_protocol = words_by_protocol(f);
                if !by_protocol.is_empty() {
                    out += "            case ${proto,,} in\n";
                    for (p, words) in by_protocol {
                        let offer = bash_value(value_of(f), Complete::Words(words));
                        _ = writeln!(out, "                {}|{}) {offer}return ;;", p.name, p.num);
                    }
                    out += "            esac\n";
                }
                let offer = bash_words(value_of(f), &words);
                _ = writeln!(out, "            {offer}return ;;");
            }
            (Takes::Maybe(..), Complete::Nothing) => {}
            (_, complete) => {
                _ = writeln!(out, "        {names}) {}return ;;", bash_value(value_of(f), complete));
            }
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
    out += "    esac\n    _zct_offer \"$words\"\n}\ncomplete -F _zct zct conntrack\n";
    out
}

/// The commands of our own that have options; nfct has a completion file, which takes its words.
fn with_options() -> impl Iterator<Item = &'static OwnCommand> {
    OWN_COMMANDS.iter().filter(|c| !c.options.is_empty())
}

/// Those that take nothing of what selects flows.
fn without_selection() -> String {
    OWN_COMMANDS.iter().filter(|c| !c.selects).map(|c| c.name).collect::<Vec<_>>().join(" ")
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
        "        ((COMP_CWORD == 1)) && [[ $cur != -* ]] && {{ _zct_offer \"{}\"; return; }}",
        own_names()
    );
    out += "        case ${COMP_WORDS[1]} in\n";
    _ = writeln!(out, "            help) ((COMP_CWORD != 2)) || _zct_offer \"{}\"; return ;;", topics());
    for c in with_options() {
        _ = writeln!(out, "            {})\n                case $prev in", c.name);
        for o in c.options.iter().filter(|o| !o.value.is_empty()) {
            _ = writeln!(
                out,
                "                    --{}) {}return ;;",
                o.name,
                bash_value(o.value, o.complete)
            );
        }
        let options = own_options(c);
        _ = match c.selects {
            true => writeln!(out, "                esac\n                own=\" {options}\" ;;"),
            false => {
                writeln!(out, "                esac\n                _zct_offer \"{options}\"; return ;;")
            }
        };
    }
    out + "        esac\n    fi\n"
}

fn bash_words(value: &str, words: &[&str]) -> String {
    let function = if is_list(value) { "_zct_list" } else { "_zct_offer" };
    format!("{function} \"{}\"; ", words.join(" "))
}

fn bash_value(value: &str, complete: Complete) -> String {
    match complete {
        // bash completes names of files by itself, with blanks and all, where nothing is offered.
        Complete::File => "compopt -o default; ".to_owned(),
        Complete::Words(words) => bash_words(value, words),
        Complete::Seen(key) => format!("_zct_offer \"$(_zct_seen {key})\"; "),
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
    _ = writeln!(out, "        help) ((CURRENT != 3)) || compadd -- {}; return ;;", topics());
    for c in with_options() {
        let start = if c.selects { "own=(" } else { "_arguments \\" };
        _ = writeln!(
            out,
            "        {})\n            shift words\n            ((CURRENT--))\n            {start}",
            c.name
        );
        let end = if c.selects { "" } else { " \\" };
        for o in c.options {
            let (equals, action) = match o.value {
                "" => ("", String::new()),
                value => ("=", format!(":{}:{}", zsh_text(value), zsh_value(value, o.complete))),
            };
            _ = writeln!(out, "                '--{}{equals}[{}]{action}'{end}", o.name, zsh_text(o.brief));
        }
        let rest = if c.selects { ") ;;" } else { "return ;;" };
        _ = writeln!(out, "                '--help[this text]'\n            {rest}");
    }
    out.push_str("    esac\nfi\n");
}

/// The same for fish.
fn fish_own(out: &mut String) {
    for c in OWN_COMMANDS {
        _ = writeln!(out, "complete -c zct -n __zct_first -a {} -d '{}'", c.name, fish_text(c.brief));
        for o in c.options {
            let value = if o.value.is_empty() { String::new() } else { fish_value(o.value, o.complete) };
            _ = writeln!(
                out,
                "complete -c zct -n '__zct_own {}' -l {}{value} -d '{}'",
                c.name,
                o.name,
                fish_text(o.brief)
            );
        }
    }
    _ = writeln!(out, "complete -c zct -n '__zct_own help' -a '{}'", topics());
}

/// How a value is completed, behind what there is of a list already.
fn fish_value(value: &str, complete: Complete) -> String {
    match complete {
        Complete::File => " -r -F".to_owned(),
        Complete::Words(words) if is_list(value) => format!(" -x -a '(__zct_list {})'", words.join(" ")),
        Complete::Words(words) => format!(" -x -a '{}'", words.join(" ")),
        Complete::Seen(key) => format!(" -x -a '(__zct_seen {key})'"),
        Complete::Nothing => " -x".to_owned(),
    }
}

/// What the conditions and offers of the fish script share. Commands of zct's own stand in the first place; those that
/// select nothing have no options but their own.
const FISH: &str = r#"function __zct_list
    set -l before (commandline -ct | string replace -r -- '^--[a-z-]+=' '' | string replace -rf '[^,]*$' '')
    printf '%s\n' "$before"$argv
end
function __zct_first
    set -l words (commandline -opc)
    test (count $words) -eq 1; and string match -qr '(^|/)zct$' -- $words[1]
end
function __zct_own
    set -l words (commandline -opc)
    contains -- "$words[2]" $argv
end
"#;

/// Escapes text for the single quotes of a zsh specification.
fn zsh_text(text: &str) -> String {
    text.replace('\'', "'\\''").replace('[', "\\[").replace(']', "\\]").replace(':', "\\:")
}

/// The action that offers values.
fn zsh_value(value: &str, complete: Complete) -> String {
    match complete {
        Complete::File => "_files".to_owned(),
        Complete::Words(words) if is_list(value) => format!("_values -s , value {}", words.join(" ")),
        Complete::Words(words) => format!("({})", words.join(" ")),
        Complete::Seen(key) => format!("{{_zct_seen {key}}}"),
        Complete::Nothing => " ".to_owned(),
    }
}

/// One spelling of an option. A value that must be there can come behind `=`.
fn zsh_spec(f: &Flag, spelling: &str) -> String {
    let (equals, colon) = match f.takes {
        Takes::Nothing(_) => ("", ""),
        Takes::Maybe(..) => ("", "::"),
        Takes::Value(..) if spelling.starts_with("--") => ("=", ":"),
        Takes::Value(..) => ("", ":"),
    };
    let value = value_of(f);
    let action = match colon {
        "" => String::new(),
        _ => format!("{colon}{}:{}", zsh_text(value), zsh_value(value, f.complete)),
    };
    format!("'*{spelling}{equals}[{}]{action}'", zsh_text(f.brief))
}

/// The completion script for zsh.
pub fn zsh() -> String {
    let mut out = format!(
        "#compdef zct conntrack\n{HEAD}\n_zct_seen() {{\n    compadd -- $({})\n}}\nlocal proto at table\nlocal -a specs own\n",
        SEEN.replace("$KEY", "$1")
    );
    zsh_own(&mut out);
    out += "at=$words[(I)(-p|--protonum|--protonum=*)]\n";
    out += "((at == 0)) || { proto=${(L)words[at]#*=}; [[ $proto != -* ]] || proto=${(L)words[at+1]}; }\n";
    // What starts with a hyphen is no table, and zsh would not see the option and its `=' in it.
    _ = writeln!(out, "[[ $words[CURRENT] == -* ]] || table='::table:({TABLES})'\nspecs=(");
    for c in COMMANDS {
        let table = if c.tables.is_empty() { "" } else { "$table" };
        for spelling in [format!("-{}", char::from(c.short)), format!("--{}", c.long)] {
            _ = writeln!(out, "    '{spelling}[{}]'{table}", zsh_text(c.brief));
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
    // fish complains of a program that is not in PATH wherever its errors go.
    let seen = SEEN.replace("$KEY", "$argv[1]");
    _ = writeln!(out, "function __zct_seen\n    command -q zct; or return\n    {seen}\nend");
    out += FISH;
    out += "complete -c zct -f\n";
    let selecting = format!(" -n 'not __zct_own {}'", without_selection());
    for c in COMMANDS {
        _ = writeln!(
            out,
            "complete -c zct{selecting} -s {} -l {} -d '{}'",
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
    _ = writeln!(out, "complete -c zct{selecting} -s R -l load-file -r -F -d 'run the commands of a file'");
    for (name, brief) in LOAD_FLAGS.iter().filter(|(n, _)| FLAGS.iter().all(|f| f.names[0] != *n)) {
        _ = writeln!(out, "complete -c zct{selecting} -l {name} -d '{}'", fish_text(brief));
    }
    FLAGS.iter().for_each(|f| fish_flag(&mut out, f, &selecting));
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
    match (f.takes, f.complete) {
        (Takes::Nothing(_), _) | (Takes::Maybe(..), Complete::Nothing) => {}
        (_, complete) => out.push_str(&fish_value(value_of(f), complete)),
    }
    _ = writeln!(out, " -d '{}'", fish_text(f.brief));
}
