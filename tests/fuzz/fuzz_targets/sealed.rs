//! A datagram or a piece of a stream that may hold sealed frames: cutting it up loses no byte and ends,
//! headers and notes that were read are written as they were, and a node with a key takes none of it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zct_engine::secret::{Secret, Vault};
use zct_wire::peer::sealed::{self, FrameHeader, FrameKind, ADDRESSED_LEN, Note, Piece};
use zctd::peer::seal::{GroupKey, AuthMode, Seal, Settings};

fuzz_target!(|data: &[u8]| {
    let mut bytes = data.to_vec();
    let (mut rest, mut seen) = (&mut bytes[..], 0);
    while let Some(piece) = sealed::next(&mut rest) {
        let (Piece::Sealed(part) | Piece::Plain(part)) = piece;
        assert!(!part.is_empty(), "it goes on");
        seen += part.len();
        header(part);
    }
    assert_eq!((seen, &bytes[..]), (data.len(), data));
    for kind in [FrameKind::Data, FrameKind::Challenge, FrameKind::Answer, FrameKind::Successor, FrameKind::Addressed] {
        if let Some(note) = Note::read(kind, data) {
            assert_eq!((note.kind(), Note::read(kind, &note.bytes())), (kind, Some(note)));
        }
    }
    opened(data);
});

fn header(frame: &mut [u8]) {
    let Some(h) = FrameHeader::read(frame) else { return };
    let mut again = [0xa5; ADDRESSED_LEN];
    assert_eq!(h.write(&mut again), Some(()));
    let len = h.kind.header_len();
    assert_eq!(again[..len], frame[..len]);
    let parts = sealed::parts(frame).expect("it is long enough");
    assert!(parts.text.len() >= usize::from(h.padding));
}

/// Whatever the bytes are, they are not authentic, also when all but the tag is right.
fn opened(data: &[u8]) {
    let key = |byte| Secret::new(&mut [byte; 32]).expect("a page");
    let keys = vec![GroupKey { number: 1, secret: key(1) }];
    // One of a group in every other case, so that frames of each kind are looked into.
    let from = data.first().is_some_and(|b| b & 1 == 1).then(|| (0..=255).filter(|n| *n != 2).collect());
    let settings = Settings { node: 2, mode: AuthMode::Enforce, keys, active: 1, from };
    let mut seal = Seal::new(0, settings, Vault::new().expect("a page"), key(2)).expect("the key is there");
    let mut frame = data.to_vec();
    if let Ok(len) = u16::try_from(frame.len()) {
        if let [magic, kind, high, low, key, ..] = &mut frame[..] {
            *kind %= 5;
            (*magic, [*high, *low], *key) = (sealed::MAGIC, len.to_be_bytes(), 1);
        }
    }
    for bytes in [&mut data.to_vec(), &mut frame] {
        seal.open(0, bytes, &mut |_| panic!("it was taken"));
    }
    assert_eq!((seal.counts().opened, seal.note(0, &mut [0; 1500])), (0, None));
}
