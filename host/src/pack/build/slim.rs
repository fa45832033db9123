//! What `componentize-py --stub-wasi` leaves, made small enough for a host.
//!
//! - It answers each interface of WASI with a core module of its own whose functions trap: two dozen of them, which a host would
//!   have to instantiate for each call, and which is more than it lets a component have. Here they become one module. No name
//!   of WASI is known here: a stub is a module without imports and state whose every function traps at once.
//! - It leaves an export behind that only it calls, while it builds. That goes, as a pack exports the contract and nothing else.
//! - Names that only debuggers read go.
//!
//! Everything else is copied byte for byte, and the contract's import and export stay as they were.

mod stubs;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use wasm_encoder::{
    Alias, Component, ComponentAliasSection, ComponentExportSection, ComponentImportSection, ComponentInstanceSection,
    ComponentSectionId, ExportKind, InstanceSection, Module, ModuleSection, RawSection,
    reencode::{Error as ReencodeError, Reencode, ReencodeComponent, component_utils},
};
use wasmparser::{
    BinaryReaderError, ComponentAlias, ComponentExport, ComponentExternalKind, ComponentImport, ComponentInstance,
    ComponentTypeRef, Instance, Parser, Payload, SectionLimited,
};

use stubs::Stub;

/// The export by which componentize-py runs a pack's code once while it builds, to keep what came of it.
const LEFTOVER: &str = "exports";

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
pub fn slim(component: &[u8]) -> Result<Vec<u8>, SlimError> {
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

/// A section of the component itself, told apart as far as it matters here.
enum Section<'a> {
    Module(Range<usize>),
    CoreInstances(SectionLimited<'a, Instance<'a>>),
    Aliases(SectionLimited<'a, ComponentAlias<'a>>),
    Imports(SectionLimited<'a, ComponentImport<'a>>),
    Instances(SectionLimited<'a, ComponentInstance<'a>>),
    Exports(SectionLimited<'a, ComponentExport<'a>>),
    Names,
    Other(u8, Range<usize>),
}

/// The sections of a component, without those of what is nested in it.
fn top_sections(component: &[u8]) -> Result<Vec<Section<'_>>, SlimError> {
    let mut sections = Vec::new();
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(component) {
        let payload = payload?;
        if depth > 0 {
            match payload {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth -= 1,
                _ => {}
            }
            continue;
        }
        match payload {
            Payload::ModuleSection { unchecked_range, .. } => {
                depth += 1;
                sections.push(Section::Module(place(&unchecked_range)?));
            }
            Payload::ComponentSection { unchecked_range, .. } => {
                depth += 1;
                sections.push(Section::Other(ComponentSectionId::Component.into(), place(&unchecked_range)?));
            }
            Payload::InstanceSection(section) => sections.push(Section::CoreInstances(section)),
            Payload::ComponentAliasSection(section) => sections.push(Section::Aliases(section)),
            Payload::ComponentImportSection(section) => sections.push(Section::Imports(section)),
            Payload::ComponentInstanceSection(section) => sections.push(Section::Instances(section)),
            Payload::ComponentExportSection(section) => sections.push(Section::Exports(section)),
            Payload::CustomSection(custom) if custom.name() == "component-name" => sections.push(Section::Names),
            other => {
                if let Some((id, range)) = other.as_section() {
                    sections.push(Section::Other(id, place(&range)?));
                }
            }
        }
    }
    Ok(sections)
}

fn is_leftover(export: &ComponentExport<'_>) -> bool {
    export.kind == ComponentExternalKind::Instance && export.name.name == LEFTOVER
}

fn place(range: &Range<u64>) -> Result<Range<usize>, SlimError> {
    let index = |at: u64| usize::try_from(at).map_err(|_| SlimError::Dangling);
    Ok(index(range.start)?..index(range.end)?)
}

/// What there is to join.
struct Survey {
    /// Stubs by the module's index.
    stubs: BTreeMap<u32, Stub>,
    /// The module of each core instance; `None` for one that only groups what others export.
    instances: Vec<Option<u32>>,
    /// The modules that become one.
    joined_modules: BTreeSet<u32>,
    /// The index that the export takes which is left out, since an export is an instance of its own, and whose export it is.
    leftover: Option<(u32, u32)>,
}

