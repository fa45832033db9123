//! What can go wrong with a guest, told apart from what the engine says.

use std::time::Duration;

use wasmtime::Trap;

use crate::error::{Code, Refusal};

/// A guest could not be run, or did not end well.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// The engine could not be made.
    #[error("the WebAssembly engine can't start: {0}")]
    Engine(String),
    /// The bytes don't compile.
    #[error("the bytes are no component that lockgate can run: {0}")]
    NotAComponent(String),
    /// Imports or exports don't fit the contract.
    #[error("the component does not fit the contract: {0}")]
    Unlinkable(String),
    /// Guest code crashed.
    #[error("the pack's code crashed: {0}")]
    Trap(String),
    /// A limit was hit.
    #[error("the pack's code went over its {0} limit")]
    Limit(&'static str),
    /// Computed too long.
    #[error("the pack's code computed for more than {0:?}")]
    CpuTimeout(Duration),
    /// Took too long in all.
    #[error("the call took more than {0:?}")]
    WallTimeout(Duration),
    /// What the guest returned can't be used.
    #[error("the pack's answer is malformed: {0}")]
    BadOutput(String),
    /// No instance free in time.
    #[error("all instances are busy")]
    Overloaded,
}

impl SandboxError {
    /// The code of the closed list.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Engine(_) => Code::InternalError,
            Self::NotAComponent(_) | Self::Unlinkable(_) => Code::ComponentInvalid,
            Self::Trap(_) => Code::PackTrap,
            Self::Limit(_) => Code::PackLimit,
            Self::CpuTimeout(_) => Code::PackTimeout,
            Self::WallTimeout(_) => Code::Timeout,
            Self::BadOutput(_) => Code::PackFailure,
            Self::Overloaded => Code::Overloaded,
        }
    }
}

impl From<SandboxError> for Refusal {
    fn from(error: SandboxError) -> Self {
        Self::new(error.code(), error.to_string())
    }
}

/// Raised by the epoch callback.
#[derive(Debug, thiserror::Error)]
#[error("computed for more than {0:?}")]
pub(super) struct CpuExhausted(pub(super) Duration);

/// Raised by the import when the guest asks too often.
#[derive(Debug, thiserror::Error)]
#[error("too many queries")]
pub(super) struct TooManyQueries;

/// The whole chain of causes in one line.
pub(super) fn chain(error: &wasmtime::Error) -> String {
    format!("{error:#}").replace('\n', " ")
}

/// Tells limits and timeouts from crashes.
pub(super) fn classify(error: &wasmtime::Error, hit: Option<&'static str>) -> SandboxError {
    if let Some(limit) = hit {
        return SandboxError::Limit(limit);
    }
    if let Some(CpuExhausted(cpu)) = error.downcast_ref() {
        return SandboxError::CpuTimeout(*cpu);
    }
    if error.downcast_ref::<TooManyQueries>().is_some() {
        return SandboxError::Limit("query");
    }
    if error.downcast_ref::<wasmtime::PoolConcurrencyLimitError>().is_some() {
        return SandboxError::Overloaded;
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::StackOverflow) => return SandboxError::Limit("stack"),
        Some(trap) => return SandboxError::Trap(trap.to_string()),
        None => {}
    }
    let text = chain(error);
    // The engine's type for this is private; its text is the only handle (tested).
    if text.contains("fuel allocated for hostcalls") {
        return SandboxError::Limit("boundary");
    }
    if text.contains("exceeds the configured") || text.contains("limit") && text.contains("exceed") {
        return SandboxError::Limit("instance");
    }
    SandboxError::Trap(text)
}
