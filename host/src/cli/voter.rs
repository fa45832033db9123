//! Who decides at the command line: the operating system's user who runs it. The one place where a name at the keyboard becomes
//! a person with other names, groups and a role.

use super::terminal;
use crate::{
    error::{Code, Refusal},
    store::{PortalRole, Store, Voter},
};

/// The person at the keyboard: the account that has this user, if there is one. Where the store knows nobody of this name, it is
/// that user, in no group; and an admin, since who may open the state directory as lockgate's own user could do all that an
/// admin can.
pub(super) fn voter(store: &dyn Store) -> Result<Voter, Refusal> {
    let user = terminal::os_user();
    let Some(account) = store.account_of_os_user(&user)? else {
        return Ok(Voter { is_admin: true, ..Voter::named(user) });
    };
    let name = &account.name;
    if account.disabled.is_some() {
        let refusal =
            Refusal::new(Code::AccountRefused, format!("`{user}` is the account `{name}`, which is disabled"));
        return Err(refusal.with_remedy("ask an admin to enable it, or somebody else to decide"));
    }
    if account.role < PortalRole::Approver {
        let refusal = Refusal::new(
            Code::AccountRefused,
            format!("`{user}` is the account `{name}`, a viewer: it decides nothing"),
        );
        return Err(refusal.with_remedy("ask an approver to decide, or an admin for the role"));
    }
    Ok(Voter::of(&account))
}
