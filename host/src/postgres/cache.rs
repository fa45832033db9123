//! The prepared statements of one connection, the most recently used first, bounded: each holds memory in the server's
//! session for as long as it is here. What falls out is closed on the server by the driver.

use std::sync::Arc;

use tokio_postgres::Statement;

/// More than the statements of the stock packs together, and a few hundred kilobytes of a server process.
pub(super) const CAPACITY: usize = 64;

/// A bounded cache; a handful of entries is searched faster than hashed.
pub(super) struct StatementCache<T = Statement>(Vec<(Arc<str>, T)>);

impl<T: Clone> StatementCache<T> {
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    /// The statement of this text, which becomes the most recently used.
    pub(super) fn get(&mut self, sql: &Arc<str>) -> Option<T> {
        let at = self.0.iter().position(|(text, _)| Arc::ptr_eq(text, sql) || text == sql)?;
        let found = self.0.remove(at);
        let statement = found.1.clone();
        self.0.insert(0, found);
        Some(statement)
    }

    /// Adds a statement; the one that was not used for longest makes room.
    pub(super) fn put(&mut self, sql: Arc<str>, statement: T) {
        self.0.truncate(CAPACITY - 1);
        self.0.insert(0, (sql, statement));
    }

    pub(super) fn forget(&mut self, sql: &str) {
        self.0.retain(|(text, _)| **text != *sql);
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_for_longest_makes_room() {
        let mut cache = StatementCache::new();
        let name = |n: usize| Arc::<str>::from(n.to_string());
        for n in 0..CAPACITY {
            cache.put(name(n), n);
        }
        assert_eq!(cache.get(&name(0)), Some(0));
        cache.put(name(CAPACITY), CAPACITY);
        assert_eq!(cache.len(), CAPACITY);
        assert_eq!(cache.get(&name(1)), None);
        assert_eq!((cache.get(&name(0)), cache.get(&name(CAPACITY))), (Some(0), Some(CAPACITY)));
        cache.forget("0");
        assert_eq!(cache.get(&name(0)), None);
    }
}
