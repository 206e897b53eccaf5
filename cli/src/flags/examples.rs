//! Examples of every command: `zct help COMMAND` shows them, and the manual page. The tests run each of them.

/// A line to type, and what it is for.
#[derive(Debug)]
pub struct Example {
    /// The command it is an example of: the long name of a command without hyphens, or one of zct's own
    /// words.
    pub command: &'static str,
    /// The line, for a shell.
    pub line: &'static str,
    /// What it does, without a full stop.
    pub what: &'static str,
}

const fn example(command: &'static str, line: &'static str, what: &'static str) -> Example {
    Example { command, line, what }
}

/// All of them, in the order of `--help`.
pub const EXAMPLES: &[Example] = &[
    example(
        "dump",
        "zct -L -p tcp --state ESTABLISHED --dport 443 -o json",
        "established flows to a port, an object a line",
    ),
    example(
        "dump",
        "zct -L -d 10.96.0.0/16 --dst-nat -o extended",
        "what is translated on its way to a network",
    ),
    example("dump", "zct -L --by src --top 10", "who fills the table"),
    example("dump", "zct -L -o save >flows", "the table as lines that -R restores"),
    example(
        "get",
        "zct -G -p udp -s 10.0.0.9 -d 10.96.0.10 --sport 5000 --dport 53",
        "one flow, without reading the table",
    ),
    example("delete", "zct -D -p udp -d 10.96.0.10 --dport 53 --dry-run", "which flows this would end"),
    example("delete", "zct -D ! -s 192.0.2.7 -p tcp ! --dport 22", "all of TCP but for a host and a port"),
    example(
        "create",
        "zct -I -p tcp -s 10.0.0.1 -d 10.0.0.2 --sport 1025 --dport 80 --state ESTABLISHED -t 10m",
        "a flow that no packet has made",
    ),
    example(
        "add",
        "zct -A -p udp -s 10.0.0.9 -d 10.96.0.10 --sport 5000 --dport 53 -t 1h",
        "made if it is not there, else its timeout changes",
    ),
    example("update", "zct -U -s 10.0.0.0/24 -m 0x10/0xf0", "four bits of the mark of a network's flows"),
    example("event", "zct -E -e NEW,DESTROY -o timestamp,id", "flows as they begin and end"),
    example("flush", "zct -F -f ipv6", "ends every flow of IPv6"),
    example("counter", "zct -C -p udp --dport 53", "how many flows go to a port"),
    example("stats", "zct -S", "what each CPU has found, inserted and dropped"),
    example(
        "load-file",
        "zct -L -o save >flows; zct -R flows --dry-run",
        "what restoring a table would change",
    ),
    example("metrics", "zct metrics --by-protocol", "for Prometheus, with flows by protocol and state"),
    example("top", "zct top --by dport -p tcp -1", "the ports with most flows of TCP, once"),
    example("nfct", "zct nfct list timeout", "the timeout policies there are"),
    example(
        "reconcile",
        "echo 10.244.1.7 >endpoints; zct reconcile --keep-reply-src @endpoints -p udp -d 10.96.0.10 --dport 53",
        "ends flows of a service to endpoints that are gone",
    ),
];

/// The examples of one command.
pub fn of(command: &str) -> impl Iterator<Item = &'static Example> {
    EXAMPLES.iter().filter(move |e| e.command == command)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::command::{COMMANDS, Cmd};
    use crate::flags::own::OWN_COMMANDS;

    #[test]
    fn every_command_has_one() {
        let own = OWN_COMMANDS.iter().map(|c| c.name).filter(|n| *n != "help");
        let words = COMMANDS.iter().filter(|c| ![Cmd::Help, Cmd::Version].contains(&c.cmd)).map(|c| c.long);
        for name in words.chain(own).chain(["load-file"]) {
            assert!(of(name).next().is_some(), "{name}");
        }
    }
}