impl Survey {
    fn of(component: &[u8]) -> Result<Self, SlimError> {
        let mut stubs = BTreeMap::new();
        let mut instances: Vec<Option<u32>> = Vec::new();
        // Joined, an instance has the functions of all stubs: it can't stand where one stub's alone were expected.
        let mut unfit = BTreeSet::new();
        let (mut contract_instances, mut leftover) = (0, None);
        let mut module = 0;
        for section in top_sections(component)? {
            match section {
                Section::Module(range) => {
                    if let Some(stub) = stubs::read(component.get(range).ok_or(SlimError::Dangling)?)? {
                        stubs.insert(module, stub);
                    }
                    module += 1;
                }
                Section::CoreInstances(section) => {
                    for instance in section {
                        match instance? {
                            Instance::Instantiate { module_index, args } => {
                                for arg in &args {
                                    let arg = usize::try_from(arg.index).map_err(|_| SlimError::Dangling)?;
                                    unfit.extend(instances.get(arg).copied().flatten());
                                }
                                if module_index >= module {
                                    return Err(SlimError::Dangling);
                                }
                                instances.push(Some(module_index));
                            }
                            Instance::FromExports(_) => instances.push(None),
                        }
                    }
                }
                // The contract's kind of instances is counted apart from the core's: whatever makes one takes the next index.
                Section::Imports(section) => {
                    for import in section {
                        contract_instances += u32::from(matches!(import?.ty, ComponentTypeRef::Instance(_)));
                    }
                }
                Section::Aliases(section) => {
                    for alias in section {
                        let kind = ComponentExternalKind::Instance;
                        let is = matches!(alias?, ComponentAlias::InstanceExport { kind: of, .. } if of == kind);
                        contract_instances += u32::from(is);
                    }
                }
                Section::Instances(section) => contract_instances += section.count(),
                Section::Exports(section) => {
                    for export in section {
                        let export = export?;
                        if is_leftover(&export) {
                            leftover = Some((contract_instances, export.index));
                        }
                        contract_instances += u32::from(export.kind == ComponentExternalKind::Instance);
                    }
                }
                Section::Names | Section::Other(..) => {}
            }
        }
        let mut joined_modules: BTreeSet<u32> =
            stubs.keys().copied().filter(|module| !unfit.contains(module)).collect();
        if joined_modules.len() < 2 {
            joined_modules.clear();
        }
        Ok(Self { stubs, instances, joined_modules, leftover })
    }
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

/// Gives modules and instances the indices that they have afterwards.
struct Joiner<'a> {
    survey: &'a Survey,
    modules: BTreeMap<u32, u32>,
    instances: BTreeMap<u32, u32>,
    /// The next instance of the component as it was.
    at: u32,
}

impl<'a> Joiner<'a> {
    fn new(survey: &'a Survey) -> Self {
        let joined = |module: u32| survey.joined_modules.contains(&module);
        let first = survey.joined_modules.first().copied();
        let highest = survey.instances.iter().flatten().chain(&survey.joined_modules).copied().max();
        let mut modules = BTreeMap::new();
        let mut next = 0;
        for module in 0..=highest.unwrap_or_default() {
            if joined(module) && first != Some(module) {
                modules.extend(first.and_then(|first| modules.get(&first).copied()).map(|index| (module, index)));
            } else {
                modules.insert(module, next);
                next += 1;
            }
        }
        let mut instances = BTreeMap::new();
        let mut shared = None;
        let mut next = 0;
        for (was, module) in (0..).zip(&survey.instances) {
            let of_stub = module.is_some_and(joined);
            let index = if of_stub { *shared.get_or_insert(next) } else { next };
            if index == next {
                next += 1;
            }
            instances.insert(was, index);
        }
        Self { survey, modules, instances, at: 0 }
    }

    fn first_stub_module(&self) -> Option<u32> {
        self.survey.joined_modules.first().copied()
    }

    /// The module of an instance of the component as it was, if it is one that was joined.
    fn stub_of(&self, instance: u32) -> Option<u32> {
        let module = self.survey.instances.get(usize::try_from(instance).ok()?).copied().flatten()?;
        self.survey.joined_modules.contains(&module).then_some(module)
    }

    fn alias(&mut self, aliases: &mut ComponentAliasSection, alias: ComponentAlias<'_>) -> Result<(), SlimError> {
        if let ComponentAlias::CoreInstanceExport { instance_index, name, .. } = alias
            && let Some(module) = self.stub_of(instance_index)
        {
            let name = stubs::joined_name(module, name);
            let instance = ReencodeComponent::instance_index(self, instance_index);
            aliases.alias(Alias::CoreInstanceExport { instance, kind: ExportKind::Func, name: &name });
        } else {
            aliases.alias(self.component_alias(alias)?);
        }
        Ok(())
    }
}

impl Reencode for Joiner<'_> {
    type Error = std::convert::Infallible;
}

impl ReencodeComponent for Joiner<'_> {
    fn module_index(&mut self, module: u32) -> u32 {
        self.modules.get(&module).copied().unwrap_or(module)
    }

    fn instance_index(&mut self, instance: u32) -> u32 {
        self.instances.get(&instance).copied().unwrap_or(instance)
    }

    fn component_instance_index(&mut self, instance: u32) -> u32 {
        match self.survey.leftover {
            Some((leftover, original)) if instance == leftover => original,
            Some((leftover, _)) if instance > leftover => instance - 1,
            _ => instance,
        }
    }

    fn parse_instance(&mut self, instances: &mut InstanceSection, instance: Instance<'_>) -> Result<(), ReencodeError> {
        let at = self.at;
        self.at += 1;
        // The first instance of a stub stays, as that of the joined module.
        let repeated = self.stub_of(at).is_some() && (0..at).any(|earlier| self.stub_of(earlier).is_some());
        if repeated {
            return Ok(());
        }
        component_utils::parse_instance(self, instances, instance)
    }
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
