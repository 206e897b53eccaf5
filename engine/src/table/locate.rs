//! Where the table is (bpf-table.md §1): a flow of this namespace is looked up by a function of the kernel,
//! and its chain leads to the array; or else the kernel's list of symbols says it.

use super::layout::Layout;
use super::program::{Assembler, Copied, field};
use crate::error::Error;
use crate::request::Requests;
use crate::sink::{Lost, Sink};
use crate::sys::bpf::{Kind, Shared, load, module_btf};
use std::io::{BufRead as _, BufReader};
use std::ops::ControlFlow;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use zct_wire::consts::ipproto;
use zct_wire::filter::DumpFilter;
use zct_wire::flow::FlowView;
use zct_wire::header::CtMsg;
use zct_wire::request::{Table, dump};
use zct_wire::tuple::{Addr, Tuple};

/// Flows of the sample that are tried, since each of them may end before it is looked up.
const TRIES: usize = 16;
/// The longest chain that is followed: longer ones are of a table that was made smaller, and another flow leads
/// to it.
const CHAIN_MAX: usize = 4096;
/// The array is made of whole pages.
const PAGE: u64 = 4096;

/// Where the table is, and which entries are ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TablePlace {
    /// Address of the array of buckets.
    pub(crate) table: u64,
    /// Address of `struct net` of this network namespace.
    pub(crate) net: u64,
    /// How many buckets there are; a multiple of 512.
    pub(crate) buckets: u32,
}

/// A few flows as netlink has them.
#[derive(Debug, Default)]
struct Sample {
    seen: usize,
    /// Those that can be looked up: TCP and UDP in zone 0.
    tuples: Vec<(Tuple, u8)>,
}

impl Sink for Sample {
    fn message(&mut self, msg: CtMsg<'_>) -> ControlFlow<()> {
        self.seen += 1;
        if let Ok(f) = FlowView::index(msg) {
            if let (Ok(Some(tuple)), Ok(None)) = (f.orig(), f.zone()) {
                if let Some(protocol @ (ipproto::TCP | ipproto::UDP)) = tuple.proto {
                    if tuple.zone.is_none() {
                        self.tuples.push((tuple, protocol));
                    }
                }
            }
        }
        if self.tuples.len() < TRIES { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    fn lost(&mut self, _: Lost) {}
}

/// The small programs, with the memory they share with this process.
struct Probe<'a> {
    layout: &'a Layout,
    memory: &'a mut Shared,
    peek: OwnedFd,
}

impl Probe<'_> {
    /// Eight bytes of the kernel's memory; `None` where there is none.
    fn peek(&mut self, address: u64) -> Option<u64> {
        put(self.memory, field::PEEK, &address.to_ne_bytes());
        let result = self.memory.run(self.peek.as_fd(), Kind::RawTracepoint).ok()?;
        (result == 0).then(|| get(self.memory, field::PEEK))
    }

    /// The array that an entry is in and the number of its bucket, from the address of the entry's node.
    fn array_of(&mut self, node: u64, buckets: u32) -> Option<(u64, u32)> {
        let (next, pprev) = (self.layout.node.next as u64, self.layout.node.pprev as u64);
        // The marker at the end of a chain is twice the number of its bucket, plus one.
        let mut end = node;
        for _ in 0..CHAIN_MAX {
            if end & 1 == 1 {
                break;
            }
            end = self.peek(end.wrapping_add(next))?;
        }
        let bucket = (end & 1 == 1).then_some(end >> 1).filter(|b| *b < u64::from(buckets))?;
        let mut node = node;
        for _ in 0..CHAIN_MAX {
            // The pointer that leads here, which is the first of the chain or another entry's.
            let from = self.peek(node.wrapping_add(pprev))?;
            let array = from.wrapping_sub(bucket * 8);
            if array % PAGE == 0 && self.is_array(array, buckets) {
                return Some((array, u32::try_from(bucket).ok()?));
            }
            node = from.wrapping_sub(next);
        }
        None
    }

