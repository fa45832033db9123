//! A target: how to reach one PostgreSQL server, and how a proven statement is run there.
