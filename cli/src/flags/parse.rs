//! From words to [`Args`], in the manner of GNU `getopt_long` (command-line.md §1.2).
//!
//! Written here and not taken from a library: scripts rely on abbreviations whose ambiguity depends on the
//! protocol seen so far, on words that are table names after a command letter, and on values that are only
//! taken when they do not look like options.

use super::apply::{Words, apply, set_command, unknown};
use super::args::Args;
use super::command::Cmd;
use super::flag::{Flag, Takes};
use super::names::{Meaning, find_long, find_short};
use super::{late, stray};
use crate::fail::Fail;
use memchr::memchr;

/// Reads the words after the program's name into `args`. On failure `args` holds what came before, including
/// the warnings.
pub fn parse(words: &[&[u8]], args: &mut Args) -> Result<(), Fail> {
    let mut words = Words::new(words);
    while let Some(word) = words.take() {
        match word {
            b"!" if words.is_option_next() => args.negates_next = true,
            // The words after it are not options, and belong to none.
            b"--" => {
                while let Some(word) = words.take() {
                    args.stray.push(word.to_vec());
                }
            }
            [b'-', b'-', long @ ..] => parse_long(word, long, &mut words, args)?,
            [b'-', cluster @ ..] if !cluster.is_empty() => parse_cluster(word, cluster, &mut words, args)?,
            _ => args.stray.push(word.to_vec()),
        }
    }
    late::resolve(&mut words, args)?;
    stray::warn(args);
    warn_of_a_mask(args);
    words.repeats.say(args);
    Ok(())
}

/// A new flow gets the mark as it is, as in the original: a mask has nothing to keep.
fn warn_of_a_mask(args: &mut Args) {
    let makes = matches!(args.action, Some((Cmd::Create | Cmd::Add, _)));
    if let Some(m) = args.mark.filter(|m| makes && m.mask != u32::MAX) {
        args.warnings.push(format!(
            "WARNING: the mask of --mark counts with -U and in selections: the flow gets mark {}",
            m.value
        ));
    }
}

fn parse_long(word: &[u8], long: &[u8], words: &mut Words<'_>, args: &mut Args) -> Result<(), Fail> {
    let equals = memchr(b'=', long);
    let (name, value) = match equals {
        Some(at) => (&long[..at], Some(&long[at + 1..])),
        None => (long, None),
    };
    match find_long(name, args) {
        Some(meaning) => apply(meaning, value, word, words, args),
        None => late::defer(name, value, word, words, args),
    }
}

