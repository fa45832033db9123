//! `pg_service.conf`: named sets of connection settings (PostgreSQL manual, "The Connection Service File"). What is in the
//! file only fills what the target itself leaves open.

use std::{collections::BTreeMap, path::Path};

use super::error::TargetError;

/// The settings of one service, by libpq's keywords.
pub(super) type Service = BTreeMap<String, String>;

/// Finds a service in a file's text. `Ok(None)` if the file does not have it.
pub(super) fn find(path: &Path, text: &str, name: &str) -> Result<Option<Service>, TargetError> {
    let mut inside = false;
    let mut found: Option<Service> = None;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(section) = line.strip_prefix('[') {
            if found.is_some() {
                break;
            }
            inside = section.strip_suffix(']') == Some(name);
            if inside {
                found = Some(Service::new());
            }
            continue;
        }
        let (true, Some(service)) = (inside, found.as_mut()) else {
            continue;
        };
        let place = number + 1;
        let Some((key, value)) = line.split_once('=') else {
            return Err(TargetError::file(path, format!("line {place} is not `keyword=value`")));
        };
        let key = key.trim();
        if matches!(key, "service" | "ldap") || key.starts_with("ldap:") {
            return Err(TargetError::file(path, format!("line {place}: `{key}` is not supported in a service")));
        }
        // libpq takes the first of two settings of one keyword.
        service.entry(key.to_owned()).or_insert_with(|| value.trim().to_owned());
    }
    Ok(found)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    const TEXT: &str = "# ours\n[a]\nhost=one\n\n[orders]\nhost = db1\nport=5433\nhost=second\n[b]\nhost=three\n";

    #[test]
    fn a_service_is_found_by_name() {
        let path = Path::new("pg_service.conf");
        let service = find(path, TEXT, "orders").unwrap().unwrap();
        assert_eq!((service["host"].as_str(), service["port"].as_str(), service.len()), ("db1", "5433", 2));
        assert_eq!(find(path, TEXT, "nothing").unwrap(), None);
    }

    #[test]
    fn a_line_that_is_no_setting_is_named() {
        let error = find(Path::new("f"), "[x]\nhost\n", "x").unwrap_err().to_string();
        assert!(error.contains("line 2"), "{error}");
        let error = find(Path::new("f"), "[x]\nldap://where\nhost=a", "x").unwrap_err().to_string();
        assert!(error.contains("line 2"), "{error}");
    }
}
