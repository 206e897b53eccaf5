//! What `zct top` shows and what its keys do, without a terminal: a reading and the state become lines, a key
//! becomes a new state and perhaps something to be done.

use super::figures::{amount, duration, per_second};
use super::keyboard::KeyPress;
use super::options::{DELAY_MAX, DELAY_MIN};
use super::reading::Reading;
use crate::group::key::{Keys, Packed};
use crate::group::order::{ORDERS, Order};
use crate::group::report::{self, Columns};
use std::time::Duration;

/// What `b` goes through.
const GROUPINGS: [&str; 10] =
    ["src", "dst", "dport", "proto", "state", "zone", "mark", "nat", "src/24/64", "dst/24/64"];
/// Lines above the groups: the summary, the table, the selection, the names of the columns.
const ABOVE: usize = 4;
/// The line of hints.
const BELOW: usize = 1;
/// What ends a question.
const ANSWERS: &str = "? y/N ";
const HINTS: &str = "q quit  / filter  b group  o sort  p pause  k delete  ? help";

/// What the keys do, for `?`.
const HELP: [(&str, &str); 14] = [
    ("q, Ctrl-C", "quit"),
    ("arrows, Pg, Home, End", "move"),
    ("/", "select flows, as zct -L does: -p tcp --dport 443"),
    ("b, B", "group by the next member, or the one before"),
    ("o, O", "sort by the next figure, or the one before"),
    ("p, space", "pause, and go on"),
    ("r", "read the table now"),
    ("k", "delete the flows of the line, after a y"),
    ("+, -", "longer or shorter time between readings"),
    ("?, Escape", "this text, and back"),
    ("", ""),
    ("new/s", "flows a second that the reading before did not have"),
    ("rate", "bytes a second since, of flows that are still there"),
    ("drop, early drop", "since the start, and since the reading before"),
];

/// How a line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Look {
    Plain,
    /// Names of columns, and the line that keys are about.
    Inverse,
    /// Something to be noticed.
    Notice,
    /// The table is nearly full.
    Alarm,
}

/// The lines of a screen, and where the cursor is if somebody types there.
#[derive(Debug, Default)]
pub(super) struct Frame {
    pub(super) lines: Vec<(String, Look)>,
    pub(super) cursor: Option<usize>,
}

/// A question that is on the last line.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Prompt {
    None,
    Filter(String),
    /// Whether to delete the flows with this key; and what the question calls them.
    Delete(Packed, String),
}

/// What a key asks for that the view cannot do itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Nothing,
    Quit,
    /// Read the table now.
    Read,
    /// Select other flows.
    Select(String),
    /// Delete the flows with this key.
    Delete(Packed),
}

/// The state.
#[derive(Debug)]
pub(super) struct View {
    pub(super) keys: Keys,
    pub(super) order: Order,
    pub(super) delay: Duration,
    pub(super) rows: Option<usize>,
    pub(super) paused: bool,
    /// The words of the selection, for its line and as the start of the next.
    pub(super) selection: String,
    /// What has just happened; the next key takes it away.
    pub(super) message: String,
    prompt: Prompt,
    help: bool,
    /// The group that keys are about, and the first that is shown, counted in the order of the figures.
    at: usize,
    first: usize,
}

impl View {
    pub(super) fn new(
        keys: Keys,
        order: Order,
        delay: Duration,
        rows: Option<usize>,
        selection: String,
    ) -> View {
        View {
            keys,
            order,
            delay,
            rows,
            paused: false,
            selection,
            message: String::new(),
            prompt: Prompt::None,
            help: false,
            at: 0,
            first: 0,
        }
    }

    /// True while a question waits for its answer: nothing that it is about may change meanwhile.
    pub(super) fn asks(&self) -> bool {
        self.prompt != Prompt::None
    }

    /// How many groups fit on a screen of this height.
    fn room(&self, height: usize) -> usize {
        height.saturating_sub(ABOVE + BELOW).min(self.rows.unwrap_or(usize::MAX)).max(1)
    }

    fn count(reading: Option<&Reading>) -> usize {
        reading.map_or(0, |r| r.groups.len())
    }

