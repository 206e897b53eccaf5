//! What the options said, before it is interpreted.

use super::command::{Cmd, Table};
use super::id::{Given, Id};
use crate::address_set::AddressSet;
use crate::dump_plan::KernelFilter;
use crate::fail::Fail;
use crate::filter::PortRange;
use crate::group::key::Keys;
use crate::group::order::Order;
use crate::reader::Reader;
use crate::values::addr::{self, AddrArg};
use crate::values::address_file;
use crate::values::list::{EventMask, Output, Status};
use crate::values::nat::NatArg;
use crate::values::number::{self, Base};
use crate::values::protocol::Protocol;
use smallvec::SmallVec;
use std::ffi::OsString;
use std::sync::Arc;
use zct_wire::consts::{af, ipproto};
use zct_wire::filter::Masked;
use zct_wire::tuple::Addr;

/// Two ports, or two GRE keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ports {
    /// Source port or key.
    pub src: Option<u16>,
    /// Destination port or key.
    pub dst: Option<u16>,
}

/// Which address or port of a flow a list is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Source of the original direction.
    OrigSrc,
    /// Destination of the original direction.
    OrigDst,
    /// Source of the reply direction.
    ReplySrc,
    /// Destination of the reply direction.
    ReplyDst,
}

/// The options for the members of [`Side`], in the same order.
pub(super) const ADDRESS_NAMES: [&str; 4] = ["src", "dst", "reply-src", "reply-dst"];

/// `PORT`, `FIRST-LAST` or `FIRST:LAST`.
fn port_range(text: &[u8], base: Base) -> Option<PortRange> {
    let port = |t: &[u8]| number::up_to(t, base, u16::MAX.into()).map(|v| v as u16);
    let range = match text.iter().position(|b| matches!(b, b'-' | b':')) {
        Some(at) => PortRange { first: port(&text[..at])?, last: port(&text[at + 1..])? },
        None => PortRange::one(port(text)?),
    };
    (range.first <= range.last).then_some(range)
}

/// What a list of ports should look like, for messages.
const PORTS_WANTED: &str =
    "numbers from 0 to 65535 or ranges FIRST-LAST, separated by commas, FIRST not above LAST";

/// An option that came before its protocol was named.
#[derive(Clone, Debug)]
pub struct Late {
    /// The word as it was written.
    pub word: Vec<u8>,
    /// Its long name, which may be abbreviated.
    pub name: Vec<u8>,
    /// The value it was given.
    pub value: Vec<u8>,
    /// True when a `!` came before it.
    pub negated: bool,
}

/// What the files of one option have.
#[derive(Clone, Debug)]
pub struct FromFiles {
    /// The address that the option is about.
    pub side: Side,
    /// The names of the files, as they were given.
    pub names: Vec<Vec<u8>>,
    /// All that is in them.
    pub addresses: Arc<AddressSet>,
}

/// A NAT option: `None` when it was not given, `Some(None)` when it was given without an address.
pub type NatOption = Option<Option<NatArg>>;

