//! What `zctd helpers` can be asked for.

/// A task of `zctd helpers`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HelpersMode {
    /// To read the queues, on its own.
    Alone,
    /// The same, as a child of the daemon.
    Attached,
    /// `--rules`: to print a ruleset.
    Rules,
    /// `--prepare`: to make the stubs, disabled, so that a ruleset can name them.
    Prepare,
    /// `--disable`: to disable the stubs, so that flows pass without helpers.
    Disable,
}
