//! Sockets, buffers and the reactor.
