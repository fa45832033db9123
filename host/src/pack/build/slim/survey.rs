//! What of a component can be made smaller.

use std::collections::{BTreeMap, BTreeSet};

use wasmparser::{ComponentAlias, ComponentExport, ComponentExternalKind, ComponentTypeRef, Instance};

use super::{
    SlimError,
    sections::{Section, top_sections},
    stubs::{self, Stub},
};

/// The export by which componentize-py runs a pack's code once while it builds, to keep what came of it.
const LEFTOVER: &str = "exports";

/// What there is to join.
pub(super) struct Survey {
    /// Stubs by the module's index.
    pub(super) stubs: BTreeMap<u32, Stub>,
    /// The module of each core instance; `None` for one that only groups what others export.
    pub(super) instances: Vec<Option<u32>>,
    /// The modules that become one.
    pub(super) joined_modules: BTreeSet<u32>,
    /// The index that the export takes which is left out, since an export is an instance of its own, and whose export it is.
    pub(super) leftover: Option<(u32, u32)>,
}

impl Survey {
    pub(super) fn of(component: &[u8]) -> Result<Self, SlimError> {
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

pub(super) fn is_leftover(export: &ComponentExport<'_>) -> bool {
    export.kind == ComponentExternalKind::Instance && export.name.name == LEFTOVER
}
