//! Actions as MCP tools: their names towards clients, what is said of them, and the hints a client may show.

use std::{borrow::Cow, sync::Arc};

use rmcp::model::{MetaObject, Tool, ToolAnnotations};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{McpSettings, own::Own, schema};
use crate::{gate::call::OfferedAction, pack::manifest::Risk, statement::Role};

/// What stands between pack and action in a tool's name. Dots are legal in MCP; some clients refuse or rewrite them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Separator {
    /// `postgres.uptime`
    #[default]
    #[serde(rename = ".")]
    Dot,
    /// `postgres_uptime`
    #[serde(rename = "_")]
    Underscore,
    /// `postgres-uptime`
    #[serde(rename = "-")]
    Dash,
}

impl Separator {
    /// An action's name as clients see it.
    #[must_use]
    pub fn outward<'a>(self, action: &'a str) -> Cow<'a, str> {
        match self {
            Self::Dot => Cow::Borrowed(action),
            Self::Underscore => Cow::Owned(action.replacen('.', "_", 1)),
            Self::Dash => Cow::Owned(action.replacen('.', "-", 1)),
        }
    }

    /// The action that a client means. The dotted name is always understood, since results and texts use it.
    #[must_use]
    pub fn inward<'a>(self, called: &'a str, offered: impl FnOnce() -> Vec<OfferedAction>) -> Cow<'a, str> {
        if self == Self::Dot || called.contains('.') {
            return Cow::Borrowed(called);
        }
        if let Some(own) = Own::ALL.into_iter().find(|own| self.outward(own.name()) == called) {
            return Cow::Borrowed(own.name());
        }
        offered()
            .into_iter()
            .find(|action| self.outward(&action.name) == called)
            .map_or(Cow::Borrowed(called), |action| Cow::Owned(action.name))
    }
}

/// The tool of one action.
#[must_use]
pub fn of_action(action: &OfferedAction, settings: &McpSettings, output: Arc<schema::Schema>) -> Tool {
    let name = settings.separator.outward(&action.name).into_owned();
    let mut tool = Tool::new(name, describe(action), Arc::new(schema::input(action)))
        .with_title(action.title.clone())
        .with_raw_output_schema(output)
        .with_annotations(
            ToolAnnotations::with_title(action.title.clone())
                .read_only(action.reads_only)
                .destructive(!action.reads_only && action.risk >= Risk::High)
                .idempotent(action.reads_only || action.idempotent)
                .open_world(false),
        );
    let mut meta = Map::new();
    meta.insert("lockgate/risk".to_owned(), Value::from(action.risk.as_str()));
    meta.insert("lockgate/held".to_owned(), Value::from(action.held));
    tool.meta = Some(MetaObject::from(meta));
    tool
}

fn describe(action: &OfferedAction) -> String {
    let mut text = action.description.trim().to_owned();
    let mut add = |sentence: &str| {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(sentence);
    };
    if !action.side_effects.trim().is_empty() {
        add(&format!("Side effects: {}", with_period(&action.side_effects)));
    }
    add(&format!("Risk: {}.", action.risk.as_str()));
    if action.held {
        add("A person must approve each call before it runs.");
    }
    if !action.works_on_standby && action.targets.iter().any(|target| target.role == Role::Standby) {
        add("Does not work on a standby.");
    }
    if let Some(example) = action.examples.first() {
        add(&format!("Use it when: {}", with_period(&example.situation)));
    }
    text
}

fn with_period(sentence: &str) -> Cow<'_, str> {
    let sentence = sentence.trim();
    if sentence.ends_with(['.', '!', '?']) { Cow::Borrowed(sentence) } else { Cow::Owned(format!("{sentence}.")) }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub(crate) mod tests {
    use super::*;
    use crate::{
        gate::call::{Health, TargetOffer},
        pack::manifest::{Param, ParamKind},
        value::Value as PackValue,
    };

    pub(crate) fn offered(name: &str) -> OfferedAction {
        OfferedAction {
            name: name.into(),
            title: "A title".into(),
            description: "What it does.".into(),
            risk: Risk::Low,
            params: Vec::new(),
            side_effects: String::new(),
            works_on_standby: true,
            idempotent: true,
            reads_only: true,
            held: false,
            examples: Vec::new(),
            search_terms: Vec::new(),
            targets: vec![TargetOffer { name: "primary".into(), role: Role::Primary, health: Health::Unknown }],
        }
    }

    pub(crate) fn param(name: &str, kind: ParamKind) -> Param {
        Param { name: name.into(), description: "About it.".into(), kind, required: true, default: PackValue::Null }
    }

    #[test]
    fn a_held_act_says_so() {
        let mut action = offered("postgres.terminate_backend");
        action.risk = Risk::High;
        action.held = true;
        action.reads_only = false;
        action.idempotent = false;
        action.side_effects = "closes one connection".into();
        let tool = of_action(&action, &McpSettings::default(), Arc::new(schema::output()));
        let hints = tool.annotations.as_ref().unwrap();
        assert_eq!(
            (hints.read_only_hint, hints.destructive_hint, hints.idempotent_hint, hints.open_world_hint),
            (Some(false), Some(true), Some(false), Some(false))
        );
        assert_eq!(
            tool.description.as_deref().unwrap(),
            "What it does. Side effects: closes one connection. Risk: high. A person must approve each call before it runs."
        );
    }

    #[test]
    fn names_survive_the_way_out_and_in() {
        let list = || vec![offered("postgres.is_in_recovery"), offered("my-pack.act")];
        for separator in [Separator::Dot, Separator::Underscore, Separator::Dash] {
            for action in list() {
                let outward = separator.outward(&action.name);
                assert_eq!(separator.inward(&outward, list), action.name);
                assert_eq!(separator.inward(&action.name, list), action.name);
            }
            for own in Own::ALL {
                assert_eq!(separator.inward(&separator.outward(own.name()), list), own.name());
            }
        }
        assert_eq!(Separator::Underscore.outward("postgres.is_in_recovery"), "postgres_is_in_recovery");
        assert_eq!(Separator::Underscore.inward("nonsense", list), "nonsense");
    }
}
