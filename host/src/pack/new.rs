//! The beginning of a pack: a few files with one action that works, its cases, and nothing that has to be deleted first.

use std::{collections::BTreeMap, path::Path};

/// What a pack may be written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// With the SDK of this repository.
    Rust,
    /// With `@bytecodealliance/jco`.
    JavaScript,
    /// With `componentize-py`.
    Python,
}

/// Every file under `templates`: its path there, and its text with `{{name}}` and `{{sdk}}` to be filled in. Below the
/// directory of a language is what is written in it, below `common` what is the same in all that have none of their own. A
/// name ends with `.in` where the file would mean something to a tool that comes by.
const TEMPLATES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/templates.rs"));

/// Why there is no beginning.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NewError {
    /// Not a pack's name.
    #[error("`{0}` is not a pack name: use `^[a-z][a-z0-9-]{{0,62}}$`, and not `lockgate`, which is the host's own")]
    Name(String),
    /// A path that would change what the files say.
    #[error("the SDK's path `{0}` has characters that can't stand in a manifest: give another")]
    Sdk(String),
    /// Not in this build.
    #[error("this build of lockgate has no template for {0}: begin with `--lang rust`")]
    Language(&'static str),
}

impl Language {
    /// As a person writes it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rust => "Rust",
            Self::JavaScript => "JavaScript",
            Self::Python => "Python",
        }
    }

    /// Its directory among the templates.
    fn directory(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::JavaScript => "javascript",
            Self::Python => "python",
        }
    }
}

/// The files of one directory of the templates, by where they go.
fn template(directory: &str) -> impl Iterator<Item = (&'static str, &'static str)> {
    TEMPLATES.iter().filter_map(move |(path, text)| {
        let path = path.strip_prefix(directory)?.strip_prefix('/')?;
        Some((path.strip_suffix(".in").unwrap_or(path), *text))
    })
}

/// The files of a new pack: path and text.
///
/// # Errors
/// See [`NewError`].
pub fn files(name: &str, language: Language, sdk: &Path) -> Result<Vec<(&'static str, String)>, NewError> {
    let well_formed = name.len() <= 63
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !well_formed || name == "lockgate" {
        return Err(NewError::Name(name.chars().take(64).flat_map(char::escape_debug).collect()));
    }
    let sdk = sdk.to_string_lossy();
    if sdk.chars().any(|c| c == '"' || c == '\\' || c.is_control() || c == char::REPLACEMENT_CHARACTER) {
        return Err(NewError::Sdk(sdk.chars().flat_map(char::escape_debug).collect()));
    }
    let mut all: BTreeMap<&str, &str> = template("common").collect();
    let common = all.len();
    all.extend(template(language.directory()));
    if all.len() == common {
        return Err(NewError::Language(language.as_str()));
    }
    let fill = |text: &str| text.replace("{{name}}", name).replace("{{sdk}}", &sdk);
    Ok(all.into_iter().map(|(path, text)| (path, fill(text))).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_filled_in() {
        let files = files("table-sizes", Language::Rust, Path::new("/opt/lockgate/packs-wit")).unwrap();
        let names: Vec<_> = files.iter().map(|(path, _)| *path).collect();
        assert!(names.contains(&"src/lib.rs") && names.contains(&"tests/cases.toml"), "{names:?}");
        assert!(files.iter().all(|(_, text)| !text.contains("{{") && text.ends_with('\n')));
        let manifest: toml::Table = files.iter().find(|(path, _)| *path == "Cargo.toml").unwrap().1.parse().unwrap();
        assert_eq!(manifest["package"]["name"].as_str(), Some("table-sizes"));
    }

    #[test]
    fn names_that_can_not_be_signed_are_refused() {
        for name in ["", "Sizes", "1st", "a_b", "../up", "lockgate", "a\u{1b}", &"a".repeat(64)] {
            assert!(matches!(files(name, Language::Rust, Path::new("/sdk")), Err(NewError::Name(_))), "{name}");
        }
        assert!(matches!(files("a", Language::Rust, Path::new("/a\"b")), Err(NewError::Sdk(_))));
    }
}
