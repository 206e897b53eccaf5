//! How a group of numbers is declared, and how high it goes.

/// A constant with its name in the C headers, for the test that compares them.
pub type Named = (&'static str, u64);

/// Declares a group in rows of `NAME = value, "C_NAME";`. A C name of "" means that no public header has it.
macro_rules! group {
    ($(#[$doc:meta])* $name:ident: $ty:ty { $($id:ident = $value:expr, $c:literal;)* } $($rest:item)*) => {
        $(#[$doc])*
        pub mod $name {
            $(#[doc = concat!("`", $c, "`")] pub const $id: $ty = $value;)*
            /// Every constant of this group with its C name.
            pub const NAMED: &[$crate::consts::Named] = &[$(($c, $value as u64)),*];
            $($rest)*
        }
    };
}

/// The highest value of a group. An array that is sized by it keeps room for every member, including those
/// added later.
pub(crate) const fn highest(rows: &[Named]) -> usize {
    let (mut max, mut rest) = (0, rows);
    while let [(_, value), more @ ..] = rest {
        if *value > max {
            max = *value;
        }
        rest = more;
    }
    assert!(max <= u16::MAX as u64, "numbers of attributes have 16 bits");
    max as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_number_is_the_groups_own() {
        assert_eq!(highest(&[]), 0);
        assert_eq!(highest(&[("A", 3), ("B", 300), ("C", 7)]), 300);
    }
}
