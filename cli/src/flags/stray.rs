//! Words that belong to no option. The original ignores them, and so `-D -p tcp 10.77.0.1`, where a `-s` was
//! forgotten, deletes every TCP flow.

use super::args::Args;
use super::command::{COMMANDS, Cmd};
use crate::fail::Fail;
use crate::values::addr;

/// Warns that stray words are ignored, if the command only reads.
pub fn warn(args: &mut Args) {
    let reads = matches!(args.action, Some((Cmd::List | Cmd::Event | Cmd::Get | Cmd::Count | Cmd::Stats, _)));
    if reads && !args.stray.is_empty() {
        args.warnings.push(format!("WARNING: ignoring {}", text(args)));
    }
}

/// Refuses stray words if the command changes the table.
pub fn check(args: &Args) -> Result<(), Fail> {
    let changes =
        matches!(args.action, Some((Cmd::Delete | Cmd::Update | Cmd::Flush | Cmd::Create | Cmd::Add, _)));
    if changes && !args.stray.is_empty() {
        return Err(Fail::usage(format!("nothing was done because of {}", text(args))));
    }
    Ok(())
}

/// Lists the stray words, and says what some of them were probably meant to be.
fn text(args: &Args) -> String {
    let shown: Vec<_> = args.stray.iter().map(|w| String::from_utf8_lossy(w)).collect();
    let names: Vec<String> = shown.iter().map(|w| format!("`{w}'")).collect();
    let what = if names.len() == 1 { "the stray word" } else { "the stray words" };
    let letter = COMMANDS.iter().find(|c| args.action.is_some_and(|(cmd, _)| cmd == c.cmd));
    let letter = letter.map_or('?', |c| char::from(c.short));
    let hints = args.stray.iter().zip(&shown).filter_map(|(word, shown)| hint(word, shown, letter));
    let hints: String = hints.map(|h| format!("; {h}")).collect();
    format!("{what} {}{hints}", names.join(", "))
}

fn hint(word: &[u8], shown: &str, command: char) -> Option<String> {
    if word.starts_with(b"!") {
        return Some("! negates the option behind it, as in ! -s ADDR".to_owned());
    }
    if word.is_empty() {
        return Some("an empty word may be that of an empty variable".to_owned());
    }
    // inet_aton takes a lone number for an address too, but here it hardly is one.
    let dotted = word.iter().any(|b| matches!(b, b'.' | b':'));
    if dotted && addr::network(word).is_ok() {
        return Some(format!("{shown}: did you mean -s {shown} or -d {shown}?"));
    }
    let table = [&b"conntrack"[..], b"expect", b"dying", b"unconfirmed"].contains(&word);
    table.then(|| format!("{shown}: a table comes right behind the command, -{command} {shown}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::parse::parse;

    fn of(line: &str) -> Args {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let mut args = Args::default();
        parse(&words, &mut args).unwrap();
        args
    }

    #[test]
    fn commands_that_change_something_refuse_them() {
        for (line, want) in [
            ("-D -p tcp 10.77.0.1", "`10.77.0.1'; 10.77.0.1: did you mean -s 10.77.0.1 or -d 10.77.0.1?"),
            (
                "-U -m 1 ::1/64 5",
                "the stray words `::1/64', `5'; ::1/64: did you mean -s ::1/64 or -d ::1/64?",
            ),
            ("-F -- -f", "the stray word `-f'"),
            ("-D -p tcp conntrack", "conntrack: a table comes right behind the command, -D conntrack"),
            ("x -A", "the stray word `x'"),
            ("-I expect -", "the stray word `-'"),
            ("-D -p tcp ", "the stray word `'; an empty word may be that of an empty variable"),
            ("-U -m 5 ! 10.0.0.1/8", "10.0.0.1/8: did you mean -s 10.0.0.1/8 or -d 10.0.0.1/8?"),
        ] {
            let args = of(line);
            let fail = check(&args).unwrap_err();
            let text = String::from_utf8(fail.text.clone()).unwrap();
            assert!(
                text.starts_with("nothing was done because of the stray word") && text.ends_with(want),
                "{text}"
            );
            assert_eq!((fail.code(), args.warnings.len()), (2, 0));
        }
    }

    #[test]
    fn commands_that_read_warn() {
        for line in ["-L", "-L expect -- x", "-E -s 1.1.1.1 1.1.1.1", "-C c x", "-S expect b", "-G c x"] {
            let args = of(line);
            assert_eq!(check(&args), Ok(()), "{line}");
            let warned =
                args.warnings.len() == 1 && args.warnings[0].starts_with("WARNING: ignoring the stray");
            assert_eq!(warned, line != "-L", "{line}: {:?}", args.warnings);
        }
    }
}
