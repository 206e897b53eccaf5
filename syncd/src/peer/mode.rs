//! How two daemons keep each other informed, and the settings that only one way has.

/// `Mode` (sync-protocol.md §5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `FTFW`: reliable, with sequence numbers, acknowledgements, retransmission.
    Ftfw(Ftfw),
    /// `ALARM`: every flow is announced again and again, and forgotten when it is not.
    Alarm(Alarm),
    /// `NOTRACK`: best effort, without acknowledgements.
    Notrack(Notrack),
}

/// The settings that only FTFW has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ftfw {
    /// `ResendQueueSize`: how many unacknowledged messages are kept.
    pub resend_queue_size: u32,
    /// `ACKWindowSize`: the number of messages after which an acknowledgement is sent.
    pub ack_window_size: u32,
    /// `DisableExternalCache`: the peer's flows go straight into the kernel.
    pub disable_external_cache: bool,
    /// `StartupResync`: ask the peer for its flows at the start.
    pub startup_resync: bool,
}

/// The settings that only ALARM has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// `RefreshTime`: seconds within which every flow is announced again; 0 counts as 1.
    pub refresh_time_s: u32,
    /// `CacheTimeout`: seconds after which a flow of the peer is forgotten that has not been announced again.
    pub cache_timeout_s: u32,
}

/// The settings that only NOTRACK has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notrack {
    /// `DisableInternalCache`: messages are made from events, and nothing is kept.
    pub disable_internal_cache: bool,
    /// `DisableExternalCache`: the peer's flows go straight into the kernel.
    pub disable_external_cache: bool,
    /// `StartupResync`: ask the peer for its flows at the start.
    pub startup_resync: bool,
}

impl Ftfw {
    /// The defaults of the configuration file.
    pub const DEFAULT: Ftfw = Ftfw {
        resend_queue_size: 131_072,
        ack_window_size: 300,
        disable_external_cache: false,
        startup_resync: false,
    };
}

impl Default for Ftfw {
    fn default() -> Self {
        Ftfw::DEFAULT
    }
}

impl Alarm {
    /// The defaults of the configuration file.
    pub const DEFAULT: Alarm = Alarm { refresh_time_s: 60, cache_timeout_s: 180 };
}

impl Default for Alarm {
    fn default() -> Self {
        Alarm::DEFAULT
    }
}

impl Default for Mode {
    fn default() -> Self {
        Mode::Ftfw(Ftfw::DEFAULT)
    }
}

impl From<Ftfw> for Mode {
    fn from(ftfw: Ftfw) -> Mode {
        Mode::Ftfw(ftfw)
    }
}

impl From<Alarm> for Mode {
    fn from(alarm: Alarm) -> Mode {
        Mode::Alarm(alarm)
    }
}

impl From<Notrack> for Mode {
    fn from(notrack: Notrack) -> Mode {
        Mode::Notrack(notrack)
    }
}

impl Mode {
    /// `DisableInternalCache`: messages are made from events, and nothing is kept. FT-FW and ALARM have no
    /// such setting: without its flows FT-FW could send nothing again, and ALARM nothing at all.
    pub fn disables_internal_cache(&self) -> bool {
        match self {
            Mode::Ftfw(_) | Mode::Alarm(_) => false,
            Mode::Notrack(m) => m.disable_internal_cache,
        }
    }

    /// `DisableExternalCache`: the peer's flows go straight into the kernel. ALARM has no such setting:
    /// nothing could expire there.
    pub fn disables_external_cache(&self) -> bool {
        match self {
            Mode::Ftfw(m) => m.disable_external_cache,
            Mode::Alarm(_) => false,
            Mode::Notrack(m) => m.disable_external_cache,
        }
    }

    /// `StartupResync`: ask the peer for its flows at the start. In ALARM they come by themselves.
    pub fn resyncs_at_startup(&self) -> bool {
        match self {
            Mode::Ftfw(m) => m.startup_resync,
            Mode::Alarm(_) => false,
            Mode::Notrack(m) => m.startup_resync,
        }
    }
}
