//! Packs on their way to a host, and whom it trusts: the command line of an operator, and a real registry between publisher and
//! operator.

mod compatibility;
mod elsewhere;
mod places;
mod round_trip;
mod trust;
mod world;
