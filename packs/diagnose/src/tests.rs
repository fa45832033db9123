//! The conclusions, without a database.
