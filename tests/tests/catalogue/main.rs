//! Both stock packs on every major version of this run (see `lockgate_tests::servers`), on a primary and its standby. Each
//! version's servers are started once, see [`world`].

mod base_backup;
mod diagnose;
mod examples;
mod indexes;
mod locks;
mod matrix;
mod page;
mod place;
mod privileges;
mod proof;
mod reads;
mod running;
mod scans;
mod sequences;
mod shapes;
mod sizes;
mod vacuum;
mod wordings;
mod world;
mod worlds;
