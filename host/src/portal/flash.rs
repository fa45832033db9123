//! What is said once, on the next page: a sentence, in a cookie, sealed for the session it is for, so that nobody can put
//! words on the screen of somebody else.

use axum::http::{HeaderMap, HeaderValue};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use subtle::ConstantTimeEq as _;

use super::{Access, cookies};
use crate::people::Secret;

/// Longest sentence, in characters.
const LONGEST: usize = 300;

/// How a notice sounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Something to know.
    Note,
    /// Something has been done.
    Done,
    /// Something to beware of.
    Warning,
    /// Something went wrong.
    Failed,
}

impl Tone {
    /// The stable word, which is also the style's.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Done => "done",
            Self::Warning => "warning",
            Self::Failed => "failed",
        }
    }

    fn of(text: &str) -> Option<Self> {
        [Self::Note, Self::Done, Self::Warning, Self::Failed].into_iter().find(|tone| tone.as_str() == text)
    }
}

/// A notice for the next page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flash {
    /// How it sounds.
    pub tone: Tone,
    /// What it says, as plain text.
    pub text: String,
}

impl Flash {
    /// Something has been done.
    #[must_use]
    pub fn done(text: impl Into<String>) -> Self {
        Self { tone: Tone::Done, text: text.into() }
    }

    /// Something to know.
    #[must_use]
    pub fn note(text: impl Into<String>) -> Self {
        Self { tone: Tone::Note, text: text.into() }
    }

    pub(super) fn cookie(&self, access: &Access, secret: &Secret) -> HeaderValue {
        let text: String = self.text.chars().take(LONGEST).collect();
        let body = URL_SAFE_NO_PAD.encode(format!("{}:{text}", self.tone.as_str()));
        let seal = seal(access, secret, &body);
        cookies::set(&access.site, cookies::FLASH, &format!("{body}.{seal}"))
    }

    pub(super) fn read(headers: &HeaderMap, access: &Access, secret: &Secret) -> Option<Self> {
        let (body, presented) = cookies::read(headers, &access.site, cookies::FLASH)?.split_once('.')?;
        if !bool::from(seal(access, secret, body).as_bytes().ct_eq(presented.as_bytes())) {
            return None;
        }
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(body).ok()?).ok()?;
        let (tone, text) = text.split_once(':')?;
        Some(Self { tone: Tone::of(tone)?, text: text.to_owned() })
    }
}

fn seal(access: &Access, secret: &Secret, body: &str) -> String {
    access.seal(&[b"notice", secret.reveal().as_bytes(), body.as_bytes()])
}