/// Everything the command line said, one member per option.
#[derive(Clone, Debug, Default)]
pub struct Args {
    /// The command and its table.
    pub action: Option<(Cmd, Table)>,
    /// Which options were given.
    pub given: Given,
    /// Warnings to show before anything else happens, in order.
    pub warnings: Vec<String>,
    /// Words that belong to no option.
    pub stray: Vec<Vec<u8>>,
    /// True when a `!` came before the next option.
    pub negates_next: bool,
    /// Which options were given with a `!`, before them or before a value.
    pub negated: Given,
    /// What the selection leaves out. A flow that matches any of these is not selected.
    pub not: Vec<Args>,
    /// Options that came before their protocol was named.
    pub late: Vec<Late>,
    /// Family of `-f` and of every address.
    pub family: Option<u8>,
    /// `--src`
    pub orig_src: Option<AddrArg>,
    /// `--dst`
    pub orig_dst: Option<AddrArg>,
    /// `--reply-src`
    pub reply_src: Option<Addr>,
    /// `--reply-dst`
    pub reply_dst: Option<Addr>,
    /// `--mask-src`
    pub mask_src: Option<Addr>,
    /// `--mask-dst`
    pub mask_dst: Option<Addr>,
    /// `--tuple-src`
    pub tuple_src: Option<AddrArg>,
    /// `--tuple-dst`
    pub tuple_dst: Option<AddrArg>,
    /// `-p`
    pub protocol: Option<Protocol>,
    /// `--sport`, `--dport`, `--srckey`, `--dstkey`
    pub orig_ports: Ports,
    /// `--reply-port-src` and the like
    pub reply_ports: Ports,
    /// `--mask-port-src` and the like
    pub mask_ports: Ports,
    /// `--tuple-port-src` and the like
    pub tuple_ports: Ports,
    /// Addresses from files.
    pub sets: Vec<FromFiles>,
    /// Addresses after the first of a comma list: original source and destination, reply likewise.
    pub more_addrs: [Vec<AddrArg>; 4],
    /// Ports given as a list or a range, in the same order. The first of them is in the members above too.
    pub port_lists: [Vec<PortRange>; 4],
    /// `--icmp-type`, `--icmpv6-type`
    pub icmp_type: Option<u8>,
    /// `--icmp-code`, `--icmpv6-code`
    pub icmp_code: Option<u8>,
    /// `--icmp-id`, `--icmpv6-id`
    pub icmp_id: Option<u16>,
    /// `--state`: the flow must have one of these
    pub states: SmallVec<[u8; 4]>,
    /// `--orig-vtag`, `--reply-vtag`
    pub vtag: [Option<u32>; 2],
    /// `--role`
    pub role: Option<u8>,
    /// `-t`, seconds
    pub timeout: Option<u32>,
    /// `-u`
    pub status: Option<Status>,
    /// `-e`
    pub events: Option<EventMask>,
    /// `-o`
    pub output: Output,
    /// `-m`
    pub mark: Option<Masked>,
    /// `-c`
    pub secmark: Option<u32>,
    /// `-i`
    pub id: Option<u32>,
    /// `-w`
    pub zone: Option<u16>,
    /// `--orig-zone`
    pub orig_zone: Option<u16>,
    /// `--reply-zone`
    pub reply_zone: Option<u16>,
    /// `-n`
    pub src_nat: NatOption,
    /// `-g`
    pub dst_nat: NatOption,
    /// `-j`
    pub any_nat: NatOption,
    /// `-l`: names, collected over all its occurrences
    pub labels: Vec<Vec<u8>>,
    /// `! -l`: names of labels that must not be set
    pub labels_not: Vec<Vec<u8>>,
    /// `--label-add`
    pub label_add: Vec<Vec<u8>>,
    /// `--label-del`: names; if the option is given without names, all labels
    pub label_del: Vec<Vec<u8>>,
    /// `--labelmap`
    pub labelmap: Option<OsString>,
    /// `-b`, bytes
    pub buffer_size: Option<usize>,
    /// `--kernel-filter`
    pub kernel_filter: KernelFilter,
    /// `--jobs`; 0 when it was not given
    pub jobs: usize,
    /// `--by`
    pub by: Option<Keys>,
    /// `--top`
    pub top: Option<usize>,
    /// `--sort`
    pub sort: Option<Order>,
    /// `--reader`
    pub reader: Reader,
    /// True when the options are a line of a batch file.
    pub in_file: bool,
}

impl Args {
    /// True for a saved flow of a protocol with ports that the kernel did not track as such: DCCP, which not
    /// all kernels track. It has nothing but addresses, and one such line must not end a whole file.
    pub fn is_untracked(&self, mut options: impl Iterator<Item = Id>) -> bool {
        let creates = matches!(self.action, Some((Cmd::Create | Cmd::Add, _)));
        self.in_file && creates && !options.any(|id| self.given.has(id))
    }