    /// Looks at some buckets of an array, and behind its end: a resize may be going on, and then the number
    /// of buckets is that of another array. An entry there tells; a marker does not, since it may be left of a
    /// larger array that was at the same place.
    fn is_array(&mut self, array: u64, buckets: u32) -> bool {
        let mut some = (0..8).chain(buckets.saturating_sub(8)..buckets);
        some.all(|bucket| self.bucket(array, bucket).is_some())
            && self.bucket(array, buckets) != Some(Bucket::Used)
    }

    /// What there is at this number of an array, if it can be a bucket: its own marker, or an entry that leads
    /// back.
    fn bucket(&mut self, array: u64, bucket: u32) -> Option<Bucket> {
        let pprev = self.layout.node.pprev as u64;
        let head = array.wrapping_add(u64::from(bucket) * 8);
        // An entry that is just being removed does not lead back for a moment.
        (0..10).find_map(|_| match self.peek(head)? {
            marker if marker & 1 == 1 => (marker >> 1 == u64::from(bucket)).then_some(Bucket::Empty),
            node => (self.peek(node.wrapping_add(pprev)) == Some(head)).then_some(Bucket::Used),
        })
    }
}

/// What is in a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bucket {
    Empty,
    Used,
}

fn put(memory: &mut Shared, at: usize, bytes: &[u8]) {
    if let Some(room) = memory.bytes_mut().get_mut(at..at + bytes.len()) {
        room.copy_from_slice(bytes);
    }
}

fn get(memory: &Shared, at: usize) -> u64 {
    memory.bytes().get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| u64::from_ne_bytes(*b))
}

/// A place, and a bucket of the table there that has an entry, unless the list of symbols led there.
pub(crate) type TableFound = (TablePlace, Option<u32>);

/// Finds the table. `None` when this namespace has no flow at all.
///
/// # Errors
/// Words for `--explain`.
pub(crate) fn locate(layout: &Layout, memory: &mut Shared) -> Result<Option<TableFound>, String> {
    let buckets = crate::request::buckets().ok_or("the number of buckets is not shown")?;
    let buckets = u32::try_from(buckets).ok().filter(|b| *b > 0 && b % 512 == 0);
    let buckets = buckets.ok_or("the number of buckets is not a multiple of 512")?;
    let mut sample = Sample::default();
    let all = DumpFilter::default();
    Requests::open()
        .and_then(|mut r| r.dump(|buf, seq| dump(buf, seq, Table::Conntrack, &all), &mut sample))
        .map_err(|e: Error| format!("netlink: {e}"))?;
    if sample.seen == 0 {
        return Ok(None);
    }
    let map = memory.map().as_raw_fd();
    let room = memory.bytes().len();
    let assembler = Assembler { layout, map, room, copied: Copied::Everything };
    let peek = assembler.peek().ok_or("a program cannot be assembled")?;
    let peek = load(Kind::RawTracepoint, &peek, None, None, &mut []).map_err(|e| refused(&e))?;
    let mut probe = Probe { layout, memory, peek };
    match by_flow(&mut probe, &assembler, &sample, buckets) {
        Some((place, bucket)) => Ok(Some((place, Some(bucket)))),
        None => Ok(Some((by_symbol(&mut probe, &assembler, buckets)?, None))),
    }
}

/// Words for a program that was not loaded.
pub(crate) fn refused(e: &std::io::Error) -> String {
    match e.raw_os_error() {
        Some(libc::EPERM) => "it takes CAP_BPF and CAP_PERFMON".to_owned(),
        Some(_) if is_locked_down() => "the kernel is locked down".to_owned(),
        Some(errno) => format!("the kernel refuses the program: {}", crate::errno_text(errno)),
        None => format!("the kernel refuses the program: {e}"),
    }
}

/// True under `lockdown=confidentiality` (kernel_lockdown.7), which takes the functions that read the kernel's memory from
/// programs. False also where the file is not mounted.
fn is_locked_down() -> bool {
    let modes = std::fs::read("/sys/kernel/security/lockdown").unwrap_or_default();
    memchr::memmem::find(&modes, b"[confidentiality]").is_some()
}

