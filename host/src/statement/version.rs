//! Which wording fits which server: that no two variants fit the same one, and which one fits this one.

use std::cmp::Ordering;

use super::{ExtensionRange, Role, ServerFacts, Variant, proof::Finding, proof::is_name, proof::shown};

/// The newest major version that existed when this was built. A variant bounded by a later one was bounded by what its
/// author could not know, and so it also serves servers beyond that bound; see [`choose`].
pub(super) const NEWEST_KNOWN: u32 = 18;

impl Variant {
    /// Whether it is for servers of a major version and a place in the topology, whatever their extensions.
    #[must_use]
    pub fn is_for(&self, major: u32, role: Role) -> bool {
        let later = self.below_version == 0 || major < self.below_version;
        self.min_version <= major && later && (self.role == Role::Any || self.role == role)
    }
}

/// Why no variant fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoVariant {
    /// Some variant would fit if the server were the primary.
    NeedsPrimary,
    /// Some variant would fit if the server were a standby.
    NeedsStandby,
    /// None would; what the server is and what is needed.
    Unsupported(String),
}

/// `14 ≤ version < 17, pg_stat_statements ≥ 1.8, primary`
pub(super) fn describe(variant: &Variant) -> String {
    let mut parts = vec![match (variant.min_version, variant.below_version) {
        (0, 0) => "any version".to_owned(),
        (min, 0) => format!("version ≥ {min}"),
        (0, below) => format!("version < {below}"),
        (min, below) => format!("{min} ≤ version < {below}"),
    }];
    if let Some(range) = &variant.extension {
        let (name, min, below) = (shown(&range.name), shown(&range.min), shown(&range.below));
        parts.push(match (min.is_empty(), below.is_empty()) {
            (true, true) => format!("with {name}"),
            (false, true) => format!("{name} ≥ {min}"),
            (true, false) => format!("{name} < {below}"),
            (false, false) => format!("{min} ≤ {name} < {below}"),
        });
    }
    match variant.role {
        Role::Any => {}
        Role::Primary => parts.push("primary".to_owned()),
        Role::Standby => parts.push("standby".to_owned()),
    }
    parts.join(", ")
}

/// Every range well-formed and not empty, and no two variants for the same server.
pub(super) fn check(variants: &[Variant]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, variant) in variants.iter().enumerate() {
        let number = index + 1;
        let Variant { min_version, below_version, .. } = *variant;
        if below_version != 0 && min_version >= below_version {
            let message = format!("variant {number} fits no version: {}", describe(variant));
            findings.push(Finding::new("coverage", None, message, "min-version is inclusive, below-version exclusive"));
        }
        if let Some(range) = &variant.extension
            && let Err(why) = check_range(range)
        {
            let message = format!("variant {number}: {why}");
            findings.push(Finding::new("coverage", None, message, "write versions as numbers with dots, such as 1.10"));
        }
        for (other_index, other) in variants.iter().enumerate().skip(number) {
            if overlap(variant, other) {
                let message = format!(
                    "variants {number} ({}) and {} ({}) fit the same server",
                    describe(variant),
                    other_index + 1,
                    describe(other)
                );
                findings.push(Finding::new("coverage", None, message, "make their ranges or roles exclude each other"));
            }
        }
    }
    findings
}

fn check_range(range: &ExtensionRange) -> Result<(), String> {
    if !is_name(&range.name) {
        return Err(format!("extension `{}` is not well-formed", shown(&range.name)));
    }
    for bound in [&range.min, &range.below] {
        if !bound.is_empty() && components(bound).is_none() {
            return Err(format!("extension version `{}` is not well-formed", shown(bound)));
        }
    }
    if !range.min.is_empty() && !range.below.is_empty() && compare(&range.min, &range.below) != Ordering::Less {
        return Err(format!("the range of extension `{}` is empty", range.name));
    }
    Ok(())
}

/// Half-open ranges meet exactly if each begins before the other ends.
fn overlap(a: &Variant, b: &Variant) -> bool {
    let begins_before = |a: &Variant, b: &Variant| b.below_version == 0 || a.min_version < b.below_version;
    let roles = a.role == Role::Any || b.role == Role::Any || a.role == b.role;
    let extensions = match (&a.extension, &b.extension) {
        (Some(a), Some(b)) if a.name == b.name => {
            let begins_before = |a: &ExtensionRange, b: &ExtensionRange| {
                a.min.is_empty() || b.below.is_empty() || compare(&a.min, &b.below) == Ordering::Less
            };
            begins_before(a, b) && begins_before(b, a)
        }
        // A server may have both extensions, and a variant that names none fits with any.
        _ => true,
    };
    begins_before(a, b) && begins_before(b, a) && roles && extensions
}

