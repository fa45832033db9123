//! Passwords: Argon2id with the parameters that OWASP's password storage cheat sheet gives first for it (19 MiB, two passes,
//! one lane), made off the async threads and few at once, since each costs memory and some ten milliseconds on purpose.

use std::sync::{Arc, OnceLock};

use argon2::{Algorithm, Argon2, Params, PasswordHash, PasswordHasher as _, PasswordVerifier as _, Version};
use tokio::sync::Semaphore;

use crate::{
    error::{Code, Refusal},
    store::person_key,
};

/// Fewest characters: NIST SP 800-63B-4 asks for fifteen where a password is all there is to show, and refuses nothing but
/// what is known or guessed.
pub const SHORTEST: usize = 15;
/// Most bytes; a phrase is a few dozen.
pub const LONGEST: usize = 1024;

/// KiB of memory, passes, lanes.
const COST: (u32, u32, u32) = (19 * 1024, 2, 1);
/// Made at once: each keeps a core busy.
const AT_ONCE: usize = 2;
/// Waiting for their turn; who comes after these is told to come again.
const WAITING: usize = 32;

/// Makes and compares passwords.
#[derive(Debug)]
pub struct Passwords {
    turn: Arc<Semaphore>,
    line: Arc<Semaphore>,
    /// Compared with where there is no account, so that its absence takes as long.
    nobody: Arc<OnceLock<String>>,
}

impl Default for Passwords {
    fn default() -> Self {
        Self {
            turn: Arc::new(Semaphore::new(AT_ONCE)),
            line: Arc::new(Semaphore::new(WAITING)),
            nobody: Arc::default(),
        }
    }
}

/// What comparing came to.
#[derive(Debug, PartialEq, Eq)]
pub enum Compared {
    /// It is not the password, or there is none.
    Wrong,
    /// It is.
    Right {
        /// The same password under today's parameters, if it was kept under others.
        again: Option<String>,
    },
}

impl Passwords {
    /// What is kept of a password (a PHC string).
    ///
    /// # Errors
    /// When too many wait, or it can't be made.
    pub async fn make(&self, password: String) -> Result<String, Refusal> {
        self.in_turn(move || make(&password)).await?
    }

    /// Compares. Takes about as long whether there is a password, an account, or neither.
    ///
    /// # Errors
    /// When too many wait, or what is kept can't be read.
    pub async fn compare(&self, password: String, kept: Option<String>) -> Result<Compared, Refusal> {
        let nobody = Arc::clone(&self.nobody);
        self.in_turn(move || match kept {
            Some(kept) => compare(&password, &kept),
            None => {
                let made = nobody.get_or_init(|| make("nobody has this password").unwrap_or_default());
                compare(&password, made).map(|_| Compared::Wrong)
            }
        })
        .await?
    }

    async fn in_turn<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Refusal> {
        let busy = || {
            Refusal::new(Code::Overloaded, "too many people log in at this moment").with_remedy("try again in a moment")
        };
        let _place = self.line.try_acquire().map_err(|_| busy())?;
        let turn = Arc::clone(&self.turn).acquire_owned().await.map_err(|_| busy())?;
        // The permit goes with the work: whoever hangs up leaves a hash that is still being made.
        tokio::task::spawn_blocking(move || {
            let _turn = turn;
            work()
        })
        .await
        .map_err(|error| Refusal::new(Code::InternalError, format!("a password could not be looked at: {error}")))
    }
}

/// Whether somebody may choose this password.
///
/// # Errors
/// What is wrong with it.
pub fn acceptable(password: &str, account: &str) -> Result<(), Refusal> {
    let refuse = |message: String| Err(Refusal::new(Code::AccountRefused, message));
    if password.chars().count() < SHORTEST {
        return refuse(format!("a password has at least {SHORTEST} characters; a few words with spaces are one"));
    }
    if password.len() > LONGEST {
        return refuse(format!("a password has at most {LONGEST} bytes"));
    }
    let distinct = password.chars().collect::<std::collections::BTreeSet<_>>().len();
    if distinct < 6 {
        return refuse("this password repeats the same few characters; choose another".to_owned());
    }
    let key = person_key(password);
    let rest = key.replace(&person_key(account), "").replace("lockgate", "").replace("password", "");
    if rest.chars().count() < SHORTEST / 2 {
        return refuse("this password is little more than a name that anybody could guess; choose another".to_owned());
    }
    Ok(())
}

