//! Where a passphrase and a key may be seen while `lockgate-sign` runs: arguments, environment, memory, core files, output.
//! Real processes, looked at while they wait: for a signer command, which says when it is its turn, or at a prompt.
#![cfg(target_os = "linux")]

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::{
        fs::{MetadataExt as _, chown},
        process::ExitStatusExt as _,
    },
    process::{Child, ChildStderr, Command, ExitStatus, Stdio},
};

use lockgate_signing::key::PrivateKey;
use rustix::process::{Pid, Signal, geteuid, kill_process};

use crate::{
    command::ok,
    fixture::FILE_NAME,
    place::{PASSPHRASE, Place},
};

/// Says that it has been asked, on the standard error that it shares, and waits until `go` can be read.
const WAITING_SIGNER: &str = "cat > signed; env > environment; echo waiting >&2; read word < go; exit 1\n";

const SIGN: [&str; 8] = [
    "sign",
    FILE_NAME,
    "--declaration=declaration.json",
    "--publisher=acme",
    "--key=sealed.pem",
    "--signer-command=./signer",
    "--signer-public-key=public.pem",
    "--json",
];

/// `lockgate-sign sign` with an opened key, waiting for its second signer.
struct Waiting<'a> {
    place: &'a Place,
    child: Option<Child>,
    errors: BufReader<ChildStderr>,
}

