//! An authenticator as the specification has it (WebAuthn Level 3, 6): a P-256 key of its own for each test, a counter, user
//! verification, no attestation. And the lies that a bad one could tell.

use std::process::{Command, Stdio};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};

/// What a signature says of its maker: present (UP) and verified (UV).
const PRESENT: u8 = 0x01;
const VERIFIED: u8 = 0x04;
/// A credential's key stands behind (AT).
const ATTESTED: u8 = 0x40;

pub struct Authenticator {
    origin: String,
    pub rp: String,
    pub id: Vec<u8>,
    key: jsonwebtoken::EncodingKey,
    x: Vec<u8>,
    y: Vec<u8>,
    pub counter: u32,
    pub verifies: bool,
}

impl Authenticator {
    /// With a new key, in a browser that is at this origin.
    pub fn new(origin: &str, rp: &str) -> Self {
        let curve = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
        let pem = openssl(&[&["genpkey"][..], &curve].concat(), b"");
        let der = openssl(&["pkcs8", "-topk8", "-nocrypt", "-outform", "DER"], &pem);
        let public = openssl(&["pkey", "-pubout", "-outform", "DER"], &pem);
        // The point stands last, after a byte that says that both coordinates follow (SEC 1, 2.3.3).
        let point = &public[public.len() - 64..];
        Self {
            origin: origin.to_owned(),
            rp: rp.to_owned(),
            id: Sha256::digest(point).to_vec(),
            key: jsonwebtoken::EncodingKey::from_ec_der(&der),
            x: point[..32].to_vec(),
            y: point[32..].to_vec(),
            counter: 1,
            verifies: true,
        }
    }

    /// Answers the options of a registration.
    pub fn create(&mut self, options: &str) -> String {
        let options: Json = serde_json::from_str(options).expect("options");
        assert_eq!(options["publicKey"]["rp"]["id"], self.rp.as_str());
        assert_eq!(options["publicKey"]["authenticatorSelection"]["userVerification"], "required");
        let client = self.client("webauthn.create", &options["publicKey"]["challenge"]);
        let mut data = self.data(ATTESTED);
        data.extend([0; 16]);
        data.extend(u16::try_from(self.id.len()).expect("short").to_be_bytes());
        data.extend(&self.id);
        // COSE_Key: EC2, ES256, P-256, x, y (RFC 9053, 7.1).
        data.extend([0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20]);
        data.extend(&self.x);
        data.extend([0x22, 0x58, 0x20]);
        data.extend(&self.y);
        let mut object = vec![0xa3, 0x63];
        object.extend(b"fmt\x64none\x67attStmt\xa0\x68authData\x58");
        object.push(u8::try_from(data.len()).expect("below 256 bytes"));
        object.extend(data);
        self.answer(json!({ "attestationObject": encoded(&object), "clientDataJSON": encoded(&client) }))
    }

    /// Answers the options of a login.
    pub fn get(&mut self, options: &str) -> String {
        let options: Json = serde_json::from_str(options).expect("options");
        assert_eq!(options["publicKey"]["userVerification"], "required");
        let client = self.client("webauthn.get", &options["publicKey"]["challenge"]);
        let data = self.data(0);
        let signed = [&data[..], &Sha256::digest(&client)].concat();
        let raw = jsonwebtoken::crypto::sign(&signed, &self.key, jsonwebtoken::Algorithm::ES256).expect("a signature");
        let raw = URL_SAFE_NO_PAD.decode(raw).expect("base64");
        self.answer(json!({
            "authenticatorData": encoded(&data), "clientDataJSON": encoded(&client), "signature": encoded(&der(&raw)),
            "userHandle": null,
        }))
    }

    fn client(&self, kind: &str, challenge: &Json) -> Vec<u8> {
        json!({ "type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": false }).to_string().into()
    }

    fn data(&mut self, more: u8) -> Vec<u8> {
        let verified = if self.verifies { VERIFIED } else { 0 };
        let mut data = Sha256::digest(&self.rp).to_vec();
        data.push(PRESENT | verified | more);
        data.extend(self.counter.to_be_bytes());
        self.counter += 1;
        data
    }

    fn answer(&self, response: Json) -> String {
        let id = encoded(&self.id);
        json!({ "id": id, "rawId": id, "type": "public-key", "response": response, "extensions": {} }).to_string()
    }
}

fn encoded(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// r and s as ASN.1 has them, which is what WebAuthn signs with (6.5.5).
fn der(raw: &[u8]) -> Vec<u8> {
    let integer = |bytes: &[u8]| {
        let mut bytes: Vec<u8> = bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
        if bytes.first().is_none_or(|first| first & 0x80 != 0) {
            bytes.insert(0, 0);
        }
        [&[0x02, u8::try_from(bytes.len()).expect("short")][..], &bytes].concat()
    };
    let both = [integer(&raw[..32]), integer(&raw[32..])].concat();
    [&[0x30, u8::try_from(both.len()).expect("short")][..], &both].concat()
}

fn openssl(arguments: &[&str], input: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut child = Command::new("openssl")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl can be started");
    child.stdin.take().expect("a pipe").write_all(input).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "openssl {arguments:?}");
    output.stdout
}
