//! What the stock packs share: statements that more than one of them declares, pieces of SQL, and words. A pack declares
//! such a statement as its own; the host proves it in each.

pub mod autovacuum;
pub mod chains;
pub mod indexes;
pub mod monitor;
pub mod slots;
mod sql;
pub mod words;
pub mod wraparound;
pub mod xmin_holders;
