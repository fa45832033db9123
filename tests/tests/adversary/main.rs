//! What a host must survive: packs that lie, spin, grow, crash, forge and flood, against the real host and a real server that
//! logs every statement. Each case must be refused, or fail alone, with its own code; the next call of an honest pack must
//! be answered; and nothing may have reached the server but declared statements and the host's own guard.
//!
//! One component (`tests/guests/adversary`) plays nearly all of them; its data say how. What Rust can't express is written
//! as WebAssembly text.

mod calls;
mod concurrency;
mod descriptions;
mod held;
mod lies;
mod log;
mod shapes;
mod signatures;
mod statements;
mod texts;
mod world;
