//! An expectation from any attributes: the index agrees with the walk, and tuples are built and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zct_fuzz::{last, message, parsed, tuple_round_trip, walk};
use zct_wire::consts::{cta_expect, ipctnl_exp};
use zct_wire::expect::ExpectView;
use zct_wire::tuple::Tuple;

fuzz_target!(|data: &[u8]| {
    let Some((&family, attrs)) = data.split_first() else { return };
    let bytes = message(ipctnl_exp::NEW, family, attrs);
    let (indexed, walked) = (ExpectView::index(parsed(&bytes)), walk(attrs));
    assert_eq!(indexed.as_ref().err(), walked.as_ref().err());
    let (Ok(e), Ok(walked)) = (indexed, walked) else { return };
    assert_eq!(e.family(), family);
    for (kind, read) in [
        (cta_expect::MASTER, e.master()),
        (cta_expect::TUPLE, e.tuple_expected()),
        (cta_expect::MASK, e.mask()),
    ] {
        let value = last(&walked, kind);
        assert_eq!(read, value.map(Tuple::parse).transpose());
        value.into_iter().for_each(tuple_round_trip);
    }
    for (kind, read) in [
        (cta_expect::TIMEOUT, e.timeout_s()),
        (cta_expect::ID, e.id()),
        (cta_expect::FLAGS, e.flags()),
        (cta_expect::CLASS, e.class()),
    ] {
        match last(&walked, kind) {
            None => assert_eq!(read, Ok(None)),
            Some(v) => assert_eq!(read.is_ok(), v.len() >= 4),
        }
    }
    for (kind, read) in [(cta_expect::HELP_NAME, e.helper()), (cta_expect::FN, e.function())] {
        assert_eq!(read.is_some(), last(&walked, kind).is_some());
        assert!(!read.unwrap_or_default().contains(&0));
    }
    assert_eq!(e.zone().is_ok(), last(&walked, cta_expect::ZONE).is_none_or(|v| v.len() >= 2));
    if let Ok(Some(nat)) = e.nat() {
        let again = zct_fuzz::rebuilt(|b| nat.tuple.build(b, 1));
        assert_eq!(Tuple::parse(&again).map(|t| t.src), Ok(nat.tuple.src));
    }
});
