//! The indices of a component whose stubs became one module.

use std::collections::BTreeMap;

use wasm_encoder::{
    Alias, ComponentAliasSection, ExportKind, InstanceSection,
    reencode::{Error as ReencodeError, Reencode, ReencodeComponent, component_utils},
};
use wasmparser::{ComponentAlias, Instance};

use super::{SlimError, stubs, survey::Survey};

/// Gives modules and instances the indices that they have afterwards.
pub(super) struct Joiner<'a> {
    survey: &'a Survey,
    modules: BTreeMap<u32, u32>,
    instances: BTreeMap<u32, u32>,
    /// The next instance of the component as it was.
    at: u32,
}

impl<'a> Joiner<'a> {
    pub(super) fn new(survey: &'a Survey) -> Self {
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

    pub(super) fn first_stub_module(&self) -> Option<u32> {
        self.survey.joined_modules.first().copied()
    }

    /// The module of an instance of the component as it was, if it is one that was joined.
    fn stub_of(&self, instance: u32) -> Option<u32> {
        let module = self.survey.instances.get(usize::try_from(instance).ok()?).copied().flatten()?;
        self.survey.joined_modules.contains(&module).then_some(module)
    }

    pub(super) fn alias(
        &mut self,
        aliases: &mut ComponentAliasSection,
        alias: ComponentAlias<'_>,
    ) -> Result<(), SlimError> {
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
