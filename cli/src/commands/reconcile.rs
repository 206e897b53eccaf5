//! `zct reconcile`: deletes the flows of a selection that are to or from none of the addresses that still
//! exist.
//!
//! It is `-D SELECTION ! -d @FILE` for those who run it from a timer or a controller: a list that is empty or
//! lacks a family, because whoever makes it has failed, deletes nothing; and that there was nothing to delete
//! is success.

use super::{Invocation, delete};
use crate::address_set::AddressSet;
use crate::fail::{Fail, Name, warn};
use crate::filter::Labels;
use crate::flags::args::{Args, FromFiles, Side};
use crate::flags::id::Id;
use crate::flags::own::{self, KEEPS, RECONCILE};
use crate::flags::selection;
use crate::flags::{check_legal, help, parse};
use crate::values::address_file;
use lexopt::Parser;
use std::ffi::{OsStr, OsString};
use std::io::Write as _;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::sync::Arc;
use zct_wire::consts::af;

/// Which addresses an option keeps: in the order of [`KEEPS`].
const SIDES: [(Side, Id); 4] = [
    (Side::OrigDst, Id::Dst),
    (Side::OrigSrc, Id::Src),
    (Side::ReplySrc, Id::ReplySrc),
    (Side::ReplyDst, Id::ReplyDst),
];

/// What its own options say, and the words that are left for the selection.
#[derive(Debug, Default)]
struct ReconcileWords {
    keep: Vec<(usize, Vec<u8>)>,
    allow_empty: bool,
    all: bool,
    help: bool,
    rest: Vec<Vec<u8>>,
}

impl ReconcileWords {
    /// Takes reconcile's own options from the line. A value is never taken for an option, because no value of
    /// the other options begins with `--`.
    fn read(words: &[&[u8]]) -> Result<ReconcileWords, Fail> {
        let mut parser = Parser::from_args(words.iter().map(|w| OsString::from_vec(w.to_vec())));
        let mut read = ReconcileWords::default();
        loop {
            let mut raw = parser.raw_args().map_err(|e| mistake(&e))?;
            if let Some(word) = raw.next_if(|w| !is_own(w)) {
                read.rest.push(word.into_vec());
                continue;
            }
            match parser.next().map_err(|e| mistake(&e))? {
                None => return Ok(read),
                Some(lexopt::Arg::Short('h') | lexopt::Arg::Long("help")) => read.help = true,
                Some(lexopt::Arg::Long("allow-empty")) => read.allow_empty = true,
                Some(lexopt::Arg::Long("all")) => read.all = true,
                Some(lexopt::Arg::Long(name)) => {
                    // Only its own names get this far.
                    let at = KEEPS.iter().position(|own| own.name == name).unwrap_or_default();
                    let value = parser.value().map_err(|e| mistake(&e))?;
                    read.keep.push((at, value.into_vec()));
                }
                Some(other) => return Err(mistake(&other.unexpected())),
            }
        }
    }
}

/// True for an option of its own, with or without an attached value.
fn is_own(word: &OsStr) -> bool {
    let Some(long) = word.as_bytes().strip_prefix(b"--") else { return word == "-h" };
    let name = long.split(|b| *b == b'=').next().unwrap_or(long);
    let options = own::find(RECONCILE.as_bytes()).map_or(&[][..], |c| c.options);
    name == b"help" || options.iter().any(|own| own.name.as_bytes() == name)
}

fn mistake(error: &lexopt::Error) -> Fail {
    Fail::usage(error.to_string())
}

/// `zct reconcile`.
///
/// # Errors
/// A usage error for a line, or a list, that would delete more than what was meant; then nothing has been
/// done. Otherwise those of `-D`, except that finding nothing is not an error.
pub fn run(name: Name, _: &[u8], words: &[&[u8]]) -> Result<(), Fail> {
    let words = ReconcileWords::read(words)?;
    if words.help {
        let text = own::find(RECONCILE.as_bytes()).map(help::own).unwrap_or_default();
        let mut out = std::io::stdout().lock();
        return out
            .write_all(text.as_bytes())
            .and_then(|()| out.flush())
            .map_err(|e| super::output_failed(&e));
    }
    let mut args = Args::default();
    // The table is attached, so that no word of the selection is taken for it.
    let line: Vec<&[u8]> =
        std::iter::once(&b"--delete=conntrack"[..]).chain(words.rest.iter().map(Vec::as_slice)).collect();
    let parsed = parse::parse(&line, &mut args);
    args.warnings.iter().for_each(|w| warn(w.as_bytes()));
    parsed?;
    keep(&words, &mut args)?;
    let labels = Invocation::load_labels(&args);
    let call = Invocation::new(name, args, labels)?;
    check_legal::check(&call.args, name)?;
    delete::selected(&call, delete::deletion_filter(&call)?).map(drop)
}

