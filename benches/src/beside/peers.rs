//! Two other servers, as `benches/peers.sh` installs them, each with its defaults but for what makes it run the same statement
//! on the same server.

use std::path::PathBuf;

use anyhow::Result;
use lockgate_tests::{AGENT, site};
use serde_json::json;

use super::server::{Server, Setting, Way, free_port, program};

/// Those that are there, and a line for each that is not.
pub fn installed(setting: &Setting) -> Result<(Vec<Server>, Vec<String>)> {
    let (mut servers, mut left_out) = (Vec::new(), Vec::new());
    match toolbox_program() {
        Some(path) => {
            let config = site::root().join("target/peers/toolbox/uptime.yaml");
            std::fs::write(&config, toolbox_config(setting))?;
            let common = |way| {
                let mut command = program(&path);
                command.arg("--config").arg(&config).args(["--disable-version-check", "--log-level", "ERROR"]);
                match &way {
                    Way::Stdio => command.arg("--stdio"),
                    Way::Http { port, .. } => command.args(["--port", &port.to_string()]),
                };
                let (name, arguments) = ("MCP Toolbox 1.12.0", json!({}));
                Server { name, command, way, tool: "uptime", arguments, expected: "server_version" }
            };
            servers.push(common(Way::Stdio));
            let port = free_port()?;
            servers.push(common(Way::Http { url: format!("http://127.0.0.1:{port}/mcp"), port, token: None }));
        }
        None => left_out.push("MCP Toolbox is not installed (benches/peers.sh): not measured".into()),
    }
    let postgres_mcp = site::root().join("target/peers/postgres-mcp/bin/postgres-mcp");
    if postgres_mcp.is_file() {
        let mut command = program(&postgres_mcp);
        let (port, sql) = (setting.cluster.port(), &setting.sql);
        // Its other mode, which reads statements before it sends them, refuses one of this statement's functions.
        command.arg("--access-mode=unrestricted").arg(format!("postgresql://{AGENT}@127.0.0.1:{port}/postgres"));
        let (name, arguments) = ("postgres-mcp 0.3.0", json!({ "sql": sql }));
        let tool = "execute_sql";
        servers.push(Server { name, command, way: Way::Stdio, tool, arguments, expected: "server_version" });
        left_out.push("postgres-mcp sends what it is given unread (its restricted mode refuses `pg_has_role`)".into());
        left_out.push("postgres-mcp has no streamable HTTP, only the older transport by events: stdio alone".into());
    } else {
        left_out.push("postgres-mcp is not installed (benches/peers.sh): not measured".into());
    }
    Ok((servers, left_out))
}

/// The program itself; the package's launcher would keep a Node process beside it.
fn toolbox_program() -> Option<PathBuf> {
    let packages = site::root().join("target/peers/toolbox/node_modules/@toolbox-sdk");
    let programs = std::fs::read_dir(packages).ok()?.filter_map(|entry| Some(entry.ok()?.path().join("bin/toolbox")));
    programs.into_iter().find(|path| path.is_file())
}

/// A source and a tool. The password is asked for by its schema, and by nobody else.
fn toolbox_config(setting: &Setting) -> String {
    let statement: String = setting.sql.lines().map(|line| format!("  {line}\n")).collect();
    format!(
        "kind: source\nname: bench\ntype: postgres\nhost: 127.0.0.1\nport: {}\ndatabase: postgres\nuser: {AGENT}\n\
         password: none\n---\nkind: tool\nname: uptime\ntype: postgres-sql\nsource: bench\n\
         description: How long the server has been up.\nstatement: |\n{statement}",
        setting.cluster.port()
    )
}
