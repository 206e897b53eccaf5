//! A status as one JSON object on one line (docs/status.schema.json).

use crate::kernel::TableSize;
use crate::links::Traffic;
use crate::peer::CacheStats;
use crate::peer::seal::{AuthMode, Refused};
use crate::status::ledger::{LedgerKind, Tally};
use crate::status::{
    Cache, CommitStatus, Events, HelperStatus, Lag, LinkStatus, Loss, Peer, SCHEMA, Status, TakeoverStatus,
    Transfer,
};
use std::fmt::{Display, Write as _};
use std::time::Duration;
use zct_helpers::Refusal;

/// Writes values with their commas. Whoever calls it has to close what is opened.
#[derive(Debug, Default)]
struct Json {
    out: String,
    /// Something stands before, in the same object or list.
    more: bool,
}

impl Json {
    fn next(&mut self) {
        if self.more {
            self.out.push(',');
        }
        self.more = true;
    }

    fn key(&mut self, key: &str) {
        self.next();
        // Keys are our own words, which need no escapes. Writing to a String cannot fail.
        _ = write!(self.out, "\"{key}\":");
    }

    fn open(&mut self, bracket: char) {
        self.out.push(bracket);
        self.more = false;
    }

    fn close(&mut self, bracket: char) {
        self.out.push(bracket);
        self.more = true;
    }

    /// A number or a boolean.
    fn plain(&mut self, key: &str, value: impl Display) {
        self.key(key);
        _ = write!(self.out, "{value}");
    }

    fn or_null(&mut self, key: &str, value: Option<impl Display>) {
        match value {
            Some(v) => self.plain(key, v),
            None => self.plain(key, "null"),
        }
    }

    fn seconds(&mut self, key: &str, value: Option<Duration>) {
        self.or_null(key, value.map(|d| format!("{}.{:06}", d.as_secs(), d.subsec_micros())));
    }

    fn text(&mut self, key: &str, value: &str) {
        self.key(key);
        self.string(value);
    }

    fn string(&mut self, value: &str) {
        self.out.push('"');
        for c in value.chars() {
            match c {
                '"' | '\\' => self.out.extend(['\\', c]),
                c if c.is_control() => _ = write!(self.out, "\\u{:04x}", u32::from(c)),
                c => self.out.push(c),
            }
        }
        self.out.push('"');
    }

    fn object(&mut self, key: &str, members: impl FnOnce(&mut Json)) {
        self.key(key);
        self.open('{');
        members(self);
        self.close('}');
    }

    fn object_or_null<T>(&mut self, key: &str, value: Option<T>, members: impl FnOnce(&mut Json, T)) {
        match value {
            Some(v) => self.object(key, |o| members(o, v)),
            None => self.plain(key, "null"),
        }
    }

    fn list<T>(&mut self, key: &str, values: &[T], mut members: impl FnMut(&mut Json, &T)) {
        self.key(key);
        self.open('[');
        for v in values {
            self.next();
            self.open('{');
            members(self, v);
            self.close('}');
        }
        self.close(']');
    }
}

/// Writes the object, and a line break.
pub fn write(s: &Status) -> String {
    let mut o = Json::default();
    o.open('{');
    o.plain("schema", SCHEMA);
    o.text("version", s.version);
    o.plain("pid", s.pid);
    o.seconds("time", Some(s.time));
    o.seconds("start_time", Some(s.start_time));
    o.text("mode", s.mode);
    o.text("role", s.role.name());
    o.plain("ready", s.is_ready());
    o.plain("in_sync", s.is_in_sync());
    o.key("missing");
    o.open('[');
    for m in &s.missing {
        o.next();
        o.string(m.name());
    }
    o.close(']');
    o.object("kernel", |o| kernel(o, &s.kernel));
    o.object("caches", |o| {
        o.object_or_null("internal", s.internal.as_ref(), cache);
        o.object_or_null("external", s.external.as_ref(), cache);
    });
    o.object("events", |o| events(o, &s.events));
    o.list("links", &s.links, link);
    o.list("peers", &s.peers, peer);
    o.object_or_null("commit", s.commit.as_ref(), commit);
    o.object_or_null("takeover", s.takeover.as_ref(), takeover);
    o.object_or_null("helpers", s.helpers.as_ref(), |o, h| {
        o.or_null("pid", h.pid);
        o.plain("restarts", h.restarts);
        o.list("types", &h.types, helper);
    });
    o.object("losses", |o| {
        for (kind, tally) in LedgerKind::ALL.iter().zip(&s.losses) {
            o.object(kind.name(), |o| lost(o, tally));
        }
    });
    match &s.ledger {
        Some(entries) => o.list("ledger", entries, loss),
        None => o.plain("ledger", "null"),
    }
    o.close('}');
    o.out.push('\n');
    o.out
}

