//! The terminal that `weir top` takes over: its alternate screen, its keys and its size.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr,
};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{Receiver, channel};

use crate::signals::Stop;

/// Where the keys come from, and whose settings change: standard input may be something else.
const TTY: &str = "/dev/tty";
/// Columns and rows where the terminal does not say.
const GUESS: (usize, usize) = (100, 30);

/// Another screen, the cursor hidden.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
/// And back.
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// What happened to the terminal.
pub(super) enum TerminalEvent {
    /// Somebody wants to leave.
    Leave,
    /// It has another size.
    Resized,
}

/// The terminal while it is taken over; dropped, it is as it was.
pub(super) struct Terminal {
    stop: Stop,
    resized: Signal,
    keys: Receiver<u8>,
    size: (usize, usize),
    /// The terminal and its settings before.
    saved: Option<(File, Termios)>,
}

impl Terminal {
    /// Takes it over.
    pub(super) fn open() -> io::Result<Self> {
        // First the signals: from here on nobody leaves but through `drop`.
        let (stop, resized) = (Stop::new()?, signal(SignalKind::window_change())?);
        let terminal = Self { stop, resized, keys: keys(), size: size(), saved: take_keys() };
        write(ENTER)?;
        Ok(terminal)
    }

    /// Columns and rows.
    pub(super) fn size(&self) -> (usize, usize) {
        self.size
    }

    /// Returns at the next event; may be dropped and called again.
    pub(super) async fn event(&mut self) -> TerminalEvent {
        loop {
            tokio::select! {
                () = self.stop.asked() => return TerminalEvent::Leave,
                _ = self.resized.recv() => {
                    self.size = size();
                    return TerminalEvent::Resized;
                }
                Some(key) = self.keys.recv() => if matches!(key, b'q' | b'Q') {
                    return TerminalEvent::Leave;
                },
            }
        }
    }

    /// Puts these lines on the screen. Each is written over what stood there, so nothing flickers.
    pub(super) fn draw(&mut self, lines: &[String]) -> io::Result<()> {
        let lines: Vec<String> = lines.iter().map(|line| format!("{line}\x1b[K")).collect();
        write(&format!("\x1b[H{}\x1b[J", lines.join("\r\n")))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Nothing is left to be done for a terminal that is gone.
        let _ = write(LEAVE);
        if let Some((tty, settings)) = &self.saved {
            let _ = tcsetattr(tty, OptionalActions::Drain, settings);
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
    let said = File::open(TTY).ok().and_then(|tty| tcgetwinsize(tty).ok());
    // Both are 0 where nobody told the terminal.
    let said = said.filter(|size| size.ws_row > 0 && size.ws_col > 0);
    let said = said.map(|size| (usize::from(size.ws_col), usize::from(size.ws_row)));
    said.or_else(|| Some((of_variable("COLUMNS")?, of_variable("LINES")?))).unwrap_or(GUESS)
}

/// Keys come one by one and are not shown. Ctrl-Z would stop the program and leave its screen to the shell. Without a terminal
/// `q` needs Enter.
fn take_keys() -> Option<(File, Termios)> {
    /// `_POSIX_VDISABLE` of Linux.
    const NO_KEY: u8 = 0;
    let tty = File::open(TTY).ok()?;
    let before = tcgetattr(&tty).ok()?;
    let mut settings = before.clone();
    settings.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
    for (code, value) in
        [(SpecialCodeIndex::VMIN, 1), (SpecialCodeIndex::VTIME, 0), (SpecialCodeIndex::VSUSP, NO_KEY)]
    {
        settings.special_codes[code] = value;
    }
    tcsetattr(&tty, OptionalActions::Drain, &settings).ok()?;
    Some((tty, before))
}
