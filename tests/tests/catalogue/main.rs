//! Both stock packs on every major version of this run (see `lockgate_tests::servers`), on a primary and its standby. Each
//! version's servers are started once, see [`world`].

mod examples;
mod locks;
mod matrix;
mod page;
mod privileges;
mod proof;
mod reads;
mod shapes;
mod wordings;
mod indexes;
mod place;
mod running;
mod scans;
mod sequences;
mod sizes;
mod vacuum;
mod diagnose;
mod privileges;
mod world;
mod worlds;
