//! The conntrack command line.
