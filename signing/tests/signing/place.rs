//! A directory in which an ordinary user runs `lockgate-sign`, whoever runs the tests: what processes of one user may see of
//! each other is no question for root, who sees all.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _, chown},
        process::CommandExt as _,
    },
    path::Path,
    process::{Command, Stdio},
};

use lockgate_signing::key::{Passphrase, PrivateKey};
use rustix::process::geteuid;
use tempfile::TempDir;

use crate::fixture::{COMPONENT, FILE_NAME, declaration, write_mode, write_program};

/// "nobody", on every system that has one.
const NOBODY: u32 = 65534;

/// In no other text of a test run.
pub const PASSPHRASE: &str = "correct horse battery staple 7d1f";

pub struct Place(TempDir);

impl Place {
    /// With the program, a component and its declaration, the key `sealed.pem`, its passphrase in `pass`, and `public.pem`.
    pub fn new() -> (Self, PrivateKey) {
        let place = Self(tempfile::tempdir().unwrap());
        let at = place.path();
        write_program(&at.join("lockgate-sign"), &fs::read(env!("CARGO_BIN_EXE_lockgate-sign")).unwrap());
        fs::write(at.join(FILE_NAME), COMPONENT).unwrap();
        fs::write(at.join("declaration.json"), declaration().to_json()).unwrap();
        let key = PrivateKey::generate().unwrap();
        let passphrase = Passphrase::new(PASSPHRASE.as_bytes().to_vec().into()).unwrap();
        key.create_file(at.join("sealed.pem"), Some(&passphrase)).unwrap();
        fs::write(at.join("public.pem"), key.public_key().to_pem()).unwrap();
        place.secret("pass", &format!("{PASSPHRASE}\n"));
        place.hand_over();
        (place, key)
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn secret(&self, name: &str, content: &str) {
        write_mode(&self.path().join(name), content.as_bytes(), 0o600);
        self.hand_over();
    }

    pub fn script(&self, name: &str, content: &str) {
        write_program(&self.path().join(name), format!("#!/bin/sh\n{content}").as_bytes());
        self.hand_over();
    }

    /// To the user who will run what is in it.
    fn hand_over(&self) {
        if !geteuid().is_root() {
            return;
        }
        fs::set_permissions(self.path(), fs::Permissions::from_mode(0o755)).unwrap();
        chown(self.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        for entry in fs::read_dir(self.path()).unwrap() {
            chown(entry.unwrap().path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }

    /// A command of the ordinary user, in this directory, with nothing on its standard input.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.path()).stdin(Stdio::null()).env_remove("LOCKGATE_SIGN_PASSPHRASE");
        if geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }

    /// Whether that user can read a file.
    pub fn can_read(&self, path: &str) -> bool {
        self.command("cat").arg(path).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success()
    }

    /// The user's id.
    pub fn user(&self) -> u32 {
        fs::metadata(self.path()).unwrap().uid()
    }
}
