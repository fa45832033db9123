//! The runs that the record tells of, to be searched: which there were lately, and the lines of one of them.
//!
//! The record's files are the evidence; what is here is a copy of what they say, in a file of its own that may be deleted
//! at any time and is made anew from them. It is pulled, never pushed: before each question it reads the lines that came
//! since the last one, whichever process wrote them, so that a call pays nothing for being found again. It reads the
//! record and never writes it, and it shows a principal that principal's own runs only.

mod model;

pub use model::{LONGEST_PAGE, RunFilter, RunPage, RunRecord, RunState, RunSummary, Viewer, unknown_run};