/// Makes the lists part of the selection, and refuses what would delete too much.
fn keep(words: &ReconcileWords, args: &mut Args) -> Result<(), Fail> {
    if words.keep.is_empty() {
        return Err(Fail::usage("nothing says what to keep: --keep-dst @FILE, or another --keep option"));
    }
    if selection::is_family_alone(args) {
        if !words.all {
            return Err(Fail::usage(
                "without a selection every flow that is not on the list would be deleted: add one \
                 (-p udp --dport 53), or --all",
            ));
        }
    } else if words.all {
        return Err(Fail::usage("`--all' is for want of a selection, and there is one"));
    }
    let mut families = [true; 2];
    for (at, value) in &words.keep {
        let kept = from_files(*at, value)?;
        for (covered, family) in families.iter_mut().zip([af::INET, af::INET6]) {
            *covered &= kept.addresses.has_family(family);
        }
        if kept.addresses.is_empty() {
            if !words.allow_empty {
                return Err(Fail::word(
                    "no addresses to keep in `",
                    value,
                    "': nothing was done (--allow-empty)",
                ));
            }
            continue;
        }
        args.negated.add(SIDES[*at].1);
        args.not.push(Args { sets: vec![kept], ..Args::default() });
    }
    if !words.allow_empty {
        only_covered(families, args)?;
    }
    if args.not.is_empty() && words.all {
        args.given.add(Id::All);
    }
    Ok(())
}

/// Narrows the selection to the families of which every list has addresses.
fn only_covered(families: [bool; 2], args: &mut Args) -> Result<(), Fail> {
    let covered: Vec<u8> =
        families.into_iter().zip([af::INET, af::INET6]).filter(|(is, _)| *is).map(|(_, f)| f).collect();
    let missing = |what: &str| Err(Fail::usage(format!("{what} to keep: nothing was done (--allow-empty)")));
    match (selection::filter(args, Labels::default()).family, covered.as_slice()) {
        (_, []) => missing("the lists have no family in common: no addresses"),
        (Some(af::INET6), have) if !have.contains(&af::INET6) => missing("no IPv6 addresses"),
        (Some(family), have) if !have.contains(&family) => missing("no IPv4 addresses"),
        (None, [one]) => {
            args.family = Some(*one);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Reads the files of one option. Nothing but files is taken: an address by itself would not be a list.
fn from_files(at: usize, value: &[u8]) -> Result<FromFiles, Fail> {
    let (mut names, mut members) = (Vec::new(), Vec::new());
    for text in value.split(|b| *b == b',') {
        let Some(name) = address_file::named(text) else {
            let option = KEEPS[at].name;
            return Err(Fail::word("`", text, &format!("' is no file of addresses for --{option}: @FILE")));
        };
        members.append(&mut address_file::read(name)?);
        names.push(name.to_vec());
    }
    Ok(FromFiles { side: SIDES[at].0, names, addresses: Arc::new(AddressSet::new(members)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<ReconcileWords, Fail> {
        let words: Vec<&[u8]> = line.split_ascii_whitespace().map(str::as_bytes).collect();
        ReconcileWords::read(&words)
    }

    #[test]
    fn its_own_options_are_taken_and_the_others_left() {
        let w = read(
            "--keep-dst @a -p udp ! -s 10.0.0.1 --keep-src=@b,@c --dry-run --dport 53 --all -u !ASSURED",
        )
        .unwrap();
        assert_eq!(w.keep, [(0, b"@a".to_vec()), (1, b"@b,@c".to_vec())]);
        let rest: Vec<&[u8]> = [
            &b"-p"[..],
            b"udp",
            b"!",
            b"-s",
            b"10.0.0.1",
            b"--dry-run",
            b"--dport",
            b"53",
            b"-u",
            b"!ASSURED",
        ]
        .to_vec();
        assert_eq!(w.rest, rest);
        assert!(w.all && !w.allow_empty && !w.help);
        assert!(read("-h").unwrap().help && read("-p udp --help").unwrap().help);
        assert!(read("--allow-empty").unwrap().allow_empty);
        assert!(read("--keep-dst").is_err() && read("--all=x").is_err());
    }
}
