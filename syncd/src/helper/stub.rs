//! The stubs in the kernel that queue packets: made, enabled and disabled (nfnetlink_cthelper).

use super::types::{self, HelperType, Whose};
use crate::config::settings::Helper as Settings;
use std::fmt;
use std::ops::ControlFlow;
use zct_engine::{Error, Lost, Requests, Sink, errno};
use zct_wire::consts::nfct_helper_status;
use zct_wire::cthelper::{self, ExpectPolicy, HelperView, NewHelper};
use zct_wire::header::CtMsg;

/// Why the kernel has no stub for a type.
#[derive(Debug)]
pub(super) enum StubError {
    /// The kernel was built without nfnetlink_cthelper, or the module cannot be loaded.
    NoSupport,
    /// `Setup` is off, and nobody else has made it.
    Missing,
    /// One of the kernel's own has the name.
    KernelModule(&'static str),
    /// Another program has made it, with private data of this length.
    OtherLength(u32, usize),
    /// Another program has made it with another class.
    Differs,
    /// Anything else.
    Other(Error),
}

impl fmt::Display for StubError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StubError::NoSupport => {
                f.write_str("this kernel has no userspace helpers (modprobe nfnetlink_cthelper)")
            }
            StubError::Missing => {
                f.write_str("it is not in the kernel, and Setup is off, so zctd does not make it")
            }
            StubError::KernelModule(module) => {
                let nat = module.replace("conntrack", "nat");
                write!(f, "the kernel's own helper may be loaded (modprobe -r {nat} {module})")
            }
            StubError::OtherLength(theirs, ours) => {
                write!(f, "another program made it with {theirs} bytes of private data instead of {ours}")
            }
            StubError::Differs => f.write_str("another program made it with another policy"),
            StubError::Other(e) => write!(f, "{e}"),
        }
    }
}

/// The stubs of the configured types.
#[derive(Debug)]
pub(super) struct Stubs {
    requests: Requests,
}

/// What is known of a stub that is there.
#[derive(Clone, Copy, Debug, Default)]
struct FoundStub {
    there: bool,
    private_len: Option<u32>,
    queue: Option<u32>,
    enabled: bool,
}

impl Sink for FoundStub {
    fn message(&mut self, msg: CtMsg<'_>) -> ControlFlow<()> {
        if let Ok(h) = HelperView::parse(msg) {
            let enabled = h.status == Some(nfct_helper_status::ENABLED);
            *self = FoundStub { there: true, private_len: h.priv_data_len, queue: h.queue, enabled };
        }
        ControlFlow::Continue(())
    }

    fn lost(&mut self, _: Lost) {}
}

impl FoundStub {
    fn whose(&self, settings: &Settings) -> Whose {
        match self.queue {
            Some(queue) if queue != u32::from(settings.queue_num) => Whose::Queue(queue),
            _ if self.enabled => Whose::Ours,
            _ => Whose::Disabled,
        }
    }
}

impl Stubs {
    pub(super) fn open() -> Result<Stubs, Error> {
        Ok(Stubs { requests: Requests::open()? })
    }

    /// Makes the stub, disabled; if it is there, gives it this type's queue and policy. Without `setup` it
    /// has to be there. Returns the queue that it was enabled with, if that was another.
    pub(super) fn prepare(&mut self, kind: &HelperType, setup: bool) -> Result<Option<u32>, StubError> {
        let found = self.find(&kind.settings).map_err(|e| refused(e, None))?;
        let private_len = u32::try_from(kind.protocol.private_len).unwrap_or(u32::MAX);
        match found {
            FoundStub { there: true, private_len: Some(len), .. } if len != private_len => {
                return Err(StubError::OtherLength(len, kind.protocol.private_len));
            }
            FoundStub { there: false, .. } if !setup => return Err(StubError::Missing),
            _ => {}
        }
        // One that somebody has left enabled would keep flows out of the table that nobody reads yet. With our own
        // queue it may be read in another namespace, where flows would lose it meanwhile.
        let whose = found.whose(&kind.settings);
        let status = (whose != Whose::Ours).then_some(nfct_helper_status::DISABLED);
        self.put(kind, found.there, status)?;
        match whose {
            Whose::Queue(other) if found.enabled => Ok(Some(other)),
            _ => Ok(None),
        }
    }

    /// Whose it is by now.
    pub(super) fn whose(&mut self, settings: &Settings) -> Result<Whose, Error> {
        Ok(self.find(settings)?.whose(settings))
    }

    /// Gives a stub that is there, and may be enabled, another queue or policy.
    pub(super) fn update(&mut self, kind: &HelperType) -> Result<(), StubError> {
        self.put(kind, true, None)
    }

