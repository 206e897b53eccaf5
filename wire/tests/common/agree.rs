//! The formats agree with the readers and with each other: the same message never shows two values of one
//! thing. Each function panics when it does.

use super::check;
use super::render::{self, Renderer};
use serde_json::{Map, Value};
use std::net::IpAddr;
use zct_wire::expect::ExpectView;
use zct_wire::flow::{Counters, Dir, FlowView};
use zct_wire::header::CtMsg;
use zct_wire::tuple::{Addr, Tuple};

fn rendered(renderers: &[Renderer], name: &str, msg: CtMsg<'_>) -> Option<Vec<u8>> {
    let r = renderers.iter().find(|r| r.name == name).expect("a renderer of this name");
    let (text, result) = check::render(r, msg);
    result.is_ok().then_some(text)
}

fn number(object: &Map<String, Value>, key: &str) -> Option<u64> {
    object.get(key).map(|v| v.as_u64().unwrap_or_else(|| panic!("{key} is {v}")))
}

fn ip(a: Addr) -> IpAddr {
    match a {
        Addr::V4(b) => b.into(),
        Addr::V6(b) => b.into(),
    }
}

/// The object of a tuple has what the tuple has, and nothing else.
fn tuple(object: &Value, t: &Tuple, proto: u8, carried: Option<Counters>) {
    let object = object.as_object().expect("a tuple is an object");
    let address = |key: &str| {
        let text = object.get(key)?.as_str().expect("addresses are text");
        Some(text.parse::<IpAddr>().unwrap_or_else(|e| panic!("{text}: {e}")))
    };
    assert_eq!((address("src"), address("dst")), (t.src.map(ip), t.dst.map(ip)));
    let (src, dst) = if proto == 47 { ("srckey", "dstkey") } else { ("sport", "dport") };
    let numbers = [
        (src, t.src_port.map(u64::from)),
        (dst, t.dst_port.map(u64::from)),
        ("icmp_type", t.icmp_type.map(u64::from)),
        ("icmp_code", t.icmp_code.map(u64::from)),
        ("icmp_id", t.icmp_id.map(u64::from)),
        ("zone", t.zone.map(u64::from)),
        ("packets", carried.map(|c| c.packets)),
        ("bytes", carried.map(|c| c.bytes)),
    ];
    for (key, want) in numbers {
        assert_eq!(number(object, key), want, "{key}");
    }
    let members = numbers.iter().filter(|(_, v)| v.is_some()).count();
    assert_eq!(object.len(), members + usize::from(t.src.is_some()) + usize::from(t.dst.is_some()));
}

/// Words of a line with this in front, `=` included.
fn words<'a>(line: &'a [u8], name: &'a str) -> Vec<&'a [u8]> {
    line.split(|b| *b == b' ').filter_map(|word| word.strip_prefix(name.as_bytes())).collect()
}

/// JSON, line and saved command of a flow.
pub fn flow(msg: CtMsg<'_>) {
    let Some(json) = rendered(render::FLOW, "json, all", msg) else { return };
    let f = FlowView::index(msg).expect("it was rendered");
    let object = check::json(&json);
    let [orig, reply] = [f.orig(), f.reply()].map(|t| t.expect("it was rendered").unwrap_or_default());
    let proto = orig.proto.unwrap_or(0);
    let carried = |dir| f.counters(dir).expect("it was rendered");
    tuple(&object["orig"], &orig, proto, carried(Dir::Orig));
    tuple(&object["reply"], &reply, proto, carried(Dir::Reply));
    if let Ok(Some(master)) = f.master() {
        tuple(&object["master"], &master, master.proto.unwrap_or(0), None);
    }
    assert_eq!(number(&object, "protonum"), Some(proto.into()));
    for (key, value) in [
        ("timeout", f.timeout_s()),
        ("mark", f.mark()),
        ("secmark", f.secmark()),
        ("use", f.use_count()),
        ("id", f.id()),
        ("zone", f.zone().map(|z| z.map(u32::from))),
    ] {
        assert_eq!(number(&object, key), value.expect("it was rendered").map(u64::from), "{key}");
    }
    let length = |key: &str| object.get(key).map(|v| v.as_array().expect("a list").len());
    let bits = f.status().expect("it was rendered").map(|s| (s & 0xffff).count_ones() as usize);
    assert_eq!(length("status"), bits);
    assert_eq!(length("labels"), f.labels().map(|l| l.iter().count()));
    line(&f, msg, &object);
    saved(msg, &orig, &reply);
}

