//! `zct top`: who fills the table, again and again, on a terminal or as text.

mod batch;
mod deletion;
mod figures;
mod history;
mod keyboard;
mod live;
mod options;
mod reading;
mod screen;
mod system;
mod view;

use crate::commands::output_failed;
use crate::fail::{Fail, Name, warn};
use crate::flags::{help, own};
use options::{TopAsked, TopSelection};
use std::io::{self, IsTerminal as _, Write as _};

/// Shows the groups with the most flows until it is told to end or, with `-1`, once.
pub fn run(name: Name, _: &[u8], words: &[&[u8]]) -> Result<(), Fail> {
    let asked = TopAsked::parse(words)?;
    if asked.help {
        let text = own::find(b"top").map(help::own).unwrap_or_default();
        let mut out = io::stdout().lock();
        return out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|e| output_failed(&e));
    }
    let selection = TopSelection::of(name, &asked.selection)?;
    if asked.batch || asked.once || asked.json || !io::stdout().is_terminal() {
        selection.call.args.warnings.iter().for_each(|w| warn(w.as_bytes()));
        return batch::run(&asked, &selection);
    }
    live::run(name, asked, selection)
}
