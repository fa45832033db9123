//! Policy: what is in force, rule by rule, the file it came from, and what it says to one call, with every rule that was looked
//! at. Asking changes nothing and is not a call.

use axum::extract::{Query, State};
use jiff::Timestamp;
use lockgate_signing::file;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Map;

use super::{off_thread, runs::time};
use crate::{
    error::Refusal,
    gate::Gate,
    outside::{plain, shown},
    policy::{
        Holds, Installed, Policy, Question,
        explain::{Explanation, RuleExplained, sentence},
        question::argument,
    },
    portal::{
        Here, Page, Portal, Problem, Tone, Viewer,
        parts::{Cell, Facts, Field, Table, block, notice, query, risk, select, state},
    },
    postgres::Target,
    statement::Role,
};

/// Largest file that is shown; policy takes none that is larger.
const MAX_POLICY: u64 = 1 << 20;

/// A call, as the form has it.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    action: String,
    #[serde(default)]
    target: String,
    #[serde(default)]
    place: String,
    #[serde(default)]
    agent: String,
    #[serde(default)]
    person: String,
    #[serde(default)]
    roles: String,
    #[serde(default)]
    arguments: String,
    #[serde(default)]
    at: String,
}

impl Asked {
    fn is_whole(&self) -> bool {
        [&self.action, &self.target, &self.agent].iter().all(|text| !text.trim().is_empty())
    }

    /// The call, and what policy says to it.
    fn explained(&self, gate: &Gate) -> Result<Explanation, String> {
        let rules = gate.rules();
        let mut question = Question::new(self.action.trim(), self.target.trim(), self.agent.trim());
        let seen = || gate.targets().get(self.target.trim()).and_then(Target::role_hint);
        question.set_target_role(match self.place.as_str() {
            "primary" => Some(Role::Primary),
            "standby" => Some(Role::Standby),
            _ => seen(),
        });
        let person = self.person.trim();
        question.person = (!person.is_empty()).then(|| person.to_owned());
        question.roles =
            self.roles.split(',').map(str::trim).filter(|role| !role.is_empty()).map(str::to_owned).collect();
        question.at = time(&self.at).map_err(|_| format!("`{}` is no time", shown(&self.at, 40)))?;
        let mut arguments = Map::new();
        for line in self.arguments.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (name, value) = argument(line)?;
            if arguments.insert(name.clone(), value).is_some() {
                return Err(format!("the argument `{}` is given twice", shown(&name, 64)));
            }
        }
        question.arguments = arguments;
        let question = question.complete(Installed(Some(&rules.catalog)))?;
        let risk = question.risk.ok_or("the risk is not known")?;
        Ok(rules.policy.explain(&question.subject(risk, Timestamp::now())))
    }
}

/// The page.
pub(super) async fn show(State(portal): State<Portal>, _: Viewer, Query(asked): Query<Asked>) -> Result<Page, Problem> {
    let rules = portal.gate.rules();
    let explained = asked.is_whole().then(|| asked.explained(&portal.gate));
    let file = on_disk(&portal, &rules.policy).await?;
    Ok(Page::new(
        "Policy",
        Here::Policy,
        html! {
            section.card aria-labelledby="ask-heading" {
                h2 #ask-heading { "What becomes of a call?" }
                @match &explained {
                    Some(Ok(explanation)) => (answer(explanation)),
                    Some(Err(why)) => (notice(Tone::Failed, &html! { "It can't be told: " (plain(why, 1000).text) })),
                    None => {}
                }
                (form(&portal.gate, &asked))
            }
            (rules_table(&rules.policy))
            (defaults(&rules.policy))
            (file)
            p { a href=(query("/changes", &[("kind", "policy")])) { "How it has changed" } }
        },
    ))
}

fn form(gate: &Gate, asked: &Asked) -> Markup {
    let rules = gate.rules();
    let actions: Vec<(&str, &str)> = [("", "choose one")]
        .into_iter()
        .chain(rules.catalog.entries().map(|entry| (&*entry.name, &*entry.name)))
        .collect();
    let targets: Vec<(&str, &str)> = [("", "choose one")]
        .into_iter()
        .chain(gate.targets().keys().map(|name| (name.as_str(), name.as_str())))
        .collect();
    let places = [("", "as it was last seen"), ("primary", "primary"), ("standby", "standby")];
    html! {
        form.filters method="get" action="/policy" {
            (select("action", "Action", &asked.action, &actions))
            (select("target", "Target", &asked.target, &targets))
            (select("place", "The target is", &asked.place, &places))
            (Field::new("agent", "Agent").value(&asked.agent).needed().longest(200).show())
            (Field::new("person", "Person behind it").value(&asked.person).longest(100).show())
            (Field::new("roles", "Roles").value(&asked.roles).hint("Separated by commas").show())
            (Field::new("arguments", "Arguments").value(&asked.arguments).lines(3).longest(4000).hint("name=value, one a line").show())
            (Field::new("at", "When").value(&asked.at).hint("UTC; now if left out").longest(40).show())
            div.actions { button type="submit" { "Explain" } }
        }
    }
}

