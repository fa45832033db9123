//! Asking a person at the terminal for something that must not be shown, and reading it without leaving copies behind.

use std::{
    fs::File,
    io::{self, Read, Write as _},
};

use rustix::{
    process::{Signal, getpid, kill_process},
    termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr},
};
use zeroize::Zeroizing;

/// Longest line; also the size of the buffer, which must not grow and leave copies behind.
pub const MAX_LINE_BYTES: usize = 1024;

/// Asks at the terminal itself, wherever standard input and output lead, and reads one line that is not shown. The
/// terminal is put back as it was, whatever happens: who interrupts the question interrupts the process after that. The line comes
/// without its end, in memory that is wiped.
///
/// # Errors
///
/// If there is no terminal, or as for [`read_secret_line`]; [`io::ErrorKind::Interrupted`] where the process lives on.
pub fn ask_in_silence(question: &str) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut terminal = File::options().read(true).write(true).open("/dev/tty")?;
    let before = tcgetattr(&terminal)?;
    let mut silent = before.clone();
    // A signal would leave the terminal silent, so what would send one ends the line instead.
    silent.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
    let interrupt = before.special_codes[SpecialCodeIndex::VINTR];
    silent.special_codes[SpecialCodeIndex::VEOL] = interrupt;
    let line = {
        // Silent before anybody is asked: what is typed after the question is neither shown nor thrown away.
        tcsetattr(&terminal, OptionalActions::Flush, &silent)?;
        let _silence = Silence(&terminal, before);
        (&terminal)
            .write_all(question.as_bytes())
            .and_then(|()| read_secret_line(Typed { terminal: &terminal, interrupt, over: false }))
    };
    terminal.write_all(b"\n")?;
    let line = line?;
    // A terminal whose users can't interrupt has 0 there.
    if interrupt != 0 && line.last() == Some(&interrupt) {
        kill_process(getpid(), Signal::INT)?;
        return Err(io::ErrorKind::Interrupted.into());
    }
    Ok(line)
}

/// Reads until the end or the first line end, which it leaves away, in one buffer that is wiped.
///
/// # Errors
///
/// The system's, or [`io::ErrorKind::FileTooLarge`] for a line of more than [`MAX_LINE_BYTES`].
pub fn read_secret_line(mut from: impl Read) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut buffer = Zeroizing::new(vec![0; MAX_LINE_BYTES]);
    let mut length = 0;
    while let Some(rest) = buffer.get_mut(length..).filter(|rest| !rest.is_empty()) {
        let count = match from.read(rest) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            count => count?,
        };
        let end = rest.iter().take(count).position(|byte| *byte == b'\n');
        length += end.unwrap_or(count);
        if count == 0 || end.is_some() {
            buffer.truncate(length);
            if buffer.last() == Some(&b'\r') {
                buffer.truncate(length.saturating_sub(1));
            }
            return Ok(buffer);
        }
    }
    Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("the line has more than {MAX_LINE_BYTES} bytes")))
}

/// What is typed, up to what interrupts it.
struct Typed<'a> {
    terminal: &'a File,
    interrupt: u8,
    over: bool,
}

impl Read for Typed<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.over {
            return Ok(0);
        }
        let count = self.terminal.read(into)?;
        let last = count.checked_sub(1).and_then(|last| into.get(last));
        self.over = self.interrupt != 0 && last == Some(&self.interrupt);
        Ok(count)
    }
}

/// Puts the terminal back as it was.
struct Silence<'a>(&'a File, Termios);

impl Drop for Silence<'_> {
    fn drop(&mut self) {
        let _ = tcsetattr(self.0, OptionalActions::Drain, &self.1);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    /// Gives a byte at a time, as a slow pipe does.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let count = into.len().min(1);
            (&mut self.0).take(count as u64).read(into)
        }
    }

    #[test]
    fn a_line_is_read_without_its_end() {
        for (text, line) in
            [("", ""), ("a", "a"), ("a b \nmore", "a b "), ("a\r\n", "a"), ("\n", ""), ("a\rb\n", "a\rb")]
        {
            assert_eq!(read_secret_line(text.as_bytes()).unwrap().as_slice(), line.as_bytes(), "{text:?}");
            assert_eq!(read_secret_line(Slow(text.as_bytes())).unwrap().as_slice(), line.as_bytes(), "{text:?}");
        }
        let long = vec![b'x'; MAX_LINE_BYTES];
        assert_eq!(read_secret_line(long.as_slice()).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(read_secret_line(&long[1..]).unwrap().len(), MAX_LINE_BYTES - 1);
    }
}
