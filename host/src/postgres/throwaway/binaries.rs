//! Where PostgreSQL's programs are.

use std::path::{Path, PathBuf};

use super::ThrowawayError;
use crate::postgres::environment;

/// Where distributions put one directory a major version.
const PACKAGED: &str = "/usr/lib/postgresql";

/// The programs of one PostgreSQL version.
#[derive(Clone, Debug)]
pub struct Binaries {
    dir: PathBuf,
    major: u32,
}

impl Binaries {
    /// Finds a server: in `PG_BIN_<major>`, then `PG_BIN`, the packaged place and `PATH`. Without a major version the newest
    /// of the packaged ones, unless `PG_BIN` says otherwise.
    ///
    /// # Errors
    /// If there is none; says where it was looked for.
    pub fn find(major: Option<u32>) -> Result<Self, ThrowawayError> {
        Self::find_among(major, &[])
    }

    /// The same, but for a major version `<directory>/<major>/bin` of the directories given here comes after `PG_BIN` and
    /// before the packaged places.
    ///
    /// # Errors
    /// If there is none; says where it was looked for.
    pub fn find_among(major: Option<u32>, servers: &[PathBuf]) -> Result<Self, ThrowawayError> {
        Self::find_in(major, servers, Path::new(PACKAGED), &environment::process)
    }

    fn find_in(
        major: Option<u32>,
        servers: &[PathBuf],
        packaged: &Path,
        lookup: environment::Lookup<'_>,
    ) -> Result<Self, ThrowawayError> {
        // A place that somebody names is the place: another server would not be what was meant.
        let variables = major.map(|major| format!("PG_BIN_{major}")).into_iter().chain(["PG_BIN".to_owned()]);
        for variable in variables {
            let Some(dir) = lookup(&variable) else { continue };
            match Self::at(Path::new(&dir)) {
                Some(found) if major.is_none_or(|major| found.major == major) => return Ok(found),
                // `PG_BIN` may be the general answer and another version be wanted for once.
                Some(_) if variable == "PG_BIN" => {}
                _ => {
                    return Err(ThrowawayError::new(format!(
                        "{variable} is `{dir}`, where no `initdb` and `postgres` of that version run"
                    )));
                }
            }
        }
        let of_major = |dir: &PathBuf| Some(dir.join(major?.to_string()).join("bin"));
        let mut places: Vec<PathBuf> = servers.iter().filter_map(of_major).collect();
        let mut versions: Vec<u32> = std::fs::read_dir(packaged)
            .map(|entries| entries.filter_map(|e| e.ok()?.file_name().to_str()?.parse().ok()).collect())
            .unwrap_or_default();
        versions.sort_unstable_by(|a, b| b.cmp(a));
        places.extend(versions.iter().map(|version| packaged.join(version.to_string()).join("bin")));
        places.extend(lookup("PATH").iter().flat_map(std::env::split_paths));
        let found =
            places.into_iter().filter_map(|dir| Self::at(&dir)).find(|b| major.is_none_or(|major| b.major == major));
        found.ok_or_else(|| {
            let which = major.map_or_else(|| "PostgreSQL".to_owned(), |major| format!("PostgreSQL {major}"));
            let given: String = servers.iter().map(|dir| format!(" nor under {}", dir.display())).collect();
            ThrowawayError::new(format!(
                "the server programs of {which} are neither in PG_BIN nor under {PACKAGED}{given} nor in PATH: \
                 install them (Debian: `postgresql`) or set PG_BIN to the directory with initdb and postgres"
            ))
        })
    }

    /// The programs in a directory, if they are there. Links are followed: initdb looks for the rest beside the real one.
    fn at(dir: &Path) -> Option<Self> {
        let dir = std::fs::canonicalize(dir.join("initdb")).ok()?.parent()?.to_owned();
        if !dir.join("postgres").is_file() {
            return None;
        }
        let output = std::process::Command::new(dir.join("postgres")).arg("--version").output().ok()?;
        let major = parse_major(&String::from_utf8_lossy(&output.stdout))?;
        Some(Self { dir, major })
    }

    /// The major version.
    #[must_use]
    pub fn major(&self) -> u32 {
        self.major
    }

    /// A program's path.
    #[must_use]
    pub fn program(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Whether a library of contrib is installed, for `shared_preload_libraries`.
    #[must_use]
    pub fn has_library(&self, name: &str) -> bool {
        let Some(root) = self.dir.parent() else {
            return false;
        };
        ["lib", "lib/postgresql", "lib64", "lib64/pgsql"]
            .iter()
            .any(|dir| root.join(dir).join(format!("{name}.so")).is_file())
    }
}

/// From `postgres (PostgreSQL) 15.18 (Debian …)`.
fn parse_major(text: &str) -> Option<u32> {
    let version = text.split(") ").nth(1)?;
    version.chars().take_while(char::is_ascii_digit).collect::<String>().parse().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read() {
        assert_eq!(parse_major("postgres (PostgreSQL) 15.18 (Debian 15.18-1)\n"), Some(15));
        assert_eq!(parse_major("postgres (PostgreSQL) 18devel\n"), Some(18));
        assert_eq!(parse_major("psql 15"), None);
    }

    #[test]
    fn a_named_place_without_a_server_is_an_error() {
        let lookup = |name: &str| (name == "PG_BIN").then(|| "/nonexistent".to_owned());
        let error = Binaries::find_in(None, &[], Path::new(PACKAGED), &lookup).unwrap_err().to_string();
        assert!(error.contains("PG_BIN is `/nonexistent`"), "{error}");
    }

    #[test]
    fn nothing_found_says_what_to_do() {
        let error = Binaries::find_in(Some(15), &["/given".into()], Path::new("/nonexistent"), &|_| None)
            .unwrap_err()
            .to_string();
        assert!(error.contains("PostgreSQL 15") && error.contains("PG_BIN"), "{error}");
        assert!(error.contains("nor under /given"), "{error}");
    }
}
