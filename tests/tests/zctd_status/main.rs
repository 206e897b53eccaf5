//! `zctd status` and `zctd wait`: what they say of daemons in every state, as an object that the published
//! schema admits, and by their exit status; and the loss ledger, with losses that the tests have counted.

mod losses;
mod state;
mod waiting;

use serde_json::Value;
use std::sync::OnceLock;
use zct_tests::cluster::{At, Cluster, Which, eventually};
use zct_tests::program::{Exit, Output};

fn schema() -> &'static jsonschema::Validator {
    static SCHEMA: OnceLock<jsonschema::Validator> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/status.schema.json");
        let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{path}: {e}"));
        jsonschema::validator_for(&serde_json::from_str(&text).expect("JSON")).expect("a schema")
    })
}

/// The object of a node, checked against the schema and against the exit status.
pub(crate) fn status(cluster: &Cluster, at: At) -> Value {
    let seen = object(&cluster.ask_by(Which::Zctd, at, &["status", "--json"]));
    assert!(seen["ledger"].is_null(), "nobody asked for it");
    seen
}

/// The same with the ledger, which has to agree with the counts as long as it has forgotten nothing.
pub(crate) fn with_ledger(cluster: &Cluster, at: At) -> Value {
    let seen = object(&cluster.ask_by(Which::Zctd, at, &["status", "--ledger", "--json"]));
    let ledger = seen["ledger"].as_array().expect("a list");
    for (kind, tally) in seen["losses"].as_object().expect("an object") {
        let entries: Vec<&Value> = ledger.iter().filter(|e| e["kind"] == **kind).collect();
        let sum = |which: fn(&Value) -> bool, what: fn(&Value) -> u64| -> u64 {
            entries.iter().filter(|e| which(e)).map(|e| what(e)).sum()
        };
        let repaired = |e: &Value| !e["repaired"].is_null();
        let estimate = |e: &Value| e["estimate"].as_u64().expect("a number");
        assert_eq!(tally["entries"], sum(|_| true, |_| 1), "{kind}: {seen}");
        assert_eq!(tally["estimate"], sum(|_| true, estimate), "{kind}: {seen}");
        assert_eq!(tally["repaired"], sum(repaired, estimate), "{kind}: {seen}");
        assert_eq!(
            tally["pending"],
            sum(|e| e["repaired"].is_null() && !e["how"].is_null(), |_| 1),
            "{kind}: {seen}"
        );
    }
    seen
}

pub(crate) fn object(output: &Output) -> Value {
    let line = output.out();
    let value: Value = serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {output:?}"));
    let wrong: Vec<String> = schema().iter_errors(&value).map(|e| e.to_string()).collect();
    assert!(wrong.is_empty(), "{line}\n{wrong:?}");
    let missing = value["missing"].as_array().expect("a list");
    assert_eq!(value["in_sync"], missing.is_empty());
    assert_eq!(output.exit, Exit::Code(if missing.is_empty() { 0 } else { 2 }), "{output:?}");
    assert_eq!(output.err(), "");
    value
}

/// Waits until a node is in sync, or until exactly this is missing.
pub(crate) fn until(cluster: &Cluster, at: At, missing: &[&str]) -> Value {
    let mut last = Value::Null;
    eventually(&format!("missing {missing:?}"), || {
        last = status(cluster, at);
        if last["missing"] == Value::from(missing.to_vec()) { Ok(()) } else { Err(last.to_string()) }
    });
    last
}
