//! The picture of the house in docs/rooms.svg, drawn from what the files import.
//!
//! Each crate is a house of floors: what stands on a floor imports from floors below it, and a folder that
//! does it the other way round gets an arrow of its own colour. Nothing is placed by hand.

mod draw;
mod nearly;
mod tree;

pub use draw::draw;
pub use tree::Picture;
