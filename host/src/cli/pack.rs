//! `lockgate pack`: for authors (build), reviewers (inspect) and operators (verify).

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::Subcommand;
use jiff::Timestamp;
use lockgate_signing::{
    encoding::hex,
    file::{self, MAX_COMPONENT_BYTES},
    verify::{HighestSeen, verify_file},
};

use super::terminal::{say, say_json};
use crate::{
    config::Config,
    error::{Code, Refusal},
    outside::plain,
    pack::{
        admission::{Admission, AdmissionError, Described},
        build,
        manifest::{Action, Manifest, ParamKind},
        sandbox::Sandbox,
    },
    startup,
    statement::{Mode, Statement, Variant},
};

#[derive(Debug, Subcommand)]
pub(super) enum PackCommand {
    /// Build a Rust pack, check it as a host would, and write what is to be signed
    Build {
        /// The pack's crate
        #[arg(default_value = ".", value_name = "DIR")]
        dir: PathBuf,
        /// Where to write NAME-VERSION.wasm and NAME-VERSION.declaration.json
        #[arg(long, default_value = ".", value_name = "DIR")]
        out: PathBuf,
    },
    /// Print all that a reviewer must see: actions, arguments, SQL; runs only `describe`
    Inspect {
        /// The component
        component: PathBuf,
        /// The manifest as JSON
        #[arg(long)]
        json: bool,
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
}

pub(super) async fn run(
    command: PackCommand,
    config: impl FnOnce() -> Result<Config, Refusal>,
) -> Result<ExitCode, Refusal> {
    match command {
        PackCommand::Build { dir, out } => build(&dir, &out).await?,
        PackCommand::Inspect { component, json } => {
            let bytes = file::read_once(&component, MAX_COMPONENT_BYTES).map_err(|e| refused_file(&e))?;
            let described = admission()?.describe_unverified(&bytes).await?;
            if json { say_json(described.manifest.manifest()) } else { print(&described) }
        }
        PackCommand::Verify { component, trust, json } => {
            let trust = match trust {
                Some(path) => path,
                None => config()?.trust,
            };
            verify(&component, &trust, json).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn admission() -> Result<Admission, Refusal> {
    Ok(Admission::new(Sandbox::new()?, None))
}

async fn build(dir: &Path, out: &Path) -> Result<(), Refusal> {
    let built = build_and_describe(dir.to_owned()).await?;
    let written = write(&built, out)?;
    say(&format!("{}  {} actions, sha256 {}", written.component.display(), built.actions(), hex(&built.sha256())));
    say(&format!("{}  to be signed:", written.declaration.display()));
    say(&format!(
        "  lockgate-sign sign {} --declaration {} --key KEY --publisher NAME",
        written.component.display(),
        written.declaration.display()
    ));
    Ok(())
}

/// A component that was just built, and what a signer is to sign of it.
pub(super) struct Built {
    pub(super) bytes: Vec<u8>,
    pub(super) described: Described,
}

impl Built {
    fn actions(&self) -> usize {
        self.described.manifest.manifest().actions.len()
    }

    fn sha256(&self) -> [u8; 32] {
        use sha2::Digest as _;
        sha2::Sha256::digest(&self.bytes).into()
    }
}

/// Where a built pack was written.
pub(super) struct Written {
    pub(super) component: PathBuf,
    pub(super) declaration: PathBuf,
}

pub(super) async fn build_and_describe(dir: PathBuf) -> Result<Built, Refusal> {
    let bytes = tokio::task::spawn_blocking(move || build::build_pack(&build::BuildOptions::new(dir)))
        .await
        .map_err(|e| Refusal::new(Code::InternalError, e.to_string()))?
        .map_err(|e| Refusal::new(Code::ComponentInvalid, e.to_string()).with_remedy(""))?;
    let described = admission()?.describe_unverified(&bytes).await?;
    Ok(Built { bytes, described })
}

pub(super) fn write(built: &Built, out: &Path) -> Result<Written, Refusal> {
    let manifest = built.described.manifest.manifest();
    // Both were proven to be plain names: no separator can be in them.
    let base = format!("{}-{}", manifest.name, manifest.version);
    let written = Written {
        component: out.join(format!("{base}.wasm")),
        declaration: out.join(format!("{base}.declaration.json")),
    };
    let refuse = |path: &Path, e: std::io::Error| Refusal::new(Code::FileRefused, format!("{}: {e}", path.display()));
    std::fs::create_dir_all(out).map_err(|e| refuse(out, e))?;
    std::fs::write(&written.component, &built.bytes).map_err(|e| refuse(&written.component, e))?;
    std::fs::write(&written.declaration, built.described.declaration.to_json())
        .map_err(|e| refuse(&written.declaration, e))?;
    Ok(written)
}

async fn verify(component: &Path, trust: &Path, json: bool) -> Result<(), Refusal> {
    let admission = admission()?;
    let trust = startup::trust(trust)?;
    let verified =
        verify_file(component, &trust, Timestamp::now(), &HighestSeen::new()).map_err(AdmissionError::from)?;
    let pack = admission.admit(verified).await?;
    let predicate = pack.verified().predicate();
    if json {
        say_json(predicate);
        return Ok(());
    }
    say(&format!("{} {}  verified", predicate.pack, predicate.version));
    say(&format!("  publisher  {}", predicate.publisher));
    say(&format!("  sha256     {}", pack.digest()));
    say(&format!("  signed     {} until {}", predicate.issued, predicate.expires));
    say(&format!("  actions    {}", predicate.actions.len()));
    say(&format!("  classes    {}", predicate.classes.join(", ")));
    Ok(())
}

fn print(described: &Described) {
    let manifest = described.manifest.manifest();
    say(&format!("{} {}: {}", manifest.name, manifest.version, manifest.summary));
    if !manifest.homepage.is_empty() {
        say(&manifest.homepage);
    }
    say("not verified: this shows what the component declares; `lockgate pack verify` says whether to trust it");
    for action in &manifest.actions {
        print_action(manifest, action);
    }
    say("\nStatements");
    for statement in &manifest.statements {
        print_statement(statement);
    }
}

fn print_action(manifest: &Manifest, action: &Action) {
    say(&format!("\n{}.{}  risk {}  {}", manifest.name, action.name, action.risk.as_str(), action.title));
    say(&format!("  {}", one_line(&action.description)));
    for param in &action.params {
        let kind = match &param.kind {
            ParamKind::Boolean => "boolean".to_owned(),
            ParamKind::Integer { min, max } => format!("integer {min} to {max}"),
            ParamKind::Number { min, max } => format!("number {min} to {max}"),
            ParamKind::Text { max_length, pattern } => {
                format!("text up to {max_length} matching {}", one_line(pattern))
            }
            ParamKind::Identifier => "identifier".to_owned(),
            ParamKind::Choice { options } => format!("one of {}", one_line(&options.join(", "))),
        };
        let need = if param.required { "required" } else { "optional" };
        say(&format!("  argument {}: {kind}, {need}. {}", param.name, one_line(&param.description)));
    }
    let list = |what: &str, items: &[String]| {
        if !items.is_empty() {
            say(&format!("  {what}: {}", one_line(&items.join(", "))));
        }
    };
    list("runs", &action.run_statements);
    list("previews with", &action.preview_statements);
    list("needs", &action.privileges);
    if !action.side_effects.is_empty() {
        say(&format!("  side effects: {}", one_line(&action.side_effects)));
    }
    if !action.works_on_standby {
        say("  not on a standby");
    }
}

fn print_statement(statement: &Statement) {
    let mode = match statement.mode {
        Mode::Read => "read",
        Mode::Act => "act",
        Mode::Maintain => "maintain",
    };
    let inputs: Vec<&str> = statement.inputs.iter().map(|i| i.name.as_str()).collect();
    say(&format!("\n{}({})  {mode}, up to {} rows", statement.id, inputs.join(", "), statement.max_rows));
    for variant in &statement.variants {
        say(&format!("  -- {}", servers(variant)));
        for line in variant.sql.lines() {
            say(&format!("  {}", one_line(line)));
        }
    }
}

fn servers(variant: &Variant) -> String {
    let range = match (variant.min_version, variant.below_version) {
        (0, 0) => "every version".to_owned(),
        (min, 0) => format!("PostgreSQL {min} and later"),
        (0, below) => format!("PostgreSQL before {below}"),
        (min, below) => format!("PostgreSQL {min} up to before {below}"),
    };
    match &variant.extension {
        Some(extension) => format!("{range}, with {} {} to before {}", extension.name, extension.min, extension.below),
        None => range,
    }
}

/// Text of a component that nobody vouches for, fit for a terminal.
fn one_line(text: &str) -> String {
    plain(text, 2000).text
}

fn refused_file(error: &file::FileError) -> Refusal {
    Refusal::new(Code::FileRefused, error.to_string())
}
