//! A webhook as Standard Webhooks has it (<https://www.standardwebhooks.com>, specification 1.0): a JSON body of `type`,
//! `timestamp` and `data`, and three headers: the message's id, the time of this attempt, and a signature over both and the
//! body. The id is the same each time a message is tried, so that a receiver can tell a repetition.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use serde_json::{Value as Json, json};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::notice::Notice;
use crate::outside::escape_hidden;

/// Before the base64 of a secret.
const PREFIX: &str = "whsec_";
/// Bytes of a secret, as the specification asks for.
const SECRET: std::ops::RangeInclusive<usize> = 24..=64;
/// Secrets at once: the new one and the old one, while receivers change over.
const SECRETS: usize = 2;

/// What bodies are signed with.
pub(super) struct Secrets(Vec<Zeroizing<Vec<u8>>>);

impl Secrets {
    /// One a line, the newest first.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let secrets: Vec<_> = lines.map(secret).collect::<Result<_, _>>()?;
        if (1..=SECRETS).contains(&secrets.len()) {
            Ok(Self(secrets))
        } else {
            Err(format!("it takes 1 or {SECRETS} secrets, one a line, and there are {}", secrets.len()))
        }
    }

    /// `webhook-signature`: one signature for each secret.
    pub(super) fn sign(&self, id: &str, seconds: i64, body: &str) -> String {
        let sign = |secret: &Zeroizing<Vec<u8>>| {
            let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
            mac.update(format!("{id}.{seconds}.{body}").as_bytes());
            Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
        };
        self.0.iter().filter_map(sign).collect::<Vec<_>>().join(" ")
    }
}

fn secret(line: &str) -> Result<Zeroizing<Vec<u8>>, String> {
    let decoded = line.strip_prefix(PREFIX).and_then(|text| STANDARD.decode(text).ok()).map(Zeroizing::new);
    decoded
        .filter(|bytes| SECRET.contains(&bytes.len()))
        .ok_or_else(|| format!("a secret is `{PREFIX}` and the base64 of {} to {} bytes", SECRET.start(), SECRET.end()))
}

/// The body.
pub(super) fn body(notice: &Notice) -> String {
    let mut data = serde_json::to_value(&notice.about).unwrap_or(Json::Null);
    if let Json::Object(data) = &mut data {
        data.insert("link".into(), json!(notice.link));
    } else {
        data = json!({});
    }
    let kind = notice.event.map_or("lockgate.test", super::event::EventKind::webhook_type);
    escape_hidden(&json!({ "type": kind, "timestamp": notice.at.to_string(), "data": data }).to_string())
}

/// The headers of one attempt.
pub(super) fn headers(secrets: &Secrets, id: &str, body: &str, now: Timestamp) -> [(&'static str, String); 3] {
    let seconds = now.as_second();
    [
        ("webhook-id", id.to_owned()),
        ("webhook-timestamp", seconds.to_string()),
        ("webhook-signature", secrets.sign(id, seconds, body)),
    ]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn signs_as_the_specification_s_own_example() {
        // https://github.com/standard-webhooks/standard-webhooks: the libraries' common test vector.
        let secrets = Secrets::read("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n").unwrap();
        let signed = secrets.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, r#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn two_secrets_sign_while_receivers_change_over() {
        let one = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let two = format!("whsec_{}", STANDARD.encode([7; 32]));
        let both = Secrets::read(&format!("{one}\n{two}\n")).unwrap().sign("m", 1, "{}");
        let each = [one, &two].map(|secret| Secrets::read(secret).unwrap().sign("m", 1, "{}"));
        assert_eq!(both, each.join(" "));
    }

    #[test]
    fn a_weak_or_malformed_secret_is_refused_without_being_shown() {
        for bad in ["", "hunter2", "whsec_aHVudGVyMg==", "whsec_!!!", &format!("whsec_{}", STANDARD.encode([1; 65]))] {
            let error = Secrets::read(bad).err().unwrap();
            assert!(!error.contains("hunter2") && !error.contains("aHVu"), "{error}");
        }
        let one = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n";
        assert!(Secrets::read(&one.repeat(3)).is_err());
    }
}
