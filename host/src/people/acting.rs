//! Who somebody is who acts on the command line: the account that names the operating system's user as its own, or that
//! user alone, who is then in no group.

use crate::{
    error::{Code, Refusal},
    store::{Account, PortalRole, Store, Voter},
};

impl From<&Account> for Voter {
    fn from(account: &Account) -> Self {
        Self {
            person: account.name.clone(),
            also_known_as: account.also_known_as().into_iter().collect(),
            groups: account.groups.clone(),
            is_admin: account.role == PortalRole::Admin,
        }
    }
}

/// Who a user of the operating system is. Blocks.
///
/// # Errors
/// When their account is disabled, or the store's.
pub fn of(store: &dyn Store, os_user: &str) -> Result<Voter, Refusal> {
    match store.account_of_os_user(os_user)? {
        Some(account) if account.disabled.is_some() => {
            let message = format!("`{os_user}` is `{}` here, whose account is disabled", account.name);
            Err(Refusal::new(Code::Unauthorized, message).with_remedy("an administrator can enable it"))
        }
        Some(account) => Ok(Voter::from(&account)),
        // Who may open the state directory as lockgate's own user could do all that an admin can.
        None => Ok(Voter { is_admin: true, ..Voter::named(os_user) }),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::store::{
        Accounts as _, Disabled, NewAccount,
        testing::{at, store},
    };

    #[test]
    fn a_user_of_the_system_is_the_account_that_names_it_and_no_other() {
        let (_state, store) = store();
        let new = |name: &str, handle: u8, os_user: Option<&str>| NewAccount {
            name: name.into(),
            handle: [handle; 16],
            role: PortalRole::Approver,
            groups: BTreeSet::from(["dba".to_owned()]),
            os_user: os_user.map(str::to_owned),
            email: Some(format!("{name}@corp.example")),
            created_by: "tests".into(),
        };
        store.create_account(&new("grace", 1, Some("gh")), at(0)).unwrap();
        store.create_account(&new("ada", 2, None), at(0)).unwrap();
        let grace = of(&store, "GH").unwrap();
        assert_eq!((grace.person.as_str(), grace.is_admin, grace.groups.len()), ("grace", false, 1));
        assert_eq!(grace.also_known_as.len(), 2);
        // An account's own name is not a user of the system, unless it says so.
        for other in ["ada", "grace", "root"] {
            let user = of(&store, other).unwrap();
            assert_eq!((user.person.as_str(), user.groups.len(), user.is_admin), (other, 0, true));
        }
        let disabled = Disabled { at: at(1), by: "tests".into(), reason: String::new() };
        store.set_disabled("grace", Some(&disabled)).unwrap();
        assert_eq!(of(&store, "gh").unwrap_err().code, Code::Unauthorized);
    }
}
