//! By which way the table is read: a netlink dump, or a BPF program that walks it (bpf-table.md).

use crate::filter::Filter;
use crate::table_selection;
use crate::values::list::Output;
use zct_engine::table::Table;
use zct_wire::request;

/// What `--reader` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reader {
    /// A dump.
    #[default]
    Netlink,
    /// BPF wherever that gives the same.
    Bpf,
}

impl Reader {
    /// The value of the option.
    pub fn parse(word: &[u8]) -> Option<Reader> {
        match word {
            b"netlink" | b"auto" => Some(Reader::Netlink),
            b"bpf" => Some(Reader::Bpf),
            _ => None,
        }
    }
}

/// Opens the table for the BPF reader, and lets it leave out what the filter does not match.
///
/// # Errors
/// Why netlink has to read it, in words for `--explain`.
pub fn open(
    reader: Reader,
    which: request::Table,
    output: &Output,
    filter: &Filter,
) -> Result<Table, String> {
    if reader == Reader::Netlink {
        return Err("that is the default".to_owned());
    }
    if which != request::Table::Conntrack {
        return Err("only netlink does this".to_owned());
    }
    // An XML element always has the id.
    if output.id || output.xml && !output.json || filter.id.is_some() {
        return Err("only netlink knows ids".to_owned());
    }
    if filter.secmark.is_some() {
        return Err("only netlink knows security marks".to_owned());
    }
    let mut table = Table::open()?;
    table.select(&table_selection::selection(filter));
    Ok(table)
}

/// The line of `--explain`.
pub fn explain(opened: &Result<Table, String>) -> String {
    match opened {
        Ok(table) => format!("read by BPF: {table}\n"),
        Err(why) => format!("read by netlink: {why}\n"),
    }
}
