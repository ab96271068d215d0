//! The terminal that `weir top` takes over: its alternate screen, its keys and its size.
//!
//! The size and the keys need system calls that the standard library has not, and a crate for them would be as large as the
//! rest of the program. `stty` of POSIX does both; without it, `q` needs Enter and the size is a guess.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::process::{Command, Stdio};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{Receiver, channel};

use crate::signals::Stop;

/// Where the keys come from, and what `stty` is about: standard input may be something else.
const TTY: &str = "/dev/tty";
/// Columns and rows where the terminal does not say.
const GUESS: (usize, usize) = (100, 30);

/// Another screen, the cursor hidden.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
/// And back.
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// What happened to the terminal.
pub enum Event {
    /// Somebody wants to leave.
    Leave,
    /// It has another size.
    Resized,
}

/// The terminal while it is taken over; dropped, it is as it was.
pub struct Terminal {
    stop: Stop,
    resized: Signal,
    keys: Receiver<u8>,
    size: (usize, usize),
    /// What `stty -g` said before.
    saved: Option<String>,
}

impl Terminal {
    /// Takes it over.
    pub fn open() -> io::Result<Self> {
        // First the signals: from here on nobody leaves but through `drop`.
        let (stop, resized) = (Stop::new()?, signal(SignalKind::window_change())?);
        let saved = stty(&["-g"]).map(|text| text.trim().to_owned());
        let terminal = Self { stop, resized, keys: keys(), size: size(), saved };
        // Keys come one by one and are not shown. Ctrl-Z would stop the program and leave its screen to the shell.
        stty(&["-icanon", "-echo", "min", "1", "time", "0", "susp", "undef"]);
        write(ENTER)?;
        Ok(terminal)
    }

    /// Columns and rows.
    pub fn size(&self) -> (usize, usize) {
        self.size
    }

    /// Returns at the next event; may be dropped and called again.
    pub async fn event(&mut self) -> Event {
        loop {
            tokio::select! {
                () = self.stop.asked() => return Event::Leave,
                _ = self.resized.recv() => {
                    self.size = size();
                    return Event::Resized;
                }
                Some(key) = self.keys.recv() => if matches!(key, b'q' | b'Q') {
                    return Event::Leave;
                },
            }
        }
    }

    /// Puts these lines on the screen. Each is written over what stood there, so nothing flickers.
    pub fn draw(&mut self, lines: &[String]) -> io::Result<()> {
        let lines: Vec<String> = lines.iter().map(|line| format!("{line}\x1b[K")).collect();
        write(&format!("\x1b[H{}\x1b[J", lines.join("\r\n")))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Nothing is left to be done for a terminal that is gone.
        let _ = write(LEAVE);
        if let Some(saved) = &self.saved {
            stty(&[saved]);
        }
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

/// The keys, read by a thread: a runtime would wait for the last read to end before it ends.
fn keys() -> Receiver<u8> {
    let (sender, receiver) = channel(16);
    std::thread::spawn(move || {
        let Ok(tty) = File::open(TTY) else { return };
        for key in BufReader::new(tty).bytes().map_while(Result::ok) {
            if sender.blocking_send(key).is_err() {
                return;
            }
        }
    });
    receiver
}

fn size() -> (usize, usize) {
    let of_variable = |name| std::env::var(name).ok()?.parse().ok();
    let said = stty(&["size"]).and_then(|text| parse_size(&text));
    said.or_else(|| Some((of_variable("COLUMNS")?, of_variable("LINES")?))).unwrap_or(GUESS)
}

/// `ROWS COLUMNS`; both are 0 where nobody told the terminal.
fn parse_size(text: &str) -> Option<(usize, usize)> {
    let (rows, columns) = text.trim().split_once(' ')?;
    let (rows, columns) = (rows.parse().ok()?, columns.parse().ok()?);
    (rows > 0 && columns > 0).then_some((columns, rows))
}

fn stty(args: &[&str]) -> Option<String> {
    let tty = File::open(TTY).ok()?;
    let output = Command::new("stty").args(args).stdin(tty).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8(output.stdout).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_read_as_stty_says_it() {
        assert_eq!(parse_size("24 80\n"), Some((80, 24)));
        for nothing in ["0 0", "", "24", "a b", "-1 80"] {
            assert_eq!(parse_size(nothing), None, "{nothing}");
        }
    }
}
