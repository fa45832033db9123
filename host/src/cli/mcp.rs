//! `lockgate mcp`: one agent on standard input and output, and `lockgate mcp config`: what a client needs to find lockgate.
//! What is printed on standard output is a whole file of that client's, and nothing else; where it goes is said on standard
//! error. A token is never part of it: the client takes it from the environment, or asks for it.

use std::{net::SocketAddr, path::Path, process::ExitCode};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::{serve, terminal::say};
use crate::{
    config::Config,
    error::{Code, Refusal},
    mcp::http::PATH,
};

/// The environment variable that clients take the token from.
const TOKEN: &str = "LOCKGATE_TOKEN";

#[derive(Debug, Args)]
pub(super) struct McpArgs {
    #[command(subcommand)]
    command: Option<McpCommand>,
}

impl McpArgs {
    /// Whether this serves an agent.
    pub(super) fn serves(&self) -> bool {
        self.command.is_none()
    }
}

#[derive(Debug, Subcommand)]
enum McpCommand {
    /// Print what an MCP client needs to find lockgate, ready to paste
    Config(ConfigArgs),
}

#[derive(Debug, Args)]
struct ConfigArgs {
    /// Whose configuration
    #[arg(long, value_enum)]
    client: Client,
    /// Whether the client starts lockgate, or comes to a `lockgate serve`
    #[arg(long, value_enum, default_value = "stdio")]
    transport: Transport,
    /// Where `lockgate serve` is reached; without it, where the configuration says it listens
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// What the client calls this server
    #[arg(long, default_value = "lockgate")]
    name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Client {
    /// Claude Code and Claude Desktop
    Claude,
    /// Cursor
    Cursor,
    /// Visual Studio Code
    Vscode,
    /// Codex
    Codex,
    /// Any other that reads `mcpServers`
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Transport {
    Stdio,
    Http,
}

/// What a client has to know.
enum Way {
    /// Starts this command.
    Start { command: String, args: Vec<String> },
    /// Comes to this URL with a bearer token.
    Visit(String),
}

pub(super) async fn run(args: McpArgs, config: &Path) -> Result<ExitCode, Refusal> {
    match args.command {
        None => serve::stdio(&Config::load(config)?).await,
        Some(McpCommand::Config(args)) => print(&args, config),
    }
}

fn print(args: &ConfigArgs, config: &Path) -> Result<ExitCode, Refusal> {
    if args.name.is_empty()
        || args.name.len() > 64
        || !args.name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
    {
        return Err(unusable(format!("--name `{}`", args.name), "use 1 to 64 letters, digits, `-` and `_`"));
    }
    let way = match args.transport {
        Transport::Stdio if args.url.is_some() => {
            return Err(unusable(
                "--url says where a server is, and over stdio there is none",
                "add `--transport http`",
            ));
        }
        Transport::Stdio => start(config)?,
        Transport::Http => Way::Visit(match &args.url {
            Some(url) => checked(url)?,
            None => listening(&Config::load(config)?.mcp.http.listen)?,
        }),
    };
    say(&text(args.client, &args.name, &way)?);
    eprintln!("{}", hint(args.client, &way));
    Ok(ExitCode::SUCCESS)
}

/// This very program with this configuration, both by their absolute paths: a client starts it from anywhere.
fn start(config: &Path) -> Result<Way, Refusal> {
    // A client's user sees little of what a server that it starts says, so what is wrong is said here.
    Config::load(config)?;
    let absolute = |path: std::io::Result<std::path::PathBuf>| {
        let path = path.map_err(|e| Refusal::new(Code::InternalError, format!("no absolute path: {e}")))?;
        let text = path.to_str().filter(|text| !text.contains("${") && !text.contains(char::is_control));
        text.map(str::to_owned).ok_or_else(|| {
            unusable(format!("clients would misread the path {}", path.display()), "move it to a plain path")
        })
    };
    let command = absolute(std::env::current_exe())?;
    Ok(Way::Start { command, args: vec!["mcp".into(), "--config".into(), absolute(config.canonicalize())?] })
}

/// A URL as somebody gave it, with the path of MCP if it has none.
fn checked(url: &str) -> Result<String, Refusal> {
    let refuse = |why| unusable(format!("--url: {why}"), "give it as `https://gate.example.com/mcp`");
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let rest = rest.ok_or_else(|| refuse("it does not begin with https:// or http://"))?;
    if url.contains(|c: char| c.is_whitespace() || c.is_control() || "\"'`<>\\{}$".contains(c)) {
        return Err(refuse("it has characters that don't belong in a URL"));
    }
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    if host.is_empty() || host.contains(['?', '#']) {
        return Err(refuse("it names no host"));
    }
    if url.contains(['@', '?', '#']) {
        // Nothing secret may end in a client's file, and the server asks for nothing else in a URL.
        return Err(refuse("it carries a name, a query or a fragment"));
    }
    Ok(if path.is_empty() { format!("{}{PATH}", url.trim_end_matches('/')) } else { url.to_owned() })
}

/// The URL of what the configuration listens on, if a client can go there.
fn listening(listen: &str) -> Result<String, Refusal> {
    let anywhere = listen.parse::<SocketAddr>().is_ok_and(|address| address.ip().is_unspecified());
    if anywhere {
        let message = format!("[mcp.http] listen `{listen}` is every address of this machine, so it names none");
        return Err(unusable(message, "say with `--url` how clients reach it"));
    }
    Ok(format!("http://{listen}{PATH}"))
}

fn unusable(what: impl Into<String>, remedy: &str) -> Refusal {
    Refusal::new(Code::ConfigInvalid, what).with_remedy(remedy)
}

/// The client's file.
fn text(client: Client, name: &str, way: &Way) -> Result<String, Refusal> {
    let internal = |e: String| Refusal::new(Code::InternalError, e);
    if client == Client::Codex {
        let server = match way {
            Way::Start { command, args } => json!({ "command": command, "args": args }),
            Way::Visit(url) => json!({ "url": url, "bearer_token_env_var": TOKEN }),
        };
        let file = json!({ "mcp_servers": { name: server } });
        return toml::to_string(&file).map(|text| text.trim_end().to_owned()).map_err(|e| internal(e.to_string()));
    }
    let server = match way {
        Way::Start { command, args } => json!({ "type": "stdio", "command": command, "args": args }),
        Way::Visit(url) => {
            let token = match client {
                Client::Cursor => format!("${{env:{TOKEN}}}"),
                Client::Vscode => "${input:lockgate-token}".to_owned(),
                _ => format!("${{{TOKEN}}}"),
            };
            json!({ "type": "http", "url": url, "headers": { "Authorization": format!("Bearer {token}") } })
        }
    };
    let file = match (client, way) {
        (Client::Vscode, Way::Visit(_)) => json!({ "servers": { name: server }, "inputs": [asked_once()] }),
        (Client::Vscode, Way::Start { .. }) => json!({ "servers": { name: server } }),
        _ => json!({ "mcpServers": { name: server } }),
    };
    serde_json::to_string_pretty(&file).map_err(|e| internal(e.to_string()))
}

/// What VS Code asks for when it first starts the server, and keeps where it keeps secrets.
fn asked_once() -> Value {
    json!({ "type": "promptString", "id": "lockgate-token", "description": "Token for lockgate", "password": true })
}

/// Where the text goes, and what else is to do.
fn hint(client: Client, way: &Way) -> String {
    let place = match client {
        Client::Claude => {
            ".mcp.json of a project (Claude Code), or claude_desktop_config.json (Claude Desktop, where the client starts lockgate)"
        }
        Client::Cursor => "~/.cursor/mcp.json, or .cursor/mcp.json of a project",
        Client::Vscode => {
            ".vscode/mcp.json of a workspace, or the user's mcp.json (command `MCP: Open User Configuration`)"
        }
        Client::Codex => "~/.codex/config.toml",
        Client::Json => "the client's file of MCP servers",
    };
    let mut text = format!("This goes into {place}.");
    match (client, way) {
        (_, Way::Start { .. }) => {}
        (Client::Vscode, Way::Visit(_)) => text.push_str(" The client asks for the token once."),
        (Client::Json, Way::Visit(_)) => text.push_str(&format!(
            " If the client does not replace ${{{TOKEN}}} from its environment, write the token there, and nobody else may read the file."
        )),
        (_, Way::Visit(_)) => text.push_str(&format!(" The client takes the token from the environment variable {TOKEN}.")),
    }
    if let Way::Visit(url) = way
        && !is_private(url)
    {
        text.push_str(" This URL is not https: whoever sees the traffic sees the token.");
    }
    text
}

/// Whether a token that goes there stays between the two.
fn is_private(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("http://") else { return true };
    let authority = rest.split('/').next().unwrap_or_default();
    let loopback = authority.parse::<SocketAddr>().is_ok_and(|address| address.ip().is_loopback());
    let host = authority.split(':').next().unwrap_or_default();
    loopback || host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn start() -> Way {
        Way::Start {
            command: "/opt/lock gate/lockgate".into(),
            args: vec!["mcp".into(), "--config".into(), "/etc/a \"b\".toml".into()],
        }
    }

    fn visit() -> Way {
        Way::Visit("https://gate.example.com/mcp".into())
    }

    #[test]
    fn each_client_gets_its_own_shape() {
        for client in [Client::Claude, Client::Cursor, Client::Json, Client::Vscode] {
            let of = |way: &Way| serde_json::from_str::<Value>(&text(client, "gate", way).unwrap()).unwrap();
            let key = if client == Client::Vscode { "servers" } else { "mcpServers" };
            let local = of(&start());
            assert_eq!(local[key]["gate"]["command"], "/opt/lock gate/lockgate", "{client:?}");
            assert_eq!(local[key]["gate"]["args"], json!(["mcp", "--config", "/etc/a \"b\".toml"]), "{client:?}");
            let remote = of(&visit());
            assert_eq!(remote[key]["gate"]["url"], "https://gate.example.com/mcp", "{client:?}");
            let header = remote[key]["gate"]["headers"]["Authorization"].as_str().unwrap().to_owned();
            let expected = match client {
                Client::Cursor => "Bearer ${env:LOCKGATE_TOKEN}",
                Client::Vscode => "Bearer ${input:lockgate-token}",
                _ => "Bearer ${LOCKGATE_TOKEN}",
            };
            assert_eq!(header, expected);
            assert_eq!(remote.get("inputs").is_some(), client == Client::Vscode);
        }
    }

    #[test]
    fn codex_reads_toml() {
        let of = |way: &Way| toml::from_str::<Value>(&text(Client::Codex, "gate", way).unwrap()).unwrap();
        assert_eq!(of(&start())["mcp_servers"]["gate"]["args"], json!(["mcp", "--config", "/etc/a \"b\".toml"]));
        let remote = of(&visit());
        assert_eq!(remote["mcp_servers"]["gate"]["bearer_token_env_var"], "LOCKGATE_TOKEN");
    }

    #[test]
    fn a_url_says_where_and_nothing_else() {
        assert_eq!(checked("https://gate.example.com").unwrap(), "https://gate.example.com/mcp");
        assert_eq!(checked("https://gate.example.com/").unwrap(), "https://gate.example.com/mcp");
        assert_eq!(checked("https://gate.example.com/on/call").unwrap(), "https://gate.example.com/on/call");
        for wrong in [
            "gate.example.com",
            "ftp://gate.example.com",
            "https://",
            "https://?token=lgt_x",
            "https://me:lgt_x@gate.example.com/mcp",
            "https://gate.example.com/mcp?token=lgt_x",
            "https://gate.example.com/${HOME}",
            "https://gate.example.com/a b",
        ] {
            assert!(checked(wrong).is_err(), "{wrong}");
        }
        assert_eq!(listening("127.0.0.1:7432").unwrap(), "http://127.0.0.1:7432/mcp");
        assert!(listening("0.0.0.0:7432").is_err() && listening("[::]:7432").is_err());
    }

    #[test]
    fn a_token_in_the_clear_is_pointed_out() {
        for private in [
            "https://gate.example.com/mcp",
            "http://127.0.0.1:7432/mcp",
            "http://[::1]:7432/mcp",
            "http://localhost/mcp",
        ] {
            assert!(is_private(private), "{private}");
        }
        for open in ["http://gate.example.com/mcp", "http://10.0.0.1:7432/mcp", "http://localhost.example.com/mcp"] {
            assert!(!is_private(open), "{open}");
            assert!(hint(Client::Claude, &Way::Visit(open.into())).contains("not https"), "{open}");
        }
    }
}
