//! A hostile pack. One component serves every test: what it does is written into its data, in a place of fixed size that
//! the tests patch (`mode`), and for a call in the call's own arguments. It speaks the contract's generated types, not the
//! SDK's, because the SDK would not let it lie.
#![cfg_attr(
    not(target_arch = "wasm32"),
    allow(dead_code, reason = "it does nothing in a native build but be looked at")
)]

#[cfg(target_arch = "wasm32")]
mod allocator;
mod manifest;
mod misdeeds;
mod mode;

#[cfg(target_arch = "wasm32")]
#[allow(unsafe_code, missing_docs, unused_qualifications, reason = "the exports' glue is generated")]
const _: () = {
    use lockgate_pack::bindings::exports::lockgate::pack::actions as contract;

    struct Component;

    impl contract::Guest for Component {
        fn describe() -> contract::Manifest {
            crate::misdeeds::describe();
            crate::manifest::manifest()
        }

        fn validate(action: String, arguments: Vec<contract::Value>) -> Vec<contract::Problem> {
            crate::misdeeds::validate(&action, &arguments)
        }

        fn preview(action: String, arguments: Vec<contract::Value>) -> Result<contract::Evidence, contract::Failure> {
            crate::misdeeds::preview(&action, &arguments)
        }

        fn run(
            action: String,
            arguments: Vec<contract::Value>,
            pins: Vec<contract::Pin>,
        ) -> Result<contract::Outcome, contract::Failure> {
            crate::misdeeds::run(&action, &arguments, &pins)
        }
    }

    lockgate_pack::bindings::export_actions!(Component with_types_in lockgate_pack::bindings);
};
