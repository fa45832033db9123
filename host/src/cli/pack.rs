//! `lockgate pack`: for authors (build, push), reviewers (inspect, docs) and operators (verify, install, update,
//! remove, list). One file a subcommand.

mod bench;
mod build;
mod diff;
mod docs;
mod inspect;
mod install;
mod lint;
mod list;
mod new;
mod push;
mod remove;
mod test;
mod verify;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Subcommand;
use lockgate_signing::file::{self, MAX_COMPONENT_BYTES};

use self::build::described;
pub(super) use self::build::{Built, build_and_describe, write};
use crate::{
    config::Config,
    error::{Code, Refusal},
    pack::{
        admission::{Admission, Described},
        cache::{self, CompiledCache},
        sandbox::Sandbox,
    },
};

#[derive(Debug, Subcommand)]
pub(super) enum PackCommand {
    /// Begin a pack: one action that works, its SQL and its cases
    New(new::NewArgs),
    /// Measure what the pack's reads cost, on a throwaway server or a configured target
    Bench(bench::BenchArgs),
    /// Build a pack, check it as a host would, and write what is to be signed
    Build {
        /// The pack: where its Cargo.toml, package.json or requirements.txt is
        #[arg(default_value = ".", value_name = "DIR")]
        dir: PathBuf,
        /// Where to write NAME-VERSION.wasm and NAME-VERSION.declaration.json
        #[arg(long, default_value = ".", value_name = "DIR")]
        out: PathBuf,
    },
    /// Say what a host would refuse the pack for, with line and column, and what is not good practice
    Lint(lint::LintArgs),
    /// Play the pack's own cases on throwaway servers; exits with 1 if one comes out otherwise than expected
    Test(test::TestArgs),
    /// Print all that a reviewer must see: actions, arguments, SQL; runs only `describe`
    Inspect {
        /// The component
        component: PathBuf,
        /// The manifest as JSON
        #[arg(long)]
        json: bool,
    },
    /// Compare two versions of a pack: what it may do that it might not before. Exits with 3 if authority grew
    Diff(diff::DiffArgs),
    /// Write the reference page of a pack, in Markdown; runs only `describe`
    Docs {
        /// The component
        component: PathBuf,
        /// Recorded calls to show beside the actions, as JSON
        #[arg(long, value_name = "FILE")]
        examples: Option<PathBuf>,
        /// Where to write the page; standard output if left out
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Check signature, trust and manifest, as a host would at start
    Verify {
        /// The component; its envelope must be beside it
        component: PathBuf,
        /// The trust policy; the configuration's if left out
        #[arg(long, value_name = "FILE")]
        trust: Option<PathBuf>,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Install a pack from a file, a directory, an HTTPS address or an OCI registry
    Install(install::InstallArgs),
    /// Install a later version of a pack that is installed; asks where it may do more than before
    Update(install::UpdateArgs),
    /// Take an installed pack away
    Remove(remove::RemoveArgs),
    /// List the packs that are installed, and whether a host takes them in
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Publish a signed pack in an OCI registry: the component, and its envelope as a referrer
    Push(push::PushArgs),
}

pub(super) async fn run(
    command: PackCommand,
    config: impl FnOnce() -> Result<Config, Refusal>,
) -> Result<ExitCode, Refusal> {
    match command {
        PackCommand::New(args) => new::run(&args)?,
        PackCommand::Bench(args) => return bench::run(&args, config).await,
        PackCommand::Build { dir, out } => build::build(&dir, &out).await?,
        PackCommand::Test(args) => return test::run(&args).await,
        PackCommand::Lint(args) => return lint::run(&args).await,
        PackCommand::Inspect { component, json } => inspect::inspect(&component, json).await?,
        PackCommand::Diff(args) => return diff::run(&args).await,
        PackCommand::Docs { component, examples, out } => {
            docs::docs(&component, examples.as_deref(), out.as_deref()).await?;
        }
        PackCommand::Verify { component, trust, json } => {
            let trust = match trust {
                Some(path) => path,
                None => config()?.trust,
            };
            verify::verify(&component, &trust, json).await?;
        }
        PackCommand::Install(args) => install::install(args, &config()?).await?,
        PackCommand::Update(args) => install::update(args, &config()?).await?,
        PackCommand::Remove(args) => remove::remove(args, &config()?).await?,
        PackCommand::List { json } => list::list(&config()?, json).await?,
        PackCommand::Push(args) => push::push(&args).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// For packs that nobody has signed yet, with the user's own cache: an interpreter takes half a minute to compile.
fn admission() -> Result<Admission, Refusal> {
    let cache = cache::users_own().and_then(|dir| CompiledCache::open(&dir).ok());
    Ok(Admission::new(Sandbox::new()?, cache))
}

/// What a component declares, by its own account.
async fn describe(component: &Path) -> Result<Described, Refusal> {
    Ok(admission()?.describe_unverified(&read(component)?).await?)
}

/// A component's bytes: those of a file, or of what a pack's directory builds to.
async fn component(path: &Path) -> Result<Vec<u8>, Refusal> {
    if path.is_dir() { build::component(path.to_owned()).await } else { read(path) }
}

/// Largest file of SQL that is read.
const MAX_TEXT: u64 = 8 << 20;

/// A file of text that an author gives.
fn read_text(path: &Path) -> Result<String, Refusal> {
    let bytes = file::read_once(path, MAX_TEXT).map_err(|e| refused_file(&e))?;
    String::from_utf8(bytes)
        .map_err(|_| Refusal::new(Code::FileRefused, format!("{} is no UTF-8 text", path.display())))
}

fn read(component: &Path) -> Result<Vec<u8>, Refusal> {
    file::read_once(component, MAX_COMPONENT_BYTES).map_err(|e| refused_file(&e))
}

pub(super) fn refused_file(error: &file::FileError) -> Refusal {
    Refusal::new(Code::FileRefused, error.to_string())
}

fn refused_path(path: &Path, error: &std::io::Error) -> Refusal {
    Refusal::new(Code::FileRefused, format!("{}: {error}", path.display()))
}