/// The line has the same numbers, unless it shows text from outside, which may look like anything.
fn line(f: &FlowView<'_>, msg: CtMsg<'_>, object: &Map<String, Value>) {
    let Some(line) = rendered(render::FLOW, "line, all", msg) else {
        panic!("JSON needs all that a line does");
    };
    if f.helper() != Ok(None) || f.secctx() != Ok(None) {
        return;
    }
    let text = |v: &Value| v.as_str().map_or_else(|| v.to_string(), str::to_owned).into_bytes();
    for (name, key) in [("mark=", "mark"), ("use=", "use"), ("zone=", "zone"), ("secmark=", "secmark")] {
        let shown = object.get(key).map(text).into_iter().collect::<Vec<_>>();
        assert_eq!(words(&line, name), shown, "{}", line.escape_ascii());
    }
    for (name, key) in [("src=", "src"), ("dst=", "dst")] {
        let of = |direction: &str| object[direction].get(key).map(text).unwrap_or_default();
        assert_eq!(words(&line, name), [of("orig"), of("reply")], "{}", line.escape_ascii());
    }
}

/// The saved command names the four addresses in their order.
fn saved(msg: CtMsg<'_>, orig: &Tuple, reply: &Tuple) {
    let Some(text) = rendered(render::FLOW, "save", msg) else { return };
    let shown: Vec<IpAddr> = text
        .split(|b| *b == b' ')
        .filter_map(|word| core::str::from_utf8(word).expect("save is ASCII").parse().ok())
        .collect();
    let addresses = [orig.src, orig.dst, reply.src, reply.dst];
    assert_eq!(shown, addresses.into_iter().flatten().map(ip).collect::<Vec<_>>(), "{}", text.escape_ascii());
}

/// JSON and line of an expectation.
pub fn expect(msg: CtMsg<'_>) {
    let Some(json) = rendered(render::EXPECT, "expectation json", msg) else { return };
    let e = ExpectView::index(msg).expect("it was rendered");
    let object = check::json(&json);
    let expected = e.tuple_expected().expect("it was rendered").unwrap_or_default();
    tuple(&object["expected"], &expected, expected.proto.unwrap_or(0), None);
    for (key, t) in [("mask", e.mask()), ("master", e.master())] {
        let t = t.expect("it was rendered");
        assert_eq!(object.contains_key(key), t.is_some());
        if let Some(t) = t {
            tuple(&object[key], &t, t.proto.unwrap_or(0), None);
        }
    }
    for (key, value) in
        [("timeout", e.timeout_s()), ("class", e.class()), ("zone", e.zone().map(|z| z.map(u32::from)))]
    {
        assert_eq!(number(&object, key), value.expect("it was rendered").map(u64::from), "{key}");
    }
    let flags = object.get("flags").map(|v| v.as_array().expect("a list").len());
    assert_eq!(flags, e.flags().expect("it was rendered").map(|f| (f & 7).count_ones() as usize));
    let Some(line) = rendered(render::EXPECT, "expectation line", msg) else {
        panic!("JSON needs all that a line does");
    };
    if e.helper().is_none() {
        assert_eq!(words(&line, "class=").len(), usize::from(object.contains_key("class")));
        assert_eq!(words(&line, "mask-src=").len(), 1);
    }
}