    /// The state to set. The legality check refuses more than one.
    pub fn state(&self) -> Option<u8> {
        self.states.first().copied()
    }

    /// True when an option needs the label file.
    pub fn needs_labels(&self) -> bool {
        self.output.labels || self.given.any(&[Id::Label, Id::LabelAdd, Id::LabelDel])
    }

    /// Notes the family of an address or of `-f`: all of them must agree.
    pub fn set_family(&mut self, family: u8) -> Result<(), Fail> {
        match self.family {
            Some(have) if have != family => Err(Fail::usage("mismatched address family")),
            _ => {
                self.family = Some(family);
                Ok(())
            }
        }
    }

    /// `-f`: only the first four characters count.
    pub fn set_family_name(&mut self, text: &[u8]) -> Result<(), Fail> {
        let family = match text.get(..4) {
            Some(b"ipv4") => af::INET,
            Some(b"ipv6") => af::INET6,
            _ => return Err(Fail::word("`", text, "' unsupported protocol")),
        };
        self.set_family(family)
    }

    /// Reads addresses with optional prefix lengths, or files of them; a length shorter than the address
    /// counts as `mask`. Returns the first address; the others, and those of files, are kept.
    pub fn networks(&mut self, list: &[u8], mask: Id, side: Side) -> Result<Option<AddrArg>, Fail> {
        let one = !list.contains(&b',');
        self.addresses(list, side, |a, text| {
            let arg = addr::network(text)?;
            if arg.mask.is_some() {
                a.given.add(mask);
            }
            // In a list, which the original does not have, each address keeps its own mask.
            if one {
                a.keep_mask(&arg, mask);
            }
            Ok(arg)
        })
    }

    /// Reads addresses without a length, or files of addresses and networks; `option` is their long name.
    pub fn exact_addresses(&mut self, list: &[u8], option: &str, side: Side) -> Result<Option<Addr>, Fail> {
        let parse = |_: &mut Args, text: &[u8]| Ok(AddrArg { addr: addr::exact(text, option)?, mask: None });
        Ok(self.addresses(list, side, parse)?.map(|a| a.addr))
    }

    /// Of addresses that are listed, all have to be of one family, which is then that of the whole selection.
    /// A file may have both.
    fn addresses(
        &mut self,
        list: &[u8],
        side: Side,
        parse: impl Fn(&mut Args, &[u8]) -> Result<AddrArg, Fail>,
    ) -> Result<Option<AddrArg>, Fail> {
        self.more_addrs[side as usize].clear();
        self.sets.retain(|s| s.side != side);
        let (mut first, mut names, mut members) = (None, Vec::new(), Vec::new());
        for text in list.split(|b| *b == b',') {
            if let Some(name) = address_file::named(text) {
                if self.in_file {
                    return Err(Fail::word(
                        "a line of a file takes no addresses from another one: `",
                        text,
                        "'",
                    ));
                }
                members.append(&mut address_file::read(name)?);
                names.push(name.to_vec());
                continue;
            }
            let arg = parse(self, text)?;
            self.set_family(arg.addr.family())?;
            self.say_what_it_stands_for(text, &arg.addr, ADDRESS_NAMES[side as usize]);
            match first {
                None => first = Some(arg),
                Some(_) => self.more_addrs[side as usize].push(arg),
            }
        }
        if !names.is_empty() {
            let addresses = Arc::new(AddressSet::new(members));
            self.sets.push(FromFiles { side, names, addresses });
        }
        Ok(first)
    }

    /// The addresses from files for this address of a flow.
    pub fn addresses_of(&self, side: Side) -> Option<&Arc<AddressSet>> {
        self.sets.iter().find(|s| s.side == side).map(|s| &s.addresses)
    }

