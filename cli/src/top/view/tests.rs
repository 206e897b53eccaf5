//! Lines and keys, on readings that are made up.

use super::*;
use crate::group::key::WORDS_MAX;
use crate::group::tally::Counts;
use crate::top::reading::Extra;

fn keys(text: &str) -> Keys {
    crate::top::options::keys(text.as_bytes()).expect("keys")
}

/// The key of a group by destination port.
fn port(n: u16) -> Packed {
    let keys = keys("dport");
    // The port is in the upper half of the first word; what says that it is there, is found by trying.
    let mut words = [0; WORDS_MAX];
    words[0] = u64::from(n) << 48;
    let tags = (1..16).map(|bit| Packed { tag: 1 << bit, words });
    let is = |p: &Packed| keys.values(p) == [crate::group::key::Value::Number(n.into())];
    tags.into_iter().find(is).expect("a key")
}

/// Groups with 1000, 999, 998 and so on flows.
fn reading(groups: u16) -> Reading {
    let group =
        |n: u16| (port(n), Counts { flows: 1000 - u64::from(n), ..Counts::default() }, Extra::default());
    Reading::of(&keys("dport"), &(0..groups).map(group).collect::<Vec<_>>())
}

fn view(rows: Option<usize>) -> View {
    View::new(keys("dport"), Order::Flows, Duration::from_secs(2), rows, String::new())
}

fn shown(view: &mut View, reading: &Reading, width: usize, height: usize) -> Vec<String> {
    let frame = view.frame(Some(reading), width, height);
    assert_eq!(frame.lines.len(), height);
    for (line, _) in &frame.lines {
        assert!(line.chars().count() <= width, "{line}");
    }
    frame.lines.into_iter().map(|(line, _)| line).collect()
}

/// The last word of the line that keys are about.
fn marked(view: &mut View, reading: &Reading, height: usize) -> String {
    let lines = shown(view, reading, 80, height);
    let marked: Vec<&String> = lines.iter().filter(|l| l.starts_with("> ")).collect();
    assert_eq!(marked.len(), 1, "{lines:#?}");
    marked[0].rsplit(' ').next().expect("a word").to_owned()
}

#[test]
fn a_screen_of_80_by_24_has_everything() {
    let (mut view, reading) = (view(None), reading(100));
    let lines = shown(&mut view, &reading, 80, 24);
    assert_eq!(lines[0], "zct top  95050 flows  100 groups by dport  sort flows  every 2 s  took 3 ms");
    assert_eq!(lines[1], "table 750 of 1000 (75.0 %)  new 0/s  drop 5 (+0)  early drop 7 (+0)");
    assert_eq!(lines[2], "all flows");
    assert_eq!(lines[3].split_whitespace().collect::<Vec<_>>(), ["flows", "new/s", "dport"]);
    assert_eq!(lines[4], ">  1000      0  0");
    assert_eq!(lines[22], "    982      0  18");
    assert_eq!(lines[23], HINTS);
    assert!(HINTS.len() <= 80 && HELP.iter().all(|(key, text)| key.len() <= 22 && 25 + text.len() <= 80));
    let looks: Vec<Look> = view.frame(Some(&reading), 80, 24).lines.iter().map(|(_, look)| *look).collect();
    assert_eq!((looks[1], looks[4], looks[5]), (Look::Notice, Look::Inverse, Look::Plain));
}

#[test]
fn any_size_will_do() {
    for groups in [0, 1, 50] {
        let reading = reading(groups);
        for (width, height) in [(1, 1), (10, 3), (20, 5), (80, 6), (300, 100)] {
            let mut view = view(None);
            for key in [
                KeyPress::End,
                KeyPress::PageUp,
                KeyPress::Char('?'),
                KeyPress::Char('?'),
                KeyPress::Char('k'),
                KeyPress::Char('n'),
            ] {
                view.press(key, Some(&reading), height);
                shown(&mut view, &reading, width, height);
            }
        }
    }
    assert_eq!(view(None).frame(None, 80, 24).lines.len(), 1);
}

