//! A file of cases: what is in the database, what is called, and what is expected. Refused as a whole for a typo, with the
//! line and the nearest key.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use lockgate_signing::encoding::closest;
use serde::Deserialize;
use serde_json::{Map, Value as Json};
use toml::Spanned;

use super::expect::Expect;
use crate::{
    cli::pack::read_text,
    error::{Code, Refusal},
    pack::prove::ProvenManifest,
    statement::SUPPORTED,
    toml_error::{at_line, toml_error},
};

/// Cases as they were read.
#[derive(Debug)]
pub(super) struct Cases {
    /// What errors call the file.
    place: String,
    /// SQL that every case begins with.
    pub(super) fixtures: Vec<String>,
    /// Major versions; the newest that is found if there is none.
    pub(super) servers: Vec<u32>,
    pub(super) cases: Vec<Placed>,
}

/// A case and where it stands.
#[derive(Debug)]
pub(super) struct Placed {
    /// `file:line`
    pub(super) place: String,
    pub(super) case: Case,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    version: Spanned<u32>,
    #[serde(default)]
    fixtures: Vec<PathBuf>,
    #[serde(default)]
    servers: Vec<Spanned<u32>>,
    #[serde(default, rename = "case")]
    cases: Vec<Spanned<Case>>,
}

/// One call.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    pub(super) name: Spanned<String>,
    /// Without the pack's name.
    pub(super) action: Spanned<String>,
    #[serde(default)]
    pub(super) arguments: Map<String, Json>,
    /// One row as superuser, whose columns are arguments, too: what is only known once the sessions are there.
    pub(super) arguments_from: Option<String>,
    /// Run as superuser before anything else.
    pub(super) arrange: Option<String>,
    /// Each run on a connection of its own as the role `app`, which stays open until the case has ended.
    #[serde(default)]
    pub(super) sessions: Vec<String>,
    /// Run as superuser between the preview and the approval.
    pub(super) meanwhile: Option<String>,
    /// A query as superuser that must come to answer true.
    pub(super) afterwards: Option<String>,
    /// Only on these major versions.
    pub(super) servers: Option<Vec<Spanned<u32>>>,
    #[serde(default)]
    pub(super) expect: Expect,
}

impl Cases {
    /// Reads a file of cases and the fixtures beside it.
    pub(super) fn load(path: &Path) -> Result<Self, Refusal> {
        let text = read_text(path)?;
        let (mut cases, fixtures) = Self::parse(&text, &path.display().to_string())?;
        let beside = path.parent().unwrap_or(Path::new("."));
        cases.fixtures = fixtures.iter().map(|name| read_text(&beside.join(name))).collect::<Result<_, _>>()?;
        Ok(cases)
    }

    /// Parses the text of a file of cases; what comes with them are the names of its fixtures.
    pub(super) fn parse(text: &str, place: &str) -> Result<(Self, Vec<PathBuf>), Refusal> {
        let written: Written = toml::from_str(text).map_err(|e| unusable(toml_error(place, text, &e)))?;
        let wrong = |at: usize, what: &str| Err(unusable(at_line(place, text, at, what)));
        if *written.version.get_ref() != 1 {
            return wrong(written.version.span().start, "`version` must be 1");
        }
        // A file without a case would always pass.
        if written.cases.is_empty() {
            return wrong(text.len(), "there is no [[case]]");
        }
        let mut names = BTreeSet::new();
        for case in written.cases.iter().map(Spanned::get_ref) {
            if !names.insert(case.name.get_ref().clone()) {
                return wrong(case.name.span().start, "another case has this name");
            }
            if let Some((at, what)) = case.expect.contradiction() {
                return wrong(at.unwrap_or(case.name.span().start), what);
            }
        }
        let on = written.cases.iter().filter_map(|case| case.get_ref().servers.as_ref()).flatten();
        if let Some(unknown) = written.servers.iter().chain(on).find(|major| !SUPPORTED.contains(major.get_ref())) {
            let what = format!("lockgate supports PostgreSQL {} to {}", SUPPORTED.start(), SUPPORTED.end());
            return wrong(unknown.span().start, &what);
        }
        let placed = |case: Spanned<Case>| {
            let line = text.get(..case.span().start).unwrap_or_default().matches('\n').count() + 1;
            Placed { place: format!("{place}:{line}"), case: case.into_inner() }
        };
        let cases = Self {
            place: place.to_owned(),
            fixtures: Vec::new(),
            servers: written.servers.into_iter().map(Spanned::into_inner).collect(),
            cases: written.cases.into_iter().map(placed).collect(),
        };
        Ok((cases, written.fixtures))
    }

