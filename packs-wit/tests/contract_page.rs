//! `docs/packs/contract.md` is the contract, in the words of its WIT. `LOCKGATE_WRITE_DOCS=pages` writes it anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::{fmt::Write as _, fs, path::Path};

use wit_parser::{Docs, Function, FunctionKind, Interface, Resolve, Result_, Type, TypeDef, TypeDefKind, WorldItem};

const PAGE: &str = "../docs/packs/contract.md";

const HEAD: &str = "\
# The contract

<!-- Made from packs-wit/wit by packs-wit/tests/contract_page.rs; LOCKGATE_WRITE_DOCS=pages writes it anew. -->
";

const TAIL: &str = "
## How it grows

The version is of the package. A host runs packs of its own major version and of no later minor version: what a pack was built
against is in its component and in what was signed, and one that is newer than the host is refused by name, before it is compiled.
Within a major version nothing that is there changes its shape or its meaning.
";

fn main_of(resolve: &Resolve, package: wit_parser::PackageId) -> String {
    let package = &resolve.packages[package];
    let mut page = HEAD.to_owned();
    page += &format!("\n`{}`\n\n{}\n", package.name, prose(&package.docs));
    for (name, world) in &package.worlds {
        let world = &resolve.worlds[*world];
        let list = |items: Vec<&WorldItem>| {
            let named = items.iter().filter_map(|item| match item {
                WorldItem::Interface { id, .. } => resolve.interfaces[*id].name.clone(),
                _ => None,
            });
            named.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
        };
        let (imports, exports) = (list(world.imports.values().collect()), list(world.exports.values().collect()));
        let _ = write!(
            page,
            "\nA pack is a component of the world `{name}`: it imports {imports} and nothing else, and exports {exports}.\n"
        );
    }
    for id in package.interfaces.values() {
        interface(resolve, &resolve.interfaces[*id], &mut page);
    }
    page + TAIL
}

fn interface(resolve: &Resolve, interface: &Interface, page: &mut String) {
    let name = interface.name.as_deref().expect("a name");
    let _ = write!(page, "\n## {name}\n\n{}\n", prose(&interface.docs));
    for function in interface.functions.values().filter(|function| function.kind == FunctionKind::Freestanding) {
        let _ = write!(page, "\n### {}()\n\n{}\n", function.name, called(resolve, function));
    }
    for id in interface.types.values() {
        let kind = &resolve.types[*id];
        // What another interface has and this one uses stands there.
        if !matches!(kind.kind, TypeDefKind::Type(_)) {
            described(resolve, interface, *id, kind, page);
        }
    }
}

fn called(resolve: &Resolve, function: &Function) -> String {
    let this = usize::from(matches!(function.kind, FunctionKind::Method(_)));
    let params =
        function.params.iter().skip(this).map(|param| format!("{}: {}", param.name, spelled(resolve, &param.ty)));
    let result = function.result.as_ref().map(|result| format!(" -> {}", spelled(resolve, result))).unwrap_or_default();
    let name = function.name.rsplit('.').next().expect("a name");
    let head = format!("`{name}({}){result}`", params.collect::<Vec<_>>().join(", "));
    let docs = prose(&function.docs);
    if docs.is_empty() { head } else { format!("{head}\n\n{docs}") }
}

fn described(resolve: &Resolve, interface: &Interface, id: wit_parser::TypeId, kind: &TypeDef, page: &mut String) {
    let what = match &kind.kind {
        TypeDefKind::Record(_) => "A record",
        TypeDefKind::Variant(_) | TypeDefKind::Enum(_) => "One of",
        TypeDefKind::Resource => "A resource",
        other => panic!("{}: {other:?} has no words yet", kind.name.as_deref().unwrap_or_default()),
    };
    let _ = write!(page, "\n### {}\n\n", kind.name.as_deref().expect("a name"));
    let docs = prose(&kind.docs);
    let between = if docs.is_empty() { "" } else { " " };
    let _ = writeln!(page, "{docs}{between}{what}:\n");
    let mut line = |name: &str, of: Option<&Type>, docs: &Docs| {
        let of = of.map(|of| format!(" `{}`", spelled(resolve, of))).unwrap_or_default();
        let said = indented(docs);
        let said = if said.is_empty() { said } else { format!(": {said}") };
        let _ = writeln!(page, "- `{name}`{of}{said}");
    };
    match &kind.kind {
        TypeDefKind::Record(record) => {
            record.fields.iter().for_each(|field| line(&field.name, Some(&field.ty), &field.docs));
        }
        TypeDefKind::Variant(variant) => {
            variant.cases.iter().for_each(|case| line(&case.name, case.ty.as_ref(), &case.docs));
        }
        TypeDefKind::Enum(cases) => cases.cases.iter().for_each(|case| line(&case.name, None, &case.docs)),
        _ => {
            let methods = interface.functions.values().filter(|function| function.kind == FunctionKind::Method(id));
            for method in methods {
                let _ = writeln!(page, "- {}", called(resolve, method).replace("\n\n", ": "));
            }
        }
    }
}

/// A type as WIT spells it.
fn spelled(resolve: &Resolve, of: &Type) -> String {
    let inner = |of: &Option<Type>| of.as_ref().map_or("_".to_owned(), |of| spelled(resolve, of));
    let Type::Id(id) = of else {
        return match of {
            Type::Bool => "bool",
            Type::U32 => "u32",
            Type::S64 => "s64",
            Type::F64 => "f64",
            Type::String => "string",
            other => panic!("{other:?} has no words yet"),
        }
        .to_owned();
    };
    let kind = &resolve.types[*id];
    match (&kind.name, &kind.kind) {
        (Some(name), _) => name.clone(),
        (None, TypeDefKind::List(of)) => format!("list<{}>", spelled(resolve, of)),
        (None, TypeDefKind::Option(of)) => format!("option<{}>", spelled(resolve, of)),
        (None, TypeDefKind::Result(Result_ { ok, err })) => format!("result<{}, {}>", inner(ok), inner(err)),
        (None, TypeDefKind::Handle(wit_parser::Handle::Own(id) | wit_parser::Handle::Borrow(id))) => {
            resolve.types[*id].name.clone().expect("a name")
        }
        (None, other) => panic!("{other:?} has no words yet"),
    }
}

fn prose(docs: &Docs) -> String {
    docs.contents.as_deref().unwrap_or_default().trim().to_owned()
}

/// The same under a list's item.
fn indented(docs: &Docs) -> String {
    prose(docs).lines().collect::<Vec<_>>().join("\n  ")
}

#[test]
fn the_page_says_what_the_contract_says() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(here.join("wit")).expect("the contract");
    let page = main_of(&resolve, package);
    let path = here.join(PAGE);
    if std::env::var_os("LOCKGATE_WRITE_DOCS").is_some() {
        fs::write(&path, &page).expect("the page can be written");
    }
    let there = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(there, page, "docs/packs/contract.md is not of this contract: LOCKGATE_WRITE_DOCS=pages writes it anew");
}