#[test]
fn keys_move_through_the_list_and_not_out_of_it() {
    let (mut view, reading) = (view(None), reading(100));
    let height = 25;
    for (key, want) in [
        (KeyPress::Up, "0"),
        (KeyPress::Down, "1"),
        (KeyPress::PageDown, "21"),
        (KeyPress::Up, "20"),
        (KeyPress::End, "99"),
        (KeyPress::Down, "99"),
        (KeyPress::PageUp, "79"),
        (KeyPress::Home, "0"),
        (KeyPress::PageUp, "0"),
    ] {
        view.press(key, Some(&reading), height);
        assert_eq!(marked(&mut view, &reading, height), want, "{key:?}");
    }
    // What is left of a list that has become short.
    view.press(KeyPress::End, Some(&reading), height);
    assert_eq!(marked(&mut view, &self::reading(3), height), "2");
    let mut few = self::view(Some(5));
    assert_eq!(shown(&mut few, &reading, 80, 24).iter().filter(|l| l.contains("  0  ")).count(), 5);
}

#[test]
fn deletion_needs_a_y_and_is_of_what_was_marked_when_it_was_asked() {
    let (mut view, reading) = (view(None), reading(30));
    view.press(KeyPress::Down, Some(&reading), 24);
    for answer in
        [KeyPress::Char('n'), KeyPress::Enter, KeyPress::Escape, KeyPress::Char('k'), KeyPress::Char('q')]
    {
        assert_eq!(view.press(KeyPress::Char('k'), Some(&reading), 24), Action::Nothing);
        assert!(view.asks());
        let lines = shown(&mut view, &reading, 80, 24);
        assert_eq!(lines[23], "delete the 999 flows of dport 1? y/N ");
        assert_eq!(view.press(answer, Some(&reading), 24), Action::Nothing, "{answer:?}");
        assert!(!view.asks());
        assert_eq!(shown(&mut view, &reading, 80, 24)[23], "nothing was deleted");
    }
    view.press(KeyPress::Char('k'), Some(&reading), 24);
    // Whatever has been read meanwhile.
    assert_eq!(view.press(KeyPress::Char('y'), Some(&self::reading(1)), 24), Action::Delete(port(1)));
    view.press(KeyPress::Char('k'), Some(&reading), 24);
    assert!(shown(&mut view, &reading, 20, 24)[23].ends_with("? y/N "));
    assert_eq!(view.press(KeyPress::Interrupt, Some(&reading), 24), Action::Quit);
    // Without a group there is nothing to ask about.
    let mut empty = self::view(None);
    empty.press(KeyPress::Char('k'), Some(&self::reading(0)), 24);
    assert!(!empty.asks());
}

#[test]
fn a_selection_is_typed_on_the_last_line() {
    let (mut view, reading) = (view(None), reading(3));
    let press = |view: &mut View, text: &str| {
        text.chars().map(|c| view.press(KeyPress::Char(c), Some(&reading), 24)).last()
    };
    press(&mut view, "/-p tcpp");
    view.press(KeyPress::Backspace, None, 24);
    let frame = view.frame(Some(&reading), 80, 24);
    assert_eq!((frame.lines[23].0.as_str(), frame.cursor), ("/-p tcp", Some(7)));
    // Letters that are commands elsewhere are letters here.
    press(&mut view, " --state q");
    assert_eq!(view.press(KeyPress::Enter, None, 24), Action::Select("-p tcp --state q".to_owned()));
    assert!(!view.asks());
    // The next one begins with what is selected.
    view.selection = "-f ipv4".to_owned();
    press(&mut view, "/x");
    assert_eq!(view.press(KeyPress::Enter, None, 24), Action::Select("-f ipv4x".to_owned()));
    press(&mut view, "/");
    view.press(KeyPress::Clear, None, 24);
    assert_eq!(view.press(KeyPress::Escape, None, 24), Action::Nothing);
    press(&mut view, &format!("/{}", "abcdefghi ".repeat(20)));
    let frame = view.frame(Some(&reading), 40, 24);
    assert!(frame.lines[23].0.len() <= 40 && frame.cursor.is_some_and(|c| c < 40), "{frame:?}");
}

