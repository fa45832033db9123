//! Writing to a terminal: results to standard output, errors with their code and remedy to standard error, and a question
//! to the person who sits there.

use std::io::{self, BufRead as _, IsTerminal, Write as _};

use crate::error::Refusal;

/// Prints a line of a result. A reader that went away, as with `| head`, is no error.
pub(super) fn say(text: &str) {
    let _ = is_heard(text);
}

/// Prints a line of a result, and says whether anybody still reads: for what would otherwise go on for ever.
pub(super) fn is_heard(text: &str) -> bool {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()).is_ok()
}

/// Prints JSON on one line.
pub(super) fn say_json(value: &impl serde::Serialize) {
    say(&serde_json::to_string(value).unwrap_or_default());
}

/// Something to know beside a result, on standard error.
pub(super) fn remark(text: &str) {
    let _ = writeln!(io::stderr().lock(), "note: {text}");
}

/// `error[code]: what and where`, then each problem, then what to do.
pub(super) fn print_error(refusal: &Refusal) {
    let mut text = format!("error[{}]: {}\n", refusal.code, refusal.message);
    for problem in &refusal.problems {
        text.push_str(&format!("  - `{}` {}\n", problem.argument, problem.message));
    }
    if !refusal.remedy.is_empty() {
        text.push_str(&format!("  help: {}\n", refusal.remedy));
    }
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// Whether colour is wanted there: a terminal, and nobody said `NO_COLOR` (no-color.org).
pub(super) fn is_colourful(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

/// Whether somebody can be asked.
pub(super) fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Asks, and reads one line. `None` at the end of input.
pub(super) fn ask(question: &str) -> io::Result<Option<String>> {
    {
        let mut out = io::stderr().lock();
        out.write_all(question.as_bytes())?;
        out.flush()?;
    }
    let mut line = String::new();
    let read = io::stdin().lock().read_line(&mut line)?;
    Ok((read > 0).then(|| line.trim().to_owned()))
}

/// The operating system's user who runs this process, by its effective uid; never from the environment.
pub(super) fn os_user() -> String {
    whoami::username().unwrap_or_else(|_| format!("uid-{}", rustix::process::geteuid().as_raw()))
}
