//! The agents' door over this process's stdin and stdout, with a gatekeeper that has no gate behind it. Only tests start
//! it: they look at what a client sees of a real process.

#[path = "../../tests/mcp_door/fake_gate.rs"]
mod fake_gate;

use lockgate::{
    gate::call::Door,
    mcp::{McpSettings, server::Server, stdio},
};
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let caller = fake_gate::principal("laptop", Door::Stdio);
    let server = Server::new(fake_gate::FakeGate::new(), McpSettings::default()).with_caller(caller);
    stdio::serve(server, CancellationToken::new()).await?;
    eprintln!("ended in order");
    Ok(())
}
