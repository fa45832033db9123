//! Generated from the contract; nothing here is written by hand.
#![allow(
    missing_docs,
    unused_qualifications,
    clippy::all,
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::indexing_slicing
)]

wasmtime::component::bindgen!({
    path: "../packs-wit/wit",
    world: "pack",
    imports: {
        "lockgate:pack/query.execute": async | trappable,
        default: trappable,
    },
    exports: { default: async },
    with: { "lockgate:pack/query.rows": super::query::HeldRows },
});
