//! The lockgate pack contract (`wit/pack.wit`) and the guest SDK to write packs in Rust.
//!
#![doc = include_str!("../README.md")]

#[cfg(any(test, all(target_arch = "wasm32", feature = "bump-allocator")))]
mod allocator;
#[doc(hidden)]
pub mod bindings;
mod call;
#[doc(hidden)]
pub mod guest;
mod outcome;
mod pack;
mod param;
mod rows;
mod statement;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
mod value;

pub use call::Call;
pub use outcome::{Evidence, Outcome, Suggestion};
pub use pack::{Action, Pack, Preview, Risk, Run, Validate};
pub use param::Param;
pub use rows::{Row, Rows};
pub use statement::{Column, Input, Kind, Statement, Variant};
pub use value::{DatabaseError, Failure, Problem, QueryError, Severity, Value};

/// Makes a [`Pack`] the component's exports. Once in a pack's crate: `lockgate_pack::export!(PACK);`. It does nothing in a
/// native build, so that tests and lints run on the machine that builds.
#[macro_export]
macro_rules! export {
    ($pack:path) => {
        #[cfg(target_arch = "wasm32")]
        #[allow(unsafe_code, missing_docs, unused_qualifications, reason = "the exports' glue is generated")]
        const _: () = {
            use $crate::bindings::exports::lockgate::pack::actions as contract;

            struct Component;

            impl contract::Guest for Component {
                fn describe() -> contract::Manifest {
                    $crate::guest::describe(&$pack)
                }

                fn validate(
                    action: ::std::string::String,
                    arguments: ::std::vec::Vec<contract::Value>,
                ) -> ::std::vec::Vec<contract::Problem> {
                    $crate::guest::validate(&$pack, &action, &arguments)
                }

                fn preview(
                    action: ::std::string::String,
                    arguments: ::std::vec::Vec<contract::Value>,
                ) -> ::std::result::Result<contract::Evidence, contract::Failure> {
                    $crate::guest::preview(&$pack, &action, &arguments)
                }

                fn run(
                    action: ::std::string::String,
                    arguments: ::std::vec::Vec<contract::Value>,
                    pins: ::std::vec::Vec<contract::Pin>,
                ) -> ::std::result::Result<contract::Outcome, contract::Failure> {
                    $crate::guest::run(&$pack, &action, &arguments, &pins)
                }
            }

    $crate::bindings::export_actions!(Component with_types_in $crate::bindings);
        };
    };
}
