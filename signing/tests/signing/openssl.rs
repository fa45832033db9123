//! OpenSSL on the other side: it reads our keys, we read its keys, and a signature that it makes over the printed bytes is
//! as good as ours.

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use lockgate_signing::{
    encoding::{hex, sha256},
    key::{Passphrase, PrivateKey, PublicKey, Signer as _},
};

use crate::{
    command::{lockgate_sign, ok},
    fixture::{COMPONENT, FILE_NAME, declaration, write_mode},
};

fn openssl(directory: &Path, arguments: &str) -> Output {
    let output = Command::new("openssl")
        .current_dir(directory)
        .args(arguments.split(' '))
        .output()
        .expect("the `openssl` command, which this test needs (`scripts/setup` installs it)");
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn passphrase() -> Passphrase {
    Passphrase::new(b"correct horse".to_vec().into()).unwrap()
}

#[test]
fn openssl_reads_our_keys() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let key = PrivateKey::generate().unwrap();
    key.create_file(at.join("plain.pem"), None).unwrap();
    key.create_file(at.join("sealed.pem"), Some(&passphrase())).unwrap();
    fs::write(at.join("public.pem"), key.public_key().to_pem()).unwrap();
    fs::write(at.join("pass"), "correct horse\n").unwrap();
    for arguments in [
        "pkey -in plain.pem -pubout",
        "pkey -in sealed.pem -passin file:pass -pubout",
        "pkey -pubin -in public.pem -pubout",
    ] {
        let output = openssl(at, arguments);
        assert_eq!(String::from_utf8(output.stdout).unwrap(), key.public_key().to_pem(), "{arguments}");
    }
    let der = openssl(at, "pkey -pubin -in public.pem -outform DER").stdout;
    assert_eq!(hex(&sha256(&der)), key.public_key().id().to_string());
}

#[test]
fn we_read_openssl_s_keys() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    fs::write(at.join("pass"), "correct horse\n").unwrap();
    openssl(at, "genpkey -algorithm ed25519 -out plain.pem");
    openssl(at, "pkcs8 -topk8 -in plain.pem -out scrypt.pem -v2 aes-256-cbc -scrypt -passout file:pass");
    openssl(at, "pkcs8 -topk8 -in plain.pem -out pbkdf2.pem -v2 aes-256-cbc -passout file:pass");
    openssl(at, "pkey -in plain.pem -pubout -out public.pem");
    let public = PublicKey::from_text(&fs::read_to_string(at.join("public.pem")).unwrap()).unwrap();
    for name in ["plain.pem", "scrypt.pem", "pbkdf2.pem"] {
        // As secret as a key has to be, whatever the umask.
        let bytes = fs::read(at.join(name)).unwrap();
        write_mode(&at.join(name), &bytes, 0o600);
        assert_eq!(PrivateKey::read(at.join(name), Some(&passphrase())).unwrap().public_key(), public, "{name}");
    }
    for other in [
        "genpkey -algorithm rsa -out other.pem",
        "genpkey -algorithm ed448 -out other.pem",
        "genpkey -algorithm x25519 -out other.pem",
    ] {
        openssl(at, other);
        let bytes = fs::read(at.join("other.pem")).unwrap();
        write_mode(&at.join("other.pem"), &bytes, 0o600);
        assert_eq!(PrivateKey::read(at.join("other.pem"), None).unwrap_err().code(), "key_invalid", "{other}");
    }
}

#[test]
fn openssl_verifies_our_signatures() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let key = PrivateKey::generate().unwrap();
    fs::write(at.join("public.pem"), key.public_key().to_pem()).unwrap();
    fs::write(at.join("message"), b"DSSEv1").unwrap();
    fs::write(at.join("signature"), key.sign(b"DSSEv1").unwrap()).unwrap();
    openssl(at, "pkeyutl -verify -rawin -pubin -inkey public.pem -in message -sigfile signature");
}

#[test]
fn an_external_signer_needs_nothing_but_the_printed_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    fs::write(at.join(FILE_NAME), COMPONENT).unwrap();
    fs::write(at.join("declaration.json"), declaration().to_json()).unwrap();
    openssl(at, "genpkey -algorithm ed25519 -out hsm.pem");
    openssl(at, "pkey -in hsm.pem -pubout -out hsm.pub");

    let sign = format!("sign {FILE_NAME} --declaration declaration.json --publisher acme --print-pae");
    let pae = ok(lockgate_sign(at, &sign)).stdout;
    assert!(pae.starts_with(b"DSSEv1 28 application/vnd.in-toto+json "));
    let envelope = format!("{FILE_NAME}.dsse.json");
    assert_eq!(ok(lockgate_sign(at, &format!("inspect {envelope} --print-pae"))).stdout, pae);
    assert_eq!(ok(lockgate_sign(at, &sign)).stdout, pae, "again, and the same");

    let snippet = ok(lockgate_sign(at, "key show hsm.pub --name hsm --json")).stdout;
    let snippet: serde_json::Value = serde_json::from_slice(&snippet).unwrap();
    let trust = format!(
        "version = 1\n{}\n[[publisher]]\nname = \"acme\"\npacks = [\"*\"]\nkeys = [\"hsm\"]\nclasses = [\"read\", \"signal\"]\n",
        snippet["trust"].as_str().unwrap()
    );
    write_mode(&at.join("trust.toml"), trust.as_bytes(), 0o600);
    let verify = format!("verify {FILE_NAME} --trust trust.toml");
    assert_eq!(lockgate_sign(at, &verify).status.code(), Some(1), "not signed yet");

    fs::write(at.join("pae"), &pae).unwrap();
    openssl(at, "pkeyutl -sign -rawin -inkey hsm.pem -in pae -out signature");
    let attach = format!("attach-signature {envelope} --signature signature --public-key hsm.pub");
    ok(lockgate_sign(at, &attach));
    ok(lockgate_sign(at, &verify));
    ok(lockgate_sign(at, &attach));

    // A signature of something else is not attached.
    fs::write(at.join("pae"), &pae[1..]).unwrap();
    openssl(at, "pkeyutl -sign -rawin -inkey hsm.pem -in pae -out signature");
    let refused = lockgate_sign(at, &attach);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).starts_with("error[signature_invalid]: "));
}