    /// Reads an address with an optional prefix length; a length shorter than the address counts as `mask`.
    pub fn network(&mut self, text: &[u8], mask: Id) -> Result<AddrArg, Fail> {
        let arg = addr::network(text)?;
        self.set_family(arg.addr.family())?;
        self.say_what_it_stands_for(
            text,
            &arg.addr,
            if mask == Id::MaskSrc { "tuple-src" } else { "tuple-dst" },
        );
        if arg.mask.is_some() {
            self.given.add(mask);
        }
        self.keep_mask(&arg, mask);
        Ok(arg)
    }

    /// A prefix length counts as the mask option. It stays when the address is given again without one, and
    /// of the two forms the last one counts.
    fn keep_mask(&mut self, arg: &AddrArg, mask: Id) {
        if arg.mask.is_some() {
            match mask {
                Id::MaskSrc => self.mask_src = arg.mask,
                _ => self.mask_dst = arg.mask,
            }
        }
    }

    /// Reads an address without a length; `option` is its long name.
    pub fn address(&mut self, text: &[u8], option: &str) -> Result<Addr, Fail> {
        let addr = addr::exact(text, option)?;
        self.set_family(addr.family())?;
        self.say_what_it_stands_for(text, &addr, option);
        Ok(addr)
    }

    /// Warns about an address in an unusual form, which is accepted, by showing it in the usual one. `text`
    /// may have a length.
    fn say_what_it_stands_for(&mut self, text: &[u8], addr: &Addr, option: &str) {
        let host = text.split(|b| *b == b'/').next().unwrap_or(text);
        if let Some(usual) = addr::stands_for(host, addr) {
            let shown = String::from_utf8_lossy(host);
            self.warnings.push(format!("WARNING: `{shown}' with --{option} is read as {usual}"));
        }
    }

    /// Reads a port or a GRE key, or, which the original cannot, a list of them and of ranges `FIRST-LAST`.
    pub fn port(&mut self, text: &[u8], option: &str, side: Side, base: Base) -> Result<u16, Fail> {
        let list = &mut self.port_lists[side as usize];
        list.clear();
        if !text.iter().any(|b| matches!(b, b',' | b':' | b'-')) {
            return number::field(text, base, option);
        }
        for piece in text.split(|b| *b == b',') {
            let range = port_range(piece, base);
            list.push(range.ok_or_else(|| number::unexpected(text, option, PORTS_WANTED))?);
        }
        Ok(list.first().map_or(0, |r| r.first))
    }

    /// The name of an option that was given more than one value, if there is one.
    pub fn listed(&self) -> Option<&'static str> {
        if self.states.len() > 1 {
            return Some("state");
        }
        let ports = match self.protocol {
            Some(p) if p.num == ipproto::GRE => ["srckey", "dstkey", "reply-key-src", "reply-key-dst"],
            _ => ["sport", "dport", "reply-port-src", "reply-port-dst"],
        };
        let addr = self.more_addrs.iter().zip(ADDRESS_NAMES).find(|(l, _)| !l.is_empty()).map(|(_, n)| n);
        let addr = addr.or_else(|| self.sets.first().map(|s| ADDRESS_NAMES[s.side as usize]));
        addr.or_else(|| self.port_lists.iter().zip(ports).find(|(l, _)| !l.is_empty()).map(|(_, n)| n))
    }

    /// `-n`, `-g`, `-j`: an address restricts the dump to its family. If the option is given again, whatever
    /// the new value leaves out stays as it was `before`.
    pub fn nat(&mut self, text: Option<&[u8]>, option: &str, before: NatOption) -> Result<NatOption, Fail> {
        let before = before.flatten();
        let Some(text) = text else { return Ok(Some(before)) };
        let mut arg = crate::values::nat::parse(text, option)?;
        self.set_family(arg.addr.family())?;
        let host = crate::values::nat::host(text);
        self.say_what_it_stands_for(host, &arg.addr, option);
        arg.port = arg.port.or(before.and_then(|b| b.port));
        Ok(Some(Some(arg)))
    }
}
