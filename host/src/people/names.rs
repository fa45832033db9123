//! What accounts, groups and other names of people may be. An account's name is ASCII in lower case, so that two that look
//! alike are the same; a group's may not pass for a portal role.

use std::collections::BTreeSet;

use crate::{
    error::{Code, Refusal},
    outside::{is_hidden, shown},
    store::PortalRole,
};

/// Longest name of an account or a group, and longest other name, in characters.
const NAME: usize = 64;
/// Longest e-mail address (RFC 5321, section 4.5.3.1.3).
const EMAIL: usize = 254;
/// Most groups of one account.
const GROUPS: usize = 64;

/// An account's name as it is kept: trimmed and in lower case.
///
/// # Errors
/// When it can't be one.
pub fn account(text: &str) -> Result<String, Refusal> {
    let name = text.trim().to_ascii_lowercase();
    let fits = (1..=NAME).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'@' | b'+'))
        && name.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric());
    if fits {
        return Ok(name);
    }
    let given = shown(text, NAME);
    Err(refused(format!(
        "`{given}` can't be an account's name: 1 to {NAME} ASCII letters, digits, `.`, `_`, `-`, `+` and `@`, a letter or digit first"
    )))
}

/// Groups as they are kept.
///
/// # Errors
/// When one can't be a group, or they are too many.
pub fn groups<'a>(given: impl IntoIterator<Item = &'a str>) -> Result<BTreeSet<String>, Refusal> {
    let groups: BTreeSet<String> =
        given.into_iter().map(str::trim).filter(|group| !group.is_empty()).map(str::to_owned).collect();
    if groups.len() > GROUPS {
        return Err(refused(format!("an account is in at most {GROUPS} groups")));
    }
    for group in &groups {
        if group.chars().count() > NAME || group.chars().any(|c| is_hidden(c) || c.is_whitespace() || c == ',') {
            return Err(refused(format!(
                "`{}` can't be a group: 1 to {NAME} visible characters without spaces and commas",
                shown(group, NAME)
            )));
        }
        if group.to_lowercase().parse::<PortalRole>().is_ok() {
            return Err(refused(format!(
                "`{group}` is a portal role and can't be a group too: policy's approvers are groups, and nobody is one by \
                 their role"
            )));
        }
    }
    Ok(groups)
}

/// The operating system's user of a person; nothing for nothing.
///
/// # Errors
/// When it can't be one.
pub fn os_user(text: Option<&str>) -> Result<Option<String>, Refusal> {
    let Some(user) = text.map(str::trim).filter(|user| !user.is_empty()) else { return Ok(None) };
    if user.chars().count() > NAME || user.chars().any(|c| is_hidden(c) || c.is_whitespace()) {
        return Err(refused(format!("`{}` can't be a user of the operating system", shown(user, NAME))));
    }
    Ok(Some(user.to_owned()))
}

/// A person's e-mail address; nothing for nothing. Whether it can be delivered to is for others to find.
///
/// # Errors
/// When it can't be one.
pub fn email(text: Option<&str>) -> Result<Option<String>, Refusal> {
    let Some(email) = text.map(str::trim).filter(|email| !email.is_empty()) else { return Ok(None) };
    let fits = email.len() <= EMAIL
        && email.is_ascii()
        && !email.bytes().any(|b| b.is_ascii_control() || b.is_ascii_whitespace() || b"<>(),;:\\\"[]".contains(&b))
        && email.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty() && !domain.is_empty() && !domain.contains('@') && !domain.starts_with(['.', '-'])
        });
    if fits {
        Ok(Some(email.to_owned()))
    } else {
        Err(refused(format!("`{}` is no e-mail address", shown(email, NAME))))
    }
}

fn refused(message: String) -> Refusal {
    Refusal::new(Code::AccountRefused, message)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_accounts_name_is_plain() {
        for (given, name) in
            [("Grace", "grace"), (" ada.l@corp.example ", "ada.l@corp.example"), ("a+b_c-1", "a+b_c-1")]
        {
            assert_eq!(account(given).unwrap(), name);
        }
        for bad in ["", " ", "-x", "@x", "a b", "grаce", "é", "a/b", "a\u{200b}", &"a".repeat(65)] {
            assert!(account(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_portal_role_is_never_a_group() {
        assert_eq!(groups(["dba", " dba ", "", "on-call"]).unwrap().len(), 2);
        for bad in ["admin", "Approver", "VIEWER", "a,b", "a b", "a\u{202e}"] {
            assert!(groups([bad]).is_err(), "{bad}");
        }
        let many: Vec<String> = (0..65).map(|n| format!("g{n}")).collect();
        assert!(groups(many.iter().map(String::as_str)).is_err());
    }

    #[test]
    fn other_names_are_taken_or_left() {
        assert_eq!((os_user(None).unwrap(), os_user(Some("  ")).unwrap()), (None, None));
        assert_eq!(os_user(Some(" grace ")).unwrap().as_deref(), Some("grace"));
        assert!(os_user(Some("a b")).is_err());
        assert_eq!(email(Some("g@corp.example")).unwrap().as_deref(), Some("g@corp.example"));
        for bad in ["g", "@x", "g@", "a@b@c", "a b@c", "a@.c", "a@b\r\nBcc: c", "<a@b>"] {
            assert!(email(Some(bad)).is_err(), "{bad}");
        }
    }
}
