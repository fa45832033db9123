//! What goes and what stays, of each kind of text.

use proptest::prelude::*;

use super::*;
use crate::value::Column;

fn redactor() -> Redactor {
    Redactor::new(&[]).unwrap()
}

#[test]
fn known_forms_of_secrets_go() {
    let redactor = redactor();
    for text in [
        "host=db password=Hunter2x user=app",
        "password = 'Hunter2x, with \\' and spaces' sslmode=require",
        "password='Hunter2x cut off by the ser",
        "PGPASSWORD=Hunter2x psql",
        "PGSSLPASSWORD: Hunter2x",
        "ldapbindpasswd=\"Hunter2x\"",
        "{\"password\": \"Hunter2x\", \"user\": \"app\"}",
        "{\"api_key\":\"Hunter2x\"}",
        "db_secret => 'Hunter2x'",
        "--token=Hunter2x",
        "sslkey passphrase: Hunter2x",
        "postgres://app:Hunter2x@db:5432/app",
        "postgresql://app:p@Hunter2x/y@db/app?sslmode=require",
        "https://Hunter2x@example.com/",
        "redis://:Hunter2x@cache:6379",
        "Authorization: Basic SHVudGVyMng6SHVudGVyMng=Hunter2x",
        "authorization: bearer Hunter2xHunter2x",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJIdW50ZXIyeCJ9.Hunter2x",
        "-----BEGIN RSA PRIVATE KEY-----\nHunter2x\n-----END RSA PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----\nHunter2x",
        "SCRAM-SHA-256$4096:Hunter2x$abc:def",
        "pass\u{200b}word=Hunter2x",
        "identified by 'Hunter2x'",
        "CREATE ROLE a PASSWORD 'Hunter2x'",
        // Cut off where a name of a client ends.
        "postgresql://billing_service_production:Hunter2x",
        "amqp://app:12Hunter2x-and-mo",
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.Hunter2x",
        "eyJhbGciOiJIUzI1Hunter2x",
        "pg_dump --password Hunter2x -h db",
        "curl -u backup:Hunter2x https://example.com/",
        "https://example.com/a?b=c&X-Amz-Signature=Hunter2x&d=e",
        "AIzaHunter2x0123456789abcdefghijklmnop",
        "hvs.Hunter2xHunter2xHunter2x",
    ] {
        let clean = redactor.text(text);
        assert!(!clean.contains("Hunter2x"), "{text} → {clean}");
        assert!(clean.contains(REDACTED), "{text} → {clean}");
        assert_eq!(redactor.text(&clean), clean, "twice is as once");
    }
    for text in [
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_0123456789abcdefghijABCDEFGHIJ012345",
        "glpat-0123456789abcdefghij",
        "xoxb-123456789012-abcdefghijkl",
        "sk_live_0123456789abcdefghijkl",
        "md5d41d8cd98f00b204e9800998ecf8427e",
    ] {
        assert_eq!(redactor.text(text), REDACTED, "{text}");
    }
    assert_eq!(redactor.text("host=db password=x user=app"), "host=db password=[redacted] user=app");
    assert_eq!(redactor.text("postgres://app:x@db/app"), "postgres://[redacted]@db/app");
}

#[test]
fn plain_text_stays_and_is_not_copied() {
    for text in [
        "password_encryption",
        "the password of role app has expired",
        "relation \"public.tokens\" does not exist",
        "2026-01-02 03:04:05+00 idle in transaction, 12 s",
        "https://example.com/a?b=c",
        "http://example.com:8080/a, https://a.example:443 or redis://cache:6379",
        "jdbc:postgresql://one:5432,two:5432/db http://[::1]:8080/",
        "{\"url\":\"http://web:80\",\"n\":1}",
        "pg_dump -u app --password -h db",
        "état: prêt\nà jour\t✓",
        "key (id)",
    ] {
        assert!(matches!(redactor().text(text), Cow::Borrowed(same) if same == text), "{text}");
    }
}

#[test]
fn operators_add_patterns_and_values() {
    let patterns = ["[A-Z]{2}\\d{2}[A-Z0-9]{11,30}".to_owned()];
    let redactor =
        Redactor::with_values(&patterns, ["s3cr3t-".to_owned(), "s3cr3t-long".to_owned(), "abc".to_owned()]).unwrap();
    assert_eq!(redactor.text("iban DE02120300000000202051"), "iban [redacted]");
    assert_eq!(redactor.text("x s3cr3t-long y s3cr3t-z abc"), "x [redacted] y [redacted]z abc");
    assert!(!format!("{redactor:?}").contains("s3cr3t"));
    let refused = |pattern: &str| Redactor::new(&["ok".to_owned(), pattern.to_owned()]).unwrap_err();
    assert!(matches!(refused("("), RedactionError::Invalid { number: 2, .. }));
    assert!(matches!(refused("(?=a)"), RedactionError::Invalid { number: 2, .. }));
    assert!(matches!(refused("(((a{1000}){1000}){1000})"), RedactionError::Invalid { number: 2, .. }));
    assert_eq!(refused("a*"), RedactionError::MatchesEmpty { number: 2 });
    assert_eq!(Redactor::new(&vec!["a".to_owned(); 101]).unwrap_err(), RedactionError::TooMany(101));
}

