//! Core modules whose functions only trap, and the one that stands for several of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use wasm_encoder::{CodeSection, ExportKind, ExportSection, Function, FunctionSection, Module, TypeSection, ValType};
use wasmparser::{CompositeInnerType, Encoding, ExternalKind, Operator, Parser, Payload};

use super::SlimError;

/// What a function takes and gives: numbers only, since a reference's type would need its module's own types.
type Signature = (Vec<ValType>, Vec<ValType>);

/// The functions of a module that only traps, by the names it exports them under.
pub(super) type Stub = BTreeMap<String, Signature>;

/// The functions of a module if it does nothing but trap: no imports, no state, nothing that runs at its start.
pub(super) fn read(module: &[u8]) -> Result<Option<Stub>, SlimError> {
    let (mut types, mut functions, mut exports) = (Vec::new(), Vec::new(), Vec::new());
    for payload in Parser::new(0).parse_all(module) {
        match payload? {
            Payload::Version { encoding: Encoding::Module, .. }
            | Payload::CustomSection(_)
            | Payload::CodeSectionStart { .. }
            | Payload::End(_) => {}
            Payload::TypeSection(section) => {
                for group in section {
                    for ty in group?.into_types() {
                        types.push(match ty.composite_type.inner {
                            CompositeInnerType::Func(ty) => match (numbers(ty.params()), numbers(ty.results())) {
                                (Some(params), Some(results)) => (params, results),
                                _ => return Ok(None),
                            },
                            _ => return Ok(None),
                        });
                    }
                }
            }
            Payload::FunctionSection(section) => {
                for ty in section {
                    let ty = usize::try_from(ty?).map_err(|_| SlimError::Dangling)?;
                    functions.push(types.get(ty).cloned().ok_or(SlimError::Dangling)?);
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export?;
                    if export.kind != ExternalKind::Func {
                        return Ok(None);
                    }
                    exports.push((export.name.to_owned(), export.index));
                }
            }
            Payload::CodeSectionEntry(body) => {
                let operators = body.get_operators_reader()?.into_iter().collect::<Result<Vec<_>, _>>()?;
                if !matches!(operators.as_slice(), [Operator::Unreachable, Operator::End]) {
                    return Ok(None);
                }
            }
            _ => return Ok(None),
        }
    }
    let named = exports.into_iter().map(|(name, index)| {
        let index = usize::try_from(index).map_err(|_| SlimError::Dangling)?;
        Ok((name, functions.get(index).cloned().ok_or(SlimError::Dangling)?))
    });
    let stub: Stub = named.collect::<Result<_, SlimError>>()?;
    Ok((!stub.is_empty()).then_some(stub))
}

fn numbers(types: &[wasmparser::ValType]) -> Option<Vec<ValType>> {
    let number = |ty: &wasmparser::ValType| (!ty.is_reference_type()).then(|| ValType::try_from(*ty).ok()).flatten();
    types.iter().map(number).collect()
}

/// The one module: a function for each of theirs, each under a name that says whose it was.
pub(super) fn joined(stubs: &BTreeMap<u32, Stub>, modules: &BTreeSet<u32>) -> Module {
    let (mut types, mut functions) = (TypeSection::new(), FunctionSection::new());
    let (mut exports, mut code) = (ExportSection::new(), CodeSection::new());
    let mut known = HashMap::new();
    let mut index = 0;
    for module in modules {
        for (name, ty) in stubs.get(module).into_iter().flatten() {
            let next = types.len();
            let of = *known.entry(ty).or_insert(next);
            if of == next {
                types.ty().function(ty.0.iter().copied(), ty.1.iter().copied());
            }
            functions.function(of);
            exports.export(&joined_name(*module, name), ExportKind::Func, index);
            let mut trap = Function::new([]);
            trap.instructions().unreachable().end();
            code.function(&trap);
            index += 1;
        }
    }
    let mut module = Module::new();
    module.section(&types).section(&functions).section(&exports).section(&code);
    module
}

/// What the one module calls another's function.
pub(super) fn joined_name(module: u32, name: &str) -> String {
    format!("{module}:{name}")
}
