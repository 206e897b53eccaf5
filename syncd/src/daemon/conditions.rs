//! Clients that wait until something has come true: `wait`.
//!
//! Nobody polls. Whatever can make a condition true is the work of a turn, so they are looked at when a turn
//! ends, and only while somebody waits.

use crate::control::request::{self, Condition, code};
use crate::control::server::{ClientId, Reply};
use crate::daemon::state::{Daemon, Node};
use crate::kernel::commit::CommitProgress;
use crate::peer::Millis;
use crate::status::{Missing, VrrpRole, text};

impl Daemon {
    /// What is missing until a condition holds; `None` when it does.
    fn unmet(&self, condition: Condition, now: Millis) -> Option<String> {
        match condition {
            Condition::Ready => self.populating.map(|_| Missing::FirstDump.to_string()),
            Condition::Synced => {
                let missing = self.missing(now);
                (!missing.is_empty()).then(|| text::reasons(&missing))
            }
            Condition::Committed => self.uncommitted(),
        }
    }

    fn uncommitted(&self) -> Option<String> {
        // Without the other node's flows there is nothing to commit.
        let Node::Sync(n) = &self.node else { return None };
        if let Some(injector) = n.injector() {
            let why = "the peer's last changes are not in the kernel yet";
            return (!injector.is_idle()).then(|| why.into());
        }
        if self.takeover.is_committed() {
            return None;
        }
        Some(match (n.commit.is_running(), n.commit.progress(), self.takeover.role()) {
            (true, Some(CommitProgress { total, outcome, .. }), _) => {
                let done = outcome.flows + outcome.expects;
                format!("the commit is under way: {done} of {total} entries")
            }
            (_, _, VrrpRole::Active) => "the commit has failed: the log says why".into(),
            (_, _, VrrpRole::Backup | VrrpRole::Unknown) => "no commit was asked for".into(),
        })
    }

    /// `wait`: answers at once if the condition holds.
    pub(super) fn wait(&mut self, condition: Condition, client: ClientId, now: Millis) -> Option<Reply> {
        if self.unmet(condition, now).is_none() {
            return Some(met(condition));
        }
        if !self.waiting.wait_for(condition, client) {
            return Some(Reply::Text(request::verdict(code::GONE, "too many clients wait already")));
        }
        // Its end may have come together with its request, and then nothing tells of it any more.
        if self.server.as_mut().is_some_and(|s| s.has_ended(client)) {
            self.waiting.forget(client);
            return Some(Reply::Close);
        }
        None
    }

    /// A client has ended its stream. It is gone if it has waited for a condition; others may have closed
    /// only their sending half, and writing will tell.
    pub(super) fn client_ended(&mut self, client: ClientId) {
        if self.waiting.forget(client) {
            self.reply(client, Reply::Close);
        }
    }

    /// The end of `wait` when time is up: what is missing.
    pub(super) fn checked(&self, condition: Condition, now: Millis) -> Reply {
        match self.unmet(condition, now) {
            None => met(condition),
            Some(why) => Reply::Text(request::verdict(code::LATE, &why)),
        }
    }

    /// Answers those whose condition holds by now.
    pub(super) fn answer_conditions(&mut self, now: Millis) {
        if !self.waiting.has_conditions() {
            return;
        }
        let all = [Condition::Ready, Condition::Synced, Condition::Committed];
        let held: Vec<Condition> = all.into_iter().filter(|c| self.unmet(*c, now).is_none()).collect();
        for (client, condition) in self.waiting.take_met(|c| held.contains(&c)) {
            self.reply(client, met(condition));
        }
    }

    /// Tells those who still wait that the daemon ends.
    pub(super) fn disappoint(&mut self) {
        for (client, _) in self.waiting.take_met(|_| true) {
            self.reply(client, Reply::Text(request::verdict(code::GONE, "the daemon ends")));
        }
    }
}

fn met(condition: Condition) -> Reply {
    Reply::Text(request::verdict(code::YES, condition.name()))
}