fn argon() -> Result<Argon2<'static>, Refusal> {
    let (memory, passes, lanes) = COST;
    let params = Params::new(memory, passes, lanes, None).map_err(|error| defect(&error))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn make(password: &str) -> Result<String, Refusal> {
    let hash: PasswordHash = argon()?.hash_password(password.as_bytes()).map_err(|error| defect(&error))?;
    Ok(hash.to_string())
}

fn compare(password: &str, kept: &str) -> Result<Compared, Refusal> {
    let hash = PasswordHash::new(kept).map_err(|error| defect(&error))?;
    if argon()?.verify_password(password.as_bytes(), &hash).is_err() {
        return Ok(Compared::Wrong);
    }
    let (memory, passes, lanes) = COST;
    let today = format!("$argon2id$v=19$m={memory},t={passes},p={lanes}$");
    let again = if kept.starts_with(&today) { None } else { Some(make(password)?) };
    Ok(Compared::Right { again })
}

fn defect(error: &dyn std::fmt::Display) -> Refusal {
    Refusal::new(Code::InternalError, format!("a password could not be made or read: {error}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const PHRASE: &str = "four words are enough";

    #[tokio::test]
    async fn a_password_is_known_again_and_no_other() {
        let passwords = Passwords::default();
        let kept = passwords.make(PHRASE.to_owned()).await.unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$") && !kept.contains(PHRASE), "{kept}");
        assert_ne!(kept, passwords.make(PHRASE.to_owned()).await.unwrap(), "salted");
        let compare = |text: &str, kept: Option<&String>| passwords.compare(text.to_owned(), kept.cloned());
        assert_eq!(compare(PHRASE, Some(&kept)).await.unwrap(), Compared::Right { again: None });
        assert_eq!(compare("four words are enougH", Some(&kept)).await.unwrap(), Compared::Wrong);
        assert_eq!(compare(PHRASE, None).await.unwrap(), Compared::Wrong);
        assert_eq!(compare("nobody has this password", None).await.unwrap(), Compared::Wrong, "not even this one");
        assert!(compare(PHRASE, Some(&"garbage".to_owned())).await.is_err());
    }

    #[tokio::test]
    async fn one_of_weaker_parameters_is_made_again() {
        let weak = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(8192, 1, 1, None).unwrap());
        let kept: PasswordHash = weak.hash_password(PHRASE.as_bytes()).unwrap();
        let passwords = Passwords::default();
        let right = passwords.compare(PHRASE.to_owned(), Some(kept.to_string())).await.unwrap();
        let Compared::Right { again: Some(again) } = right else { unreachable!("{right:?}") };
        let second = passwords.compare(PHRASE.to_owned(), Some(again)).await.unwrap();
        assert_eq!(second, Compared::Right { again: None });
    }

    #[tokio::test]
    async fn beyond_a_full_line_people_are_told_to_come_again() {
        let passwords = Passwords::default();
        let all = Arc::clone(&passwords.line).acquire_many_owned(u32::try_from(WAITING).unwrap()).await.unwrap();
        assert_eq!(passwords.make(PHRASE.to_owned()).await.unwrap_err().code, Code::Overloaded);
        drop(all);
        assert!(passwords.make(PHRASE.to_owned()).await.is_ok());
    }

    #[test]
    fn what_anybody_could_guess_is_refused() {
        assert!(acceptable(PHRASE, "grace").is_ok());
        assert!(acceptable("ünïcödé wörds tóo", "grace").is_ok());
        for bad in [
            "",
            "short",
            "aaaaaaaaaaaaaaaaaa",
            "abababababababab",
            "gracegracegrace1",
            "lockgate-password1",
            &"ab cdefg ".repeat(200),
        ] {
            assert!(acceptable(bad, "grace").is_err(), "{bad}");
        }
    }
}
