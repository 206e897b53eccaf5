//! Options of a protocol that come before `-p`, where the original does not know them.

use super::apply::{Words, apply, unknown};
use super::args::{Args, Late};
use super::flag::Flag;
use super::names::{begins_general, find_long};
use super::protocol::PROTOCOLS;
use crate::fail::Fail;

/// Keeps an option whose name is not known yet, if it may belong to a protocol, together with its value: all
/// options of protocols have one.
pub(super) fn defer(
    name: &[u8],
    attached: Option<&[u8]>,
    word: &[u8],
    words: &mut Words<'_>,
    args: &mut Args,
) -> Result<(), Fail> {
    let negated = std::mem::take(&mut args.negates_next);
    if args.protocol.is_some() || owners(name).is_empty() {
        return Err(needs_protocol(word, name, args));
    }
    let value = attached.or_else(|| words.take()).ok_or_else(|| needs_protocol(word, name, args))?;
    let (word, name, value) = (word.to_vec(), name.to_vec(), value.to_vec());
    args.late.push(Late { word, name, value, negated });
    Ok(())
}

/// Takes the kept options once the whole line has been read.
pub(super) fn resolve(words: &mut Words<'_>, args: &mut Args) -> Result<(), Fail> {
    for Late { word, name, value, negated } in std::mem::take(&mut args.late) {
        let meaning = find_long(&name, args).ok_or_else(|| needs_protocol(&word, &name, args))?;
        args.negates_next = negated;
        apply(meaning, Some(&value), &word, words, args)?;
    }
    Ok(())
}

/// The protocols that have an option of this name or, if none has, one whose name begins like this.
fn owners(name: &[u8]) -> Vec<(&'static str, u8)> {
    let having = |fits: &dyn Fn(&[u8]) -> bool| -> Vec<(&'static str, u8)> {
        let has = |f: &'static Flag| f.names.iter().any(|n| fits(n.as_bytes()));
        PROTOCOLS.iter().filter(|p| p.flags().any(has)).map(|p| (p.name, p.num)).collect()
    };
    let exact = having(&|n| n == name);
    if exact.is_empty() && !begins_general(name) { having(&|n| n.starts_with(name)) } else { exact }
}

fn needs_protocol(word: &[u8], name: &[u8], args: &Args) -> Fail {
    let owners = owners(name);
    let named = args.protocol.is_some_and(|p| p.has_options && owners.iter().any(|(_, num)| *num == p.num));
    if owners.is_empty() || named {
        return unknown(word);
    }
    let names: Vec<&str> = owners.iter().map(|(name, _)| *name).collect();
    Fail::word("unknown option `", word, &format!("'; it needs -p with one of: {}", names.join(", ")))
}
