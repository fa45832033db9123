//! Packs on their way to a host, and whom it trusts: the command line of an operator, and a real registry between publisher and
//! operator.

mod asked;
mod compatibility;
mod elsewhere;
mod hostile;
mod login;
mod places;
mod round_trip;
mod trust;
mod world;