    fn put(&mut self, kind: &HelperType, there: bool, status: Option<u32>) -> Result<(), StubError> {
        let private_len = u32::try_from(kind.protocol.private_len).unwrap_or(u32::MAX);
        let policy = kind.settings.policy;
        let class = ExpectPolicy {
            name: kind.protocol.class.name.as_bytes(),
            expect_max: policy.map_or(kind.protocol.class.max, |p| p.expect_max.into()),
            timeout_s: policy.map_or(kind.protocol.class.timeout_s, |p| p.expect_timeout_s),
        };
        let stub = NewHelper {
            queue: Some(kind.settings.queue_num.into()),
            priv_data_len: (!there).then_some(private_len),
            status,
            policies: &[class],
            ..key(&kind.settings)
        };
        self.add(&stub).map_err(|e| match (e.errno(), there) {
            (Some(errno::EBUSY), true) => StubError::Differs,
            _ => refused(e, kind.settings.kind.module),
        })
    }

    /// Lets it queue packets.
    pub(super) fn enable(&mut self, kind: &HelperType) -> Result<(), StubError> {
        let status = Some(nfct_helper_status::ENABLED);
        self.add(&NewHelper { status, ..key(&kind.settings) }).map_err(StubError::Other)
    }

    /// Lets flows pass without it, if it is there and nobody has given it another queue.
    pub(super) fn disable(&mut self, settings: &Settings) -> Result<(), Error> {
        // For a stub that is not there, this request would create one.
        if self.whose(settings)? != Whose::Ours {
            return Ok(());
        }
        let (name, family, l4) = parts(settings);
        self.requests.ask(|buf, seq| cthelper::disable(buf, seq, name, family, l4), &mut FoundStub::default())
    }

    fn find(&mut self, settings: &Settings) -> Result<FoundStub, Error> {
        let (name, family, l4) = parts(settings);
        let mut found = FoundStub::default();
        match self.requests.ask(|buf, seq| cthelper::get(buf, seq, name, Some((family, l4))), &mut found) {
            Err(e) if e.errno() == Some(errno::ENOENT) => Ok(FoundStub::default()),
            Err(e) => Err(e),
            Ok(()) => Ok(found),
        }
    }

    fn add(&mut self, stub: &NewHelper<'_>) -> Result<(), Error> {
        self.requests.ask(|buf, seq| cthelper::add(buf, seq, stub), &mut FoundStub::default())
    }
}

fn parts(h: &Settings) -> (&'static [u8], u16, u8) {
    (h.kind.name.as_bytes(), types::family(h.family).into(), types::l4(h.protocol))
}

fn key(h: &Settings) -> NewHelper<'static> {
    let (name, l3, l4) = parts(h);
    NewHelper { name, l3, l4, ..NewHelper::default() }
}

fn refused(e: Error, module: Option<&'static str>) -> StubError {
    match (e.errno(), module) {
        (Some(errno::EINVAL), _) => StubError::NoSupport,
        (Some(errno::EBUSY), Some(module)) => StubError::KernelModule(module),
        _ => StubError::Other(e),
    }
}

/// Disables the stubs of these types, as far as they can be; returns what could not.
pub(super) fn disable_all<'a>(types: impl IntoIterator<Item = &'a Settings>) -> Vec<String> {
    let mut failed = Vec::new();
    match Stubs::open() {
        Ok(mut stubs) => {
            for t in types {
                match stubs.disable(t) {
                    // Without support there is nothing to disable.
                    Err(e) if e.errno() != Some(errno::EINVAL) => {
                        failed.push(format!("helper {}: can't disable its stub: {e}", types::title(t)));
                    }
                    _ => {}
                }
            }
        }
        Err(e) => failed.push(format!("can't disable the stubs of helpers: {e}")),
    }
    failed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::protocols::Protocols;

    #[test]
    fn a_stub_is_ours_while_it_has_our_queue() {
        let text = b"Helper { Type ftp inet tcp { QueueNum 7 } }\nStats { }\n";
        let config = crate::config::load(text, &Protocols::default()).config.unwrap();
        let ftp = &config.helpers.types[0];
        let found =
            |queue, enabled| FoundStub { there: true, queue: Some(queue), enabled, ..FoundStub::default() };
        assert_eq!(found(7, true).whose(ftp), Whose::Ours);
        assert_eq!(found(7, false).whose(ftp), Whose::Disabled);
        assert_eq!([found(8, true), found(8, false)].map(|f| f.whose(ftp)), [Whose::Queue(8); 2]);
        assert_eq!(FoundStub::default().whose(ftp), Whose::Disabled);
    }
}