    /// Keeps the place inside the list, and the list around the place.
    fn settle(&mut self, reading: Option<&Reading>, height: usize) {
        let room = self.room(height);
        self.at = self.at.min(View::count(reading).saturating_sub(1));
        self.first = self.first.clamp((self.at + 1).saturating_sub(room), self.at);
    }

    /// Does what a key is for.
    pub(super) fn press(&mut self, key: KeyPress, reading: Option<&Reading>, height: usize) -> Action {
        if key == KeyPress::Interrupt {
            return Action::Quit;
        }
        self.message.clear();
        let action = match std::mem::replace(&mut self.prompt, Prompt::None) {
            Prompt::Filter(text) => self.edit(text, key),
            Prompt::Delete(packed, _) if matches!(key, KeyPress::Char('y' | 'Y')) => Action::Delete(packed),
            Prompt::Delete(..) => {
                self.message = "nothing was deleted".to_owned();
                Action::Nothing
            }
            Prompt::None => self.command(key, reading, height),
        };
        self.settle(reading, height);
        action
    }

    fn edit(&mut self, mut text: String, key: KeyPress) -> Action {
        match key {
            KeyPress::Enter => return Action::Select(text),
            KeyPress::Escape => return Action::Nothing,
            KeyPress::Clear => text.clear(),
            KeyPress::Backspace => _ = text.pop(),
            KeyPress::Char(c) => text.push(c),
            _ => {}
        }
        self.prompt = Prompt::Filter(text);
        Action::Nothing
    }

    fn command(&mut self, key: KeyPress, reading: Option<&Reading>, height: usize) -> Action {
        let page = self.room(height);
        if self.help && matches!(key, KeyPress::Char('?') | KeyPress::Escape) {
            self.help = false;
            return Action::Nothing;
        }
        match key {
            KeyPress::Char('q') => return Action::Quit,
            KeyPress::Char('?') => self.help = true,
            KeyPress::Up => self.at = self.at.saturating_sub(1),
            KeyPress::Down => self.at += 1,
            KeyPress::PageUp => self.at = self.at.saturating_sub(page),
            KeyPress::PageDown => self.at += page,
            KeyPress::Home => self.at = 0,
            KeyPress::End => self.at = usize::MAX,
            KeyPress::Char('/') => self.prompt = Prompt::Filter(self.selection.clone()),
            KeyPress::Char('o') => self.sort(1),
            KeyPress::Char('O') => self.sort(ORDERS.len() - 1),
            KeyPress::Char('b') => return self.group(true),
            KeyPress::Char('B') => return self.group(false),
            KeyPress::Char('p' | ' ') => {
                self.paused = !self.paused;
                return if self.paused { Action::Nothing } else { Action::Read };
            }
            KeyPress::Char('r') => return Action::Read,
            KeyPress::Char('+') => self.delay = (self.delay * 2).min(DELAY_MAX),
            KeyPress::Char('-') => self.delay = (self.delay / 2).max(DELAY_MIN),
            KeyPress::Char('k') => self.ask_to_delete(reading),
            _ => {}
        }
        Action::Nothing
    }

    /// Sorts by the figure this many places further on.
    fn sort(&mut self, steps: usize) {
        let at = ORDERS.iter().position(|(_, o)| *o == self.order).unwrap_or(0);
        if let Some((_, order)) = ORDERS.get((at + steps) % ORDERS.len()) {
            self.order = *order;
        }
    }

    fn group(&mut self, forward: bool) -> Action {
        let name = self.keys.name();
        let all = GROUPINGS.iter().copied().chain(["flow"]).collect::<Vec<_>>();
        let next = match all.iter().position(|g| *g == name) {
            Some(at) => at + if forward { 1 } else { all.len() - 1 },
            // The grouping that --by asked for is not in the list: the next one is the first of the list.
            None => {
                if forward {
                    0
                } else {
                    all.len() - 1
                }
            }
        };
        let name = all.get(next % all.len()).copied().unwrap_or("src");
        self.keys = super::options::keys(name.as_bytes()).unwrap_or_else(|_| Keys::flows());
        (self.at, self.first) = (0, 0);
        Action::Read
    }

