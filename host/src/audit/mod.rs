//! The record: an append-only, hash-chained, checkpointed file of everything that was asked, decided and done.
