//! The diagnoses, right on staged cases: what is wrong is what they say, what they suggest is passed to the gate as it is and
//! mends it, and where nothing is wrong they say so. Pile-ups, old horizons and full connection slots are felt by everybody on
//! a server, so these tests have servers of their own, see [`ward`], on which they take turns.

mod connections;
mod indexes;
mod locks;
mod quiet;
mod replication;
mod vacuum;
mod ward;