impl<'a> Waiting<'a> {
    fn start(place: &'a Place, mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut errors = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while line.trim_end() != "waiting" {
            assert!(line.is_empty() || line.starts_with("warning: "), "{line}");
            line.clear();
            assert_ne!(errors.read_line(&mut line).unwrap(), 0, "it ended before it asked its signer");
        }
        Self { place, child: Some(child), errors }
    }

    fn id(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    fn proc(&self, name: &str) -> String {
        format!("/proc/{}/{name}", self.id())
    }

    /// Lets the signer go on, as long as what comes of this is kept: a pipe that nobody has open forgets what was written.
    fn release(&self) -> Option<fs::File> {
        // For reading too, so that opening does not wait for the reader, who may be gone.
        let mut go = fs::File::options().read(true).write(true).open(self.place.path().join("go")).ok()?;
        go.write_all(b"go\n").ok()?;
        Some(go)
    }

    /// Lets it end, and everything that it wrote.
    fn end(mut self) -> (ExitStatus, Vec<u8>) {
        let _go = self.release();
        let mut output = Vec::new();
        self.errors.read_to_end(&mut output).unwrap();
        let ended = self.child.take().unwrap().wait_with_output().unwrap();
        output.extend_from_slice(&ended.stdout);
        (ended.status, output)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let _go = self.release();
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A place with the waiting signer in it.
fn waiting_place() -> (Place, PrivateKey) {
    let (place, key) = Place::new();
    place.script("signer", WAITING_SIGNER);
    assert!(place.command("mkfifo").arg("go").status().unwrap().success());
    (place, key)
}

fn seed(key: &PrivateKey) -> [u8; 32] {
    key.clone().into_signing_key().to_bytes()
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[test]
fn other_processes_of_the_user_see_nothing() {
    let (place, key) = waiting_place();
    let mut command = place.command("./lockgate-sign");
    command.args(SIGN).env("LOCKGATE_SIGN_PASSPHRASE", PASSPHRASE);
    let waiting = Waiting::start(&place, command);

    // What anybody may read: the arguments.
    let arguments = fs::read(waiting.proc("cmdline")).unwrap();
    assert!(contains(&arguments, b"sealed.pem") && !contains(&arguments, PASSPHRASE.as_bytes()));
    // What the same user may read of any other process of theirs.
    let mut other = place.command("cat").stdin(Stdio::piped()).env("SECRET", PASSPHRASE).spawn().unwrap();
    for name in ["environ", "maps"] {
        assert!(place.can_read(&format!("/proc/{}/{name}", other.id())), "otherwise this shows nothing");
        assert!(!place.can_read(&waiting.proc(name)), "{name}");
    }
    assert!(!place.can_read(&waiting.proc("mem")) && !place.can_read(&waiting.proc("fd/0")));
    drop(other.stdin.take());
    other.wait().unwrap();
    // The mark of a process that is not dumpable: what is in its directory belongs to root.
    assert_ne!(place.user(), 0);
    assert_eq!(fs::metadata(waiting.proc("environ")).unwrap().uid(), 0);

    // The signer is another program, and the passphrase is none of its business.
    let environment = fs::read(place.path().join("environment")).unwrap();
    assert!(contains(&environment, b"PATH=") && !contains(&environment, PASSPHRASE.as_bytes()));
    assert!(fs::read(place.path().join("signed")).unwrap().starts_with(b"DSSEv1 28 application/vnd.in-toto+json "));

    let (status, output) = waiting.end();
    assert_eq!(status.code(), Some(1), "the signer refused");
    assert!(contains(&output, b"error[signature_invalid]: the signer failed"));
    for secret in [PASSPHRASE.as_bytes(), &seed(&key)] {
        assert!(!contains(&output, secret));
    }
}

#[test]
fn no_core_file_is_left_whatever_the_limit_was() {
    let (place, _) = waiting_place();
    // As high as it goes, so that it is `lockgate-sign` that lowers it.
    let mut command = place.command("sh");
    command
        .args(["-c", "ulimit -c $(ulimit -H -c); exec ./lockgate-sign \"$@\" --passphrase-file=pass", "sh"])
        .args(SIGN);
    let waiting = Waiting::start(&place, command);
    let limits = fs::read_to_string(waiting.proc("limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    let values: Vec<&str> = core.split_whitespace().skip(4).take(2).collect();
    assert_eq!(values, ["0", "0"], "neither now nor later");

    kill_process(Pid::from_child(waiting.child.as_ref().unwrap()), Signal::ABORT).unwrap();
    let (status, _) = waiting.end();
    assert_eq!(status.signal(), Some(Signal::ABORT.as_raw()));
    assert!(!status.core_dumped());
    for entry in fs::read_dir(place.path()).unwrap() {
        let name = entry.unwrap().file_name();
        assert!(!name.to_string_lossy().starts_with("core"), "{name:?}");
    }
}

/// Whether root is root everywhere and may lock memory past the limit, which is not so in every container.
fn is_real_root() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap();
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    const IPC_LOCK: u64 = 1 << 14;
    map.split_whitespace().eq(["0", "0", "4294967295"])
        && u64::from_str_radix(effective.trim(), 16).unwrap() & IPC_LOCK != 0
}

/// A piece of a process's memory.
struct Region {
    start: u64,
    length: u64,
    name: String,
    writable: bool,
    locked: bool,
}

fn regions(id: u32) -> Vec<Region> {
    let mut regions: Vec<Region> = Vec::new();
    for line in fs::read_to_string(format!("/proc/{id}/smaps")).unwrap().lines() {
        if let Some(flags) = line.strip_prefix("VmFlags:") {
            regions.last_mut().unwrap().locked = flags.split_whitespace().any(|flag| flag == "lo");
        } else if let Some((start, end)) = line.split(' ').next().and_then(|range| range.split_once('-')) {
            let [start, end] = [start, end].map(|text| u64::from_str_radix(text, 16).unwrap());
            let writable = line.split_whitespace().nth(1).unwrap().contains('w');
            let name = line.split_whitespace().nth(5).unwrap_or_default().to_owned();
            regions.push(Region { start, length: end - start, name, writable, locked: false });
        }
    }
    regions
}

/// Which regions hold these bytes, of those that the process can have written them to.
fn found<'a>(id: u32, regions: &'a [Region], needle: &[u8]) -> Vec<&'a Region> {
    let mut memory = fs::File::open(format!("/proc/{id}/mem")).unwrap();
    let holds = |region: &&Region| {
        let mut bytes = Vec::new();
        // What can't be read (a reservation, a page of the kernel) holds nothing that could be swapped either.
        let read = memory
            .seek(SeekFrom::Start(region.start))
            .and_then(|_| (&memory).take(region.length).read_to_end(&mut bytes));
        read.is_ok() && contains(&bytes, needle)
    };
    regions.iter().filter(|region| region.writable).filter(holds).collect()
}

#[test]
fn while_a_device_is_waited_for_there_is_no_secret_left() {
    if !geteuid().is_root() {
        // Nobody else may look; that is what the test above is about.
        return;
    }
    let (place, key) = waiting_place();
    for name in ["sealed.pem", "pass"] {
        chown(place.path().join(name), Some(0), None).unwrap();
    }
    let mut command = Command::new("./lockgate-sign");
    command.current_dir(place.path()).args(SIGN).arg("--passphrase-file=pass");
    let waiting = Waiting::start(&place, command);
    let regions = regions(waiting.id());
    for (what, secret) in [("passphrase", PASSPHRASE.as_bytes()), ("key", &seed(&key))] {
        let found = found(waiting.id(), &regions, secret);
        assert!(found.is_empty(), "the {what} is still in {}", found[0].name);
    }
    if is_real_root() {
        let unlocked: Vec<_> =
            regions.iter().filter(|region| !region.locked && !region.name.starts_with("[v")).collect();
        assert!(unlocked.is_empty(), "{} and others are not locked", unlocked[0].name);
    }
    drop(waiting.end());
}

/// A conversation over a terminal of its own.
struct Conversation {
    child: Child,
    heard: Vec<u8>,
}

impl Conversation {
    fn start(place: &Place, line: &str) -> Self {
        // Standard input stays open, so that the terminal does; and a conversation that gets stuck ends.
        let mut command = place.command("timeout");
        command.args(["--foreground", "60", "script", "--quiet", "--return", "--command", line, "/dev/null"]);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        Self { child, heard: Vec::new() }
    }

    /// Reads until something has been said that was not said before.
    fn hear(&mut self, words: &str) {
        let from = self.heard.len();
        let out = self.child.stdout.as_mut().unwrap();
        while !contains(&self.heard[from..], words.as_bytes()) {
            let mut byte = [0];
            assert_eq!(
                out.read(&mut byte).unwrap(),
                1,
                "{words} was not said: {}",
                String::from_utf8_lossy(&self.heard)
            );
            self.heard.push(byte[0]);
        }
    }

    /// The id of the process that asks, which its shell tells before it becomes that process.
    fn hear_id(&mut self) -> u32 {
        self.hear("asks=");
        let from = self.heard.len();
        self.hear("\n");
        String::from_utf8(self.heard[from..].to_vec()).unwrap().trim().parse().unwrap()
    }

    fn say(&mut self, line: &str) {
        self.child.stdin.as_mut().unwrap().write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    fn end(mut self) -> (ExitStatus, String) {
        drop(self.child.stdin.take());
        self.child.stdout.as_mut().unwrap().read_to_end(&mut self.heard).unwrap();
        (self.child.wait().unwrap(), String::from_utf8(self.heard).unwrap())
    }
}

#[test]
fn what_is_typed_is_not_shown_and_the_terminal_is_put_back() {
    let (place, key) = Place::new();
    let line = "sh -c 'echo asks=$$; exec ./lockgate-sign key show sealed.pem'; stty -a";
    let mut talk = Conversation::start(&place, line);
    let id = talk.hear_id();
    talk.hear("Passphrase for sealed.pem: ");
    // At the prompt it is as closed as later.
    assert!(!place.can_read(&format!("/proc/{id}/environ")) && place.can_read(&format!("/proc/{id}/cmdline")));
    talk.say(PASSPHRASE);
    talk.hear("speed");
    let (status, heard) = talk.end();
    assert!(status.success(), "{heard}");
    assert!(heard.contains(&key.public_key().id().to_string()) && !heard.contains(PASSPHRASE), "{heard}");
    assert!(heard.contains(" echo ") && !heard.contains("-echo "), "{heard}");
}

#[test]
fn who_interrupts_the_question_has_a_terminal_that_shows_what_is_typed() {
    let (place, _) = Place::new();
    let mut talk = Conversation::start(
        &place,
        "trap 'echo signalled' INT; ./lockgate-sign key show sealed.pem; echo ended=$?; stty -a",
    );
    talk.hear("Passphrase for sealed.pem: ");
    talk.child.stdin.as_mut().unwrap().write_all(b"begun and not\x03").unwrap();
    talk.hear("speed");
    let (_, heard) = talk.end();
    assert!(heard.contains("ended=130") && !heard.contains("begun"), "{heard}");
    assert!(heard.contains(" echo ") && !heard.contains("-isig") && heard.contains("eol = <undef>"), "{heard}");
}

#[test]
fn an_open_key_lies_where_nothing_is_swapped() {
    if !geteuid().is_root() {
        return;
    }
    let (place, key) = Place::new();
    place.secret("second.pem", &fs::read_to_string(place.path().join("sealed.pem")).unwrap());
    // An ordinary user, with the limit that systems usually give; one key is open, and the next one is asked for.
    let line = "echo asks=$$; exec prlimit --memlock=8388608:8388608 ./lockgate-sign sign inventory-1.2.0.wasm \
                --declaration declaration.json --publisher acme --key sealed.pem --key second.pem";
    let mut talk = Conversation::start(&place, line);
    let id = talk.hear_id();
    talk.hear("Passphrase for sealed.pem: ");
    talk.say(PASSPHRASE);
    talk.hear("Passphrase for second.pem: ");
    let regions = regions(id);
    let keys = found(id, &regions, &seed(&key));
    assert!(!keys.is_empty(), "the key is in use, so it must be somewhere");
    for region in keys {
        assert!(region.locked, "the key lies in {}, which may be swapped", region.name);
    }
    let passphrase = found(id, &regions, PASSPHRASE.as_bytes());
    assert!(passphrase.is_empty(), "the passphrase is still in {}", passphrase[0].name);
    talk.say("wrong");
    let (status, heard) = talk.end();
    assert_eq!(status.code(), Some(2), "{heard}");
    assert!(heard.contains("`second.pem`: the private key can't be decrypted"), "{heard}");
}

#[test]
fn a_new_passphrase_is_typed_twice() {
    let (place, _) = Place::new();
    for (second, status) in [("another one", 2), (PASSPHRASE, 0)] {
        let mut talk = Conversation::start(&place, "./lockgate-sign key generate --encrypt --out new.pem");
        talk.hear("New passphrase: ");
        talk.say(PASSPHRASE);
        talk.hear("Once more: ");
        talk.say(second);
        let (ended, heard) = talk.end();
        assert_eq!(ended.code(), Some(status), "{heard}");
        assert!(!heard.contains(PASSPHRASE) && !heard.contains(second), "{heard}");
        assert_eq!(place.path().join("new.pem").exists(), status == 0, "{heard}");
    }
    ok(place.command("./lockgate-sign").args(["key", "show", "new.pem", "--passphrase-file=pass"]).output().unwrap());
}
