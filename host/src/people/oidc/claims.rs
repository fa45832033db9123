//! What of a verified identity token matters here: who it is, when they showed it, and which groups they are in.

use std::collections::BTreeSet;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde_json::Value;

use super::{OidcSettings, not_right};
use crate::{
    error::{Code, Refusal},
    people::names,
    store::PortalRole,
};

/// Longest subject (Core 1.0, 2).
const SUBJECT: usize = 255;

/// Somebody, as the issuer knows them.
#[derive(Clone, Debug)]
pub(super) struct Claims {
    /// Never changes, is never given to another.
    pub(super) subject: String,
    /// The account's name.
    pub(super) name: String,
    /// When they showed who they are.
    pub(super) auth_time: Option<Timestamp>,
    groups: BTreeSet<String>,
}

impl Claims {
    /// Reads a token that has been verified.
    pub(super) fn of(token: &str, settings: &OidcSettings) -> Result<Self, Refusal> {
        let payload = token.split('.').nth(1).ok_or_else(not_right)?;
        let bytes = URL_SAFE_NO_PAD.decode(payload).map_err(|_| not_right())?;
        Self::read(&serde_json::from_slice(&bytes).map_err(|_| not_right())?, settings)
    }

    fn read(claims: &Value, settings: &OidcSettings) -> Result<Self, Refusal> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let subject = text("sub").filter(|s| (1..=SUBJECT).contains(&s.len())).ok_or_else(not_right)?.to_owned();
        let named = text(&settings.name_claim).ok_or_else(|| {
            let message = format!("your company account has no `{}`", settings.name_claim);
            Refusal::new(Code::Unauthorized, message)
                .with_remedy("the operator must ask the issuer for it, or set `name_claim`")
        })?;
        // An address that nobody has checked is one that anybody may have typed.
        if settings.name_claim == "email" && claims.get("email_verified") != Some(&Value::Bool(true)) {
            return Err(Refusal::new(Code::Unauthorized, "your company account's e-mail address is not verified")
                .with_remedy("verify it at the issuer"));
        }
        let name = match &settings.name_domain {
            Some(domain) => named
                .to_ascii_lowercase()
                .strip_suffix(&format!("@{}", domain.to_ascii_lowercase()))
                .map(str::to_owned)
                .ok_or_else(|| {
                    Refusal::new(Code::Unauthorized, format!("your company account is not of `{domain}`"))
                        .with_remedy("log in with the account of that domain")
                })?,
            None => named.to_owned(),
        };
        let groups = match claims.get(&settings.groups_claim) {
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            Some(Value::String(one)) => BTreeSet::from([one.clone()]),
            _ => BTreeSet::new(),
        };
        let auth_time =
            claims.get("auth_time").and_then(Value::as_i64).and_then(|seconds| Timestamp::from_second(seconds).ok());
        Ok(Self { subject, name: names::account(&name)?, auth_time, groups })
    }

    /// The highest role of their groups.
    pub(super) fn role(&self, settings: &OidcSettings) -> Option<PortalRole> {
        self.groups.iter().filter_map(|group| settings.roles.get(group)).copied().max()
    }

    /// The approvers' groups that they are in; none at all if groups are given here and not there.
    pub(super) fn groups(&self, settings: &OidcSettings) -> Option<BTreeSet<String>> {
        let of = || self.groups.iter().filter_map(|group| settings.groups.get(group)).cloned().collect();
        (!settings.groups.is_empty()).then(of)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;

    fn settings(name_claim: &str, name_domain: Option<&str>) -> OidcSettings {
        OidcSettings {
            issuer: "https://idp.example".into(),
            client_id: "lockgate".into(),
            client_secret: None,
            label: String::new(),
            scopes: Vec::new(),
            name_claim: name_claim.into(),
            name_domain: name_domain.map(str::to_owned),
            groups_claim: "groups".into(),
            roles: BTreeMap::from([("ops".into(), PortalRole::Approver), ("root".into(), PortalRole::Admin)]),
            groups: BTreeMap::from([("ops".into(), "dba".into())]),
            create: true,
            redirect: String::new(),
        }
    }

    #[test]
    fn a_person_is_named_by_what_is_verified() {
        let plain = settings("preferred_username", None);
        let read = |settings: &OidcSettings, claims: Value| Claims::read(&claims, settings).map(|c| c.name).ok();
        assert_eq!(read(&plain, json!({ "sub": "1", "preferred_username": "Grace" })).as_deref(), Some("grace"));
        assert_eq!(read(&plain, json!({ "sub": "1" })), None);
        assert_eq!(read(&plain, json!({ "preferred_username": "grace" })), None, "without a subject");
        assert_eq!(read(&plain, json!({ "sub": "1", "preferred_username": "gr ace" })), None);
        let mail = settings("email", Some("corp.example"));
        let email = |email: &str, verified: Value| json!({ "sub": "1", "email": email, "email_verified": verified });
        assert_eq!(read(&mail, email("Grace@Corp.example", json!(true))).as_deref(), Some("grace"));
        for claims in [
            email("grace@corp.example", json!(false)),
            email("grace@corp.example", json!("true")),
            email("grace@evil.example", json!(true)),
            email("grace@corp.example.evil.example", json!(true)),
        ] {
            assert_eq!(read(&mail, claims.clone()), None, "{claims}");
        }
    }

    #[test]
    fn groups_map_to_the_highest_role_and_to_groups_of_ours() {
        let settings = settings("preferred_username", None);
        let of = |groups: Value| {
            let claims = json!({ "sub": "1", "preferred_username": "grace", "groups": groups });
            let claims = Claims::read(&claims, &settings).unwrap();
            (claims.role(&settings), claims.groups(&settings).unwrap().len())
        };
        assert_eq!(of(json!(["ops", "root", "other"])), (Some(PortalRole::Admin), 1));
        assert_eq!(of(json!("ops")), (Some(PortalRole::Approver), 1));
        assert_eq!(of(json!(["admin", 7])), (None, 0), "only what the operator named");
    }
}
