//! Python: componentize-py puts CPython into the component, imports the module once and keeps the memory. Functions that trap stand in
//! for WASI; they are made into one module, as a host allows no more ([`super::slim`]).

use std::process::Command;

use super::{
    BuildError, BuildOptions, check_paths,
    room::{Room, tool},
    slim::slim,
};

const TOOL: &str = ".venv/bin/componentize-py";
const REMEDY: &str = "python3 -m venv .venv && \
    .venv/bin/pip install --require-hashes --only-binary :all: --requirement requirements.txt, which has componentize-py";
const PYTHON: &str = "Python 3.10 or later";
/// The module where a pack begins, `src/app.py`.
const ENTRY: &str = "app";
const MADE: &str = "pack.wasm";

/// Builds the component of a pack in Python.
pub(super) fn component(options: &BuildOptions) -> Result<Vec<u8>, BuildError> {
    let tool = tool(&options.directory, TOOL, REMEDY)?;
    let room = Room::of(&options.directory)?;
    let mut python = Command::new(tool);
    python.args(["--quiet", "--wit-path", "wit", "--world", "pack", "componentize", "--stub-wasi"]);
    python.args(["--python-path", "src", "--output", MADE, ENTRY]);
    let component = slim(&room.run("componentize-py", &mut python, MADE, options.verbose, PYTHON)?)?;
    check_paths(&component, [room.pack()])?;
    Ok(component)
}
