//! Both stock packs on every major version of this run (see `lockgate_tests::servers`), on a primary and its standby. Each
//! version's servers are started once, see [`world`].

mod indexes;
mod place;
mod running;
mod scans;
mod sequences;
mod sizes;
mod vacuum;
mod world;
mod worlds;
