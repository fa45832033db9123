//! The same commands against a portal elsewhere, with a token that somebody made there. The portal looks and decides; here is what
//! it says, a question, and the password, which a decision needs besides the token.

use std::{
    io::{self, ErrorKind},
    path::Path,
    process::ExitCode,
    time::Duration,
};

use lockgate_signing::{
    file,
    terminal::{ask_in_silence, read_secret_line},
};
use reqwest::{Client, Method, RequestBuilder, Url};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::{ApprovalsCommand, ApproveArgs, DecideArgs, nobody_looks};
use crate::{
    approval::{PeopleAt, digest},
    cli::terminal::{self, say, say_json},
    error::{Code, Refusal},
    outbound,
    outside::shown,
    store::{Decision, RequestDigest},
};

/// The environment's variable with the token.
const VARIABLE: &str = "LOCKGATE_API_TOKEN";
/// For one answer: a look at a target may take some seconds.
const TIME: Duration = Duration::from_secs(40);
/// Bytes of a token's file.
const LONGEST: u64 = 4096;

pub(super) async fn run(
    command: ApprovalsCommand,
    portal: PeopleAt,
    token_file: Option<&Path>,
) -> Result<ExitCode, Refusal> {
    let portal = Portal::new(&portal, token(token_file)?)?;
    match command {
        ApprovalsCommand::List { all, json } => {
            let found = portal.get(if all { "/approvals?all=true" } else { "/approvals" }).await?;
            let requests = part(&found, "/approvals").as_array().map(Vec::as_slice).unwrap_or_default();
            match (json, requests) {
                (true, requests) => requests.iter().for_each(say_json),
                (false, []) => say("nothing waits for a decision"),
                (false, _) => say_text(&found),
            }
            if let Some(more) = part(&found, "/left_off").as_u64().filter(|more| *more > 0) {
                terminal::remark(&format!("{more} older requests were left off; the portal's pages have them"));
            }
        }
        ApprovalsCommand::Show { id, fresh, json } => {
            let found = if fresh { portal.look(&id).await? } else { portal.get(&at(&id, "")?).await? };
            match (json, fresh) {
                (true, true) => say_json(
                    &json!({ "request": part(&found, "/request"), "review": part(&found, "/review"), "changes": part(&found, "/changes") }),
                ),
                (true, false) => say_json(part(&found, "/request")),
                (false, _) => say_text(&found),
            }
        }
        ApprovalsCommand::Watch(_) => {
            let what = "requests can be watched on the host itself only";
            return Err(Refusal::new(Code::ConfigInvalid, what)
                .with_remedy("use `list`, keep the portal's first page open, or set up a channel in [[notify]]"));
        }
        ApprovalsCommand::Approve(args) => approve(&portal, args).await?,
        ApprovalsCommand::Deny(args) => {
            let found = portal.get(&at(&args.id, "")?).await?;
            decide(&portal, &args, Decision::Deny, &found, String::new()).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Approves what is there now, as far as it can be looked at.
async fn approve(portal: &Portal, args: ApproveArgs) -> Result<(), Refusal> {
    let ApproveArgs { decide: args, seen, as_requested } = args;
    if args.digest.is_none() && !terminal::is_interactive() {
        return Err(nobody_looks());
    }
    let found = if as_requested { portal.get(&at(&args.id, "")?).await? } else { portal.look(&args.id).await? };
    let finding = part(&found, "/review/answer/1");
    let why = || shown(part(finding, "/why").as_str().unwrap_or_default(), 300);
    let seen = match (as_requested, part(finding, "/finding").as_str(), seen) {
        (false, Some("gone"), _) => {
            return Err(Refusal::new(Code::TargetChanged, format!("it can't hold any more: {}", why())));
        }
        (false, Some("unavailable"), _) => {
            let what = format!("what it rests on can't be looked at: {}", why());
            let remedy = "try again, or decide on the evidence of the request with `--as-requested --reason TEXT`";
            return Err(Refusal::new(Code::EvidenceUnavailable, what).with_remedy(remedy));
        }
        (false, Some(_), Some(typed)) => whole(part(finding, "/digest"), typed),
        (false, Some(_), None) => part(finding, "/digest").as_str().unwrap_or_default().to_owned(),
        // It does not wait any more, which the portal says; or nobody looked, as somebody wanted.
        (_, None, _) | (true, ..) => "as-requested".to_owned(),
    };
    decide(portal, &args, Decision::Approve, &found, seen).await
}

async fn decide(
    portal: &Portal,
    args: &DecideArgs,
    decision: Decision,
    found: &Json,
    seen: String,
) -> Result<(), Refusal> {
    let digest = match &args.digest {
        Some(typed) => whole(part(found, "/request/digest"), typed.clone()),
        None => confirm(found, decision)?,
    };
    let password = password(args.password_stdin)?;
    let body = json!({ "digest": digest, "seen": seen, "reason": args.reason, "password": password });
    let after = portal.post(&at(&args.id, decision.as_str())?, &body).await?;
    let request = part(&after, "/request");
    let (state, needed) = (part(request, "/state").as_str().unwrap_or_default(), part(request, "/request/needed"));
    say(&match state {
        "pending" => {
            let votes = part(request, "/votes").as_array().map(Vec::as_slice).unwrap_or_default();
            let votes = votes.iter().filter(|vote| part(vote, "/decision") == "approve").count();
            format!("counted: {votes} of {needed} approvals of {}", shown(&args.id, 40))
        }
        _ => format!("{} {state} by {}", shown(&args.id, 40), part(request, "/decided_by").as_str().unwrap_or("you")),
    });
    Ok(())
}

/// The digest that a short form of it names; otherwise what was typed.
fn whole(digest: &Json, typed: String) -> String {
    match digest.as_str().and_then(|text| text.parse::<RequestDigest>().ok()) {
        Some(whole) if digest::is_typed(&whole, &typed) => whole.to_string(),
        _ => typed,
    }
}

/// Shows the request and asks. What is decided on is what was shown.
fn confirm(found: &Json, decision: Decision) -> Result<String, Refusal> {
    if !terminal::is_interactive() {
        return Err(nobody_looks());
    }
    say_text(found);
    let word = decision.as_str();
    match terminal::ask(&format!("\nType `{word}` to {word} this, once; anything else leaves it as it is: ")) {
        Ok(Some(answer)) if answer == word => {
            Ok(part(found, "/request/digest").as_str().unwrap_or_default().to_owned())
        }
        Ok(_) => Err(Refusal::new(Code::Cancelled, "nothing was decided").with_remedy("")),
        Err(error) => Err(Refusal::new(Code::InternalError, format!("the terminal can't be read: {error}"))),
    }
}

fn password(from_input: bool) -> Result<String, Refusal> {
    let failed = |error: io::Error| {
        Refusal::new(Code::ConfigInvalid, format!("your password can't be read: {error}"))
            .with_remedy("run this at a terminal, or give it with `--password-stdin`")
    };
    let line = match from_input {
        true => read_secret_line(io::stdin().lock()),
        false => ask_in_silence("Your password for the portal: "),
    };
    let line = line.map_err(failed)?;
    let text = std::str::from_utf8(&line).map_err(|error| failed(io::Error::new(ErrorKind::InvalidData, error)))?;
    Ok(text.to_owned())
}

fn token(from: Option<&Path>) -> Result<String, Refusal> {
    let refuse = |what: String| {
        Refusal::new(Code::ConfigInvalid, what).with_remedy(
            "make a token in the portal, under your account, and give it in LOCKGATE_API_TOKEN or --token-file",
        )
    };
    let text = match from {
        Some(path) => {
            let unusable = |error: file::FileError| {
                Refusal::new(Code::ConfigInvalid, format!("the token's file {error}")).with_remedy(error.remedy())
            };
            let bytes = file::read_private(path, LONGEST).map_err(unusable)?;
            String::from_utf8(bytes).map_err(|_| refuse(format!("{} holds no token", path.display())))?
        }
        None => std::env::var(VARIABLE).map_err(|_| refuse("a portal wants a token, and there is none".to_owned()))?,
    };
    Ok(text.trim().to_owned())
}

/// An address under a request's. An id is nothing but letters, digits and `_`, or it leads nowhere else.
fn at(id: &str, way: &str) -> Result<String, Refusal> {
    if id.is_empty() || !id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
        return Err(Refusal::new(Code::UnknownApproval, format!("no approval `{}`", shown(id, 40))));
    }
    Ok(if way.is_empty() { format!("/approvals/{id}") } else { format!("/approvals/{id}/{way}") })
}

/// A part of an answer, by its path (RFC 6901); null if it has none.
fn part<'a>(answer: &'a Json, path: &str) -> &'a Json {
    answer.pointer(path).unwrap_or(&Json::Null)
}