fn parse_cluster(word: &[u8], cluster: &[u8], words: &mut Words<'_>, args: &mut Args) -> Result<(), Fail> {
    for (at, letter) in cluster.iter().enumerate() {
        let rest = Some(&cluster[at + 1..]).filter(|r| !r.is_empty());
        let meaning = find_short(*letter).ok_or_else(|| unknown(word))?;
        match meaning {
            // -C takes what is attached to it as a table; for the others it is read as more letters.
            Meaning::Command(c) if rest.is_some() && c.short != b'C' => {
                // A table name would be the next word, because this word has more letters.
                set_command(c, None, args)?;
            }
            Meaning::Flag(Flag { takes: Takes::Nothing(_), .. }) => apply(meaning, None, word, words, args)?,
            _ => return apply(meaning, rest, word, words, args),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::command::{Cmd, Table};
    use crate::flags::id::Id;

    fn of(line: &str) -> Result<Args, Fail> {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let mut args = Args::default();
        parse(&words, &mut args).map(|()| args)
    }

    fn message(line: &str) -> String {
        String::from_utf8(of(line).unwrap_err().text).unwrap()
    }

    #[test]
    fn commands_and_their_tables() {
        for (line, want) in [
            ("-L", (Cmd::List, Table::Conntrack)),
            ("--dump exp", (Cmd::List, Table::Expect)),
            ("--dump=expect", (Cmd::List, Table::Expect)),
            ("-zL d", (Cmd::List, Table::Dying)),
            ("-Lz", (Cmd::List, Table::Conntrack)),
            ("-L -o xml expect", (Cmd::List, Table::Conntrack)),
            ("-Cexpect", (Cmd::Count, Table::Expect)),
            ("--count", (Cmd::Count, Table::Conntrack)),
            ("stray -S -- -D", (Cmd::Stats, Table::Conntrack)),
        ] {
            assert_eq!(of(line).unwrap().action, Some(want), "{line}");
        }
        assert_eq!(message("-L -D"), "Invalid commands combination");
        assert_eq!(message("-L foo"), "unknown type `foo'");
        assert_eq!(message("-L -D foo"), "unknown type `foo'");
        assert_eq!(message("--stats=foo"), "unknown option `--stats=foo'");
    }

    #[test]
    fn abbreviations_depend_on_the_protocol() {
        assert!(of("-L --sta").is_err(), "stats or status");
        assert!(of("-L --stat").is_err());
        assert_eq!(of("-L --statu ASSURED").unwrap().status.unwrap().set, 4);
        assert!(of("-L --state ESTABLISHED").is_err(), "unknown without -p");
        assert_eq!(of("-L -p tcp --state ESTABLISHED").unwrap().states.as_slice(), [3]);
        assert_eq!(of("-L -p tcp --orig-port-s 5").unwrap().orig_ports.src, Some(5));
        assert_eq!(message("-L -p 6x"), "`6x' unsupported protocol");
        assert!(of("-L -p ipv6-icmp --icmpv6-type 1").is_err(), "a name of the database has no options");
        assert_eq!(of("-L --label x").unwrap().labels, [b"x"]);
        // Names of ours do not count beside those of the original.
        assert_eq!(of("-E --b 4096").unwrap().buffer_size, Some(4096));
        assert!(of("-L --by src").unwrap().by.is_some());
        assert_eq!(of("-L --by src --to 3").unwrap().top, Some(3));
    }

    #[test]
    fn options_of_a_protocol_may_come_before_it() {
        let ports = |line| of(line).unwrap().orig_ports;
        assert_eq!(ports("-L --dport 5 -p udp").dst, Some(5));
        assert_eq!(ports("-L --orig-port-d=5 --sport 6 -p tcp").src, Some(6));
        assert_eq!(of("--state TIME_WAIT -L -p tcp").unwrap().states.as_slice(), [7]);
        assert_eq!(of("--icmp-type 8 -p icmp -L").unwrap().icmp_type, Some(8));
        assert_eq!(of("-L ! --dport 5 -p udp").unwrap().not[0].orig_ports.dst, Some(5));
        assert_eq!(
            message("-L --dport 5"),
            "unknown option `--dport'; it needs -p with one of: tcp, udp, udplite, sctp, dccp"
        );
        assert_eq!(
            message("-L --icmp-type 8 -p tcp"),
            "unknown option `--icmp-type'; it needs -p with one of: icmp"
        );
        assert_eq!(message("-L -p icmp --role c"), "unknown option `--role'; it needs -p with one of: dccp");
        assert_eq!(message("-L -p tcp --s 5"), message("-L --s 5 -p tcp").split(';').next().unwrap());
        assert_eq!(message("-L --foo 8 -p tcp"), "unknown option `--foo'");
        assert_eq!(message("-L --dport"), message("-L --dport 5"));
    }

    #[test]
    fn values() {
        assert!(of("-L -oxml").unwrap().output.xml);
        assert_eq!(of("-L -n 1.2.3.4").unwrap().src_nat.flatten().unwrap().port, None);
        assert_eq!(of("-L -n -f ipv4").unwrap().src_nat, Some(None));
        assert_eq!(of("-L --src-nat=1.2.3.4:5").unwrap().src_nat.flatten().unwrap().port, Some(5));
        assert_eq!(of("-U -n1.2.3.4").unwrap().src_nat.flatten().unwrap().port, None);
        assert_eq!(of("-U --label-del=a,b").unwrap().label_del, [b"a", b"b"]);
        assert_eq!(of("-L -n 1.2.3.4 -n").unwrap().src_nat.flatten().unwrap().addr.bytes(), [1, 2, 3, 4]);
        let twice = of("-L -g 1.2.3.4:5 -g 2.2.2.2").unwrap().dst_nat.flatten().unwrap();
        assert_eq!((twice.addr.bytes(), twice.port), (&[2, 2, 2, 2][..], Some(5)));
        let masks = |line| of(line).unwrap().mask_src.map(|m| m.bytes().to_vec());
        assert_eq!(masks("-L -s 1.1.1.1/8 -s 2.2.2.2"), Some(vec![255, 0, 0, 0]));
        assert_eq!(masks("-L --mask-src 255.0.0.0 -s 1.1.1.1/16"), Some(vec![255, 255, 0, 0]));
        assert_eq!(masks("-L -s 1.1.1.1/8,2.2.2.2"), None);
        assert_eq!(of("-L -( 7").unwrap().orig_zone, Some(7));
        assert_eq!(message("-L -s"), "option `-s' requires an argument");
        assert_eq!(message("-Ls"), "option `-Ls' requires an argument");
        assert_eq!(message("-L -s 1.1.1.1 -s 2001::1"), "mismatched address family");
        assert_eq!(message("-xL"), "unknown option `-xL'");
        assert_eq!(of("-L -s 1.1.1.1 -s 2.2.2.2").unwrap().orig_src.unwrap().addr.bytes(), [2, 2, 2, 2]);
        assert_eq!(of("-L -e").unwrap_err().code(), 2);
        assert!(!of("-L -a foo").unwrap().given.has(Id::NatRange));
    }
}
