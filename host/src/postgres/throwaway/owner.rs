//! As whom a server runs: PostgreSQL refuses root.

use std::{os::unix::process::CommandExt as _, path::Path, process::Command};

use super::ThrowawayError;

/// A user that is not root.
#[derive(Clone, Copy, Debug)]
pub(super) struct Owner {
    uid: u32,
    gid: u32,
}

impl Owner {
    /// `None` where this process is not root and just stays who it is.
    pub(super) fn needed() -> Result<Option<Self>, ThrowawayError> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
        ["postgres", "nobody"].iter().find_map(|name| find(&passwd, name)).map(Some).ok_or_else(|| {
            ThrowawayError::new(
                "PostgreSQL does not run as root, and there is no user `postgres` or `nobody` to run it as",
            )
        })
    }

    /// Makes a command run as this user; supplementary groups are dropped with the uid.
    pub(super) fn run(owner: Option<Self>, command: &mut Command) {
        if let Some(owner) = owner {
            command.uid(owner.uid).gid(owner.gid);
        }
    }

    /// Gives a directory away.
    pub(super) fn give(owner: Option<Self>, path: &Path) -> std::io::Result<()> {
        match owner {
            Some(owner) => std::os::unix::fs::chown(path, Some(owner.uid), Some(owner.gid)),
            None => Ok(()),
        }
    }
}

fn find(passwd: &str, name: &str) -> Option<Owner> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? != name {
            return None;
        }
        let mut numbers = fields.skip(1);
        let owner = Owner { uid: numbers.next()?.parse().ok()?, gid: numbers.next()?.parse().ok()? };
        (owner.uid != 0).then_some(owner)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_and_root_is_none() {
        let passwd = "root:x:0:0::/root:/bin/sh\npostgres:x:101:104:,,,:/var:/bin/bash\ntoor:x:0:0::/:/bin/sh\n";
        let owner = find(passwd, "postgres").unwrap();
        assert_eq!((owner.uid, owner.gid), (101, 104));
        assert!(find(passwd, "toor").is_none() && find(passwd, "nobody").is_none());
    }
}