/// The numbers of `1.10`; `None` if it is not numbers with dots.
fn components(version: &str) -> Option<Vec<u64>> {
    let parts: Option<Vec<u64>> = version
        .split('.')
        .map(|part| if part.bytes().all(|b| b.is_ascii_digit()) { part.parse().ok() } else { None })
        .collect();
    parts.filter(|parts| parts.len() <= 8)
}

/// Component by component, a missing one as 0. What is no version is older than every version.
fn compare(a: &str, b: &str) -> Ordering {
    let trimmed = |version: &str| {
        components(version).map(|mut parts| {
            while parts.last() == Some(&0) {
                parts.pop();
            }
            parts
        })
    };
    trimmed(a).cmp(&trimmed(b))
}

fn fits_extension(variant: &Variant, facts: &ServerFacts) -> bool {
    let Some(range) = &variant.extension else {
        return true;
    };
    facts.extensions.iter().any(|(name, version, _)| {
        let unbounded = range.min.is_empty() && range.below.is_empty();
        *name == range.name
            && (unbounded || components(version).is_some())
            && (range.min.is_empty() || compare(version, &range.min) != Ordering::Less)
            && (range.below.is_empty() || compare(version, &range.below) == Ordering::Less)
    })
}

/// Whether the server is newer than anything the prover and the pack's author could have seen.
pub(super) fn is_untested(facts: &ServerFacts) -> bool {
    facts.version_num / 10_000 > NEWEST_KNOWN
}

/// The index of the variant that fits a server: exactly one does by version, role and extension, or else, on a server newer
/// than every bound, the one with the newest bound, if that bound was beyond [`NEWEST_KNOWN`].
pub(super) fn choose(variants: &[Variant], facts: &ServerFacts) -> Result<usize, NoVariant> {
    let role = if facts.in_recovery { Role::Standby } else { Role::Primary };
    if let Some(index) = choose_as(variants, facts, role) {
        return Ok(index);
    }
    if facts.in_recovery && choose_as(variants, facts, Role::Primary).is_some() {
        return Err(NoVariant::NeedsPrimary);
    }
    if !facts.in_recovery && choose_as(variants, facts, Role::Standby).is_some() {
        return Err(NoVariant::NeedsStandby);
    }
    let needed: Vec<String> = variants.iter().map(describe).collect();
    let mut named: Vec<&str> =
        variants.iter().filter_map(|v| v.extension.as_ref()).map(|range| range.name.as_str()).collect();
    named.sort_unstable();
    named.dedup();
    let installed: String = named
        .iter()
        .map(|name| match facts.extensions.iter().find(|(installed, ..)| installed == name) {
            Some((_, version, _)) => format!(" with {name} {}", shown(version)),
            None => format!(" without {name}"),
        })
        .collect();
    let server = display_version(facts.version_num);
    Err(NoVariant::Unsupported(format!(
        "the server is PostgreSQL {server}{installed}; needed is {}",
        needed.join(", or ")
    )))
}

fn choose_as(variants: &[Variant], facts: &ServerFacts, role: Role) -> Option<usize> {
    let major = facts.version_num / 10_000;
    let candidates = || {
        let fits = move |variant: &Variant| {
            (variant.role == Role::Any || variant.role == role)
                && variant.min_version <= major
                && fits_extension(variant, facts)
        };
        variants.iter().enumerate().filter(move |(_, variant)| fits(variant))
    };
    let exact = candidates().find(|(_, v)| v.below_version == 0 || major < v.below_version);
    let newest = || candidates().filter(|(_, v)| v.below_version > NEWEST_KNOWN).max_by_key(|(_, v)| v.below_version);
    exact.or_else(newest).map(|(index, _)| index)
}

