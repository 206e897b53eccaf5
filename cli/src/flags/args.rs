//! What the options said, before anyone asks what it means.

use super::command::{Cmd, Table};
use super::table::Id;
use crate::fail::Fail;
use crate::values::addr::{self, AddrArg};
use crate::values::list::{EventMask, Output, Status};
use crate::values::nat::NatArg;
use crate::values::number;
use crate::values::protocol::Protocol;
use std::ffi::OsString;
use zct_wire::consts::af;
use zct_wire::filter::Masked;
use zct_wire::tuple::Addr;

/// A set of options by their [`Id`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Given(u128);

impl Given {
    /// Adds one.
    pub fn add(&mut self, id: Id) {
        self.0 |= 1 << id as u32;
    }

    /// True when the option was given.
    pub fn has(self, id: Id) -> bool {
        self.0 >> id as u32 & 1 == 1
    }

    /// True when any of them was given.
    pub fn any(self, ids: &[Id]) -> bool {
        ids.iter().any(|id| self.has(*id))
    }
}

/// Two ports, or two GRE keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ports {
    /// Source.
    pub src: Option<u16>,
    /// Destination.
    pub dst: Option<u16>,
}

/// A NAT option: given, and with an address if it has one.
pub type NatOption = Option<Option<NatArg>>;

/// Everything the command line said, one member an option.
#[derive(Clone, Debug, Default)]
pub struct Args {
    /// The command and its table.
    pub action: Option<(Cmd, Table)>,
    /// Which options were given.
    pub given: Given,
    /// What is to be said before anything else happens, in order.
    pub warnings: Vec<String>,
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
    /// `--icmp-type`, `--icmpv6-type`
    pub icmp_type: Option<u8>,
    /// `--icmp-code`, `--icmpv6-code`
    pub icmp_code: Option<u8>,
    /// `--icmp-id`, `--icmpv6-id`
    pub icmp_id: Option<u16>,
    /// `--state`
    pub state: Option<u8>,
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
    /// `-l`: names, of all its occurrences
    pub labels: Vec<Vec<u8>>,
    /// `--label-add`
    pub label_add: Vec<Vec<u8>>,
    /// `--label-del`: names; none of them with the option given is all labels
    pub label_del: Vec<Vec<u8>>,
    /// `--labelmap`
    pub labelmap: Option<OsString>,
    /// `-b`, bytes
    pub buffer_size: Option<usize>,
}

impl Args {
    /// True when an option makes us read the label file.
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

    /// An address with an optional prefix length; a length other than all of it counts as `mask`.
    pub fn network(&mut self, text: &[u8], mask: Id) -> Result<AddrArg, Fail> {
        let arg = addr::network(text)?;
        self.set_family(arg.addr.family())?;
        if arg.mask.is_some() {
            self.given.add(mask);
        }
        Ok(arg)
    }

    /// An address without a length; `option` is its long name.
    pub fn address(&mut self, text: &[u8], option: &str) -> Result<Addr, Fail> {
        let addr = addr::exact(text, option)?;
        self.set_family(addr.family())?;
        Ok(addr)
    }

    /// A decimal number as `atoi` reads it, cut to its type by the caller. Text that is no number is taken
    /// as the original takes it, but not without a word.
    pub fn decimal(&mut self, text: &[u8], option: &str) -> i64 {
        let value = number::decimal(text);
        if !number::is_decimal(text) {
            let shown = String::from_utf8_lossy(text);
            self.warnings.push(format!("WARNING: `{shown}' with --{option} is not a number, using {value}"));
        }
        value
    }

    /// `-n`, `-g`, `-j`: an address makes the dump one of its family.
    pub fn nat(&mut self, text: Option<&[u8]>, option: &str) -> Result<NatOption, Fail> {
        let Some(text) = text else { return Ok(Some(None)) };
        let arg = crate::values::nat::parse(text, option)?;
        self.set_family(arg.addr.family())?;
        Ok(Some(Some(arg)))
    }
}
