//! A piece of a page that is the same for everybody of one role: written out once for each role and change, however many
//! have it open, and again when its times have grown old.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use axum::body::Bytes;
use jiff::{SignedDuration, Timestamp};
use maud::Markup;

use crate::store::PortalRole;

/// How old the times in it may be.
const OLD: SignedDuration = SignedDuration::from_secs(1);

/// What was written out, by role.
#[derive(Default)]
pub struct Shared(Mutex<BTreeMap<PortalRole, Written>>);

struct Written {
    version: u64,
    at: Timestamp,
    html: Bytes,
}

impl Shared {
    /// The piece for a role: as it was written, or written now.
    pub fn get(&self, role: PortalRole, version: u64, now: Timestamp, write: impl FnOnce() -> Markup) -> Bytes {
        // Held while it is written: those who come meanwhile want the same.
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(written) = known.get(&role)
            && written.version == version
            && now.duration_since(written.at) < OLD
        {
            return written.html.clone();
        }
        let html = Bytes::from(write().into_string());
        known.insert(role, Written { version, at: now, html: html.clone() });
        html
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::cell::Cell;

    use maud::html;

    use super::*;

    #[test]
    fn it_is_written_once_for_each_role_and_change() {
        let (shared, written) = (Shared::default(), Cell::new(0));
        let at = |seconds: i64| Timestamp::from_second(seconds).unwrap();
        let get = |role, version, seconds| {
            shared.get(role, version, at(seconds), || {
                written.set(written.get() + 1);
                html! { (version) }
            })
        };
        for _ in 0..200 {
            assert_eq!(get(PortalRole::Viewer, 7, 100), "7");
        }
        assert_eq!(written.get(), 1);
        get(PortalRole::Admin, 7, 100);
        assert_eq!(written.get(), 2, "another role sees something else");
        assert_eq!(get(PortalRole::Viewer, 8, 100), "8");
        get(PortalRole::Viewer, 8, 102);
        assert_eq!(written.get(), 4, "times grow old");
    }
}
