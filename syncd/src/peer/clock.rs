//! Time as the protocol counts it: milliseconds that the caller reads from a clock, and coarser
//! units of these.

/// Milliseconds of a monotonic clock that the caller reads.
pub type Millis = u64;

/// The length of a tick of the timer wheels.
pub(crate) const TICK_MS: Millis = 250;

/// The tick that `now` lies in.
pub(crate) fn tick(now: Millis) -> u64 {
    now / TICK_MS
}

/// The time at which a tick begins.
pub(crate) fn tick_ms(tick: u64) -> Millis {
    tick * TICK_MS
}

/// The time in seconds, as records store it.
pub(crate) fn seconds(now: Millis) -> u32 {
    (now / 1000) as u32
}