#[test]
fn groups_and_figures_go_round() {
    let (mut view, reading) = (view(None), reading(3));
    let mut seen = vec![view.keys.name()];
    for _ in 0..=GROUPINGS.len() {
        assert_eq!(view.press(KeyPress::Char('b'), Some(&reading), 24), Action::Read);
        seen.push(view.keys.name());
    }
    assert_eq!((seen.first(), seen.contains(&"flow".to_owned())), (seen.last(), true));
    view.press(KeyPress::Char('B'), Some(&reading), 24);
    assert_eq!(view.keys.name(), seen[seen.len() - 2]);
    let orders: Vec<Order> = (0..5)
        .map(|_| {
            view.press(KeyPress::Char('o'), Some(&reading), 24);
            view.order
        })
        .collect();
    assert_eq!(orders, [Order::Packets, Order::Bytes, Order::Rate, Order::Age, Order::Flows]);
    view.press(KeyPress::Char('O'), Some(&reading), 24);
    assert_eq!(view.order, Order::Age);
    let last = shown(&mut view, &reading, 80, 24)[23].clone();
    assert!(
        last.starts_with("no ages: new flows have them with sysctl net.netfilter.nf_conntrack_timestamp=1"),
        "{last}"
    );
    // A grouping that is not one of the usual ones comes before the first of them.
    let mut own = View::new(keys("src,dport"), Order::Flows, Duration::from_secs(2), None, String::new());
    own.press(KeyPress::Char('b'), None, 24);
    assert_eq!(own.keys.name(), "src");
}

#[test]
fn pause_and_delay() {
    let (mut view, reading) = (view(None), reading(3));
    assert_eq!(view.press(KeyPress::Char('p'), Some(&reading), 24), Action::Nothing);
    assert!(view.paused && shown(&mut view, &reading, 80, 24)[0].starts_with("zct top PAUSED  "));
    assert_eq!(view.press(KeyPress::Char(' '), Some(&reading), 24), Action::Read);
    assert!(!view.paused);
    for (key, want) in [('+', DELAY_MAX), ('-', DELAY_MIN)] {
        (0..30).for_each(|_| _ = view.press(KeyPress::Char(key), Some(&reading), 24));
        assert_eq!(view.delay, want);
    }
    assert_eq!(
        [50, 100, 999, 1000, 1500, 2000, 12_345].map(|ms| seconds(Duration::from_millis(ms))),
        ["50 ms", "100 ms", "999 ms", "1 s", "1.5 s", "2 s", "12 s"]
    );
}

#[test]
fn every_figure_has_its_column_and_its_order() {
    let group = |n: u16, flows, bytes, more, oldest_ns| {
        let counts = Counts { flows, packets: 1, bytes };
        (port(n), counts, Extra { more, new: 2 * flows, oldest_ns })
    };
    let second = 1_000_000_000;
    let reading = Reading::of(
        &keys("dport"),
        &[
            group(1, 30, 10_000, 4000, 990 * second),
            group(2, 20, 90_000, 0, 0),
            group(3, 10, 100, 20, 5 * second),
        ],
    );
    let mut view = view(None);
    for (order, want) in [
        (Order::Flows, ["1", "2", "3"]),
        (Order::Bytes, ["2", "1", "3"]),
        (Order::Rate, ["1", "3", "2"]),
        // The oldest first; what does not know its age, last.
        (Order::Age, ["3", "1", "2"]),
    ] {
        view.order = order;
        let lines = shown(&mut view, &reading, 80, 24);
        let last = |l: &String| l.rsplit(' ').next().map(str::to_owned);
        let ports: Vec<String> = lines[4..7].iter().filter_map(last).collect();
        assert_eq!(ports, want, "{order:?}");
    }
    let lines = shown(&mut view, &reading, 80, 24);
    let words = |l: &str| l.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(&lines[3]), ["flows", "new/s", "packets", "bytes", "rate", "age", "dport"]);
    assert_eq!(words(&lines[5]), ["30", "30", "1", "10.0k", "2000", "10s", "1"]);
    assert_eq!(words(&lines[6]), ["20", "20", "1", "90.0k", "0", "-", "2"]);
    assert_eq!(lines[1], "table 750 of 1000 (75.0 %)  new 60/s  2010 B/s  drop 5 (+0)  early drop 7 (+0)");
}