fn answer(explanation: &Explanation) -> Markup {
    let decision = &explanation.decision;
    let counts = if explanation.default_counts {
        "counts, since no rule matches for certain"
    } else {
        "not used: a rule matches"
    };
    let facts = Facts::new()
        .with(
            "Risk",
            html! {
                (risk(decision.risk()))
                @if !explanation.raised_by.is_empty() {
                    " signed as " (explanation.signed_risk.as_str()) ", raised by " (explanation.raised_by.join("; "))
                }
            },
        )
        .with("Default", html! { (state(explanation.default.as_str())) " " (counts) });
    // The verdict is the sentence's first word; here a badge says it.
    let (verdict, sentence) = (decision.verdict().as_str(), sentence(decision));
    let said = sentence.strip_prefix(verdict).map_or(sentence.as_str(), |rest| rest.trim_start_matches([',', ' ']));
    let mut table = Table::new("Every rule that was looked at", ["Rule", "Says", "Decides", "Why", "Conditions"])
        .or_say("There are no rules: the default decides.");
    for rule in &explanation.rules {
        table.row(looked_at(rule));
    }
    html! {
        p.lead { (state(verdict)) " " (plain(said, 1000).text) "." }
        (facts.show())
        (table.show())
        h3 { "Another call" }
    }
}

fn looked_at(rule: &RuleExplained) -> [Cell; 5] {
    [
        html! { (plain(&rule.name, 200).text) }.into(),
        state(rule.verdict.as_str()).into(),
        Cell::text(if rule.decides { "yes" } else { "no" }),
        Cell::text(plain(&rule.why, 500).text),
        html! {
            ul.plain { @for one in &rule.conditions {
                li { code { (plain(&one.key, 80).text) } " " (plain(&one.wanted, 300).text) ": " strong { (holds(one.holds)) }
                    ", the call has " (plain(&one.found, 200).text) }
            } }
        }
        .into(),
    ]
}

fn holds(holds: Holds) -> &'static str {
    match holds {
        Holds::Yes => "holds",
        Holds::No => "does not hold",
        Holds::Untold | Holds::Open => "can't be told",
    }
}

fn rules_table(policy: &Policy) -> Markup {
    let mut table = Table::new("Rules", ["Rule", "Says", "To calls with", "Asks for"]).or_say(
        "There are none: the default of a call's risk decides. `policy` in the configuration names a file with rules.",
    );
    let pairs = |pairs: &[(String, String)], none: &str| {
        html! {
            @if pairs.is_empty() { span.quiet { (none) } }
            ul.plain { @for (key, value) in pairs { li { code { (plain(key, 80).text) } " " (plain(value, 500).text) } } }
        }
    };
    for rule in policy.rules_in_words() {
        table.row([
            html! { (plain(&rule.name, 200).text) }.into(),
            state(rule.verdict.as_str()).into(),
            pairs(&rule.conditions, "any").into(),
            pairs(&rule.asks, "nothing more").into(),
        ]);
    }
    html! {
        (table.show())
        p.quiet { "The strictest rule that matches decides, whatever the order." }
    }
}

fn defaults(policy: &Policy) -> Markup {
    let mut table = Table::new("Where no rule matches", ["Risk", "Says"]);
    for (level, verdict) in policy.defaults() {
        table.row([risk(level).into(), state(verdict.as_str()).into()]);
    }
    let mut raised = Table::new("Raised risks", ["Actions", "At least"])
        .or_say("None: each action has the risk that its publisher signed.");
    for (actions, level) in policy.raises() {
        raised.row([html! { (plain(&actions, 500).text) }.into(), risk(level).into()]);
    }
    html! { (table.show()) (raised.show()) }
}

/// What the file says now, and whether that is what is in force.
async fn on_disk(portal: &Portal, policy: &Policy) -> Result<Markup, Problem> {
    let in_force = html! {
        (Facts::new().with("Digest", html! { code { (policy.digest()) } }).show())
        p.quiet { "The digest is of what it means: the same for two files that differ in layout only." }
    };
    let Some(path) = portal.config.policy.clone() else {
        return Ok(html! {
            h2 { "In force" }
            p { "The configuration names no file: the built-in defaults are in force." }
            (in_force)
        });
    };
    let name = path.display().to_string();
    let read =
        off_thread(move || Ok::<_, Refusal>(file::read_once(&path, MAX_POLICY).map_err(|e| e.to_string()))).await?;
    let read = read.and_then(|bytes| String::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned()));
    let digest = policy.digest();
    let told = match &read {
        Err(why) => notice(
            Tone::Warning,
            &html! { "The file can't be read now: " (plain(why, 500).text) ". What was read before stays in force." },
        ),
        Ok(text) => match Policy::parse(text, &name) {
            Ok(found) if found.digest() == digest => html! { p { (state("active")) " This file is in force." } },
            Ok(_) => notice(
                Tone::Warning,
                &html! { "The file says something else than what is in force. It is read within seconds, or was refused: the change history says which." },
            ),
            Err(error) => notice(
                Tone::Failed,
                &html! { "The file can't be used, and what was read before stays in force: " (plain(&error.to_string(), 1000).text) },
            ),
        },
    };
    let is_in_force =
        read.as_ref().is_ok_and(|text| Policy::parse(text, &name).is_ok_and(|found| found.digest() == digest));
    Ok(html! {
        h2 { "In force" }
        (in_force)
        (told)
        @if let Ok(text) = &read { (block(&plain(&name, 300).text, text)) }
        @if !is_in_force {
            @if let Ok(text) = policy.to_toml() { (block("What is in force, rules by name and without comments", &text)) }
        }
    })
}