/// By a flow of the sample that the kernel still finds.
fn by_flow(
    probe: &mut Probe<'_>,
    assembler: &Assembler<'_>,
    sample: &Sample,
    buckets: u32,
) -> Option<(TablePlace, u32)> {
    let layout = probe.layout;
    let lookup = layout.kfuncs.lookup?;
    let module = if lookup.0.of_module { Some(module_btf("nf_conntrack").ok()?) } else { None };
    let mut programs = [None, None];
    for (tuple, protocol) in &sample.tuples {
        let (Some(src), Some(dst)) = (tuple.src, tuple.dst) else { continue };
        let ipv6 = matches!(src, Addr::V6(_));
        let [v4, v6] = &mut programs;
        let program = if ipv6 { v6 } else { v4 };
        if program.is_none() {
            let code = assembler.find(lookup, ipv6)?;
            let module = module.as_ref().map(|m| m.as_fd());
            *program = load(Kind::Xdp, &code, None, module, &mut []).ok();
        }
        let Some(program) = program else { continue };
        // struct bpf_sock_tuple: addresses, then ports, all in network byte order.
        let mut bytes = Vec::with_capacity(36);
        bytes.extend(src.bytes());
        bytes.extend(dst.bytes());
        for port in [tuple.src_port, tuple.dst_port] {
            bytes.extend(port.unwrap_or(0).to_be_bytes());
        }
        put(probe.memory, field::TUPLE, &bytes);
        // struct bpf_ct_opts: this namespace (BPF_F_CURRENT_NETNS), error, protocol, direction.
        let mut options = (-1i32).to_ne_bytes().to_vec();
        options.extend([0, 0, 0, 0, *protocol, 0, 0, 0]);
        put(probe.memory, field::OPTIONS, &options);
        probe.memory.run(program.as_fd(), Kind::Xdp).ok()?;
        let conn = get(probe.memory, field::PEEK);
        if conn == 0 {
            continue;
        }
        let net = probe.peek(conn.wrapping_add(layout.conn.net as u64))?;
        let node = conn.wrapping_add(layout.conn.node as u64);
        if let Some((table, bucket)) = probe.array_of(node, buckets) {
            return Some((TablePlace { table, net, buckets }, bucket));
        }
    }
    None
}

/// By the kernel's list of symbols, which has variables with CONFIG_KALLSYMS_ALL only. Takes much longer.
fn by_symbol(probe: &mut Probe<'_>, assembler: &Assembler<'_>, buckets: u32) -> Result<TablePlace, String> {
    let unknown = || "neither a flow nor the list of symbols leads to the table".to_owned();
    let layout = probe.layout;
    let hash = symbol("nf_conntrack_hash").ok_or_else(unknown)?;
    let table = probe.peek(hash).filter(|t| *t != 0).ok_or_else(unknown)?;
    if !probe.is_array(table, buckets) {
        return Err(unknown());
    }
    let task = assembler.task().ok_or_else(unknown)?;
    let task = load(Kind::RawTracepoint, &task, None, None, &mut []).map_err(|e| refused(&e))?;
    probe.memory.run(task.as_fd(), Kind::RawTracepoint).map_err(|e| refused(&e))?;
    let task = get(probe.memory, field::PEEK);
    let mut follow = |address: u64, at: usize| probe.peek(address.wrapping_add(at as u64));
    let net = follow(task, layout.task_nsproxy).and_then(|ns| follow(ns, layout.nsproxy_net));
    Ok(TablePlace { table, net: net.ok_or_else(unknown)?, buckets })
}

/// The address of a variable of the kernel, if it is shown.
fn symbol(name: &str) -> Option<u64> {
    let mut lines = BufReader::with_capacity(1 << 16, std::fs::File::open("/proc/kallsyms").ok()?);
    let mut line = String::new();
    while lines.read_line(&mut line).ok()? > 0 {
        let mut words = line.split_ascii_whitespace();
        if let (Some(address), Some(kind), Some(found)) = (words.next(), words.next(), words.next()) {
            if found == name && !matches!(kind, "t" | "T") {
                return u64::from_str_radix(address, 16).ok().filter(|a| *a != 0);
            }
        }
        line.clear();
    }
    None
}
