//! The command line: one table of commands and options, and everything that is made from it.

mod added;
mod apply;
pub mod args;
pub mod check_legal;
pub mod command;
pub mod complete;
pub mod examples;
pub mod flag;
mod from_files;
pub mod help;
pub mod id;
mod late;
pub mod legal;
pub mod man;
mod names;
pub mod negation;
pub mod own;
pub mod parse;
pub mod protocol;
mod repeats;
pub mod selection;
pub mod stray;
pub mod table;
