//! `synchronous_standby_names`, as far as it says how many standbys commits wait for and which are named (manual,
//! 20.6.2): `a, b`, `n (a, b)`, `FIRST n (a, b)` or `ANY n (a, b)`, names quoted where they must be, `*` for all.

pub(super) struct SyncNames {
    /// How many must answer a commit; 0 where nothing is synchronous.
    pub(super) needed: usize,
    /// The names, without `*`.
    names: Vec<String>,
}

impl SyncNames {
    /// PostgreSQL has parsed it before us, so what we can't make sense of is read as far as it goes.
    pub(super) fn parse(setting: &str) -> Self {
        let setting = setting.trim();
        let (head, list) = match setting.find('(').filter(|_| !setting.starts_with('"')) {
            Some(open) => {
                let (head, list) = setting.split_at(open);
                (head, list.trim_start_matches('(').trim_end().trim_end_matches(')'))
            }
            None => ("1", setting),
        };
        let names: Vec<String> = split(list);
        let number = head.split_whitespace().next_back().and_then(|word| word.parse().ok()).unwrap_or(1);
        let needed = if names.is_empty() { 0 } else { number };
        Self { needed, names: names.into_iter().filter(|name| name != "*").collect() }
    }

    /// How many of the names none of these standbys has. Names are compared as PostgreSQL does, without case.
    pub(super) fn missing(&self, connected: &[String]) -> usize {
        self.names.iter().filter(|name| !connected.iter().any(|there| there.eq_ignore_ascii_case(name))).count()
    }
}

/// The names between commas, unquoted.
fn split(list: &str) -> Vec<String> {
    let (mut names, mut name, mut quoted) = (Vec::new(), String::new(), false);
    let mut characters = list.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '"' if quoted && characters.peek() == Some(&'"') => {
                characters.next();
                name.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => names.push(std::mem::take(&mut name)),
            c if c.is_whitespace() && !quoted => {}
            c => name.push(c),
        }
    }
    names.push(name);
    names.retain(|name| !name.is_empty());
    names
}

#[cfg(test)]
mod tests {
    use super::SyncNames;

    #[test]
    fn every_form_says_how_many_and_which() {
        let connected = ["one".to_owned(), "Odd, \"name\"".to_owned()];
        for (setting, needed, missing) in [
            ("", 0, 0),
            ("*", 1, 0),
            ("one", 1, 0),
            ("ONE, two", 1, 1),
            ("2 (one, two, three)", 2, 2),
            ("FIRST 2 (one, \"Odd, \"\"name\"\"\")", 2, 0),
            ("\"Odd, \"\"name\"\"\"", 1, 0),
            ("any 1(two)", 1, 1),
            ("ANY 3 (*)", 3, 0),
        ] {
            let names = SyncNames::parse(setting);
            assert_eq!((names.needed, names.missing(&connected)), (needed, missing), "{setting}");
        }
    }
}
