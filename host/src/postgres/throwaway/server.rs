//! A running server process and the watchdog beside it.

use std::{
    io::Write as _,
    os::unix::process::CommandExt as _,
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
};

use rustix::process::{Pid, Signal, kill_process};

use super::{Binaries, ThrowawayError, owner::Owner};

/// Becomes the server after it has started the watchdog, which reads the pipe: a line means that the server was stopped in
/// order, the end of the pipe without one that our process is gone. The watchdog is no child of the server (it is forked
/// twice), which would take its end for a crash. `$1`: the directory to remove, `$2` …: the server's command.
const START: &str = r#"
dir=$1; shift
exec 3<&0 </dev/null
( (
  read -r word <&3 && exit 0
  kill -s QUIT $$ 2>/dev/null
  while kill -s 0 $$ 2>/dev/null; do sleep 0.1; done
  rm -rf -- "$dir"
) >/dev/null 2>&1 & )
exec 3<&-
exec "$@"
"#;

/// How a server is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// Sessions are ended, a checkpoint is written (`fast`).
    InOrder,
    /// At once (`immediate`); a later start recovers.
    AtOnce,
}

/// A server. Stopped at once when dropped.
pub(super) struct Server {
    child: Child,
    watchdog: Option<ChildStdin>,
}

impl Server {
    /// Starts a server on a data directory, its output appended to a file. `root` is what the watchdog removes.
    pub(super) fn start(
        binaries: &Binaries,
        owner: Option<Owner>,
        root: &Path,
        data: &Path,
        output: std::fs::File,
    ) -> Result<Self, ThrowawayError> {
        let failed = |e: std::io::Error| ThrowawayError::new(format!("postgres could not be started: {e}"));
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(START).arg("throwaway").arg(root).arg(binaries.program("postgres")).arg("-D").arg(data);
        Owner::run(owner, &mut command);
        let errors = output.try_clone().map_err(failed)?;
        let mut child = command
            .current_dir("/")
            .env_remove("PGDATA")
            // Ctrl-C is for us: we stop the server.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .map_err(failed)?;
        let watchdog = child.stdin.take();
        Ok(Self { child, watchdog })
    }

    /// The exit status, if the server has ended by itself.
    pub(super) fn ended(&mut self) -> Option<std::process::ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// The server's process id.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Leaves the server running when this process ends: the watchdog is told that all is in order.
    pub(super) fn leave(mut self) {
        if let Some(mut watchdog) = self.watchdog.take() {
            let _ = watchdog.write_all(b"left\n");
        }
        // Its end would stop the server.
        std::mem::forget(self);
    }

    /// Stops the server and waits for its end.
    pub(super) fn stop(&mut self, how: Stop) {
        if self.ended().is_none() {
            let signal = match how {
                Stop::InOrder => Signal::INT,
                Stop::AtOnce => Signal::QUIT,
            };
            if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
                // It can only be gone already; it was not reaped, so the number is still its own.
                let _ = kill_process(pid, signal);
            }
            let _ = self.child.wait();
        }
        if let Some(mut watchdog) = self.watchdog.take() {
            let _ = watchdog.write_all(b"stopped\n");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop(Stop::AtOnce);
    }
}
