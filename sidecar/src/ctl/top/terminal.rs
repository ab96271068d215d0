//! The terminal while `weir top` uses it: the alternate screen, the keys and the size.

use std::fs::File;
use std::io::{self, BufReader, Read, Write};

use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr,
};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{Receiver, channel};

use crate::signals::Stop;

/// Source of the keys, and the terminal whose settings change: standard input may be something else.
const TTY: &str = "/dev/tty";
/// Columns and rows if the terminal's size is unknown.
const GUESS: (usize, usize) = (100, 30);

/// Switches to the alternate screen and hides the cursor.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
/// Shows the cursor and leaves the alternate screen.
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// An event of the terminal.
pub(super) enum TerminalEvent {
    /// The user wants to quit.
    Leave,
    /// The size has changed.
    Resized,
}

/// The terminal in use. Dropping it restores the terminal.
pub(super) struct Terminal {
    stop: Stop,
    resized: Signal,
    keys: Receiver<u8>,
    size: (usize, usize),
    /// The terminal with its earlier settings.
    saved: Option<(File, Termios)>,
}

impl Terminal {
    /// Starts to use the terminal.
    pub(super) fn open() -> io::Result<Self> {
        // Signals are set up first, so that the process ends only through `drop` from here on.
        let (stop, resized) = (Stop::new()?, signal(SignalKind::window_change())?);
        let terminal = Self { stop, resized, keys: keys(), size: size(), saved: take_keys() };
        write(ENTER)?;
        Ok(terminal)
    }

    /// Returns columns and rows.
    pub(super) fn size(&self) -> (usize, usize) {
        self.size
    }

    /// Waits for the next event. Cancel-safe: the future may be dropped and the method called again.
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

    /// Draws these lines. Each line overwrites the old one, so nothing flickers.
    pub(super) fn draw(&mut self, lines: &[String]) -> io::Result<()> {
        let lines: Vec<String> = lines.iter().map(|line| format!("{line}\x1b[K")).collect();
        write(&format!("\x1b[H{}\x1b[J", lines.join("\r\n")))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // For a terminal that is gone, nothing can be restored.
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

/// Reads the keys in a thread: at its end, a runtime would wait for the last read.
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
    // Both are 0 if the terminal has no size set.
    let said = said.filter(|size| size.ws_row > 0 && size.ws_col > 0);
    let said = said.map(|size| (usize::from(size.ws_col), usize::from(size.ws_row)));
    said.or_else(|| Some((of_variable("COLUMNS")?, of_variable("LINES")?))).unwrap_or(GUESS)
}

/// Sets the terminal to deliver keys one by one without echo, and disables Ctrl-Z, which would stop the program and leave its
/// screen to the shell. Without a terminal, `q` needs Enter.
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
