//! Groups as a table for people, and as JSON (docs/groups-schema.json).

use super::key::{Key, Keys, Member, Value, Zone};
use super::order::Order;
use super::shards::{Place, Shards};
use super::tally::Counts;
use crate::stdout::Printer;
use std::fmt::Write as _;
use std::io;
use zct_wire::text::Out;
use zct_wire::tracked;
use zct_wire::tuple::Addr;

/// What stands for a value that a flow does not have.
const ABSENT: &str = "-";

/// An address as all output writes it.
fn address(addr: &Addr) -> String {
    let mut buf = [0; 64];
    let mut out = Out::new(&mut buf);
    out.addr(addr);
    String::from_utf8_lossy(out.written()).into_owned()
}

/// The name of a protocol, or its number.
fn protocol(number: u8) -> String {
    tracked::name(number).map_or_else(|| number.to_string(), str::to_owned)
}

/// A value of a key as a table shows it.
pub fn text(value: &Value) -> String {
    match value {
        Value::Absent => ABSENT.to_owned(),
        Value::Addr(addr, None) => address(addr),
        Value::Addr(addr, Some(len)) => format!("{}/{len}", address(addr)),
        Value::Number(n) => n.to_string(),
        Value::Proto(number) => protocol(*number),
        Value::Zone(Zone::Both(z)) => z.to_string(),
        Value::Zone(Zone::Orig(z)) => format!("{z}-orig"),
        Value::Zone(Zone::Reply(z)) => format!("{z}-reply"),
        Value::State(of, state) => of
            .name(*state)
            .map_or_else(|| state.to_string(), |name| String::from_utf8_lossy(name).into_owned()),
        Value::Icmp(kind, code, id) => format!("{kind}/{code}/{id}"),
    }
}

/// A single flow in few characters: `tcp 10.0.0.1:1000 > 192.0.2.1:443 ESTABLISHED`.
fn flow(keys: &Keys, values: &[Value]) -> String {
    let of =
        |member| keys.iter().zip(values).find(|(k, _)| k.member == member).map_or(&Value::Absent, |(_, v)| v);
    let end = |addr, port| match (of(addr), of(port)) {
        (addr, Value::Absent) => text(addr),
        (Value::Addr(Addr::V6(a), _), port) => format!("[{}]:{}", address(&Addr::V6(*a)), text(port)),
        (addr, port) => format!("{}:{}", text(addr), text(port)),
    };
    let (src, dst) = (end(Member::Src, Member::SrcPort), end(Member::Dst, Member::DstPort));
    let mut line = format!("{} {src} > {dst}", text(of(Member::Proto)));
    if let Value::Icmp(kind, code, id) = of(Member::Icmp) {
        _ = write!(line, " type {kind} code {code} id {id}");
    }
    match of(Member::State) {
        Value::Absent => {}
        state => _ = write!(line, " {}", text(state)),
    }
    match of(Member::Zone) {
        Value::Absent | Value::Zone(Zone::Both(0)) => {}
        zone => _ = write!(line, " zone {}", text(zone)),
    }
    line
}

/// The cells of a key: one for each word of `--by`, and one for a single flow.
pub fn cells(keys: &Keys, values: &[Value]) -> Vec<String> {
    if keys.is_flows() { vec![flow(keys, values)] } else { values.iter().map(text).collect() }
}

/// The names above those cells.
pub fn names(keys: &Keys) -> Vec<String> {
    if keys.is_flows() { vec![keys.name()] } else { keys.iter().map(Key::name).collect() }
}

