//! `!`: what a selection leaves out.
//!
//! `! -s ADDR` and `-s '!ADDR'` mean the same, and a list can mix both: one of the values without `!` has to
//! match, and none of the others may. Values that are left out are read by the same functions as those that
//! are selected, but into [`Args`] of their own.

use super::args::Args;
use super::command::{COMMANDS, Cmd, Table};
use super::flag::Flag;
use super::id::Id;
use super::protocol::{PROTOCOLS, protocol_flags};
use super::table::FLAGS;
use crate::fail::Fail;
use crate::flags::selection;
use std::borrow::Cow;

impl Id {
    /// True when `!` may come before the option.
    pub fn can_be_negated(self) -> bool {
        use Id::{
            AnyNat, Dport, Dst, DstNat, IcmpCode, IcmpId, IcmpType, Label, Mark, OrigZone, Protonum,
            ReplyDst, ReplyPortDst, ReplyPortSrc, ReplySrc, ReplyZone, Sport, Src, SrcNat, State, Status,
            Zone,
        };
        matches!(
            self,
            Src | Dst | ReplySrc | ReplyDst | Protonum | Mark | Status | Zone | OrigZone | ReplyZone | Label
        ) || matches!(self, SrcNat | DstNat | AnyNat | State | IcmpType | IcmpCode | IcmpId)
            || matches!(self, Sport | Dport | ReplyPortSrc | ReplyPortDst)
    }

    /// False for a status, whose words have a `!` of their own that the kernel can filter by.
    fn has_negated_values(self) -> bool {
        self.can_be_negated() && self != Id::Status
    }
}

/// Reads the value of an option; `negated` when a `!` came before the option. Returns the part that selects.
pub fn set<'v>(
    id: Id,
    args: &mut Args,
    value: &'v [u8],
    negated: bool,
    set: impl Fn(&mut Args, &[u8]) -> Result<(), Fail>,
) -> Result<Option<Cow<'v, [u8]>>, Fail> {
    let within = id.has_negated_values() && value.split(|b| *b == b',').any(|v| v.starts_with(b"!"));
    if !negated && !within {
        return set(args, value).map(|()| Some(Cow::Borrowed(value)));
    }
    let mut plain: Vec<&[u8]> = Vec::new();
    for piece in value.split(|b| *b == b',') {
        match piece.strip_prefix(b"!") {
            Some(_) if negated => return Err(Fail::word("`", piece, "' is negated twice")),
            // A mistake in a file is its own, not one of this value.
            Some(text @ [b'@', ..]) => exclude(id, args, text, &set)?,
            // A mistake gets the message for a value that means nothing.
            Some(text) => exclude(id, args, text, &set).map_err(|f| set(args, value).err().unwrap_or(f))?,
            None if negated => exclude(id, args, piece, &set)?,
            None => plain.push(piece),
        }
    }
    if plain.is_empty() {
        return Ok(None);
    }
    let plain = plain.join(&b',');
    set(args, &plain)?;
    Ok(Some(Cow::Owned(plain)))
}

/// Reads one value that flows must not match.
pub fn exclude(
    id: Id,
    args: &mut Args,
    value: &[u8],
    set: impl Fn(&mut Args, &[u8]) -> Result<(), Fail>,
) -> Result<(), Fail> {
    let mut not = Args { in_file: args.in_file, ..Args::default() };
    set(&mut not, value)?;
    args.warnings.append(&mut not.warnings);
    args.negated.add(id);
    if !not.labels.is_empty() {
        args.labels_not.append(&mut not.labels);
    } else if selection::is_everything(&not) {
        return Err(Fail::word("the negation of `", value, "' leaves nothing to select"));
    } else {
        args.not.push(not);
    }
    Ok(())
}

/// The failure for an option that cannot be negated.
pub fn refused(word: &[u8]) -> Fail {
    let name = |f: &Flag| f.short().map_or(format!("--{}", f.names[0]), |c| format!("-{}", char::from(c)));
    let mut names: Vec<String> = Vec::new();
    for flag in FLAGS.iter().chain(PROTOCOLS.iter().flat_map(|p| p.flags())) {
        if flag.id.can_be_negated() && !names.contains(&name(flag)) {
            names.push(name(flag));
        }
    }
    Fail::word("`!' cannot negate `", word, &format!("'; it can negate {}", names.join(" ")))
}

/// Refuses negations for commands that do not select by the option.
pub fn check(args: &Args) -> Result<(), Fail> {
    let Some((cmd, table)) = args.action else { return Ok(()) };
    let allowed = |f: &Flag| match (cmd, table) {
        (Cmd::Help | Cmd::Version, _) => true,
        (Cmd::List | Cmd::Delete | Cmd::Event | Cmd::Count, t) => t != Table::Expect,
        // These say what to change.
        (Cmd::Update, _) => !matches!(f.id, Id::Mark | Id::Status | Id::State),
        // The others are the key of the request.
        (Cmd::Get, Table::Conntrack) => matches!(f.id, Id::Label | Id::State),
        _ => false,
    };
    // Protocols share ids, so the option is named as the protocol of this command line calls it.
    let own = args.protocol.and_then(|p| protocol_flags(p.num)).into_iter().flat_map(|p| p.flags());
    let mut flags = FLAGS.iter().chain(own).chain(PROTOCOLS.iter().flat_map(|p| p.flags()));
    let Some(flag) = flags.find(|f| args.negated.has(f.id) && !allowed(f)) else { return Ok(()) };
    let letter = COMMANDS.iter().find(|c| c.cmd == cmd).map_or('?', |c| char::from(c.short));
    let name = flag.names[0];
    Err(Fail::usage(format!("`! --{name}' selects, and -{letter} does not select by --{name}")))
}

