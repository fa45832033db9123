//! A host with its portal: people get accounts, and one of them decides from another machine, with a token and a password.

use std::{fs, os::unix::fs::PermissionsExt as _};

use lockgate_tests::{
    browser::Browser,
    desk::Started,
    session::{gone, run},
    site::Site,
};
use serde_json::{Value as Json, json};
use tokio::net::{TcpListener, TcpStream};

use crate::{
    pages::block,
    walk::Walk,
    world::{LOCKGATE, PASSWORD, agent, desk, desk_of, idle, server, site},
};

/// A host, its program as the service's file starts it, and where its portal is.
struct Host {
    site: Site,
    server: Started,
    port: u16,
}

async fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.and_then(|l| l.local_addr()).expect("a port").port()
}

async fn host() -> Host {
    let (port, agents) = (free_port().await, free_port().await);
    let more = format!(
        "[mcp.http]\nlisten = \"127.0.0.1:{agents}\"\n[portal]\nlisten = \"127.0.0.1:{port}\"\n[approvals]\n\
         url = \"http://localhost:{port}\"\n"
    );
    let site = site(&more).await;
    let mut desk = desk_of(&site);
    // The first account is made before the first start, which then prints no link.
    let made = desk.succeeds("lockgate account create heidi --role admin --json").await;
    let service = block("docs/operating.md", "ini", "ExecStart");
    let line = service.lines().find_map(|line| line.strip_prefix("ExecStart=")).expect("what is started");
    let plain = line.replace("/usr/local/bin/", "").replace(" --config /etc/lockgate/lockgate.toml", "");
    assert_eq!(plain, "lockgate serve", "{line}");
    let config = site.path("lockgate.toml").display().to_string();
    let line = line.replace("/usr/local/bin/lockgate", LOCKGATE).replace("/etc/lockgate/lockgate.toml", &config);
    let mut server = desk.start(&line);
    while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        server.goes_on();
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let host = Host { site, server, port };
    let made: Json = serde_json::from_str(&made).expect("JSON");
    host.sets_password(made["link"].as_str().expect("a link")).await;
    host
}

impl Host {
    /// Where browsers reach its portal.
    fn origin(&self) -> String {
        format!("http://localhost:{}", self.port)
    }

    /// Opens a link to set a password, and sets it; the browser is logged in then.
    async fn sets_password(&self, link: &str) -> Browser {
        let path = link.strip_prefix(&self.origin()).unwrap_or_else(|| panic!("{link} leads elsewhere"));
        let mut browser = Browser::new(([127, 0, 0, 1], self.port).into(), &self.origin());
        let reply = browser.submit(path, path, &[("password", PASSWORD), ("again", PASSWORD)]).await;
        assert_eq!(reply.status, 303, "{}", reply.body);
        browser
    }
}

/// A token of whoever is logged in.
async fn token(browser: &mut Browser) -> String {
    let made = browser.submit("/account/tokens", "/account/tokens", &[("label", "laptop"), ("days", "7")]).await;
    assert_eq!(made.status, 200, "{}", made.body);
    format!("lgp_{}", made.body.split_once("lgp_").expect("a token").1.split('<').next().expect("it ends"))
}

#[test]
fn people_get_accounts_and_one_decides_from_another_machine() {
    run(async {
        let host = host().await;
        // The accounts where the host is, the decision elsewhere: without its configuration and its state.
        let (mut there, mut laptop) = (desk_of(&host.site), desk());
        let agent = agent(&there).await;
        let victim = idle("payroll").await;
        let held = agent.asks("postgres.terminate_backend", "primary", json!({ "pid": victim.pid })).await;
        let id = held["approval_id"].as_str().expect("an id").to_owned();

        let mut walk = Walk::of("docs/portal.md", &mut there);
        walk.next("lockgate account create").await;
        let listed = walk.next("lockgate account list").await.out;
        assert!(listed.contains("heidi") && listed.contains("groups: dba"), "{listed}");
        assert!(walk.next("lockgate account show").await.out.contains("grace@corp.example"));
        walk.next("lockgate account set-role").await;
        let groups = walk.next("lockgate account set-groups").await.out;
        assert!(groups.contains("grace is in the groups: dba, oncall"), "{groups}");
        walk.next("lockgate account disable").await;
        assert!(walk.desk.succeeds("lockgate account show grace").await.contains("disabled"));
        walk.next("lockgate account enable").await;
        let link = walk.next("lockgate account reset").await.out;
        let link = link.split_whitespace().find(|word| word.starts_with("http://")).expect("a link");
        let mut browser = host.sets_password(link).await;

        let home = laptop.home().join(".config/lockgate");
        fs::create_dir_all(&home).expect("a directory");
        fs::write(home.join("token"), token(&mut browser).await).expect("a file");
        fs::set_permissions(home.join("token"), fs::Permissions::from_mode(0o600)).expect("its mode");
        walk.desk = &mut laptop;
        walk.own("https://gate.example.com", host.origin());
        walk.own("apr_…", id.as_str());
        walk.next("export LOCKGATE_PORTAL=").await;
        assert!(walk.next("lockgate approvals --token-file").await.out.contains(&id));
        let fresh = walk.next("lockgate approvals --token-file").await.out;
        assert!(fresh.contains("payroll") && fresh.contains("Looked at again"), "{fresh}");
        let answers = [("Type `approve`", "approve"), ("Your password for the portal: ", PASSWORD)];
        let said = walk.typed("lockgate approvals --token-file", &answers).await.out;
        assert!(said.contains(&format!("{id} approved by grace")) && !said.contains(PASSWORD), "{said}");
        drop(walk);

        assert_eq!(agent.ends(&id).await["status"], "done");
        gone(server().await, victim.pid).await;
        host.server.interrupted().await;
        assert!(host.site.verify_record().intact);
    });
}
