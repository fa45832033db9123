//! The command line: one file per subcommand. Turns arguments into calls of the library and answers into text.