    /// Sees that the pack has what the cases call.
    pub(super) fn fit(&self, manifest: &ProvenManifest) -> Result<(), Refusal> {
        let actions = || manifest.manifest().actions.iter().map(|action| action.name.as_str());
        for Placed { place, case } in &self.cases {
            let action = case.action.get_ref();
            if manifest.action(action).is_none() {
                let near = closest(action, actions()).map(|near| format!("; did you mean `{near}`"));
                let near = near.unwrap_or_else(|| format!("; it has {}", actions().collect::<Vec<_>>().join(", ")));
                return Err(unusable(format!("{place}: the pack has no action `{action}`{near}")));
            }
        }
        Ok(())
    }

    /// Keeps the cases whose names hold a text.
    pub(super) fn only(&mut self, part: &str) -> Result<(), Refusal> {
        self.cases.retain(|placed| placed.case.name.get_ref().contains(part));
        if self.cases.is_empty() {
            return Err(unusable(format!("{}: no case has `{part}` in its name", self.place)));
        }
        Ok(())
    }
}

impl Case {
    /// Whether it is for servers of this major version.
    pub(super) fn is_for(&self, major: u32) -> bool {
        self.servers.as_ref().is_none_or(|majors| majors.iter().any(|one| *one.get_ref() == major))
    }
}

pub(super) fn unusable(message: impl Into<String>) -> Refusal {
    Refusal::new(Code::ConfigInvalid, message).with_remedy("docs/packs/authoring.md has every key of a file of cases")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    const HEAD: &str = "version = 1\n\n[[case]]\nname = \"a\"\naction = \"sizes\"\n";

    fn wrong(text: &str) -> String {
        Cases::parse(text, "cases.toml").unwrap_err().message
    }

    #[test]
    fn a_whole_file_is_read() {
        let text = format!(
            "version = 1\nfixtures = [\"f.sql\"]\nservers = [13, 18]\n{}arguments = {{ limit = 5 }}\narrange = \"SELECT 1\"\n\
             sessions = [\"BEGIN\"]\narguments_from = \"SELECT 1 AS pid\"\nmeanwhile = \"SELECT 2\"\nafterwards = \"SELECT true\"\n\
             servers = [18]\n[case.expect]\nheld = true\nsummary = \"done\"\n[[case.expect.table]]\nrows = [[1, \"x\"]]\n",
            HEAD.trim_start_matches("version = 1\n")
        );
        let (cases, fixtures) = Cases::parse(&text, "cases.toml").unwrap();
        assert_eq!(fixtures, [PathBuf::from("f.sql")]);
        assert_eq!(cases.servers, [13, 18]);
        let placed = &cases.cases[0];
        assert_eq!(placed.place, "cases.toml:5");
        assert_eq!(placed.case.arguments["limit"], 5);
        assert!(placed.case.is_for(18) && !placed.case.is_for(13));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line_and_the_nearest_key() {
        assert!(wrong("").contains("missing field `version`"));
        assert_eq!(wrong("version = 2\n"), "cases.toml:1:11: `version` must be 1");
        assert_eq!(wrong("version = 1\n"), "cases.toml:2:1: there is no [[case]]");
        let typo = wrong(&format!("{HEAD}argumets = {{}}\n"));
        assert!(typo.starts_with("cases.toml:6:1: unknown field `argumets`"), "{typo}");
        assert!(typo.ends_with("did you mean `arguments`"), "{typo}");
        let typo = wrong(&format!("{HEAD}[case.expect]\nsumary = \"x\"\n"));
        assert!(typo.starts_with("cases.toml:7:1:") && typo.ends_with("did you mean `summary`"), "{typo}");
        let code = wrong(&format!("{HEAD}expect = {{ code = \"not_fond\" }}\n"));
        assert!(code.starts_with("cases.toml:6:") && code.contains("did you mean `not_found`"), "{code}");
        assert_eq!(
            wrong(&format!("{HEAD}{}", HEAD.trim_start_matches("version = 1\n"))),
            "cases.toml:8:8: another case has this name"
        );
        let old = wrong(&format!("servers = [12]\n{HEAD}"));
        assert_eq!(old, "cases.toml:1:12: lockgate supports PostgreSQL 13 to 18");
        let both = wrong(&format!("{HEAD}[case.expect]\ncode = \"not_found\"\nsummary = \"x\"\n"));
        assert!(both.contains("a call that is refused has no summary"), "{both}");
    }
}
