//! What `componentize-py --stub-wasi` leaves, made small enough for a host.
//!
//! - It answers each interface of WASI with a core module of its own whose functions trap: two dozen of them, which a host would
//!   have to instantiate for each call, and which is more than it lets a component have. Here they become one module. No name
//!   of WASI is known here: a stub is a module without imports and state whose every function traps at once.
//! - It leaves an export behind that only it calls, while it builds. That goes, as a pack exports the contract and nothing else.
//! - Names that only debuggers read go.
//!
//! Everything else is copied byte for byte, and the contract's import and export stay as they were.

mod joiner;
mod sections;
mod stubs;
mod survey;

use wasm_encoder::{
    Component, ComponentAliasSection, ComponentExportSection, ComponentImportSection, ComponentInstanceSection,
    InstanceSection, Module, ModuleSection, RawSection,
    reencode::{Error as ReencodeError, ReencodeComponent},
};
use wasmparser::{BinaryReaderError, Parser, Payload};

use self::{
    joiner::Joiner,
    sections::{Section, place, top_sections},
    survey::{Survey, is_leftover},
};

/// Why a component can't be made smaller.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SlimError {
    /// The bytes are no component.
    #[error("it is no component that can be read: {0}")]
    Unreadable(#[from] BinaryReaderError),
    /// A section can't be written anew.
    #[error("a section of it can't be written anew: {0}")]
    Unwritable(#[from] ReencodeError),
    /// It ends before its sections do, or refers to what is not there.
    #[error("it refers to what it does not have")]
    Dangling,
}

/// Makes one module of all modules that only trap, and leaves out what only the build and debuggers need.
///
/// # Errors
///
/// The bytes are no component. A component with nothing to leave out is no error.
pub(super) fn slim(component: &[u8]) -> Result<Vec<u8>, SlimError> {
    let survey = Survey::of(component)?;
    let mut joiner = Joiner::new(&survey);
    let mut out = Component::new();
    let mut module = 0;
    for section in top_sections(component)? {
        match section {
            Section::Module(range) => {
                let bytes = component.get(range).ok_or(SlimError::Dangling)?;
                if joiner.first_stub_module() == Some(module) {
                    out.section(&ModuleSection(&stubs::joined(&survey.stubs, &survey.joined_modules)));
                } else if !survey.joined_modules.contains(&module) {
                    out.section(&ModuleSection(&without_names(bytes)?));
                }
                module += 1;
            }
            Section::CoreInstances(section) => {
                let mut instances = InstanceSection::new();
                joiner.parse_instance_section(&mut instances, section)?;
                if !instances.is_empty() {
                    out.section(&instances);
                }
            }
            Section::Aliases(section) => {
                let mut aliases = ComponentAliasSection::new();
                for alias in section {
                    joiner.alias(&mut aliases, alias?)?;
                }
                out.section(&aliases);
            }
            Section::Instances(section) => {
                let mut instances = ComponentInstanceSection::new();
                joiner.parse_component_instance_section(&mut instances, section)?;
                out.section(&instances);
            }
            Section::Exports(section) => {
                let mut exports = ComponentExportSection::new();
                for export in section {
                    let export = export?;
                    if !is_leftover(&export) {
                        joiner.parse_component_export(&mut exports, export)?;
                    }
                }
                if !exports.is_empty() {
                    out.section(&exports);
                }
            }
            Section::Imports(section) => {
                let mut imports = ComponentImportSection::new();
                joiner.parse_component_import_section(&mut imports, section)?;
                out.section(&imports);
            }
            Section::Names => {}
            Section::Other(id, range) => {
                out.section(&RawSection { id, data: component.get(range).ok_or(SlimError::Dangling)? });
            }
        }
    }
    Ok(out.finish())
}

/// A core module without its custom sections, but for the one that says which tools made it.
fn without_names(module: &[u8]) -> Result<Module, SlimError> {
    let mut out = Module::new();
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload?;
        if matches!(&payload, Payload::CustomSection(custom) if custom.name() != "producers") {
            continue;
        }
        if let Some((id, range)) = payload.as_section() {
            out.section(&RawSection { id, data: module.get(place(&range)?).ok_or(SlimError::Dangling)? });
        }
    }
    Ok(out)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    /// Two stubs with a function of one name, a module that uses both, and the export that a build leaves.
    const BUILT: &str = r#"(component
        (core module $clock (func (export "now") (result i64) unreachable))
        (core module $real (memory (export "memory") 1) (func (export "one") (result i32) i32.const 1))
        (core module $random (func (export "now") (param i32) unreachable) (func (export "seed") (result i64) unreachable))
        (core module $main
            (import "clock" "now" (func (result i64)))
            (import "random" "now" (func (param i32)))
            (import "real" "one" (func $one (result i32)))
            (func (export "answer") (result i32) call $one))
        (core instance $clock (instantiate $clock))
        (core instance $real (instantiate $real))
        (core instance $random (instantiate $random))
        (alias core export $clock "now" (core func $clock_now))
        (alias core export $random "now" (core func $random_now))
        (core instance $clock_only (export "now" (func $clock_now)))
        (core instance $random_only (export "now" (func $random_now)))
        (core instance $main (instantiate $main
            (with "clock" (instance $clock_only)) (with "random" (instance $random_only)) (with "real" (instance $real))))
        (func $answer (result u32) (canon lift (core func $main "answer")))
        (instance $init (export "init" (func $answer)))
        (export "exports" (instance $init))
        (instance $actions (export "answer" (func $answer)))
        (export "test:pack/actions@1.0.0" (instance $actions))
    )"#;

    fn instantiations(component: &[u8]) -> usize {
        Survey::of(component).unwrap().instances.iter().flatten().count()
    }

    fn exports(component: &[u8]) -> Vec<String> {
        let of = |section| match section {
            Section::Exports(exports) => exports.into_iter().map(|e| e.unwrap().name.name.to_owned()).collect(),
            _ => Vec::new(),
        };
        top_sections(component).unwrap().into_iter().flat_map(of).collect()
    }

    fn valid(component: &[u8]) {
        wasmparser::Validator::new().validate_all(component).unwrap();
    }

    #[test]
    fn stubs_become_one_and_the_leftover_goes() {
        let built = wat::parse_str(BUILT).unwrap();
        assert_eq!((instantiations(&built), exports(&built).len()), (4, 2));
        let slim = slim(&built).unwrap();
        valid(&slim);
        assert_eq!(instantiations(&slim), 3);
        assert_eq!(exports(&slim), ["test:pack/actions@1.0.0"]);
        assert!(slim.len() < built.len());
        assert_eq!(super::slim(&slim).unwrap(), slim, "there is nothing left to leave out");
    }

    #[test]
    fn what_does_more_than_trap_is_no_stub() {
        for module in [
            r#"(module (func (export "f")))"#,
            r#"(module (func (export "f") (local i32) unreachable nop))"#,
            r#"(module (import "a" "b" (func)) (func (export "f") unreachable))"#,
            r#"(module (memory 1) (func (export "f") unreachable))"#,
            r#"(module (func $f (export "f") unreachable) (start $f))"#,
            r#"(module (func (export "f") (param externref) unreachable))"#,
            "(module)",
        ] {
            assert!(stubs::read(&wat::parse_str(module).unwrap()).unwrap().is_none(), "{module}");
        }
        assert!(
            stubs::read(&wat::parse_str(r#"(module (func (export "f") unreachable))"#).unwrap()).unwrap().is_some()
        );
    }

    #[test]
    fn a_stub_that_is_passed_on_whole_stays() {
        let built = wat::parse_str(
            r#"(component
                (core module $a (func (export "f") unreachable))
                (core module $b (import "a" "f" (func)))
                (core instance $a (instantiate $a))
                (core instance (instantiate $b (with "a" (instance $a))))
            )"#,
        );
        let slim = slim(&built.unwrap()).unwrap();
        valid(&slim);
        assert_eq!(instantiations(&slim), 2);
    }

    #[test]
    fn what_is_no_component_is_an_error() {
        assert!(slim(b"nonsense").is_err());
        assert!(slim(&wat::parse_str(BUILT).unwrap()[..200]).is_err());
    }
}