fn kernel(o: &mut Json, t: &TableSize) {
    o.or_null("entries", t.entries);
    o.or_null("limit", t.limit);
    o.or_null("buckets", t.buckets);
}

fn cache(o: &mut Json, c: &Cache) {
    o.or_null("flows", c.flows);
    o.or_null("expectations", c.expectations);
    o.or_null("limit", c.limit);
    o.or_null("bytes", c.bytes);
    let CacheStats { created, no_space, updated, update_failed, destroyed, destroy_failed } = c.operations;
    let rows = [
        ("create", created, no_space),
        ("update", updated, update_failed),
        ("destroy", destroyed, destroy_failed),
    ];
    o.object("operations", |o| {
        for (name, ok, error) in rows {
            o.object(name, |o| {
                o.plain("ok", ok);
                o.plain("error", error);
            });
        }
    });
}

fn events(o: &mut Json, e: &Events) {
    o.plain("received", e.received);
    o.plain("lost", e.lost);
    o.plain("overruns", e.overruns);
    o.plain("comparisons", e.comparisons);
    o.or_null("repaired", e.repaired);
    o.or_null("buffer_bytes", e.buffer_bytes);
    o.object_or_null("review", e.review, |o, r| {
        state(o, r.running);
        o.plain("checks", r.checks);
        o.plain("differences", r.differences);
        o.seconds("last_equal", r.last_equal_time);
    });
}

fn link(o: &mut Json, l: &LinkStatus) {
    let Traffic { sent_bytes, sent, send_errors, received_bytes, received, receive_errors } = l.traffic;
    o.text("interface", &l.interface);
    o.text("transport", l.transport);
    o.text("state", &l.state);
    o.plain("in_use", l.in_use);
    for (way, bytes, packets) in [("tx", sent_bytes, sent), ("rx", received_bytes, received)] {
        o.object(way, |o| {
            o.plain("bytes", bytes);
            o.plain("packets", packets);
        });
    }
    o.object("errors", |o| {
        o.plain("tx", send_errors);
        o.plain("rx", receive_errors);
    });
}

fn peer(o: &mut Json, p: &Peer) {
    // Without `Auth` nodes have no number, so `node`, `authenticated` and `key` are null.
    match &p.member {
        Some(m) => {
            o.text("name", &m.name);
            o.plain("node", m.node);
            o.object("cache", |o| cache(o, &m.cache));
        }
        None => o.or_null("node", p.sealing.as_ref().and_then(|s| s.node)),
    }
    match p.address {
        Some(a) => o.text("address", &a.to_string()),
        None => o.plain("address", "null"),
    }
    o.text("state", p.state.name());
    o.seconds("last_seen", p.last_seen_time);
    // The version of conntrackd's protocol, which is the only one there is.
    o.plain("protocol", zct_wire::peer::header::VERSION);
    o.or_null(
        "authenticated",
        p.sealing.as_ref().map(|s| s.mode == AuthMode::Enforce.word() && s.node.is_some()),
    );
    o.or_null("key", p.sealing.as_ref().map(|s| s.key));
    o.object_or_null("sealing", p.sealing.as_ref(), |o, s| {
        o.text("mode", s.mode);
        match s.fingerprint {
            Some(f) => o.text("fingerprint", &f.to_string()),
            None => o.plain("fingerprint", "null"),
        }
        o.plain("sealed", s.counts.sealed);
        o.plain("opened", s.counts.opened);
        o.plain("proofs", s.counts.proofs);
        o.object("refused", |o| {
            // Nobody is foreign to a node that does not know who its peer is.
            let all = Refused::ALL.into_iter().filter(|why| p.member.is_some() || *why != Refused::Foreign);
            all.for_each(|why| o.plain(why.name(), s.counts.of(why)));
        });
    });
    o.object_or_null("lag", p.lag, |o, Lag { messages, waiting, age }| {
        o.plain("messages", messages);
        o.plain("waiting", waiting);
        o.seconds("seconds", Some(age));
    });
    o.plain("sent", p.sent);
    o.plain("received", p.received);
    o.plain("lost", p.lost);
    o.or_null("resent", p.resent);
    o.plain("late", p.late);
    o.plain("unannounced", p.unannounced);
    o.object("malformed", |o| {
        for (reason, count) in p.malformed.by_reason() {
            o.plain(reason, count);
        }
    });
    o.object("resync", |o| transfer(o, &p.resync));
    o.object("bulk", |o| transfer(o, &p.bulk));
    o.object_or_null("digest", p.digest, |o, d| {
        state(o, d.running);
        o.plain("checks", d.checks);
        o.plain("differences", d.differences);
        o.plain("repairs", d.repairs);
        o.plain("removed", d.removed);
        o.seconds("last_equal", d.last_equal_time);
    });
}

