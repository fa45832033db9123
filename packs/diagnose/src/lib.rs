//! The stock pack of diagnoses: what a single statement can't say. Each action requests several declared statements and
//! concludes: a verdict, the evidence behind it, and the one call that it would make next, which goes through policy like any
//! other.
//!
//! One file for each area. All that the actions do is read. Sentences are of this pack's own words and numbers; whatever text
//! came from the database, object names too, stands in the evidence tables, where a reader takes it for data.

mod advice;
mod backends;
mod checkup;
mod connection_pressure;
mod index_health;
mod lock_pileup;
mod replication_health;
#[cfg(test)]
mod tests;
mod vacuum_health;
mod verdict;

use lockgate_pack::Pack;

/// The pack.
pub static PACK: Pack = Pack::new("diagnose", env!("CARGO_PKG_VERSION"))
    .summary("Diagnoses of PostgreSQL: lock pile-ups, connections, vacuum, replication, indexes; each with the one next step")
    .actions(&[
        &lock_pileup::LOCK_PILEUP,
        &connection_pressure::CONNECTION_PRESSURE,
        &vacuum_health::VACUUM_HEALTH,
        &replication_health::REPLICATION_HEALTH,
        &index_health::INDEX_HEALTH,
        &checkup::CHECKUP,
    ]);

lockgate_pack::export!(PACK);
