//! Agreement to what lets somebody do more: asked for at a terminal by a word that has to be typed, or given by a script that
//! names what it agrees to.

use super::terminal;
use crate::error::{Code, Refusal};

/// Asks for `word`. `how` says what a script has to give where nobody can be asked.
pub(super) fn ask(word: &str, what: &str, how: &str) -> Result<(), Refusal> {
    if !terminal::is_interactive() {
        return Err(required(&format!("nobody is at a terminal to agree to {what}"), how));
    }
    match terminal::ask(&format!("\nType `{word}` for {what}; anything else leaves all as it is: ")) {
        Ok(Some(answer)) if answer == word => Ok(()),
        Ok(_) => Err(Refusal::new(Code::Cancelled, "nothing was changed").with_remedy("")),
        Err(error) => Err(Refusal::new(Code::InternalError, format!("the terminal can't be read: {error}"))),
    }
}

/// What is to be agreed to was not named.
pub(super) fn required(message: &str, how: &str) -> Refusal {
    Refusal::new(Code::ConsentRequired, message).with_remedy(how)
}
