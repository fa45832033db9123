//! `lockgate pack new`: the files of a pack that works, to begin with.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};

use super::{super::terminal::say, refused_path};
use crate::{
    error::{Code, Refusal},
    pack::new::{Language, files},
};

/// The SDK's directory in a checkout of lockgate.
const SDK: &str = "packs-wit";

#[derive(Debug, Args)]
pub(in crate::cli) struct NewArgs {
    /// The pack's name; its directory is made where you are
    name: String,
    /// What it is written in
    #[arg(long, value_enum, default_value_t = Lang::Rust)]
    lang: Lang,
    /// The SDK for Rust, `packs-wit` of a checkout of lockgate; looked for around this program and here if left out
    #[arg(long, value_name = "DIR")]
    sdk: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Lang {
    Rust,
    #[value(name = "javascript", alias = "js")]
    JavaScript,
    #[value(name = "python", alias = "py")]
    Python,
}

impl From<Lang> for Language {
    fn from(lang: Lang) -> Self {
        match lang {
            Lang::Rust => Self::Rust,
            Lang::JavaScript => Self::JavaScript,
            Lang::Python => Self::Python,
        }
    }
}

pub(super) fn run(args: &NewArgs) -> Result<(), Refusal> {
    let language = Language::from(args.lang);
    let sdk = match (&args.sdk, language) {
        (Some(dir), _) => checked(dir)?,
        (None, Language::Rust) => found()?,
        (None, _) => PathBuf::new(),
    };
    let unusable = |e: crate::pack::new::NewError| Refusal::new(Code::ConfigInvalid, e.to_string()).with_remedy("");
    let files = files(&args.name, language, &sdk).map_err(unusable)?;
    let dir = Path::new(&args.name);
    // Nothing that is there is written over.
    fs::create_dir(dir).map_err(|e| {
        refused_path(dir, &e).with_remedy("choose another name, or a directory that has nothing of this name in it")
    })?;
    for (name, text) in files {
        let path = dir.join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|e| refused_path(parent, &e))?;
        }
        fs::write(&path, text).map_err(|e| refused_path(&path, &e))?;
    }
    let name = &args.name;
    say(&format!("{name}  a pack in {} with one action, its SQL and its cases", language.as_str()));
    say(&format!("  lockgate pack lint {name}    what a host would refuse it for"));
    say(&format!("  lockgate pack test {name}    its cases, on a throwaway server"));
    say(&format!("  lockgate pack build {name} --out dist"));
    Ok(())
}

fn checked(dir: &Path) -> Result<PathBuf, Refusal> {
    let dir = dir.canonicalize().map_err(|e| refused_path(dir, &e))?;
    if is_sdk(&dir) {
        return Ok(dir);
    }
    Err(Refusal::new(Code::ConfigInvalid, format!("{} is not the SDK: it has no wit/pack.wit", dir.display()))
        .with_remedy("name the directory `packs-wit` of a checkout of lockgate"))
}

/// In a checkout around this program, or around where it was started.
fn found() -> Result<PathBuf, Refusal> {
    let program = std::env::current_exe().ok();
    let here = std::env::current_dir().ok();
    let around = program.iter().chain(&here).flat_map(|path| path.ancestors()).map(|dir| dir.join(SDK));
    around.into_iter().find(|dir| is_sdk(dir)).ok_or_else(|| {
        Refusal::new(Code::ConfigInvalid, "the SDK for Rust was not found around this program or here")
            .with_remedy("say where it is: `--sdk …/packs-wit`, in a checkout of lockgate")
    })
}

fn is_sdk(dir: &Path) -> bool {
    dir.join("wit/pack.wit").is_file() && dir.join("Cargo.toml").is_file()
}
