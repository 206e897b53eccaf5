//! Text against lines laid out by hand: the transcripts of command-line.md §10, and what the original 1.4.7
//! made of messages no kernel at hand sends.

mod expect;
mod json;
mod sample;
mod save;
mod shapes;
mod xml;
