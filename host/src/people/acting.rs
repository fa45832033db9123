//! Who somebody is who acts on the command line: the account that names the operating system's user as its own, or that
//! user alone, who is then in no group.

use std::collections::BTreeSet;

use crate::{
    error::{Code, Refusal},
    store::{Account, Store},
};

/// A person who acts, as a vote carries them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acting {
    /// Their name.
    pub person: String,
    /// All other names of the same person.
    pub also_known_as: Vec<String>,
    /// The groups they are in.
    pub groups: BTreeSet<String>,
}

impl From<&Account> for Acting {
    fn from(account: &Account) -> Self {
        Self { person: account.name.clone(), also_known_as: account.also_known_as(), groups: account.groups.clone() }
    }
}

/// Who a user of the operating system is. Blocks.
///
/// # Errors
/// When their account is disabled, or the store's.
pub fn of(store: &dyn Store, os_user: &str) -> Result<Acting, Refusal> {
    match store.account_of_os_user(os_user)? {
        Some(account) if account.disabled.is_some() => {
            let message = format!("`{os_user}` is `{}` here, whose account is disabled", account.name);
            Err(Refusal::new(Code::Unauthorized, message).with_remedy("an administrator can enable it"))
        }
        Some(account) => Ok(Acting::from(&account)),
        None => Ok(Acting { person: os_user.to_owned(), also_known_as: Vec::new(), groups: BTreeSet::new() }),
    }
}
