//! What has to hold for addresses from files, `-s @FILE`, together with the rest of the line.

use super::args::{ADDRESS_NAMES, Args, FromFiles, Side};
use super::command::Cmd;
use crate::fail::Fail;

impl FromFiles {
    /// How the files were given, without the `!`.
    fn shown(&self) -> Vec<u8> {
        let option = format!("--{} @", ADDRESS_NAMES[self.side as usize]);
        [option.as_bytes(), &self.names.join(&b",@"[..])].concat()
    }
}

/// Refuses a mask for addresses that have lengths of their own, a second reading of standard input, and a
/// change of all flows but those of an empty file. A list that was to protect flows, and that could not be
/// made, would otherwise be the end of all of them.
pub(super) fn check(args: &Args) -> Result<(), Fail> {
    let all = || args.sets.iter().chain(args.not.iter().flat_map(|not| &not.sets));
    if all().next().is_none() {
        return Ok(());
    }
    for (side, mask, name) in [(Side::OrigSrc, args.mask_src, "src"), (Side::OrigDst, args.mask_dst, "dst")] {
        if mask.is_some() && args.addresses_of(side).is_some() {
            let text =
                format!("`--mask-{name}' is not for addresses of a file: they have lengths of their own");
            return Err(Fail::usage(text));
        }
    }
    if all().flat_map(|s| &s.names).filter(|name| *name == b"-").count() > 1 {
        return Err(Fail::usage("`@-' can be given once: standard input is read only once"));
    }
    let changes = matches!(args.action, Some((Cmd::Delete | Cmd::Update, _)));
    let empty = args.not.iter().flat_map(|not| &not.sets).find(|s| s.addresses.is_empty());
    match empty.filter(|_| changes) {
        Some(empty) => {
            let after = "' leaves nothing out: there are no addresses in it, and nothing was done";
            Err(Fail::word("`! ", &empty.shown(), after))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use crate::fail::{Fail, Name};
    use crate::flags::args::Args;
    use crate::flags::check_legal;
    use crate::flags::parse::parse;
    use crate::flags::selection;
    use std::path::PathBuf;
    use zct_wire::consts::af;

    /// Files of addresses, which are removed again.
    struct Files(PathBuf);

    impl Files {
        fn new() -> Files {
            let dir = std::env::temp_dir().join(format!("zct-from-files-{}", std::process::id()));
            std::fs::create_dir_all(&dir).unwrap();
            for (name, text) in
                [("v4", "10.0.0.1 10.1.0.0/16"), ("both", "10.0.0.1\n2001:db8::/32"), ("none", "#")]
            {
                std::fs::write(dir.join(name), text).unwrap();
            }
            std::fs::write(dir.join("bad"), "10.0.0.1\nexample.org").unwrap();
            Files(dir)
        }

        /// Reads a line in which `@` comes before the name of one of the files.
        fn of(&self, line: &str, in_file: bool) -> Result<Args, String> {
            let line = line.replace('@', &format!("@{}/", self.0.display()));
            let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
            let mut args = Args { in_file, ..Args::default() };
            let done = parse(&words, &mut args).and_then(|()| check_legal::check(&args, Name::Zct));
            let text = |f: Fail| String::from_utf8(f.text).unwrap();
            done.map(|()| args).map_err(text).map_err(|e| e.replace(&format!("{}/", self.0.display()), ""))
        }
    }

    impl Drop for Files {
        fn drop(&mut self) {
            _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn files_alone_in_lists_and_after_a_negation() {
        let files = Files::new();
        let filter = |line| selection::filter(&files.of(line, false).unwrap(), Default::default());
        let f = filter("-L -s @v4");
        assert_eq!((f.family, f.orig.src.listed().len()), (Some(af::INET), 0));
        assert!(f.orig.src.set().is_some() && f.orig.dst.is_any() && f.not.is_empty());
        let f = filter("-L -d 10.9.9.9,@both,@v4,10.8.8.8");
        assert_eq!((f.family, f.orig.dst.listed().len()), (Some(af::INET), 2));
        let f = filter("-E -r @both -q @v4 -q @none");
        assert_eq!(f.family, None);
        assert!(f.reply.src.set().is_some_and(|s| !s.is_empty()));
        assert!(f.reply.dst.set().is_some_and(|s| s.is_empty()));
        for line in ["-L ! -d @v4", "-L -d !@v4", "-D ! -d @v4 -p udp"] {
            let f = filter(line);
            assert!(f.family.is_none() && f.orig.dst.is_any() && f.not.len() == 1, "{line}");
            assert!(f.not[0].orig.dst.set().is_some(), "{line}");
        }
        let f = filter("-L -s 10.0.0.1 -s @v4");
        assert!(f.orig.src.listed().is_empty() && f.orig.src.set().is_some());
        assert!(filter("-L -s @v4 -s 10.0.0.1").orig.src.set().is_none());
    }

    #[test]
    fn what_is_refused() {
        let files = Files::new();
        for (line, want) in [
            ("-L -s @bad", "bad:2: Invalid IP address `example.org'"),
            ("-L -s !@bad", "bad:2: Invalid IP address `example.org'"),
            ("-L ! -d @missing", "Cannot read addresses from `missing': No such file or directory"),
            ("-L -s @v4 --mask-src 255.0.0.0", "`--mask-src' is not for addresses of a file: "),
            ("-D ! -d @none", "`! --dst @none' leaves nothing out: "),
            ("-D -p udp ! -d @none,@v4 ! -r @none", "`! --dst @none' leaves nothing out: "),
            ("-U -m 5 ! -q @none", "`! --reply-dst @none' leaves nothing out: "),
            ("-G -s @v4 -d 1.1.1.1 -p udp --sport 1 --dport 2", "`--src' takes one value with this command"),
            (
                "-I -s 1.1.1.1 -d @v4 -p udp --sport 1 --dport 2 -t 9",
                "`--dst' takes one value with this command",
            ),
            ("-D expect -p 201 -s @v4 -d 1.1.1.1", "`--src' takes one value with this command"),
        ] {
            let fail = files.of(line, false).expect_err(line);
            assert!(fail.starts_with(want), "{line}: {fail}");
        }
        for line in ["-D -s @v4", "-D ! -s @v4"] {
            let fail = files.of(line, true).expect_err(line);
            assert!(fail.starts_with("a line of a file takes no addresses from another one: `@v4"), "{fail}");
        }
        for line in ["-D -d @none", "-L ! -d @none", "-E ! -d @none", "-D -f ipv6 -s @v4"] {
            assert!(files.of(line, false).is_ok(), "{line}");
        }
    }
}
