//! What a server says beside its results. Notices carry no query id, so they are taken per exclusively held connection,
//! in the order in which the driver's loop reads them, which is before the end of the query that raised them.

use std::sync::{Mutex, PoisonError};

use tokio_postgres::error::{DbError, Severity};

use super::error;

/// `VACUUM` of a whole database can say something about each table; more than this nobody reads.
const MAX: usize = 100;

/// Where in the server VACUUM warns and goes on: of a table so near wraparound that indexes are left for later (14 to 18), and
/// of an old transaction that keeps it from freezing more (13 to 15; from 16 on). It comes from the protocol's field `R`, the
/// same in every language, unlike the words. What is not named here was skipped.
const GOES_ON: [&str; 3] = ["lazy_check_wraparound_failsafe", "vacuum_set_xid_limits", "vacuum_get_cutoffs"];

/// The notices of one connection that nobody has taken yet.
#[derive(Default)]
pub(super) struct Notices(Mutex<Taken>);

/// What was said since the last time.
#[derive(Default)]
pub(super) struct Taken {
    /// Everything of at least level NOTICE, without DETAIL and HINT.
    pub(super) texts: Vec<String>,
    /// The first WARNING that does not come from [`GOES_ON`]: for maintenance it means that the work was not done.
    pub(super) warning: Option<String>,
}

impl Notices {
    pub(super) fn push(&self, notice: &DbError) {
        // Nor does what a function of the database says mean that the server left its own work undone.
        let goes_on =
            notice.routine().is_some_and(|routine| GOES_ON.contains(&routine)) || error::raised_by_a_function(notice);
        let is_warning = matches!(notice.parsed_severity(), Some(Severity::Warning));
        self.keep(is_warning && !goes_on, error::clean(notice));
    }

    fn keep(&self, is_warning: bool, text: String) {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if is_warning && taken.warning.is_none() {
            taken.warning = Some(text.clone());
        }
        if taken.texts.len() < MAX {
            taken.texts.push(text);
        }
    }

    pub(super) fn take(&self) -> Taken {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_kept_however_much_was_said_before() {
        let notices = Notices::default();
        for n in 0..2 * MAX {
            notices.keep(false, n.to_string());
        }
        notices.keep(true, "skipping \"a\"".to_owned());
        notices.keep(true, "skipping \"b\"".to_owned());
        let taken = notices.take();
        assert_eq!((taken.texts.len(), taken.warning.as_deref()), (MAX, Some("skipping \"a\"")));
        assert!(notices.take().texts.is_empty());
    }
}
