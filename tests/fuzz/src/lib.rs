//! What the targets share: messages around fuzzed attributes, and round trips.

use zct_wire::attr::{Attr, Attrs};
use zct_wire::build::Builder;
use zct_wire::error::WireError;
use zct_wire::header::{CtMsg, Frames};
use zct_wire::tuple::{Shape, Tuple};

/// A message with these bytes for attributes. The header is always right, so that all the fuzzing goes into
/// what comes after it; frames themselves are the business of the target `attr`.
pub fn message(kind: u16, family: u8, attrs: &[u8]) -> Vec<u8> {
    let mut buf = [0; 64];
    let mut bytes = Builder::new(&mut buf, kind, 0, 1, family, 0).finish().expect("a header fits").to_vec();
    bytes.extend_from_slice(attrs);
    let len = u32::try_from(bytes.len()).expect("inputs are small");
    bytes[..4].copy_from_slice(&len.to_ne_bytes());
    bytes
}

/// The only message of a datagram.
pub fn parsed(bytes: &[u8]) -> CtMsg<'_> {
    let frame = Frames::new(bytes).next().expect("there is one").expect("its length is right");
    CtMsg::parse(frame).expect("its header is whole")
}

/// All attributes, or the first thing wrong with them.
pub fn walk(bytes: &[u8]) -> Result<Vec<Attr<'_>>, WireError> {
    // The promise of the walk: it ends, whatever the lengths say.
    assert!(Attrs::new(bytes).count() <= bytes.len() / 4 + 1);
    let all: Vec<_> = Attrs::new(bytes).collect();
    let errors = all.iter().filter(|a| a.is_err()).count();
    assert!(errors == 0 || (errors == 1 && all.last().is_some_and(|a| a.is_err())), "an error is the end");
    all.into_iter().collect()
}

/// Value of the last attribute of a kind, which is the one that counts.
pub fn last<'a>(attrs: &[Attr<'a>], kind: u16) -> Option<&'a [u8]> {
    attrs.iter().rev().find(|a| a.kind == kind).map(|a| a.value)
}

/// The value of the one attribute `build` writes.
pub fn rebuilt(build: impl FnOnce(&mut Builder<'_>)) -> Vec<u8> {
    let mut buf = [0xa5; 512];
    let mut b = Builder::new(&mut buf, 0x100, 0, 1, 2, 0);
    build(&mut b);
    let bytes = b.finish().expect("512 bytes hold any tuple").to_vec();
    let mut attrs = parsed(&bytes).attrs();
    let value = attrs.next().expect("one was built").expect("and is whole").value.to_vec();
    assert_eq!(attrs.next(), None);
    value
}

/// What was read of a tuple is read again from what is built of it.
pub fn tuple_round_trip(nest: &[u8]) {
    let shape = Shape::parse(nest);
    assert_eq!(shape.map(|s| s.tuple()), Tuple::parse(nest));
    let Ok(t) = Tuple::parse(nest) else { return };
    assert_eq!(shape.map(|s| s.proto()), Ok(t.proto.unwrap_or(0)));
    // Nothing above IP is built without a protocol: the kernel could not read it either.
    let want = match t.proto {
        Some(_) => t,
        None => Tuple { src: t.src, dst: t.dst, zone: t.zone, ..Tuple::default() },
    };
    let built = rebuilt(|b| t.build(b, 1));
    assert_eq!(Tuple::parse(&built), Ok(want));
    assert_eq!(rebuilt(|b| want.build(b, 1)), built, "building is a function of what was read");
}
