//! By what groups are put in order.

use crate::fail::Fail;

/// The figure that comes first, largest on top.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// How many flows there are.
    #[default]
    Flows,
    /// Packets of both directions.
    Packets,
    /// Bytes of both directions.
    Bytes,
    /// Bytes a second between two readings of the table.
    Rate,
    /// The age of the oldest flow.
    Age,
}

/// The names, in the order in which `zct top` goes through them.
pub const ORDERS: [(&str, Order); 5] = [
    ("flows", Order::Flows),
    ("packets", Order::Packets),
    ("bytes", Order::Bytes),
    ("rate", Order::Rate),
    ("age", Order::Age),
];

/// The names of those that one reading of the table is enough for.
pub const ONE_READING: [&str; 3] = ["flows", "packets", "bytes"];

impl Order {
    /// Its name on command lines.
    pub fn name(self) -> &'static str {
        ORDERS.iter().find(|(_, o)| *o == self).map_or("", |(name, _)| name)
    }

    /// Reads any of the names.
    ///
    /// # Errors
    /// Names those there are.
    pub fn parse(word: &[u8]) -> Result<Order, Fail> {
        let found = ORDERS.iter().find(|(name, _)| name.as_bytes() == word);
        found.map(|(_, order)| *order).ok_or_else(|| {
            let names: Vec<&str> = ORDERS.iter().map(|(name, _)| *name).collect();
            Fail::word("`", word, &format!("' is not one of {}", names.join(", ")))
        })
    }

    /// Reads a name of [`ONE_READING`].
    ///
    /// # Errors
    /// Names those there are, and where the others belong.
    pub fn parse_for_one_reading(word: &[u8]) -> Result<Order, Fail> {
        let names = ONE_READING.join(", ");
        match Order::parse(word) {
            Ok(order) if ONE_READING.contains(&order.name()) => Ok(order),
            Ok(_) => Err(Fail::word("`", word, &format!("' is known to zct top; here it is one of {names}"))),
            Err(_) => Err(Fail::word("`", word, &format!("' is not one of {names}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for (name, order) in ORDERS {
            assert_eq!((order.name(), Order::parse(name.as_bytes())), (name, Ok(order)));
            let one = Order::parse_for_one_reading(name.as_bytes());
            assert_eq!(one.is_ok(), ONE_READING.contains(&name), "{name}");
        }
        let text = |f: Fail| String::from_utf8(f.text).unwrap();
        assert!(
            text(Order::parse(b"size").unwrap_err()).ends_with("one of flows, packets, bytes, rate, age")
        );
        assert!(text(Order::parse_for_one_reading(b"rate").unwrap_err()).contains("zct top"));
    }
}
