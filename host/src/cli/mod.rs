//! The command line: one file per subcommand, and how every one of them says what went wrong. Exit codes: 0 done, 1 refused
//! or failed, 2 a command line or configuration that can't be used.

mod account;
mod approvals;
mod audit;
mod consent;
mod demo;
mod doctor;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod documented;
mod mcp;
mod notify;
mod pack;
mod policy;
mod scratch;
mod serve;
mod standing;
mod terminal;
mod token;
mod trust;
mod voter;

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::{
    config::Config,
    error::{Code, Refusal},
    observe::{self, LogFormat, Traces},
};

/// Lets AI agents operate PostgreSQL through declared, signed, approved and recorded actions.
#[derive(Debug, Parser)]
#[command(name = "lockgate", version, max_term_width = 100, arg_required_else_help = true)]
struct Cli {
    /// The configuration
    #[arg(long, global = true, env = "LOCKGATE_CONFIG", default_value = "lockgate.toml", value_name = "FILE")]
    config: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve agents over MCP (streamable HTTP)
    Serve,
    /// Serve one agent over MCP on standard input and output
    Mcp(mcp::McpArgs),
    /// Play the incident on a throwaway cluster: a lock pile-up, an agent, a person who approves
    Demo(demo::DemoArgs),
    /// Build, look into and verify packs
    #[command(subcommand)]
    Pack(pack::PackCommand),
    /// Say who may publish packs and what those may do, and take it back
    #[command(subcommand)]
    Trust(trust::TrustCommand),
    /// Check, explain, test and compare policies
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Look at what agents ask for, and decide
    Approvals(approvals::ApprovalsArgs),
    /// Try the channels by which people are told of requests
    #[command(subcommand)]
    Notify(notify::NotifyCommand),
    /// Let calls through in advance, within bounds, and take that back
    #[command(subcommand)]
    Standing(standing::StandingCommand),
    /// Verify, follow and export the record
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Check configuration, state, packs and targets, and say what is missing
    Doctor(doctor::DoctorArgs),
    /// Make, list and revoke tokens for agents
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Say who may log in to the portal, and what they may do there
    #[command(subcommand)]
    Account(account::AccountCommand),
    /// One part of the demonstration, in a process of its own
    #[command(hide = true)]
    DemoPart(demo::PartArgs),
}

/// Runs the command line.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come here too, with exit code 0. A closed pipe is not worth a word.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&Refusal::new(Code::InternalError, format!("no async runtime: {error}"))),
    };
    let end = runtime.block_on(async {
        keep_file_size_limit_an_error();
        let traces = start_log(&cli)?;
        let end = run(cli).await;
        if let Some(traces) = traces {
            // Waits for the runtime, which must not wait for it.
            let _ = tokio::task::spawn_blocking(move || traces.close()).await;
        }
        end
    });
    // Approved executions end before the process does; what only waits is dropped.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    match end {
        Ok(code) => code,
        Err(refusal) => fail(&refusal),
    }
}

/// At a file-size limit the kernel ends a process by SIGXFSZ, unless there is a handler: then the write fails (setrlimit(2)).
/// A write that fails latches the record and is answered; a process that is gone answers nobody.
fn keep_file_size_limit_an_error() {
    use tokio::signal::unix::{SignalKind, signal};
    // The handler stays for as long as the process. Without one all is as it was: nothing runs unrecorded.
    let _ = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw()));
}

async fn run(cli: Cli) -> Result<ExitCode, Refusal> {
    let config = || Config::load(&cli.config).map_err(Refusal::from);
    match cli.command {
        Command::Serve => serve::http(config()?).await,
        Command::Mcp(args) => mcp::run(args, &cli.config).await,
        Command::Demo(args) => demo::run(args).await,
        Command::Pack(command) => pack::run(command, config).await,
        Command::Trust(command) => trust::run(command, &config()?).await,
        Command::Policy(command) => policy::run(command, config).await,
        Command::Approvals(command) => approvals::run(command, config).await,
        Command::Notify(command) => notify::run(command, &config()?).await,
        Command::Standing(command) => standing::run(command, &config()?).await,
        Command::Audit(command) => audit::run(command, config),
        Command::Doctor(args) => doctor::run(&args, &cli.config).await,
        Command::Token(command) => token::run(command, config).await,
        Command::Account(command) => account::run(command, &config()?).await,
        Command::DemoPart(args) => demo::part(args).await,
    }
}

fn fail(refusal: &Refusal) -> ExitCode {
    terminal::print_error(refusal);
    match refusal.code {
        Code::ConfigInvalid | Code::TrustInvalid => ExitCode::from(2),
        _ => ExitCode::FAILURE,
    }
}

/// Standard output belongs to results and to the protocol; what the program says about itself goes to standard error, as a
/// serving host's configuration has it and otherwise as people read it. What is wrong with a configuration is said by whoever
/// needs it.
fn start_log(cli: &Cli) -> Result<Option<Traces>, Refusal> {
    let colours = terminal::is_colourful(&std::io::stderr());
    let serves = match &cli.command {
        Command::Serve => true,
        Command::Mcp(args) => args.serves(),
        _ => false,
    };
    let config = if serves { Config::load(&cli.config).ok() } else { None };
    let Some(config) = config else {
        observe::start_log(LogFormat::Text, colours, None);
        return Ok(None);
    };
    let traces = config.observe.as_ref().and_then(|observe| observe.traces.as_ref()).map(Traces::open).transpose();
    observe::start_log(config.log.format, colours, traces.as_ref().ok().and_then(Option::as_ref));
    traces.map_err(|error| Refusal::new(Code::ConfigInvalid, error.to_string()))
}
