//! The stock PostgreSQL pack: what an on-call person does to a server first, as declared actions.
//!
//! One file for each subject, one fixed statement (or one for each range of servers) for each thing that is asked. Every
//! object of the catalogs is written with its schema; every value is bound; nothing that a caller writes is ever parsed as SQL.
//! Text of other people's queries is declared as such, so that the host removes its literals.
//!
//! What holds for all actions: instants are UTC to the microsecond, ages are whole seconds, sizes are bytes. Summaries hold
//! numbers and words of this pack only; whatever came from the database stands in tables.

mod activity;
mod checkpoints;
mod common;
mod databases;
mod hba;
mod indexes;
mod locks;
mod maintenance;
mod queries;
mod replication;
mod schemas;
mod sequences;
mod sessions;
mod settings;
mod signals;
mod slots;
mod tables;
#[cfg(test)]
mod tests;
mod tls;
mod transactions;
mod vacuum;
mod wal;

use lockgate_pack::Pack;

/// The pack.
pub static PACK: Pack = Pack::new("postgres", env!("CARGO_PKG_VERSION"))
    .summary(
        "PostgreSQL on call: sessions, locks, replication, slow queries; cancel, terminate, analyze, vacuum, reindex",
    )
    .actions(&[
        &sessions::UPTIME,
        &sessions::CONNECTIONS,
        &sessions::ACTIVITY_STATES,
        &activity::ACTIVITY_DETAIL,
        &activity::LONGEST_RUNNING_QUERIES,
        &activity::IDLE_IN_TRANSACTION,
        &activity::WAIT_EVENTS,
        &tls::SSL_CONNECTIONS,
        &transactions::BACKEND_HOLDING_XMIN,
        &transactions::PREPARED_TRANSACTIONS,
        &locks::LOCK_BLOCKING_CHAINS,
        &locks::LOCKS,
        &settings::SETTINGS_NON_DEFAULT,
        &hba::PG_HBA_RULES,
        &databases::EXTENSIONS_INSTALLED,
        &databases::DATABASE_STATS,
        &databases::DB_SIZES,
        &checkpoints::BGWRITER_STATS,
        &tables::sizes::TABLE_SIZES,
        &tables::full::LARGEST_TABLES_FULL,
        &indexes::sizes::INDEX_SIZES,
        &indexes::unused::UNUSED_INDEXES,
        &indexes::duplicate::DUPLICATE_INDEXES,
        &indexes::invalid::INVALID_INDEXES,
        &tables::scans::SEQ_SCAN_OFFENDERS,
        &tables::updates::HOT_UPDATE_RATIO,
        &tables::io::TABLE_IO,
        &sequences::SEQUENCE_EXHAUSTION,
        &vacuum::status::VACUUM_STATUS,
        &vacuum::dead::DEAD_TUPLES_TOP,
        &vacuum::last::LAST_VACUUM_PER_TABLE,
        &vacuum::progress::PROGRESS_VACUUM,
        &indexes::progress::PROGRESS_CREATE_INDEX,
        &vacuum::workers::AUTOVACUUM_WORKERS,
        &vacuum::wraparound::XID_WRAPAROUND_PROXIMITY,
        &replication::IS_IN_RECOVERY,
        &replication::REPLICATION_LAG,
        &slots::REPLICATION_SLOTS,
        &wal::WAL_STATUS,
        &wal::WAL_ARCHIVE_STATUS,
        &queries::SLOW_QUERIES,
        &queries::PG_STAT_STATEMENTS_TOP,
        &signals::cancel::CANCEL_QUERY,
        &signals::terminate::TERMINATE_BACKEND,
        &signals::kill_idle::KILL_IDLE,
        &maintenance::analyze::ANALYZE_TABLE,
        &maintenance::vacuum::VACUUM_TABLE,
        &maintenance::reindex::REINDEX_CONCURRENT,
    ]);

lockgate_pack::export!(PACK);