fn state(o: &mut Json, running: bool) {
    o.text("state", if running { "running" } else { "idle" });
}

fn transfer(o: &mut Json, t: &Transfer) {
    state(o, t.running);
    o.or_null("done", t.done);
    o.or_null("total", t.total);
    o.seconds("eta_seconds", t.eta);
    o.plain("count", t.count);
    o.seconds("last_duration_seconds", t.last_duration);
}

fn commit(o: &mut Json, c: &CommitStatus) {
    state(o, c.running);
    o.plain("done", c.done);
    o.or_null("total", c.total);
    o.plain("failed", c.failed);
    o.seconds("eta_seconds", c.eta);
    o.plain("count", c.count);
    o.seconds("last_duration_seconds", c.last_duration);
    if let Some(n) = c.conflicts {
        o.plain("conflicts", n);
    }
}

fn takeover(o: &mut Json, t: &TakeoverStatus) {
    o.seconds("last_time", Some(t.last_time));
    o.seconds("duration_seconds", Some(t.duration));
}

fn helper(o: &mut Json, h: &HelperStatus) {
    o.text("name", h.name);
    o.text("family", h.family);
    o.text("protocol", h.protocol);
    for (what, count) in h.counts.named() {
        o.plain(what, count);
    }
    o.object("refused", |o| {
        for why in Refusal::ALL {
            o.plain(&why.name().replace('-', "_"), h.counts.of(why));
        }
    });
}

fn lost(o: &mut Json, t: &Tally) {
    o.plain("entries", t.entries);
    o.plain("estimate", t.estimate);
    o.plain("repaired", t.repaired);
    o.plain("pending", t.pending);
}

fn loss(o: &mut Json, l: &Loss) {
    o.seconds("time", Some(l.time));
    o.seconds("until", Some(l.until_time));
    o.text("kind", l.kind.name());
    if let Some(name) = &l.peer {
        o.text("peer", name);
    }
    o.plain("estimate", l.estimate);
    o.seconds("repaired", l.repaired_time);
    match l.how {
        Some(how) => o.text("how", how.name()),
        None => o.plain("how", "null"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_separated_and_escaped() {
        let mut o = Json::default();
        o.open('{');
        o.plain("a", 1);
        o.object("b", |_| {});
        o.text("c", "x\"\\\n");
        o.list("d", &[1, 2], |o, n| o.plain("n", n));
        o.list("e", &[(); 0], |_, ()| {});
        o.seconds("f", Some(Duration::from_millis(1500)));
        o.seconds("g", None);
        o.object_or_null("h", None::<u8>, |_, _| {});
        o.close('}');
        assert_eq!(
            o.out,
            "{\"a\":1,\"b\":{},\"c\":\"x\\\"\\\\\\u000a\",\"d\":[{\"n\":1},{\"n\":2}],\"e\":[],\
             \"f\":1.500000,\"g\":null,\"h\":null}"
        );
    }
}
