//! Options that are given twice although only one value counts. That is the last one, as in the original,
//! and the user is told.

use super::args::{Args, NatOption};
use super::flag::Flag;
use super::id::{Given, Id};
use crate::values::{addr, nat};
use std::net::IpAddr;
use zct_wire::tuple::Addr;

/// Which options have had a value so far, and which have had more than one.
#[derive(Debug, Default)]
pub(super) struct Repeats {
    seen: Given,
    /// The option, how many times it was given, and its last value.
    again: Vec<(&'static Flag, u32, Vec<u8>)>,
}

/// Options of which all values count, or which say for themselves what happens.
const ALL_COUNT: [Id; 9] = [
    Id::Status,
    Id::EventMask,
    Id::Output,
    Id::Label,
    Id::LabelAdd,
    Id::LabelDel,
    // Ignored, with a warning.
    Id::NatRange,
    // Two different values are refused.
    Id::Family,
    Id::Labelmap,
];

impl Repeats {
    /// Takes note of an option with a value.
    pub(super) fn note(&mut self, flag: &'static Flag, value: &[u8]) {
        if !self.seen.has(flag.id) {
            self.seen.add(flag.id);
            return;
        }
        if ALL_COUNT.contains(&flag.id) {
            return;
        }
        match self.again.iter_mut().find(|(f, ..)| f.id == flag.id) {
            Some((_, times, last)) => {
                *times += 1;
                *last = value.to_vec();
            }
            None => self.again.push((flag, 2, value.to_vec())),
        }
    }

    /// Adds a warning for each repeated option, once all words have been read.
    pub(super) fn say(&self, args: &mut Args) {
        for (flag, times, last) in &self.again {
            let option = match flag.short() {
                Some(letter) => format!("-{}", char::from(letter)),
                None => format!("--{}", flag.names[0]),
            };
            let times = if *times == 2 { "twice".to_owned() } else { format!("{times} times") };
            let last = String::from_utf8_lossy(last);
            let kept = kept(flag.id, &last, args);
            args.warnings.push(format!("WARNING: {option} given {times}: using {last}{kept}"));
        }
    }
}

/// What an earlier value or another option adds to the last value: a mask, and the port of a NAT option,
/// stay until another one is given.
fn kept(id: Id, last: &str, args: &Args) -> String {
    let mask = |mask: Option<Addr>| {
        let alone = addr::network(last.as_bytes()).is_ok_and(|a| a.mask.is_none());
        let stays = mask.filter(|_| alone);
        stays.map_or(String::new(), |m| format!(" with the mask {}", ip(&m)))
    };
    let port = |option: NatOption| {
        let port = option.flatten().and_then(|arg| arg.port).filter(|_| !nat::has_port(last.as_bytes()));
        port.map_or(String::new(), |p| format!(" with the port {p}"))
    };
    match id {
        Id::Src | Id::TupleSrc => mask(args.mask_src),
        Id::Dst | Id::TupleDst => mask(args.mask_dst),
        Id::SrcNat => port(args.src_nat),
        Id::DstNat => port(args.dst_nat),
        Id::AnyNat => port(args.any_nat),
        _ => String::new(),
    }
}

fn ip(addr: &Addr) -> IpAddr {
    match *addr {
        Addr::V4(b) => b.into(),
        Addr::V6(b) => b.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::parse::parse;

    fn warnings(line: &str) -> Vec<String> {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let mut args = Args::default();
        parse(&words, &mut args).unwrap();
        args.warnings
    }

    #[test]
    fn the_last_value_counts_and_is_named() {
        for (line, want) in [
            ("-L -s 1.1.1.1 -s 2.2.2.2", "-s given twice: using 2.2.2.2"),
            ("-L --src=1.1.1.1 -s 2.2.2.2 --orig-src 3.3.3.3", "-s given 3 times: using 3.3.3.3"),
            ("-L -s 1.1.1.1/8 -s 2.2.2.2", "-s given twice: using 2.2.2.2 with the mask 255.0.0.0"),
            ("-L -d fd00::/8 -d fd00::1", "-d given twice: using fd00::1 with the mask ff00::"),
            ("-L -s 1.1.1.1/8 -s 2.2.2.2/32", "-s given twice: using 2.2.2.2/32 with the mask 255.0.0.0"),
            ("-L -s 1.1.1.1/8 -s 2.2.2.2/16", "-s given twice: using 2.2.2.2/16"),
            ("-L -s 1.1.1.1/8 -s 2.2.2.2,3.3.3.3", "-s given twice: using 2.2.2.2,3.3.3.3"),
            ("-L -g 1.2.3.4:5 -g 2.2.2.2", "-g given twice: using 2.2.2.2 with the port 5"),
            ("-L -n [fd00::1]:5 -n fd00::2", "-n given twice: using fd00::2 with the port 5"),
            ("-L -g 1.2.3.4:5 -g 2.2.2.2:6", "-g given twice: using 2.2.2.2:6"),
            ("-L -p tcp --dport 80 --dport 1-5", "--dport given twice: using 1-5"),
            ("-L -p tcp -p udp", "-p given twice: using udp"),
            ("-L -m 1 -m 0", "-m given twice: using 0"),
        ] {
            assert_eq!(warnings(line), [format!("WARNING: {want}")], "{line}");
        }
        for line in [
            "-L -u ASSURED -u SEEN_REPLY -o id -o xml -l a -l b -f ipv4 -f ipv4 -z -z",
            "-L -n 1.2.3.4 -n",
            "-L -s 1.1.1.1/8 --mask-src 255.0.0.0",
            "-L -p tcp --sport 1 --dport 1",
        ] {
            assert_eq!(warnings(line), Vec::<String>::new(), "{line}");
        }
    }
}