    fn ask_to_delete(&mut self, reading: Option<&Reading>) {
        let Some(reading) = reading else { return };
        let Some(group) = reading.largest(self.order, Some(self.at + 1)).get(self.at).copied() else {
            return;
        };
        let group = reading.groups.group(group);
        let cells = report::cells(&reading.keys, &reading.keys.values(&group.key));
        let what = if reading.keys.is_flows() {
            cells.concat()
        } else {
            let names = report::names(&reading.keys);
            names.iter().zip(cells).map(|(n, c)| format!("{n} {c}")).collect::<Vec<_>>().join(", ")
        };
        let flows = match reading.groups.estimated() {
            None if group.counts.flows == 1 => "flow".to_owned(),
            None => format!("{} flows", group.counts.flows),
            Some(_) => "flows".to_owned(),
        };
        self.prompt = Prompt::Delete(group.key, format!("delete the {flows} of {what}"));
    }

    /// The lines for a screen of this size.
    pub(super) fn frame(&mut self, reading: Option<&Reading>, width: usize, height: usize) -> Frame {
        self.settle(reading, height);
        let mut frame = Frame::default();
        let Some(reading) = reading else {
            frame.lines.push(("zct top: reading the table".to_owned(), Look::Plain));
            return frame;
        };
        self.summary(reading, &mut frame);
        if self.help {
            frame.lines.push((String::new(), Look::Plain));
            frame.lines.extend(HELP.iter().map(|(key, text)| (format!("  {key:22} {text}"), Look::Plain)));
        } else {
            self.groups(reading, height, &mut frame);
        }
        frame.lines.truncate(height.saturating_sub(BELOW));
        while frame.lines.len() < height.saturating_sub(BELOW) {
            frame.lines.push((String::new(), Look::Plain));
        }
        let last = match &self.prompt {
            Prompt::None => self.notice(reading),
            Prompt::Filter(text) => {
                // Of a long line the end is what is being typed.
                let skip = (text.chars().count() + 2).saturating_sub(width);
                let shown: String = text.chars().skip(skip).collect();
                frame.cursor = Some(1 + shown.chars().count());
                (format!("/{shown}"), Look::Plain)
            }
            Prompt::Delete(_, question) => {
                // The answer is asked for on the narrowest screen too.
                let room = width.saturating_sub(ANSWERS.len() + 1);
                let line = clipped(question, room) + ANSWERS;
                frame.cursor = Some(line.chars().count().min(width.saturating_sub(1)));
                (line, Look::Notice)
            }
        };
        frame.lines.push(last);
        for (line, _) in &mut frame.lines {
            *line = clipped(line, width);
        }
        frame
    }

    fn summary(&self, reading: &Reading, frame: &mut Frame) {
        let (flows, groups) = (reading.total().flows, reading.groups.len());
        let first = format!(
            "zct top{}  {flows} flows  {groups}{} groups by {}  sort {}  every {}  took {}",
            if self.paused { " PAUSED" } else { "" },
            if reading.groups.estimated().is_some() { "+" } else { "" },
            reading.keys.name(),
            self.order.name(),
            seconds(self.delay),
            seconds(reading.took),
        );
        frame.lines.push((first, Look::Plain));
        frame.lines.push(table(reading));
        let selected = if self.selection.is_empty() { "all flows" } else { &self.selection };
        frame.lines.push((selected.to_owned(), Look::Plain));
    }

    /// What the last line says: what has just happened, what is wrong with the figures, or the hints.
    fn notice(&self, reading: &Reading) -> (String, Look) {
        let message = Some(self.message.clone()).filter(|m| !m.is_empty());
        let lost = || reading.lost.as_ref().map(|why| format!("flows may be missing: {why}"));
        let notice =
            message.or_else(lost).or_else(|| reading.missing(self.order)).or_else(|| estimate(reading));
        notice.map_or((HINTS.to_owned(), Look::Plain), |text| (text, Look::Notice))
    }

