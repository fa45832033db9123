//! Files that are no pack, or not quite: behind a signature that is in order, so that nothing but admission stands between
//! them and the engine. Written as WebAssembly text, because no compiler makes them.

use lockgate::error::Code::{ComponentInvalid, DescribeFailed, ExportMissing, ImportRefused};

use crate::world::{Case, component, refuses};

/// An `actions` interface by name only.
const HOLLOW: &str = r#"(instance $i) (export "lockgate:pack/actions@1.0.0" (instance $i))"#;

/// Four functions that have the right names and take and give nothing, over a core module.
fn over(module: &str) -> String {
    format!(
        r#"(component
            (core module $m {module})
            (core instance $c (instantiate $m))
            (func $f (canon lift (core func $c "f")))
            (instance $i
                (export "describe" (func $f)) (export "validate" (func $f))
                (export "preview" (func $f)) (export "run" (func $f)))
            (export "lockgate:pack/actions@1.0.0" (instance $i)))"#
    )
}

#[tokio::test]
async fn imports_and_exports_are_the_contracts_and_no_other() {
    let imports = |name: &str| format!(r#"(component (import "{name}" (instance)) {HOLLOW})"#);
    let mut cases = Vec::new();
    for (at, name) in [
        "wasi:cli/environment@0.2.0",
        "wasi:filesystem/types@0.2.0",
        "wasi:sockets/tcp@0.2.0",
        "wasi:clocks/wall-clock@0.2.0",
        "wasi:random/random@0.2.0",
        "wasi:http/outgoing-handler@0.2.0",
        "lockgate:pack/query@1.0.1",
        "lockgate:pack/query@0.9.0",
        "lockgate:pack/query@2.0.0",
        "lockgate:pack/sql@1.0.0",
        "env",
    ]
    .iter()
    .enumerate()
    {
        cases.push(Case::text(&format!("imports-{at}"), &imports(name), ImportRefused, "and nothing else"));
    }
    let function = format!(r#"(component (import "host" (func)) {HOLLOW})"#);
    cases.push(Case::text("imports-a-function", &function, ImportRefused, "`host`"));
    let missing = |pack, name: &str, says| {
        let text = format!(r#"(component (instance $i) (export "{name}" (instance $i)))"#);
        Case::text(pack, &text, ExportMissing, says)
    };
    cases.push(Case::text("exports-nothing", "(component)", ExportMissing, "does not export"));
    cases.push(missing("exports-another", "lockgate:pack/reactions@1.0.0", "does not export"));
    cases.push(missing("older-contract", "lockgate:pack/actions@0.9.0", "it speaks version 0.9.0 of the contract"));
    cases.push(missing("newer-contract", "lockgate:pack/actions@1.1.0", "this host speaks"));
    cases.push(missing("next-contract", "lockgate:pack/actions@2.0.0", "this host speaks"));
    let more = format!(r#"(component {HOLLOW} (export "wasi:cli/run@0.2.0" (instance $i)))"#);
    cases.push(Case::text("exports-more", &more, ComponentInvalid, "`wasi:cli/run@0.2.0`"));
    let both = format!(r#"(component {HOLLOW} (export "lockgate:pack/actions@1.0.1" (instance $i)))"#);
    cases.push(Case::text("exports-two-contracts", &both, ComponentInvalid, "and nothing else"));
    let hollow = format!("(component {HOLLOW})");
    cases.push(Case::text("exports-a-hollow-one", &hollow, ComponentInvalid, "contract"));
    refuses("surfaces", cases).await;
}

#[tokio::test]
async fn what_runs_before_describe_is_bounded_like_it() {
    let cases = vec![
        Case::text(
            "start-spins",
            &over(r#"(func $s (loop (br 0))) (start $s) (func (export "f"))"#),
            DescribeFailed,
            "pack_timeout",
        ),
        Case::text(
            "start-traps",
            &over(r#"(func $s unreachable) (start $s) (func (export "f"))"#),
            DescribeFailed,
            "pack_trap",
        ),
        Case::text(
            "start-grows-memory",
            &over(
                r#"(memory 1) (func $s (loop (drop (memory.grow (i32.const 16))) (br 0))) (start $s) (func (export "f"))"#,
            ),
            DescribeFailed,
            "memory limit (pack_limit)",
        ),
        Case::text(
            "start-grows-a-table",
            &over(
                r#"(table 1 funcref) (func $s (loop (drop (table.grow (ref.null func) (i32.const 1000))) (br 0))) (start $s)
                   (func (export "f"))"#,
            ),
            DescribeFailed,
            "table limit (pack_limit)",
        ),
        Case::text(
            "start-recurses",
            &over(r#"(func $s (call $s)) (start $s) (func (export "f"))"#),
            DescribeFailed,
            "stack limit (pack_limit)",
        ),
        Case::text("describes-nothing", &over(r#"(func (export "f"))"#), DescribeFailed, ""),
    ];
    refuses("starts", cases).await;
}

#[tokio::test]
async fn what_asks_for_too_much_before_it_starts_is_refused() {
    let memories: String =
        (0..5).map(|n| format!("(core module $m{n} (memory 1)) (core instance (instantiate $m{n}))")).collect();
    let instances: String = "(core instance (instantiate $m))".repeat(100);
    let mut cases = Vec::new();
    for (pack, text) in [
        ("born-large", over(r#"(memory 2000) (func (export "f"))"#)),
        ("born-with-a-large-table", over(r#"(table 1000000 funcref) (func (export "f"))"#)),
        ("born-with-many-memories", format!("(component {memories} {HOLLOW})")),
        ("born-many", format!("(component (core module $m) {instances} {HOLLOW})")),
        ("memory-of-64-bits", over(r#"(memory i64 1) (func (export "f"))"#)),
        ("shared-memory", over(r#"(memory 1 1 shared) (func (export "f"))"#)),
        ("two-memories", over(r#"(memory 1) (memory 1) (func (export "f"))"#)),
        ("tail-calls", over(r#"(func $f return_call $f) (func (export "f"))"#)),
    ] {
        cases.push(Case::text(pack, &text, ComponentInvalid, ""));
    }
    // Text from one component inside to another needs two memories in one module, which the engine makes and has switched off.
    let inside = format!(
        r#"(component
            (component $callee
                (core module $m (memory (export "memory") 1) (func (export "f") (param i32 i32))
                    (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 0))
                (core instance $i (instantiate $m))
                (func (export "f") (param "text" string)
                    (canon lift (core func $i "f") (memory (core memory $i "memory"))
                        (realloc (core func $i "realloc")))))
            (component $caller
                (import "f" (func $f (param "text" string)))
                (core module $memory (memory (export "memory") 1))
                (core instance $i (instantiate $memory))
                (core func $lowered (canon lower (func $f) (memory (core memory $i "memory"))))
                (core module $m (import "" "f" (func (param i32 i32))))
                (core instance (instantiate $m (with "" (instance (export "f" (func $lowered)))))))
            (instance $a (instantiate $callee))
            (instance (instantiate $caller (with "f" (func $a "f"))))
            {HOLLOW})"#
    );
    cases.push(Case::text("components-inside", &inside, ComponentInvalid, ""));
    refuses("born_too_large", cases).await;
}

#[tokio::test]
async fn bytes_that_are_no_component_are_refused() {
    let whole = component(&[]).await;
    let module = wat::parse_str(r#"(module (func (export "describe")))"#).expect("a module");
    let mut cut_in_half = whole.clone();
    cut_in_half.truncate(whole.len() / 2);
    let mut garbage_inside = whole.clone();
    let middle = garbage_inside.len() / 3;
    garbage_inside[middle..middle + 64].fill(0xff);
    let mut cases = Vec::new();
    for (pack, bytes) in [
        ("nothing", Vec::new()),
        ("garbage", b"SELECT 1; DROP TABLE users; --".to_vec()),
        ("zeros", vec![0; 4096]),
        ("a-module", module),
        ("a-header", b"\0asm\x0d\0\x01\0"[..6].to_vec()),
        ("a-later-layer", b"\0asm\x0e\0\x01\0".to_vec()),
        ("cut-off", whole[..whole.len() - 1].to_vec()),
        ("cut-in-half", cut_in_half),
        ("garbage-behind", [&whole[..], b"garbage"].concat()),
        ("garbage-inside", garbage_inside),
        ("text-format", b"(component)".to_vec()),
        ("native-code", b"\x7fELF\x02\x01\x01\0".to_vec()),
    ] {
        cases.push(Case { pack: pack.to_owned(), bytes, code: ComponentInvalid, says: "" });
    }
    refuses("no_components", cases).await;
}
