//! What the tests of this crate and the fuzz targets share: built messages, a fixed world to render them
//! in, every renderer under one type, and the properties that hold for any bytes.
// Each test binary uses a part of it.
#![allow(dead_code, unreachable_pub)]

pub mod agree;
pub mod check;
pub mod message;
pub mod render;
pub mod view;

use zct_wire::text::{LabelNames, LocalTime, TextContext, TimeZone};

/// A world that is the same in every run.
pub struct World;

impl TimeZone for World {
    fn local(&self, unix_s: i64) -> LocalTime {
        let part = |seconds: i64, range: i64| (unix_s.div_euclid(seconds)).rem_euclid(range) as u8;
        LocalTime {
            year: (1970 + unix_s.div_euclid(31_556_952)).clamp(-9999, 99_999) as i32,
            month: part(2_629_746, 12),
            day: part(86_400, 31) + 1,
            hour: part(3600, 24),
            min: part(60, 60),
            sec: part(1, 60),
            wday: part(86_400, 7),
        }
    }
}

/// Label names as an administrator would choose them.
pub struct Plain;

impl LabelNames for Plain {
    fn name(&self, bit: u16) -> Option<&[u8]> {
        match bit {
            0 => Some(b"bit-zero"),
            1..=40 => Some(b"eth0-in"),
            127 => Some(b"last"),
            _ => None,
        }
    }
}

/// Label names that try to break out of the document.
pub struct Hostile;

impl LabelNames for Hostile {
    fn name(&self, bit: u16) -> Option<&[u8]> {
        match bit % 4 {
            0 => Some(b"</label><x a=\"1\">&#0;]]>"),
            1 => Some(b"\",\"id\":1}\n\x1b[2J\\u0000"),
            2 => Some(b"\xff\xed\xa0\x80\xef\xbf\xbe\x00\xc2\x9b"),
            _ => None,
        }
    }
}

/// A context at a fixed time, without label names, with plain ones or with hostile ones.
pub fn context(labels: Option<&dyn LabelNames>) -> TextContext<'_> {
    TextContext { now_s: 1_795_452_143, zone: &World, labels }
}
