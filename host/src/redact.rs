//! What must not leave the host: literals in other people's SQL, and secrets in any text.