/// The member of a JSON object for a value of a key: nothing but names, numbers and addresses, so that no
/// character needs to be escaped.
fn json_member(key: &Key, value: &Value) -> String {
    let name = match (key.member, value) {
        (_, Value::Zone(Zone::Orig(_))) => "orig_zone",
        (_, Value::Zone(Zone::Reply(_))) => "reply_zone",
        (Member::Src, _) => "src",
        (Member::Dst, _) => "dst",
        (Member::SrcPort, _) => "sport",
        (Member::DstPort, _) => "dport",
        (Member::Proto, _) => "protocol",
        (Member::Zone, _) => "zone",
        (Member::Mark, _) => "mark",
        (Member::State, _) => "state",
        (Member::Nat, _) => "nat",
        (Member::Icmp, _) => "icmp_type",
    };
    match value {
        Value::Absent => format!("\"{name}\":null"),
        Value::Number(n) => format!("\"{name}\":{n}"),
        Value::Zone(Zone::Both(z) | Zone::Orig(z) | Zone::Reply(z)) => format!("\"{name}\":{z}"),
        Value::Icmp(kind, code, id) => format!("\"icmp_type\":{kind},\"icmp_code\":{code},\"icmp_id\":{id}"),
        Value::Addr(..) | Value::Proto(_) | Value::State(..) => format!("\"{name}\":\"{}\"", text(value)),
    }
}

/// The members of a JSON object for a whole key.
pub fn json_key(keys: &Keys, values: &[Value]) -> String {
    let not_icmp = |(key, value): &(&Key, &Value)| key.member != Member::Icmp || **value != Value::Absent;
    let members = keys.iter().zip(values).filter(not_icmp).map(|(key, value)| json_member(key, value));
    members.collect::<Vec<_>>().join(",")
}

/// Columns of text, as wide as what is in them: names to the left, figures to the right.
#[derive(Debug, Default)]
pub struct Columns {
    widths: Vec<usize>,
    /// Which columns are figures.
    figures: std::ops::Range<usize>,
}

impl Columns {
    /// Columns of which the first ones, this many, are names.
    pub fn names_first(names: usize) -> Columns {
        Columns { widths: Vec::new(), figures: names..usize::MAX }
    }

    /// Columns of which the first ones, this many, are figures.
    pub fn figures_first(figures: usize) -> Columns {
        Columns { widths: Vec::new(), figures: 0..figures }
    }

    /// Makes room for these cells.
    pub fn fit(&mut self, cells: &[String]) {
        self.widths.resize(self.widths.len().max(cells.len()), 0);
        for (width, cell) in self.widths.iter_mut().zip(cells) {
            *width = (*width).max(cell.len());
        }
    }

    /// A line of cells, without blanks at its end.
    pub fn line(&self, cells: &[String]) -> String {
        let mut line = String::new();
        for (at, (cell, width)) in cells.iter().zip(&self.widths).enumerate() {
            let gap = if at == 0 { "" } else { "  " };
            _ = if self.figures.contains(&at) {
                write!(line, "{gap}{cell:>width$}")
            } else {
                write!(line, "{gap}{cell:width$}")
            };
        }
        line.truncate(line.trim_end().len());
        line
    }
}

/// What is shown of the groups: the largest of them, and what the others come to.
#[derive(Debug)]
pub struct Report<'a> {
    groups: &'a Shards,
    keys: &'a Keys,
    shown: Vec<Place>,
    others: Counts,
    /// The figures that have a column.
    figures: Vec<Order>,
}

