//! `docs/json-schema.json` describes what is written, and nothing else: every object is valid under it, and
//! under exactly the definition meant.

mod common;

use common::{check, message, render};
use jsonschema::Validator;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use zct_wire::proto::{DCCP_STATES, SCTP_STATES, TCP_STATES};
use zct_wire::text::{EventTime, Out, json as text};

fn schema() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/json-schema.json");
    let text = std::fs::read(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// A validator of one definition, address formats included.
fn of(definition: &str) -> Validator {
    let mut schema = schema();
    assert!(schema["$defs"][definition].is_object(), "no definition {definition}");
    schema["oneOf"] = json!([{ "$ref": format!("#/$defs/{definition}") }]);
    validator(&schema)
}

fn validator(schema: &Value) -> Validator {
    jsonschema::draft202012::options()
        .should_validate_formats(true)
        .build(schema)
        .unwrap_or_else(|e| panic!("the schema itself: {e}"))
}

/// Every object the renderers can write, under the name of the definition that is meant.
fn objects() -> Vec<(&'static str, String, Map<String, Value>)> {
    let mut all = Vec::new();
    let families = [
        (message::flows(), render::FLOW, ["flow", "flow_event"]),
        (message::expectations(), render::EXPECT, ["expectation", "expectation_event"]),
        (message::statistics(), render::STATS, ["stats", "stats"]),
    ];
    for (samples, renderers, [plain, event]) in families {
        for sample in samples {
            let msg = check::messages(&sample.bytes).next().expect("samples can be read");
            for r in renderers.iter().filter(|r| r.format == render::Format::Json) {
                let (text, result) = check::render(r, msg);
                assert_eq!(result, Ok(()), "{}: {}", sample.name, r.name);
                let definition = if r.name.ends_with("event") { event } else { plain };
                all.push((definition, format!("{}: {}", sample.name, r.name), check::json(&text)));
            }
        }
    }
    let written = |write: &dyn Fn(&mut Out<'_>)| {
        let mut buf = [0xa5; 256];
        let mut out = Out::new(&mut buf);
        write(&mut out);
        check::json(out.written())
    };
    for (count, usec) in [(1, 0), (u64::MAX, 999_999)] {
        let time = EventTime { sec: 1_795_452_143, usec };
        all.push(("lost", format!("{count} lost"), written(&|out| text::lost(out, count, time))));
        all.push(("count", format!("{count} entries"), written(&|out| text::count(out, count, None))));
        all.push(("count", format!("of {count}"), written(&|out| text::count(out, 0, Some(count)))));
    }
    all
}

#[test]
fn the_schema_is_a_schema() {
    if let Err(e) = jsonschema::draft202012::meta::validate(&schema()) {
        panic!("{e}");
    }
}

#[test]
fn every_object_is_valid_under_its_own_definition_and_no_other() {
    let whole = validator(&schema());
    let names = ["flow", "flow_event", "expectation", "expectation_event", "lost", "count", "stats"];
    let definitions = names.map(|name| (name, of(name)));
    for (meant, name, object) in objects() {
        let object = Value::Object(object);
        let errors: Vec<_> =
            whole.iter_errors(&object).map(|e| format!("{e} at {}", e.instance_path())).collect();
        assert!(errors.is_empty(), "{name}: {errors:#?}\n{object:#}");
        for (definition, v) in &definitions {
            assert_eq!(v.is_valid(&object), *definition == meant, "{name} as {definition}: {object:#}");
        }
    }
}

/// A member that is not described, one that is missing though required, or one of another type is refused,
/// at every depth.
#[test]
fn what_is_not_described_is_refused() {
    let whole = validator(&schema());
    for (_, name, object) in objects() {
        let places: Vec<&str> =
            object.iter().filter(|(_, v)| v.is_object()).map(|(k, _)| k.as_str()).collect();
        for place in places {
            let mut more = object.clone();
            more[place]["surprise"] = json!(1);
            assert!(!whole.is_valid(&Value::Object(more)), "{name}: a surprise in {place}");
        }
        let mut more = object.clone();
        more.insert("surprise".into(), json!(1));
        assert!(!whole.is_valid(&Value::Object(more)), "{name}: a surprise");
        for key in object.keys() {
            let mut wrong = object.clone();
            wrong[key] = json!(null);
            assert!(!whole.is_valid(&Value::Object(wrong)), "{name}: {key} is null");
        }
        for key in ["family", "protocol", "orig", "reply", "expected", "cpu"]
            .iter()
            .filter(|k| object.contains_key(**k))
        {
            let mut less = object.clone();
            less.remove(*key);
            assert!(!whole.is_valid(&Value::Object(less)), "{name}: without {key}");
        }
    }
}

/// The schema promises no member that is never written.
#[test]
fn every_described_member_is_written_by_some_message() {
    let schema = schema();
    let described = |definition: &str| -> BTreeSet<String> {
        let members = schema["$defs"][definition]["properties"].as_object().expect("an object definition");
        members.keys().cloned().collect()
    };
    let all = objects();
    let written = |of: &[&str]| -> BTreeSet<String> {
        all.iter().filter(|(d, ..)| of.contains(d)).flat_map(|(_, _, o)| o.keys().cloned()).collect()
    };
    assert_eq!(described("flow_members"), written(&["flow", "flow_event"]));
    assert_eq!(described("expectation_members"), written(&["expectation", "expectation_event"]));
    for same in ["lost", "count", "stats"] {
        assert_eq!(described(same), written(&[same]));
    }
    let nested = all.iter().flat_map(|(_, _, o)| o.values()).filter_map(Value::as_object);
    assert_eq!(described("tuple"), nested.flat_map(|t| t.keys().cloned()).collect());
}

#[test]
fn the_states_are_those_the_programs_know() {
    let schema = schema();
    let names = schema["$defs"]["flow_members"]["properties"]["state"]["enum"].as_array().expect("an enum");
    let names: BTreeSet<&[u8]> = names.iter().filter_map(|n| Some(n.as_str()?.as_bytes())).collect();
    assert_eq!(names, [TCP_STATES, SCTP_STATES, DCCP_STATES].concat().into_iter().collect());
}