    fn groups(&self, reading: &Reading, height: usize, frame: &mut Frame) {
        let last = self.first + self.room(height);
        let shown = reading.largest(self.order, Some(last));
        let shown = shown.get(self.first..).unwrap_or_default();
        let names = report::names(&reading.keys);
        let mut header = figure_names(reading);
        let figures = header.len();
        header.extend(names);
        // Figures first: addresses are what may be cut at the edge.
        let rows: Vec<Vec<String>> = shown
            .iter()
            .map(|group| {
                let key = reading.keys.values(&reading.groups.group(*group).key);
                figures_of(reading, *group).into_iter().chain(report::cells(&reading.keys, &key)).collect()
            })
            .collect();
        let mut columns = Columns::figures_first(figures);
        columns.fit(&header);
        rows.iter().for_each(|row| columns.fit(row));
        frame.lines.push((format!("  {}", columns.line(&header)), Look::Inverse));
        for (n, row) in rows.iter().enumerate() {
            let here = self.first + n == self.at;
            let mark = if here { "> " } else { "  " };
            let look = if here { Look::Inverse } else { Look::Plain };
            frame.lines.push((format!("{mark}{}", columns.line(row)), look));
        }
    }
}

/// The names of the figures that this reading has.
pub(super) fn figure_names(reading: &Reading) -> Vec<String> {
    let mut names = match reading.groups.estimated() {
        Some(order) => vec![order.name(), "over"],
        None => vec!["flows", "new/s"],
    };
    if reading.groups.estimated().is_none() {
        if reading.counted {
            names.extend(["packets", "bytes", "rate"]);
        }
        if reading.timed {
            names.push("age");
        }
    }
    names.into_iter().map(str::to_owned).collect()
}

/// The figures of a group, short.
fn figures_of(reading: &Reading, group: usize) -> Vec<String> {
    let g = reading.groups.group(group);
    if let Some(order) = reading.groups.estimated() {
        return vec![amount(g.counts.by(order)), amount(g.over)];
    }
    let mut cells = vec![amount(g.counts.flows), per_second(reading.new_flows(group))];
    if reading.counted {
        cells.extend([amount(g.counts.packets), amount(g.counts.bytes), per_second(reading.rate(group))]);
    }
    if reading.timed {
        cells.push(reading.age_s(group).map_or("-".to_owned(), duration));
    }
    cells
}

/// The line about the table as a whole; it is noticed from three quarters on.
fn table(reading: &Reading) -> (String, Look) {
    let system = reading.system;
    let mut line = format!("table {}", system.entries);
    let mut look = Look::Plain;
    if let Some(limit) = system.limit.filter(|l| *l > 0) {
        let permille = system.entries.saturating_mul(1000) / limit;
        line += &format!(" of {limit} ({}.{} %)", permille / 10, permille % 10);
        look = match permille {
            900.. => Look::Alarm,
            750.. => Look::Notice,
            _ => Look::Plain,
        };
    }
    let (drop, early) = reading.dropped().unwrap_or_default();
    line += &format!("  new {}/s", per_second(reading.all_new_flows()));
    if reading.counted {
        line += &format!("  {} B/s", per_second(reading.all_rate()));
    }
    line += &format!("  drop {} (+{drop})  early drop {} (+{early})", system.drop, system.early_drop);
    if drop + early > 0 {
        look = Look::Alarm;
    }
    (line, look)
}

/// What an estimate is worth, in words.
fn estimate(reading: &Reading) -> Option<String> {
    let order = reading.groups.estimated()?.name();
    Some(format!(
        "too many groups for memory: {order} are estimates, at most {} too high",
        reading.groups.bound()
    ))
}

/// A time in seconds with as many digits as it needs.
pub(super) fn seconds(time: Duration) -> String {
    let ms = time.as_millis();
    match ms {
        0..=999 => format!("{ms} ms"),
        _ if ms % 1000 == 0 || ms > 10_000 => format!("{} s", ms / 1000),
        _ => format!("{}.{} s", ms / 1000, ms % 1000 / 100),
    }
}

/// The first `width` characters, and nothing that a terminal would take for an order.
fn clipped(line: &str, width: usize) -> String {
    line.chars().take(width).map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests;