impl<'a> Report<'a> {
    /// The `top` largest groups, or all.
    pub fn new(groups: &'a Shards, keys: &'a Keys, top: Option<usize>) -> Report<'a> {
        let shown = groups.largest(top);
        let mut others = groups.total();
        for at in &shown {
            let Counts { flows, packets, bytes } = groups.group(*at).counts;
            // An estimate may be too high.
            others.flows = others.flows.saturating_sub(flows);
            others.packets = others.packets.saturating_sub(packets);
            others.bytes = others.bytes.saturating_sub(bytes);
        }
        let figures = match groups.estimated() {
            Some(order) => vec![order],
            None if groups.total().packets > 0 => vec![Order::Flows, Order::Packets, Order::Bytes],
            None => vec![Order::Flows],
        };
        Report { groups, keys, shown, others, figures }
    }

    fn has_others(&self) -> bool {
        self.groups.estimated().is_some() || self.shown.len() < self.groups.len()
    }

    fn figures(&self, counts: &Counts) -> impl Iterator<Item = String> {
        self.figures.iter().map(|o| counts.by(*o).to_string())
    }

    fn row(&self, at: Place) -> Vec<String> {
        let group = self.groups.group(at);
        let key = self.keys.values(&group.key).iter().map(text).collect::<Vec<_>>();
        let over = self.groups.estimated().map(|_| group.over.to_string());
        key.into_iter().chain(self.figures(&group.counts)).chain(over).collect()
    }

    /// A row that is not a group: a text in place of the key.
    fn sum(&self, what: String, counts: &Counts) -> Vec<String> {
        let blank = self.keys.iter().skip(1).map(|_| String::new());
        std::iter::once(what).chain(blank).chain(self.figures(counts)).collect()
    }

    /// Writes a table: a header, the groups, what was left out, and the total.
    ///
    /// # Errors
    /// Those of the output.
    pub fn write_text(&self, out: &mut Printer) -> io::Result<()> {
        let names = self.keys.iter().map(Key::name).chain(self.figures.iter().map(|o| o.name().to_owned()));
        let over = self.groups.estimated().map(|_| "over".to_owned());
        let header: Vec<String> = names.chain(over).collect();
        let mut ends = Vec::new();
        if self.has_others() {
            let left = self.groups.len() - self.shown.len();
            let what = match self.groups.estimated() {
                Some(_) => "others".to_owned(),
                None => format!("{left} {}", if left == 1 { "other" } else { "others" }),
            };
            ends.push(self.sum(what, &self.others));
        }
        ends.push(self.sum("total".to_owned(), &self.groups.total()));
        let mut columns = Columns::names_first(self.keys.iter().count());
        columns.fit(&header);
        self.shown.iter().for_each(|at| columns.fit(&self.row(*at)));
        ends.iter().for_each(|cells| columns.fit(cells));
        let mut line = |cells: &[String]| out.text((columns.line(cells) + "\n").as_bytes());
        line(&header)?;
        self.shown.iter().try_for_each(|at| line(&self.row(*at)))?;
        ends.iter().try_for_each(|cells| line(cells))
    }

    /// Writes an object for each group, and one with what was left out and the total.
    ///
    /// # Errors
    /// Those of the output.
    pub fn write_json(&self, out: &mut Printer) -> io::Result<()> {
        let figures = |c: &Counts| {
            let members = self.figures.iter().map(|o| format!("\"{}\":{}", o.name(), c.by(*o)));
            members.collect::<Vec<_>>().join(",")
        };
        for at in &self.shown {
            let group = self.groups.group(*at);
            let key = json_key(self.keys, &self.keys.values(&group.key));
            let over = self.groups.estimated().map_or(String::new(), |_| format!(",\"over\":{}", group.over));
            out.text(format!("{{\"by\":{{{key}}},{}{over}}}\n", figures(&group.counts)).as_bytes())?;
        }
        let (all, left) = (self.groups.len(), self.groups.len() - self.shown.len());
        let (total, others) = (figures(&self.groups.total()), figures(&self.others));
        let text = match self.groups.estimated() {
            None => format!(
                "{{\"total\":{{\"groups\":{all},{total}}},\"others\":{{\"groups\":{left},{others}}}}}\n"
            ),
            Some(_) => {
                let bound = self.groups.bound();
                format!("{{\"total\":{{{total}}},\"others\":{{{others}}},\"over_max\":{bound}}}\n")
            }
        };
        out.text(text.as_bytes())
    }

    /// How good an estimate is, in words; `None` for exact counts.
    pub fn bound_text(&self) -> Option<String> {
        let order = self.groups.estimated()?.name();
        let (kept, bound) = (self.groups.len(), self.groups.bound());
        Some(format!(
            "WARNING: more groups than fit in {} MiB: {order} are estimates, too high by what is under `over', \
             {bound} at most; a group that is not among the {kept} kept has {bound} at most",
            super::room::BYTES >> 20
        ))
    }
}
