//! `Sync` (conntrackd.md §5.3).

use super::super::lexer::TokenKind;
use super::super::report::FilePlace;
use super::auth::auth;
use super::general::{BYTES_MAX, set};
use super::link::link;
use super::parser::{BlockName, Directive, Parser};
use super::peer::peer;
use super::raw::{Raw, RawLinkKind, RawSync};

type SyncDirective = Directive<RawSync>;

const REFRESH_TIME: SyncDirective = Directive {
    word: "RefreshTime",
    read: |p, s, at| set(&mut s.refresh_time_s, p.number(at, "RefreshTime", 0..=BYTES_MAX)),
};
const CACHE_TIMEOUT: SyncDirective = Directive {
    word: "CacheTimeout",
    read: |p, s, at| set(&mut s.cache_timeout_s, p.number(at, "CacheTimeout", 0..=BYTES_MAX)),
};
const COMMIT_TIMEOUT: SyncDirective = Directive {
    word: "CommitTimeout",
    read: |p, s, at| set(&mut s.commit_timeout_s, p.number(at, "CommitTimeout", 0..=BYTES_MAX)),
};
const PURGE_TIMEOUT: SyncDirective = Directive {
    word: "PurgeTimeout",
    read: |p, s, at| set(&mut s.purge_timeout_s, p.number(at, "PurgeTimeout", 0..=BYTES_MAX)),
};
const RESEND_QUEUE_SIZE: SyncDirective = Directive {
    word: "ResendQueueSize",
    read: |p, s, at| set(&mut s.resend_queue_size, p.number(at, "ResendQueueSize", 0..=BYTES_MAX)),
};
const ACK_WINDOW_SIZE: SyncDirective = Directive {
    word: "ACKWindowSize",
    read: |p, s, at| set(&mut s.ack_window_size, p.number(at, "ACKWindowSize", 0..=BYTES_MAX)),
};
const DISABLE_EXTERNAL_CACHE: SyncDirective = Directive {
    word: "DisableExternalCache",
    read: |p, s, at| set(&mut s.disable_external_cache, p.switch(at, "DisableExternalCache")),
};
const DISABLE_INTERNAL_CACHE: SyncDirective = Directive {
    word: "DisableInternalCache",
    read: |p, s, at| set(&mut s.disable_internal_cache, p.switch(at, "DisableInternalCache")),
};
const STARTUP_RESYNC: SyncDirective = Directive {
    word: "StartupResync",
    read: |p, s, at| set(&mut s.startup_resync, p.switch(at, "StartupResync")),
};

pub(super) const SYNC: &[SyncDirective] = &[
    Directive { word: "Mode", read: mode },
    Directive { word: "Multicast", read: |p, s, at| link(p, &mut s.links, at, RawLinkKind::Multicast) },
    Directive { word: "UDP", read: |p, s, at| link(p, &mut s.links, at, RawLinkKind::Udp) },
    Directive { word: "TCP", read: |p, s, at| link(p, &mut s.links, at, RawLinkKind::Tcp) },
    Directive {
        word: "Options",
        read: |p, s, at| p.block(BlockName { name: "Options", place: at }, OPTIONS, s),
    },
    REFRESH_TIME,
    CACHE_TIMEOUT,
    COMMIT_TIMEOUT,
    PURGE_TIMEOUT,
    Directive { word: "NodeID", read: |p, s, at| set(&mut s.node_id, p.number(at, "NodeID", 1..=65_535)) },
    Directive { word: "Auth", read: auth },
    Directive { word: "Peer", read: peer },
];

pub(super) const FTFW: &[SyncDirective] = &[
    RESEND_QUEUE_SIZE,
    ACK_WINDOW_SIZE,
    COMMIT_TIMEOUT,
    PURGE_TIMEOUT,
    DISABLE_EXTERNAL_CACHE,
    STARTUP_RESYNC,
];
pub(super) const ALARM: &[SyncDirective] = &[REFRESH_TIME, CACHE_TIMEOUT, COMMIT_TIMEOUT, PURGE_TIMEOUT];
pub(super) const NOTRACK: &[SyncDirective] =
    &[COMMIT_TIMEOUT, PURGE_TIMEOUT, DISABLE_EXTERNAL_CACHE, DISABLE_INTERNAL_CACHE, STARTUP_RESYNC];

