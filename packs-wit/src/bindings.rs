//! Generated from the contract in `wit/pack.wit`; nothing here is written by hand. Public only because the code that
//! [`export!`](crate::export) generates in a pack has to reach it.
#![allow(
    missing_docs,
    unsafe_code,
    unused_qualifications,
    clippy::all,
    clippy::pedantic,
    clippy::unwrap_used,
    reason = "generated: the canonical ABI moves values through linear memory by pointer"
)]

wit_bindgen::generate!({
    path: "wit",
    world: "pack",
    pub_export_macro: true,
    export_macro_name: "export_actions",
    default_bindings_module: "lockgate_pack::bindings",
});