fn say_text(found: &Json) {
    say(part(found, "/text").as_str().unwrap_or_default().trim_end());
}

/// A portal, as one person's token opens it.
struct Portal {
    client: Client,
    base: String,
    token: String,
}

#[derive(Deserialize)]
struct Answer {
    error: Error,
}

#[derive(Deserialize)]
struct Error {
    code: String,
    message: String,
    #[serde(default)]
    remedy: String,
}

impl Portal {
    fn new(at: &PeopleAt, token: String) -> Result<Self, Refusal> {
        let unusable = |why: String| Refusal::new(Code::ConfigInvalid, why);
        let url = Url::parse(&at.to_string()).map_err(|error| unusable(format!("`{at}` is no address: {error}")))?;
        let client = outbound::client(outbound::is_near(&url), TIME).map_err(unusable)?;
        Ok(Self { client, base: format!("{at}{}", crate::portal::api::UNDER), token })
    }

    async fn get(&self, path: &str) -> Result<Json, Refusal> {
        self.send(self.client.request(Method::GET, format!("{}{path}", self.base))).await
    }

    async fn post(&self, path: &str, body: &Json) -> Result<Json, Refusal> {
        self.send(self.client.request(Method::POST, format!("{}{path}", self.base)).json(body)).await
    }

    /// Has the target looked at again.
    async fn look(&self, id: &str) -> Result<Json, Refusal> {
        self.post(&at(id, "look")?, &json!({})).await
    }

    async fn send(&self, request: RequestBuilder) -> Result<Json, Refusal> {
        let unreachable = |error: reqwest::Error| {
            let what = format!("the portal at {} does not answer: {}", self.base, outbound::said(error));
            Refusal::new(Code::ConnectionFailed, what).with_remedy("check the address, and whether the portal is up")
        };
        let answer = request.bearer_auth(&self.token).send().await.map_err(unreachable)?;
        let (status, body) = (answer.status(), answer.bytes().await.map_err(unreachable)?);
        if status.is_success()
            && let Ok(found) = serde_json::from_slice(&body)
        {
            return Ok(found);
        }
        let Ok(Answer { error }) = serde_json::from_slice::<Answer>(&body) else {
            let what = format!("{} answers {status}, and not as a portal does", self.base);
            return Err(Refusal::new(Code::ConnectionFailed, what).with_remedy("check the address"));
        };
        let code = Code::ALL.iter().copied().find(|code| code.as_str() == error.code).unwrap_or(Code::InternalError);
        Err(Refusal::new(code, shown(&error.message, 600)).with_remedy(shown(&error.remedy, 300)))
    }
}