#[cfg(test)]
mod tests {
    use crate::fail::{Fail, Name};
    use crate::flags::args::Args;
    use crate::flags::check_legal;
    use crate::flags::parse::parse;

    fn of(line: &str) -> Result<Args, Fail> {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let mut args = Args::default();
        parse(&words, &mut args)?;
        check_legal::check(&args, Name::Zct).map(|()| args)
    }

    fn message(line: &str) -> String {
        String::from_utf8(of(line).expect_err(line).text).unwrap()
    }

    #[test]
    fn the_option_is_named_as_its_protocol_calls_it() {
        let line = "-A -s ::1 -d ::2 -t 5 -p icmpv6 --icmpv6-type 128 --icmpv6-code !0";
        assert_eq!(message(line), "`! --icmpv6-code' selects, and -A does not select by --icmpv6-code");
        let line = "-A -s 1.1.1.1 -d 2.2.2.2 -t 5 -p gre --srckey !1 --dstkey 2";
        assert_eq!(message(line), "`! --srckey' selects, and -A does not select by --srckey");
    }

    #[test]
    fn before_an_option_and_before_a_value() {
        for line in ["-D ! -s 10.0.0.1", "-D -s !10.0.0.1", "-D ! --src=10.0.0.1", "-D --orig-src=!10.0.0.1"]
        {
            let args = of(line).unwrap();
            assert!(args.orig_src.is_none() && args.family.is_none() && args.stray.is_empty(), "{line}");
            assert_eq!(args.not.len(), 1, "{line}");
            assert_eq!(args.not[0].orig_src.unwrap().addr.bytes(), [10, 0, 0, 1], "{line}");
        }
        let args =
            of("-L -s 10.0.0.0/8,!10.1.0.5,!10.2.0.0/16 ! -s ::1 ! -p tcp -w !0,!7 ! -l a,b -l c").unwrap();
        assert_eq!(args.orig_src.unwrap().addr.bytes(), [10, 0, 0, 0]);
        assert!(args.mask_src.is_some() && args.more_addrs[0].is_empty());
        assert_eq!((args.not.len(), args.labels.len(), args.labels_not.len()), (6, 1, 2));
        assert!(args.protocol.is_none() && args.zone.is_none());
        let args =
            of("-L -p tcp --dport 80,!443 --state !TIME_WAIT,!CLOSE ! -n -g!1.1.1.1 ! -u ASSURED").unwrap();
        assert_eq!((args.orig_ports.dst, args.not.len()), (Some(80), 6));
        assert!(args.not.iter().any(|n| n.src_nat == Some(None)));
    }

    #[test]
    fn what_cannot_be_negated() {
        for (line, want) in [
            ("-D ! -t 5", "`!' cannot negate `-t'; it can negate -s -d -r -q -p -u -m -n -g "),
            ("-L ! -zs 1.1.1.1", "`!' cannot negate `-zs'"),
            ("! -L", "`!' cannot negate `-L'"),
            ("-L ! -s !1.1.1.1", "`!1.1.1.1' is negated twice"),
            ("-L ! -u !ASSURED", "`!ASSURED' is negated twice"),
            ("-L ! -u UNSET", "the negation of `UNSET' leaves nothing"),
            ("-L -s !", "Invalid IP address `!'"),
            ("-D ! 1.1.1.1", "nothing was done because of the stray words `!', `1.1.1.1'; "),
            ("-U ! -m 5 -t 7", "`! --mark' selects, and -U does not select by --mark"),
            ("-U -p tcp --state !NONE", "`! --state' selects, and -U "),
            ("-A ! -s 1.1.1.1 -d 1.1.1.1 -p udp --sport 1 --dport 1 -t 5", "`! --src' selects, and -A "),
            ("-G -s 1.1.1.1 -d 1.1.1.1 -p udp --sport 1 ! --dport 1", "`! --dport' selects, and -G "),
            ("-L --mask-src 255.0.0.0 ! -s 1.1.1.1", "Can't use --mask-src without --src"),
            ("-L -z ! -s 1.1.1.1", "Can't use -z with filtering parameters"),
            ("-F ! -s 1.1.1.1", "Illegal option `--src' with this command"),
        ] {
            assert!(message(line).starts_with(want), "{line}: {}", message(line));
        }
        for line in
            ["-D ! -s 1.1.1.1", "-U ! -l x -m 5", "-E ! -p tcp", "-L dying ! -p tcp", "-L -s !::1 -f ipv4"]
        {
            assert!(of(line).is_ok(), "{line}: {}", message(line));
        }
    }
}
