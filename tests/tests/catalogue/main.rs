//! The stock packs' catalogue.

mod shapes;
