//! The sections of a component.

use std::ops::Range;

use wasm_encoder::ComponentSectionId;
use wasmparser::{
    ComponentAlias, ComponentExport, ComponentImport, ComponentInstance, Instance, Parser, Payload, SectionLimited,
};

use super::SlimError;

/// A section of the component itself, told apart as far as it matters here.
pub(super) enum Section<'a> {
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
pub(super) fn top_sections(component: &[u8]) -> Result<Vec<Section<'_>>, SlimError> {
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

pub(super) fn place(range: &Range<u64>) -> Result<Range<usize>, SlimError> {
    let index = |at: u64| usize::try_from(at).map_err(|_| SlimError::Dangling);
    Ok(index(range.start)?..index(range.end)?)
}
