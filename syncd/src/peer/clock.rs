//! The time as the protocol counts it: milliseconds that the caller reads, and coarser units made of them.

/// Milliseconds of a monotonic clock that the caller reads.
pub type Millis = u64;

/// A tick of the timer wheels.
pub(crate) const TICK_MS: Millis = 250;

/// The tick that `now` lies in.
pub(crate) fn tick(now: Millis) -> u64 {
    now / TICK_MS
}

/// The time of a wheel's tick.
pub(crate) fn tick_ms(tick: u64) -> Millis {
    tick * TICK_MS
}

/// Seconds of the daemon's clock, as records keep them.
pub(crate) fn seconds(now: Millis) -> u32 {
    (now / 1000) as u32
}