#[test]
fn results_are_cleaned_by_the_kind_of_their_columns() {
    let column = |name: &str, kind| Column { name: name.to_owned(), kind };
    let rows = RowSet {
        columns: vec![
            column("query", ColumnKind::Query),
            column("app", ColumnKind::Text),
            column("n", ColumnKind::Integer),
        ],
        rows: vec![vec![
            Value::Text("SELECT * FROM t WHERE a = 'Hunter2x' AND b = 12".to_owned()),
            Value::Texts(vec!["a 'literal' goes 1".to_owned(), "password=Hunter2x\u{202e}".to_owned()]),
            Value::Integer(7),
            Value::Text("no column 'Hunter2x'".to_owned()),
        ]],
    };
    let clean = redactor().built(rows.clone()).rows.remove(0);
    assert_eq!(clean[1], Value::Texts(vec!["a 'literal' goes 1".to_owned(), "password=[redacted]".to_owned()]));
    let clean = redactor().rows(rows).rows.remove(0);
    assert_eq!(
        clean,
        [
            Value::Text("SELECT * FROM t WHERE a = ? AND b = ?".to_owned()),
            Value::Texts(vec!["a ? goes 1".to_owned(), "password=[redacted]".to_owned()]),
            Value::Integer(7),
            Value::Text("no column ?".to_owned()),
        ]
    );
}

#[test]
fn names_of_applications_lose_what_is_secret_in_them() {
    for (name, shown) in [
        ("worker password='Hunter2x' host=db", "worker password=[redacted] host=db"),
        ("'password=a' , 'Hunter2x'", "? , ?"),
        ("job for 'ann@example.com' of $$acme$$", "job for ? of ?"),
        ("sync d41d8cd98f00b204e9800998ecf8427e 3", "sync [redacted] 3"),
        ("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "[redacted]"),
        ("'; DROP TABLE x; -- ignore the above", "?"),
        ("PostgreSQL JDBC Driver", "PostgreSQL JDBC Driver"),
        ("pg_dump", "pg_dump"),
        ("DBeaver 23.1.0 - SQLEditor <Script-3.sql>", "DBeaver 23.1.0 - SQLEditor <Script-3.sql>"),
        ("checkout-7d9f8b6c5d-x2x4z:8080/api", "checkout-7d9f8b6c5d-x2x4z:8080/api"),
        ("550e8400-e29b-41d4-a716-446655440000", "550e8400-e29b-41d4-a716-446655440000"),
    ] {
        assert_eq!(redactor().foreign(name), shown, "{name}");
        assert_eq!(redactor().foreign(shown), shown, "twice is as once");
    }
    assert_eq!(redactor().message("bad \"a b\" d41d8cd98f00b204e9800998ecf8427e"), "bad \"?\" [redacted]");
}

proptest! {
    #[test]
    fn any_text_is_taken(text in any::<String>()) {
        let redactor = redactor();
        let clean = redactor.text(&text);
        prop_assert!(!clean.contains(is_disguise));
        prop_assert_eq!(redactor.text(&clean), clean.as_ref());
        let clean = redactor.foreign(&text);
        prop_assert!(!clean.contains(is_disguise));
        prop_assert_eq!(redactor.foreign(&clean), clean.as_ref());
    }

    /// In the 63 bytes that a server keeps of a name: whole, or cut where it ends.
    #[test]
    fn a_secret_in_an_applications_name_never_survives(
        before in "([a-z]{1,10} )?",
        form in 0..9usize,
        user in "[a-z_]{1,20}",
        secret in "[a-zA-Z][a-zA-Z0-9]{2,6}[0-9][a-zA-Z]{4}",
        cut in 0..63usize,
    ) {
        let forms = [
            "postgres://{u}:{s}@db/app", "password={s}", "--password {s}", "name='{s}'", "$${s}$$", "PGPASSWORD={s} psql",
            "Authorization: Basic {s}", "eyJhbGciOi{s}.{s}", "https://{u}:{s}@example.com",
        ];
        let name = format!("{before}{}", forms[form].replace("{u}", &user).replace("{s}", &secret));
        prop_assume!(!before.contains(&secret) && !user.contains(&secret));
        // What is left of a secret that was cut to a few letters can't be told from a word.
        for name in [&name[..], &name[..(name.find(&secret).unwrap() + 6).max(cut).min(name.len())]] {
            let shown = redactor().foreign(name);
            prop_assert!(!shown.contains(&secret[..6]), "{name} → {shown}");
        }
    }

    #[test]
    fn a_named_secret_never_survives(
        before in "[ -~]{0,40}",
        name in "(my|PG|app[_.-])?(password|PASSWD|secret|token|api_key|access-key|passphrase)",
        between in "( ?= ?|: ?)",
        secret in "[a-zA-Z0-9]{8,24}",
    ) {
        prop_assume!(!before.contains(&secret));
        let text = format!("{before} {name}{between}{secret}");
        prop_assert!(!redactor().text(&text).contains(&secret), "{}", redactor().text(&text));
    }
}
