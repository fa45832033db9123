//! Files under attack: links, pipes, sizes, modes, and a file that changes between being checked and being used.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use lockgate_signing::{
    file::MAX_COMPONENT_BYTES,
    trust::Trust,
    verify::{HighestSeen, VerifiedComponent, VerifyError, verify_file},
};

use crate::fixture::{COMPONENT, Installed, Keys, code, install, now, sign, statement};

fn run(installed: &Installed) -> Result<VerifiedComponent, VerifyError> {
    verify_file(&installed.component, &Trust::open(&installed.trust).unwrap(), now(), &HighestSeen::new())
}

fn installed() -> Installed {
    let keys = Keys::new();
    install(&keys, &sign(&statement(), &[&keys.one]))
}

#[test]
fn a_missing_envelope_is_always_an_error() {
    let installed = installed();
    assert_eq!(code(&run(&installed)), "ok");
    fs::remove_file(&installed.envelope).unwrap();
    assert_eq!(code(&run(&installed)), "envelope_missing");
    fs::write(&installed.envelope, "").unwrap();
    assert_eq!(code(&run(&installed)), "envelope_invalid");
    fs::remove_file(&installed.component).unwrap();
    assert_eq!(code(&run(&installed)), "file_refused");
}

#[test]
fn only_regular_files_are_read() {
    let installed = installed();
    for path in [&installed.component, &installed.envelope] {
        let aside = path.with_extension("aside");
        fs::rename(path, &aside).unwrap();
        symlink(&aside, path).unwrap();
        assert_eq!(code(&run(&installed)), "file_refused", "a link");
        fs::remove_file(path).unwrap();
        assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
        assert_eq!(code(&run(&installed)), "file_refused", "a pipe without a writer");
        fs::remove_file(path).unwrap();
        fs::create_dir(path).unwrap();
        assert_eq!(code(&run(&installed)), "file_refused", "a directory");
        fs::remove_dir(path).unwrap();
        fs::rename(&aside, path).unwrap();
    }
    assert_eq!(code(&run(&installed)), "ok");
    assert_eq!(
        verify_file(Path::new("/"), &Trust::open(&installed.trust).unwrap(), now(), &HighestSeen::new())
            .unwrap_err()
            .code(),
        "file_refused"
    );
}

#[test]
fn a_large_file_is_refused_before_it_is_read() {
    let installed = installed();
    // Sparse: no such number of bytes is written.
    fs::File::options().write(true).open(&installed.component).unwrap().set_len(MAX_COMPONENT_BYTES + 1).unwrap();
    assert_eq!(code(&run(&installed)), "file_too_large");
    let installed = self::installed();
    fs::File::options().write(true).open(&installed.envelope).unwrap().set_len(1 << 40).unwrap();
    assert_eq!(code(&run(&installed)), "file_too_large");
}

#[test]
fn a_policy_that_others_may_write_is_refused() {
    let installed = installed();
    for mode in [0o664, 0o646, 0o622, 0o620, 0o602] {
        fs::set_permissions(&installed.trust, fs::Permissions::from_mode(mode)).unwrap();
        let error = Trust::open(&installed.trust).unwrap_err();
        assert_eq!(error.code(), "file_refused");
        assert!(error.to_string().contains("others may write it"), "{error}");
    }
    fs::set_permissions(&installed.trust, fs::Permissions::from_mode(0o644)).unwrap();
    let link = installed.directory.path().join("link.toml");
    symlink(&installed.trust, &link).unwrap();
    assert!(Trust::open(&link).is_err());
    fs::write(&installed.trust, "version = 1\nkeyy = 1\n").unwrap();
    let error = Trust::open(&installed.trust).unwrap_err().to_string();
    assert!(error.contains("trust.toml: line 2: ") && error.contains("did you mean `key`"), "{error}");
}

#[test]
fn what_was_checked_is_what_is_used() {
    // Somebody replaces the component with a bad one and back, as fast as possible. Whatever is accepted holds the signed
    // bytes, because they were read once.
    let installed = installed();
    let trust = Trust::open(&installed.trust).unwrap();
    let stop = AtomicBool::new(false);
    let evil = installed.directory.path().join("evil");
    let (mut accepted, mut refused) = (0, 0);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                for bytes in [b"\0asm evil, and longer than the good one".as_slice(), COMPONENT] {
                    fs::write(&evil, bytes).unwrap();
                    fs::rename(&evil, &installed.component).unwrap();
                }
            }
        });
        for round in 0.. {
            match verify_file(&installed.component, &trust, now(), &HighestSeen::new()) {
                Ok(verified) => {
                    assert_eq!(verified.bytes(), COMPONENT);
                    accepted += 1;
                }
                Err(error) => {
                    assert_eq!(error.code(), "component_mismatch");
                    refused += 1;
                }
            }
            // Until both have been seen, or it is clear that this machine does not interleave the two.
            if round >= 200 && (accepted > 0 && refused > 0 || round >= 20_000) {
                break;
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert!(accepted + refused > 200);

    // And once it is accepted the file no longer matters.
    let verified = run(&self::installed()).unwrap();
    assert_eq!(verified.bytes(), COMPONENT);
}
