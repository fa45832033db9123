//! Who decides at the command line: the operating system's user who runs it. The one place where a name at the keyboard becomes
//! a person with other names, groups and a role.

use super::terminal;
use crate::{
    error::{Code, Refusal},
    people::acting,
    store::{PortalRole, Store, Voter},
};

/// The person at the keyboard: the account that names this user as its own. Where there is none it is that user, in no group;
/// and an admin, since who may open the state directory as lockgate's own user could do all that an admin can. An account that
/// is there to look decides here as little as in the portal.
pub(super) fn voter(store: &dyn Store) -> Result<Voter, Refusal> {
    let user = terminal::os_user();
    let viewer = store.account_of_os_user(&user)?.filter(|account| account.role == PortalRole::Viewer);
    if let Some(account) = viewer {
        let message = format!("`{user}` is `{}` here, a viewer, who decides nothing", account.name);
        let refusal = Refusal::new(Code::Unauthorized, message);
        return Err(refusal.with_remedy("ask an approver to decide, or an admin for that role"));
    }
    acting::of(store, &user)
}
