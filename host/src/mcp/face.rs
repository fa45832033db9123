//! Which of two faces the catalogue shows a principal: one tool for each action, or five tools through which every action is
//! found, described and run. Both lead through the same gate; only what a client's model has to read differs.

use std::sync::Arc;

use rmcp::model::Tool;
use serde::Deserialize;

use super::{McpSettings, own::Own, schema, tool};
use crate::gate::call::{Health, OfferedAction};

/// Most actions that [`Face::Auto`] lists one by one. Hosts cap the tools of all their servers together (128 in one request
/// is a common cap), and what exceeds it is dropped without a word; this leaves room for other servers.
pub const MOST_ACTIONS: usize = 96;
/// Most bytes of such a list, output schemas not counted, since most hosts keep them from their model. What is left a model
/// reads before each turn, at about four bytes a token: this is a fifth of a context of 200,000 tokens. The two stock packs
/// (54 actions, three targets) fit with room to spare.
pub const MOST_BYTES: usize = 160 * 1024;

/// What an operator sets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Face {
    /// By the number of actions that a principal may call, and by what their list weighs.
    #[default]
    Auto,
    /// One tool for each action.
    Actions,
    /// Five tools for all actions.
    Catalogue,
}

/// What a principal is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shown {
    /// One tool for each action.
    Actions,
    /// Five tools for all actions.
    Catalogue,
}

impl Face {
    /// The face for a principal who is offered these actions. The same actions give the same face: whether a target was
    /// reachable when it was last asked is in the list, and does not count.
    #[must_use]
    pub fn shown(self, offered: &[OfferedAction], settings: &McpSettings) -> Shown {
        match self {
            Self::Actions => Shown::Actions,
            Self::Catalogue => Shown::Catalogue,
            Self::Auto => automatic(offered, settings),
        }
    }
}

fn automatic(offered: &[OfferedAction], settings: &McpSettings) -> Shown {
    let many = offered.len() > MOST_ACTIONS || weight(offered, settings) > MOST_BYTES;
    if many { Shown::Catalogue } else { Shown::Actions }
}

/// Bytes of the list of one tool for each action, whatever is known of targets' health.
fn weight(offered: &[OfferedAction], settings: &McpSettings) -> usize {
    let mut offered = offered.to_vec();
    for target in offered.iter_mut().flat_map(|action| &mut action.targets) {
        target.health = Health::Unknown;
    }
    bytes_to_read(listed(Shown::Actions, &offered, settings))
}

/// Bytes of a list as a model reads it.
#[must_use]
pub fn bytes_to_read(mut tools: Vec<Tool>) -> usize {
    for tool in &mut tools {
        tool.output_schema = None;
    }
    serde_json::to_vec(&tools).map_or(usize::MAX, |json| json.len())
}

/// Every tool of one principal, by name; the order is the same on every page and every call.
#[must_use]
pub fn tools(offered: &[OfferedAction], settings: &McpSettings) -> Vec<Tool> {
    listed(settings.face.shown(offered, settings), offered, settings)
}

fn listed(face: Shown, offered: &[OfferedAction], settings: &McpSettings) -> Vec<Tool> {
    let output = Arc::new(schema::output());
    let mut tools: Vec<Tool> =
        Own::ALL.into_iter().filter(|own| own.is_in(face)).map(|own| own.tool(settings)).collect();
    if face == Shown::Actions {
        tools.extend(offered.iter().map(|action| tool::of_action(action, settings, Arc::clone(&output))));
    }
    tools.sort_by(|a, b| a.name.cmp(&b.name));
    tools
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::mcp::tool::tests::offered;

    fn many(count: usize, description: usize) -> Vec<OfferedAction> {
        let one = |n: usize| {
            let mut action = offered(&format!("pack.action_{n}"));
            action.description = "x".repeat(description);
            action
        };
        (0..count).map(one).collect()
    }

    fn auto(offered: &[OfferedAction]) -> Shown {
        Face::Auto.shown(offered, &McpSettings::default())
    }

    #[test]
    fn few_actions_are_tools_and_many_are_a_catalogue() {
        assert_eq!(auto(&many(0, 0)), Shown::Actions);
        assert_eq!(auto(&many(MOST_ACTIONS, 0)), Shown::Actions);
        assert_eq!(auto(&many(MOST_ACTIONS + 1, 0)), Shown::Catalogue);
        assert_eq!(auto(&many(4, MOST_BYTES / 4)), Shown::Catalogue);
        let settings = McpSettings::default();
        assert_eq!(Face::Actions.shown(&many(500, 0), &settings), Shown::Actions);
        assert_eq!(Face::Catalogue.shown(&many(1, 0), &settings), Shown::Catalogue);
    }

    #[test]
    fn a_target_that_comes_and_goes_does_not_change_the_face() {
        // As heavy as may be, to the byte: one more word about a target would tip it.
        let settings = McpSettings::default();
        // A description that is not empty has a space behind it, so the measure is one of a single letter.
        let rest = MOST_BYTES - weight(&many(1, 1), &settings);
        let mut offered = many(1, rest + 1);
        assert_eq!((weight(&offered, &settings), auto(&offered)), (MOST_BYTES, Shown::Actions));
        offered[0].targets[0].health = Health::Unreachable;
        assert!(bytes_to_read(listed(Shown::Actions, &offered, &settings)) > MOST_BYTES, "the word is in the list");
        assert_eq!(auto(&offered), Shown::Actions);
        offered[0].description.push('x');
        assert_eq!(auto(&offered), Shown::Catalogue);
    }

    #[test]
    fn each_face_lists_its_own_tools() {
        let names = |face: Face| -> Vec<String> {
            let settings = McpSettings { face, ..McpSettings::default() };
            tools(&[offered("postgres.uptime")], &settings).into_iter().map(|tool| tool.name.into_owned()).collect()
        };
        assert_eq!(names(Face::Actions), ["lockgate.await_approval", "lockgate.recent_runs", "postgres.uptime"]);
        assert_eq!(
            names(Face::Catalogue),
            [
                "lockgate.await_approval",
                "lockgate.find_actions",
                "lockgate.get_action",
                "lockgate.recent_runs",
                "lockgate.run_action"
            ]
        );
    }
}