pub(super) const OPTIONS: &[SyncDirective] = &[
    Directive {
        word: "TCPWindowTracking",
        read: |p, s, at| set(&mut s.tcp_window_tracking, p.switch(at, "TCPWindowTracking")),
    },
    Directive { word: "ExpectationSync", read: expectation_sync },
    Directive { word: "Digest", read: |p, s, at| set(&mut s.digest, p.switch(at, "Digest")) },
    Directive {
        word: "DigestInterval",
        read: |p, s, at| set(&mut s.digest_interval_s, p.number(at, "DigestInterval", 0..=BYTES_MAX)),
    },
    Directive {
        word: "ResyncInterval",
        read: |p, s, at| set(&mut s.resync_interval_s, p.number(at, "ResyncInterval", 0..=BYTES_MAX)),
    },
    Directive {
        word: "ReviewInterval",
        read: |p, s, at| set(&mut s.review_interval_s, p.number(at, "ReviewInterval", 0..=BYTES_MAX)),
    },
    Directive {
        word: "SyncAfter",
        read: |p, s, at| set(&mut s.sync_after_s, p.number(at, "SyncAfter", 0..=BYTES_MAX)),
    },
    Directive {
        word: "UpdateInterval",
        read: |p, s, at| set(&mut s.update_interval_s, p.number(at, "UpdateInterval", 0..=BYTES_MAX)),
    },
];

/// `Sync { … }`.
pub(super) fn sync(p: &mut Parser<'_>, raw: &mut Raw, at: FilePlace) -> Option<()> {
    raw.sync_place.get_or_insert(at);
    p.block(BlockName { name: "Sync", place: at }, SYNC, &mut raw.sync)
}

/// `Mode NAME { … }`.
fn mode(p: &mut Parser<'_>, sync: &mut RawSync, at: FilePlace) -> Option<()> {
    let t = p.peek();
    let is = |word: &str| t.kind == TokenKind::Word && t.text.eq_ignore_ascii_case(word.as_bytes());
    let (name, table, given) = if is("ftfw") || is("nack") {
        ("Mode FTFW", FTFW, &mut sync.ftfw)
    } else if is("alarm") || is("persistent") {
        ("Mode ALARM", ALARM, &mut sync.alarm)
    } else if is("notrack") {
        ("Mode NOTRACK", NOTRACK, &mut sync.notrack)
    } else {
        p.unexpected("FTFW, ALARM or NOTRACK after Mode");
        return None;
    };
    given.get_or_insert(at);
    if is("nack") {
        p.warn(at, "mode nack is called FTFW nowadays".into());
    }
    if is("persistent") {
        p.warn(at, "mode persistent is called ALARM nowadays".into());
    }
    p.take();
    p.block(BlockName { name, place: at }, table, sync)
}

/// `on`, `off` or `{ HELPER … }`. The names of several lists are joined.
fn expectation_sync(p: &mut Parser<'_>, sync: &mut RawSync, at: FilePlace) -> Option<()> {
    if p.peek().kind != TokenKind::Open {
        if p.try_switch_at(&mut sync.expectation_sync, at) {
            return Some(());
        }
        p.unexpected("on, off or a list of helpers in braces after ExpectationSync");
        return None;
    }
    let names = &mut sync.expectation_helpers;
    let read = p.list(BlockName { name: "ExpectationSync", place: at }, |p, _| {
        let name = p.outside_name("ExpectationSync", "the name of a helper")?;
        names.insert(name.into());
        Some(())
    });
    if names.is_empty() {
        p.warn(at, "an empty list of helpers means all of them".into());
    }
    sync.expectation_sync = Some(super::super::report::At { value: true, place: at });
    read
}
