//! Rules and dashboard ask for metrics that there are, and say what they mean.

use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use zctd::metrics::families::ALL;

fn shipped(name: &str) -> String {
    let path = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../dist")).join(name);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The words of a query that look like families of ours.
fn families(query: &str) -> impl Iterator<Item = &str> {
    let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|w| ["zctd_", "zct_", "process_"].iter().any(|start| w.starts_with(start)))
}

fn unknown(queries: &[String]) -> BTreeSet<&str> {
    let known = |name: &str| ALL.iter().any(|f| f.name == name);
    queries.iter().flat_map(|q| families(q)).filter(|name| !known(name)).collect()
}

/// Every value of `expr` and `definition`, wherever it is.
fn queries(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member.as_str().filter(|_| ["expr", "definition"].contains(&name.as_str())) {
                    Some(query) => found.push(query.to_owned()),
                    None => queries(member, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| queries(item, found)),
        _ => {}
    }
}

#[test]
fn the_dashboard_shows_metrics_that_there_are() {
    let dashboard: Value = serde_json::from_str(&shipped("zctd.grafana.json")).expect("JSON");
    let mut found = Vec::new();
    queries(&dashboard, &mut found);
    assert!(found.len() > 20, "{found:?}");
    assert_eq!(unknown(&found), BTreeSet::new());
    let panels = dashboard["panels"].as_array().expect("panels");
    let ids: BTreeSet<u64> = panels.iter().map(|p| p["id"].as_u64().expect("an id")).collect();
    assert_eq!(ids.len(), panels.len(), "an id is there twice");
    // No two of them lie on one another.
    let at = |p: &Value| ["x", "y", "w", "h"].map(|k| p["gridPos"][k].as_u64().expect("a number"));
    for (i, a) in panels.iter().enumerate() {
        let [x, y, w, h] = at(a);
        assert!(x + w <= 24 && h > 0, "{}", a["title"]);
        for b in &panels[..i] {
            let [bx, by, bw, bh] = at(b);
            let apart = x + w <= bx || bx + bw <= x || y + h <= by || by + bh <= y;
            assert!(apart, "{} and {}", a["title"], b["title"]);
        }
    }
}

#[test]
fn the_rules_look_at_metrics_that_there_are_and_each_is_tried() {
    let (rules, tests) = (shipped("zctd.rules.yml"), shipped("zctd.rules.test.yml"));
    let of = |text: &str, key: &str| -> Vec<String> {
        let lines = text.lines().map(|l| l.trim_start_matches([' ', '-']));
        lines.filter_map(|l| l.strip_prefix(key).map(str::to_owned)).collect()
    };
    let queries = of(&rules, "expr: ");
    assert!(queries.len() > 8);
    assert_eq!(unknown(&queries), BTreeSet::new());
    assert_eq!(unknown(&of(&tests, "series: ")), BTreeSet::new());
    for alert in of(&rules, "alert: ") {
        let named = format!("alertname: {alert}\n");
        let mut tried = tests.split(&named).skip(1).filter_map(|t| t.split("alertname").next());
        assert!(tried.any(|t| t.contains("exp_labels")), "{alert} is never seen");
    }
}

#[test]
fn names_are_the_customary_ones() {
    let mut names = BTreeSet::new();
    for family in ALL {
        assert!(names.insert(family.name), "{} is there twice", family.name);
        let counts = family.kind == zct_wire::text::metrics::FamilyKind::Counter;
        assert_eq!(family.name.ends_with("_total"), counts, "{}", family.name);
        assert!(family.help.ends_with('.'), "{}", family.name);
    }
}
