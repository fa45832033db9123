//! JavaScript: componentize-js puts an engine into the component, runs the module once and keeps the memory. All that the engine
//! would ask of WASI is disabled, so that nothing but the contract's import is left.

use std::process::Command;

use super::{
    BuildError, BuildOptions, check_paths,
    room::{Room, tool},
};

const TOOL: &str = "node_modules/@bytecodealliance/componentize-js/src/cli.js";
const REMEDY: &str = "npm ci --ignore-scripts";
const NODE: &str = "Node 20 or later";
/// Where a pack begins.
const ENTRY: &str = "src/pack.js";
/// Everything that componentize-js can leave away.
const DISABLED: [&str; 5] = ["stdio", "random", "clocks", "http", "fetch-event"];
const MADE: &str = "pack.wasm";

/// Builds the component of a pack in JavaScript.
pub(super) fn component(options: &BuildOptions) -> Result<Vec<u8>, BuildError> {
    let tool = tool(&options.directory, TOOL, REMEDY)?;
    let room = Room::of(&options.directory)?;
    let mut node = Command::new("node");
    node.arg(tool).args([ENTRY, "--wit", "wit", "--world-name", "pack", "--disable"]).args(DISABLED);
    node.args(["--out", MADE]);
    let component = room.run("componentize-js", &mut node, MADE, options.verbose, NODE)?;
    check_paths(&component, [room.pack()])?;
    Ok(component)
}
