//! The built-in patterns: forms in which secrets are commonly written. They are for accidents; what is known to be a secret
//! is better named to the redactor as a value, and what is a literal in SQL is removed whatever it looks like.

/// Pattern and what it becomes. None matches its own replacement in a way that would change it again.
pub(super) const PATTERNS: &[(&str, &str)] = &[
    // `password=…`, `"api_key": "…"`, `token => '…'`: libpq settings, environment, JSON, options. A quoted value may
    // have been cut before its closing quote. Before the name anything may stand: `PGPASSWORD`, `ldapbindpasswd`.
    (
        r#"(?ix)
        ( (?: password | passwd | passphrase | pwd | secret | token | credentials?
            | (?: api | access | private | secret | encryption | account ) [_\ .-]? key )
          ["']? \s* (?: => | [=:] ) \s* )
        (?: '(?: [^'\\] | \\. | '' )* (?: ' | \\? \z )
          | "(?: [^"\\] | \\. | "" )* (?: " | \\? \z )
          | [^\s,;&'"\[)}\]>] [^\s,;&)}\]]* )"#,
        "${1}[redacted]",
    ),
    // `PASSWORD '…'`, `IDENTIFIED BY '…'`: SQL in a message.
    (r"(?i)\b(password\s+|identified\s+by\s+)(?:e?'(?:[^'\\]|\\.|'')*(?:'|\\?\z))", "${1}[redacted]"),
    // `scheme://user:password@host`. A password may hold `@` and `/`, so all is taken up to the last `@` of the word.
    (r"(?i)\b([a-z][a-z0-9+.-]{0,30}://)(?:[^\s:/@]*:\S*|[^\s/?#]+)@", "${1}[redacted]@"),
    // The same, cut off before the `@`. A number up to a slash or the end is a port.
    (
        r#"(?i)\b([a-z][a-z0-9+.-]{0,30}://[^\s/?#@:\[]*:)(?:[^\s\d/?#@]|\d+[^\s\d/?#@.,;"')\]}>|]|\d{6})\S*"#,
        "${1}[redacted]",
    ),
    // Options of a command line: `--password x`, `-u user:password`.
    (
        r#"(?i)(^|\s)(--?(?:password|passwd|pass|pwd|secret|token|api-?key)\s+)("[^"]*("|\z)|[^\s-]\S*)"#,
        "${1}${2}[redacted]",
    ),
    (r"(?i)(^|\s)((?:-u|--user|--proxy-user)[\s=]\s*[^\s:]+:)[^\s/]\S*", "${1}${2}[redacted]"),
    // Parameters of an address that are a signature.
    (r"(?i)([?&](?:x-amz-|x-goog-)?(?:sig|signature|security-token)=)[^&\s]+", "${1}[redacted]"),
    (r"(?i)\b(authorization\s*[:=]\s*)[a-z]+\s+[^\s\[,;]+", "${1}[redacted]"),
    (r"(?i)\b(bearer\s+)[a-z0-9._~+/=-]{8,}", "${1}[redacted]"),
    // JSON Web Tokens, RFC 7519; cut off or not.
    (r"\beyJ[A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]*){0,4}", "[redacted]"),
    // PEM, RFC 7468; cut off or not.
    (
        r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----|\z)",
        "[redacted]",
    ),
    // What PostgreSQL keeps in place of a password (manual, 52.8 pg_authid).
    (r"SCRAM-SHA-256\$\d+:\S+", "[redacted]"),
    (r"\bmd5[0-9a-f]{32}\b", "[redacted]"),
    // Keys of well-known services, by the prefixes that those gave them to be found by.
    (r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b", "[redacted]"),
    (r"\b(?:gh[pousr]_|github_pat_|glpat-|npm_|pypi-)[A-Za-z0-9_-]{20,}", "[redacted]"),
    (r"\bxox[a-z]-[A-Za-z0-9-]{10,}", "[redacted]"),
    (r"\b(?:[sr]k_(?:live|test)_|sk-|whsec_)[A-Za-z0-9_-]{16,}", "[redacted]"),
    (r"\bAIza[A-Za-z0-9_-]{30,}", "[redacted]"),
    (r"\b(?:ya29|SG|hv[sbr])\.[A-Za-z0-9._-]{20,}", "[redacted]"),
    (r"\b(?:dckr_pat_|shp(?:at|ss|ca|pa)_|AGE-SECRET-KEY-1)[A-Za-z0-9_-]{16,}", "[redacted]"),
];
