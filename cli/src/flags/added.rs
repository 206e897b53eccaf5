//! The options that only `zct` has, row by row of [`super::table::FLAGS`].

use super::flag::{Complete, Flag, Section, Takes};
use super::id::Id;
use super::legal::Legal;
use crate::dump_plan::KernelFilter;
use crate::fail::Fail;
use crate::group::key::Keys;
use crate::group::order::{ONE_READING, Order};
use crate::reader::Reader;
use crate::values::number::{self, Base};

pub(super) const DRY_RUN: Flag = Flag {
    id: Id::DryRun,
    letter: 0,
    names: &["dry-run"],
    takes: Takes::Nothing(|_| ()),
    legal: Legal::NOWHERE.may("UDF"),
    section: Section::Display,
    brief: "show what would be deleted or updated, and change nothing",
    manual: "Shows the entries as they are now. The summary says how many would be changed.",
    complete: Complete::Nothing,
};

pub(super) const KERNEL_FILTER: Flag = Flag {
    id: Id::KernelFilter,
    letter: 0,
    names: &["kernel-filter"],
    takes: Takes::Value("WHEN", |a, v| {
        a.kernel_filter = match v {
            b"auto" => KernelFilter::Auto,
            b"always" => KernelFilter::Always,
            b"never" => KernelFilter::Never,
            _ => return Err(Fail::word("`", v, "' is not one of auto, always, never")),
        };
        Ok(())
    }),
    legal: Legal::NOWHERE.may("LUDC"),
    section: Section::Selection,
    brief: "let the kernel select by tuple and zone: auto, always, never",
    manual: "The kernel walks the whole table for a selection that matches little, and handles no packets on \
             that processor meanwhile: about 240 ms with a million flows in a million buckets. auto, the \
             default, asks for it only while that is estimated to take less than 50 ms. What is selected \
             is the same in every case. Without a family, a selection by protocol becomes one dump a \
             family, and the output is in that order.",
    complete: Complete::Words(&["auto", "always", "never"]),
};

pub(super) const EXPLAIN: Flag = Flag {
    id: Id::Explain,
    letter: 0,
    names: &["explain"],
    takes: Takes::Nothing(|_| ()),
    legal: Legal::NOWHERE.may("LUDC"),
    section: Section::Display,
    brief: "say what the kernel would be asked for and what not, and do nothing",
    manual: "",
    complete: Complete::Nothing,
};

pub(super) const JOBS: Flag = Flag {
    id: Id::Jobs,
    letter: 0,
    names: &["jobs"],
    takes: Takes::Value("N", |a, v| {
        let jobs = number::up_to(v, Base::Any, 64).filter(|n| *n > 0);
        a.jobs = jobs.ok_or_else(|| number::unexpected(v, "jobs", "a number from 1 to 64"))? as usize;
        Ok(())
    }),
    legal: Legal::NOWHERE.may("L"),
    section: Section::Display,
    brief: "read the table in parts, N at a time",
    manual: "The parts are the two families; where one has most of the flows, it is divided into the flows \
             that are ASSURED and those that are not. A flow that becomes assured while the table is read \
             may then be shown twice or not at all. The order of the output is that in which the parts \
             come in. At most four parts.",
    complete: Complete::Nothing,
};

pub(super) const READER: Flag = Flag {
    id: Id::Reader,
    letter: 0,
    names: &["reader"],
    takes: Takes::Value("WAY", |a, v| {
        a.reader =
            Reader::parse(v).ok_or_else(|| Fail::word("`", v, "' is not one of auto, bpf, netlink"))?;
        Ok(())
    }),
    legal: Legal::NOWHERE.may("LCDU"),
    section: Section::Display,
    brief: "how the table is read: auto, bpf, netlink",
    manual: "auto, the default, is bpf for a namespace with 10000 flows or more, and netlink for others. bpf has a \
             BPF program walk the table where it lies, without locks and several times as fast as netlink. It \
             takes CAP_BPF and CAP_PERFMON and a kernel with BTF. Where it cannot be had, where it does not \
             know everything that is to be shown (ids, and so XML; security marks; -z; dying and unconfirmed \
             flows), and where a comparison of some flows with netlink shows any difference, netlink reads the \
             table: for auto without a word, and for bpf with a warning that says why. --explain says which \
             it is and why. The flows are the same, and in the same order when they are read in one part: on \
             one processor, or with --jobs 1. The program leaves out what is not selected, as far as it can \
             tell. -D and -U ask netlink for each flow that it has found, and check that again; where more \
             than a third of the flows are selected, or an eighth with a kernel filter, auto is netlink for \
             them.",
    complete: Complete::Words(&["auto", "bpf", "netlink"]),
};

pub(super) const ALL: Flag = Flag {
    id: Id::All,
    letter: 0,
    names: &["all"],
    takes: Takes::Nothing(|_| ()),
    legal: Legal::NOWHERE.may("D"),
    section: Section::Selection,
    brief: "with -D: every flow, or every flow of the family of -f",
    manual: "What -D without a selection is refused for. Unlike -F, it shows the flows that it deletes.",
    complete: Complete::Nothing,
};

pub(super) const BY: Flag = Flag {
    id: Id::By,
    letter: 0,
    names: &["by"],
    takes: Takes::Value("KEY[,...]", |a, v| Keys::parse(v).map(|keys| a.by = Some(keys))),
    legal: Legal::NOWHERE.may("L"),
    section: Section::Display,
    brief: "count flows by src, dst, sport, dport, proto, zone, mark, state, nat; src/24 for networks",
    manual: "One line a group, largest first, with packets and bytes of both directions where flows count \
             them. Addresses take /LEN: up to 32 it is for IPv4, above for IPv6, and src/24/64 is for both; \
             without one, addresses count whole. nat is what the source, or else the destination, is \
             translated to. A - stands for what a flow does not have. With -o json an object a group. \
             Counts are exact while the groups fit in 64 MiB, which is about a million addresses; then \
             they are estimates (by the space-saving algorithm), and standard error has their bound.",
    complete: Complete::Words(&["src", "dst", "sport", "dport", "proto", "zone", "mark", "state", "nat"]),
};

pub(super) const TOP: Flag = Flag {
    id: Id::Top,
    letter: 0,
    names: &["top"],
    takes: Takes::Value("K", |a, v| {
        let top = number::up_to(v, Base::Any, u32::MAX.into()).filter(|n| *n > 0);
        let wanted = "a number from 1 to 4294967295";
        a.top = Some(top.ok_or_else(|| number::unexpected(v, "top", wanted))? as usize);
        Ok(())
    }),
    legal: Legal::NOWHERE.may("L"),
    section: Section::Display,
    brief: "with --by: the K largest groups",
    manual: "The others are counted together.",
    complete: Complete::Nothing,
};

pub(super) const SORT: Flag = Flag {
    id: Id::Sort,
    letter: 0,
    names: &["sort"],
    takes: Takes::Value("FIGURE", |a, v| {
        a.sort = Some(Order::parse_for_one_reading(v)?);
        Ok(())
    }),
    legal: Legal::NOWHERE.may("L"),
    section: Section::Display,
    brief: "with --by: largest by flows, packets or bytes",
    manual: "By flows without it. Packets and bytes are counted where the sysctl \
             net.netfilter.nf_conntrack_acct was on when a flow began.",
    complete: Complete::Words(&ONE_READING),
};
