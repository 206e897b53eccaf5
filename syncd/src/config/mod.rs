//! The configuration file: the original's format (spec/conntrackd.md §5), read into typed settings.

pub mod lexer;
