//! The pipeline that every call goes through: resolve, validate, decide, record the intent, preview, hold, execute,
//! redact, record the outcome. Each step is one line in [`Gate::call`] and one module elsewhere. Knows no transport.

pub mod call;
