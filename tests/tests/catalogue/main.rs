//! Both stock packs on every major version of this run (see `lockgate_tests::servers`), on a primary and its standby. Each
//! version's servers are started once, see [`world`].

mod examples;
mod privileges;
mod shapes;
mod world;
mod worlds;
