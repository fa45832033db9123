//! Who decides at the command line: the operating system's user who runs it. The one place where a name at the keyboard becomes
//! a person with other names, groups and a role.

use super::terminal;
use crate::{
    error::Refusal,
    people::acting,
    store::{Store, Voter},
};

/// The person at the keyboard: the account that names this user as its own. Where there is none it is that user, in no group;
/// and an admin, since who may open the state directory as lockgate's own user could do all that an admin can.
pub(super) fn voter(store: &dyn Store) -> Result<Voter, Refusal> {
    acting::of(store, &terminal::os_user())
}