/// `150018` is 15.18.
fn display_version(version_num: u32) -> String {
    format!("{}.{}", version_num / 10_000, version_num % 10_000)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn variant(min: u32, below: u32, role: Role, extension: Option<(&str, &str, &str)>) -> Variant {
        let extension = extension.map(|(name, min, below)| ExtensionRange {
            name: name.to_owned(),
            min: min.to_owned(),
            below: below.to_owned(),
        });
        Variant { min_version: min, below_version: below, extension, role, sql: String::new() }
    }

    fn server(major: u32, in_recovery: bool, pgss: Option<&str>) -> ServerFacts {
        let extensions = pgss.map(|v| ("pgss".to_owned(), v.to_owned(), "public".to_owned())).into_iter().collect();
        ServerFacts { version_num: major * 10_000 + 1, in_recovery, extensions }
    }

    #[test]
    fn versions_compare_by_component() {
        assert_eq!(compare("1.9", "1.10"), Ordering::Less);
        assert_eq!(compare("1", "1.0"), Ordering::Equal);
        assert_eq!(compare("2", "1.99"), Ordering::Greater);
        assert_eq!(compare("unpackaged", "0"), Ordering::Less);
        assert!(components("1..2").is_none() && components("+1").is_none() && components("").is_none());
    }

    #[test]
    fn exactly_one_fits() {
        let variants = [
            variant(13, 17, Role::Primary, None),
            variant(17, 0, Role::Primary, None),
            variant(14, 19, Role::Standby, None),
        ];
        assert!(check(&variants).is_empty());
        assert_eq!(choose(&variants, &server(16, false, None)), Ok(0));
        assert_eq!(choose(&variants, &server(17, false, None)), Ok(1));
        assert_eq!(choose(&variants, &server(25, false, None)), Ok(1));
        assert_eq!(choose(&variants, &server(25, true, None)), Ok(2), "bounded beyond what its author could know");
        assert_eq!(choose(&variants, &server(13, true, None)), Err(NoVariant::NeedsPrimary));
        assert!(matches!(choose(&variants, &server(12, false, None)), Err(NoVariant::Unsupported(_))));
        let deliberate = [variant(13, 17, Role::Any, None)];
        assert!(matches!(choose(&deliberate, &server(18, false, None)), Err(NoVariant::Unsupported(_))));
        assert_eq!(
            choose(&[variant(13, 0, Role::Standby, None)], &server(18, false, None)),
            Err(NoVariant::NeedsStandby)
        );
    }

    #[test]
    fn extensions_choose_too() {
        let variants = [
            variant(13, 0, Role::Any, Some(("pgss", "1.8", "1.11"))),
            variant(13, 0, Role::Any, Some(("pgss", "1.11", ""))),
        ];
        assert!(check(&variants).is_empty());
        assert_eq!(choose(&variants, &server(15, false, Some("1.10"))), Ok(0));
        assert_eq!(choose(&variants, &server(15, false, Some("1.11"))), Ok(1));
        let Err(NoVariant::Unsupported(message)) = choose(&variants, &server(15, false, None)) else { panic!() };
        assert_eq!(
            message,
            "the server is PostgreSQL 15.1 without pgss; needed is version ≥ 13, 1.8 ≤ pgss < 1.11, or version ≥ 13, pgss ≥ 1.11"
        );
    }

    #[test]
    fn bad_ranges() {
        for variants in [
            vec![variant(14, 14, Role::Any, None)],
            vec![variant(13, 0, Role::Any, None), variant(17, 0, Role::Primary, None)],
            vec![variant(13, 17, Role::Any, None), variant(16, 18, Role::Standby, None)],
            vec![variant(0, 0, Role::Any, Some(("pgss", "1.9", "1.10"))), variant(0, 0, Role::Any, None)],
            vec![
                variant(0, 0, Role::Any, Some(("pgss", "", "1.9"))),
                variant(0, 0, Role::Any, Some(("other", "", ""))),
            ],
            vec![variant(0, 0, Role::Any, Some(("pgss", "1.10", "1.9")))],
            vec![variant(0, 0, Role::Any, Some(("pgss", "1.x", "")))],
            vec![variant(0, 0, Role::Any, Some(("Pgss\n", "", "")))],
        ] {
            assert!(!check(&variants).is_empty(), "{variants:?}");
        }
    }

    prop_compose! {
        fn any_variant()(min in 10u32..24, len in 0u32..9, role in 0..3usize, ext in proptest::option::of((0u32..6, 0u32..6))) -> Variant {
            let role = [Role::Any, Role::Primary, Role::Standby][role];
            let bound = |n: u32| if n == 0 { String::new() } else { format!("1.{}", n + 6) };
            let extension = ext.map(|(a, b)| ExtensionRange { name: "pgss".to_owned(), min: bound(a), below: bound(b) });
            Variant { min_version: min, below_version: if len == 0 { 0 } else { min + len }, extension, role, sql: String::new() }
        }
    }

    proptest! {
        #[test]
        fn accepted_variants_never_fit_the_same_server(variants in proptest::collection::vec(any_variant(), 1..5)) {
            prop_assume!(check(&variants).is_empty());
            for major in 9..30 {
                for (role, recovery) in [(Role::Primary, false), (Role::Standby, true)] {
                    for ext in [None, Some("1.6"), Some("1.7"), Some("1.8"), Some("1.9"), Some("1.10"), Some("1.11"), Some("1.12")] {
                        let facts = server(major, recovery, ext);
                        let fitting = variants.iter().filter(|v| {
                            (v.role == Role::Any || v.role == role)
                                && v.min_version <= major
                                && (v.below_version == 0 || major < v.below_version)
                                && fits_extension(v, &facts)
                        });
                        prop_assert!(fitting.count() <= 1);
                    }
                }
            }
        }
    }
}
