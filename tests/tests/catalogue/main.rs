//! Both stock packs on every major version of this run (see `lockgate_tests::servers`), on a primary and its standby. Each
//! version's servers are started once, see [`world`].

mod base_backup;
mod examples;
mod locks;
mod matrix;
mod page;
mod privileges;
mod proof;
mod reads;
mod shapes;
mod wordings;
mod world;
mod worlds;
