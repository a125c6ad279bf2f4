//! Picking a role in a terminal: type a few letters, Enter.
//!
//! What is drawn goes to stderr, so that `eval "$(rolegate creds)"` can ask and still get only keys on stdout.

use std::io::{self, Read as _, Write as _};

use rustix::termios::{
    InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetwinsize, tcsetattr,
};

use super::api::Role;
use super::surroundings::Surroundings;
use super::words::printable;

/// More rows than this are scrolled through.
const MOST_ROWS: usize = 15;

/// Asks which role is meant. Nothing, if the person thinks better of it.
///
/// # Errors
/// The terminal cannot be read or written.
pub fn one<'a>(roles: &[&'a Role], query: &str, around: &Surroundings) -> io::Result<Option<&'a Role>> {
    let mut picker = Picker::new(roles.to_vec(), query);
    let raw = Raw::enter()?;
    let mut out = io::stderr().lock();
    let mut keys = [0_u8; 256];
    let done = loop {
        let size = tcgetwinsize(io::stderr())?;
        let drawn = picker.draw(usize::from(size.ws_col), usize::from(size.ws_row), around.colours());
        out.write_all(drawn.as_bytes())?;
        out.flush()?;
        let read = io::stdin().lock().read(&mut keys)?;
        if let Some(done) = picker.press(&keys[..read]) {
            break done;
        }
    };
    // To the left edge and clear: nothing of it stays on the screen.
    out.write_all(b"\r\x1b[J")?;
    out.flush()?;
    drop(raw);
    Ok(match done {
        Done::Picked => picker.shown.get(picker.at).map(|index| picker.roles[*index]),
        Done::Left => None,
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Done {
    Picked,
    Left,
}

/// What is typed, what that leaves to choose from, and where the mark is.
struct Picker<'a> {
    roles: Vec<&'a Role>,
    texts: Vec<String>,
    query: Vec<u8>,
    shown: Vec<usize>,
    at: usize,
}

impl<'a> Picker<'a> {
    fn new(roles: Vec<&'a Role>, query: &str) -> Self {
        let texts = roles
            .iter()
            .map(|role| format!("{} {}", role.text(), role.description.as_deref().unwrap_or("").to_lowercase()))
            .collect();
        let mut picker = Self { roles, texts, query: query.into(), shown: Vec::new(), at: 0 };
        picker.filter();
        picker
    }

    fn filter(&mut self) {
        let query = String::from_utf8_lossy(&self.query).to_lowercase();
        let words: Vec<&str> = query.split_whitespace().collect();
        let all = 0..self.texts.len();
        self.shown = all.clone().filter(|index| words.iter().all(|word| self.texts[*index].contains(word))).collect();
        if self.shown.is_empty() {
            // Letters in this order: `pprd` finds Payments production.
            let letters = || query.chars().filter(|c| !c.is_whitespace());
            self.shown = all.filter(|index| in_order(letters(), &self.texts[*index])).collect();
        }
        self.at = 0;
    }

    /// Takes what was typed, one key or, pasted, several.
    fn press(&mut self, mut keys: &[u8]) -> Option<Done> {
        if keys.is_empty() {
            return Some(Done::Left);
        }
        while let [key, rest @ ..] = keys {
            keys = rest;
            match (key, rest) {
                (0x1b, [b'[' | b'O', b'A', after @ ..]) => {
                    self.at = self.at.saturating_sub(1);
                    keys = after;
                }
                (0x1b, [b'[' | b'O', b'B', after @ ..]) => {
                    self.down();
                    keys = after;
                }
                // Other keys with sequences of their own do nothing.
                (0x1b, [b'[' | b'O', after @ ..]) => {
                    let end = after.iter().position(|byte| (0x40..=0x7e).contains(byte));
                    keys = end.map_or(&[], |end| &after[end + 1..]);
                }
                (0x03 | 0x04 | 0x1b, _) => return Some(Done::Left),
                (b'\r' | b'\n', _) if !self.shown.is_empty() => return Some(Done::Picked),
                (0x10, _) => self.at = self.at.saturating_sub(1),
                (0x0e, _) => self.down(),
                (0x7f | 0x08, _) => {
                    while self.query.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
                    self.filter();
                }
                (0x15, _) => {
                    self.query.clear();
                    self.filter();
                }
                (0x20.., _) => {
                    self.query.push(*key);
                    self.filter();
                }
                _ => {}
            }
        }
        None
    }

    fn down(&mut self) {
        self.at = (self.at + 1).min(self.shown.len().saturating_sub(1));
    }

    /// Draws over what was drawn before, and leaves the cursor on the first line, behind what was typed.
    fn draw(&self, columns: usize, lines: usize, colours: bool) -> String {
        let columns = columns.max(20);
        let rows = MOST_ROWS.min(lines.saturating_sub(3)).max(1);
        let first = (self.at + 1).saturating_sub(rows);
        let width = |of: &dyn Fn(&Role) -> String| {
            self.roles.iter().map(|role| of(role).chars().count()).max().unwrap_or(0).min(columns / 3)
        };
        let (account, name) = (width(&|role| printable(&role.account_name)), width(&|role| printable(&role.role)));
        let query = printable(&String::from_utf8_lossy(&self.query));
        let prompt = format!("Role: {query}");
        let mut text = format!("\r\x1b[J{}", cut(&prompt, columns - 1));
        let mut drawn = 0;
        for (row, index) in self.shown.iter().enumerate().skip(first).take(rows) {
            let role = self.roles[*index];
            let again = if role.step_up { " (asks you to sign in again)" } else { "" };
            let about = format!("{}{again}", role.description.as_deref().unwrap_or(""));
            let mark = if row == self.at { '>' } else { ' ' };
            let line = format!(
                "{mark} {:<account$}  {:<name$}  {}  {about}",
                cut(&printable(&role.account_name), account),
                cut(&printable(&role.role), name),
                printable(&role.account),
            );
            let line = cut(&printable(&line), columns - 1);
            if colours && row == self.at {
                text.push_str(&format!("\n\x1b[1m{line}\x1b[0m"));
            } else {
                text.push_str(&format!("\n{line}"));
            }
            drawn += 1;
        }
        let count = format!("  {} of {} · up, down, Enter; Esc leaves", self.shown.len(), self.roles.len());
        text.push_str(&format!("\n{}", cut(&count, columns - 1)));
        // Up again, to where typing goes on.
        let behind = prompt.chars().count().min(columns - 1);
        text.push_str(&format!("\x1b[{}A\r\x1b[{behind}C", drawn + 1));
        text
    }
}

fn in_order(mut letters: impl Iterator<Item = char>, text: &str) -> bool {
    let mut rest = text.chars();
    letters.all(|letter| rest.any(|c| c == letter))
}

fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

/// The terminal gives keys as they are pressed; it is as before when this is dropped.
struct Raw(Termios);

impl Raw {
    fn enter() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG | LocalModes::IEXTEN);
        raw.input_modes.remove(InputModes::ICRNL | InputModes::IXON);
        raw.special_codes[SpecialCodeIndex::VMIN] = 1;
        raw.special_codes[SpecialCodeIndex::VTIME] = 0;
        tcsetattr(io::stdin(), OptionalActions::Flush, &raw)?;
        Ok(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(account_name: &str, role: &str) -> Role {
        Role {
            account: "111122223333".to_owned(),
            account_name: account_name.to_owned(),
            role: role.to_owned(),
            description: Some("Look, don't touch".to_owned()),
            max_session_s: 3600,
            step_up: false,
            all: serde_json::Value::Null,
        }
    }

    fn names(picker: &Picker<'_>) -> Vec<String> {
        picker
            .shown
            .iter()
            .map(|index| format!("{}/{}", picker.roles[*index].account_name, picker.roles[*index].role))
            .collect()
    }

    #[test]
    fn typing_leaves_fewer_roles_and_enter_takes_the_marked_one() {
        let all = [role("Payments production", "ReadOnly"), role("Payments staging", "ReadOnly"), role("Zoë", "Admin")];
        let mut picker = Picker::new(all.iter().collect(), "");
        assert_eq!(picker.shown.len(), 3);
        assert_eq!(picker.press(b"pay re"), None);
        assert_eq!(names(&picker), ["Payments production/ReadOnly", "Payments staging/ReadOnly"]);
        assert_eq!(picker.press(b"\x1b[B\x1b[B\x1b[B"), None);
        assert_eq!(picker.at, 1);
        assert_eq!(picker.press(b"\r"), Some(Done::Picked));
        picker.press(b"\x15");
        assert_eq!((picker.shown.len(), picker.at), (3, 0));
        picker.press("zoë".as_bytes());
        assert_eq!(names(&picker), ["Zoë/Admin"]);
        picker.press(b"\x7f\x7f\x7f\x7f");
        assert_eq!((picker.query.as_slice(), picker.shown.len()), (&b""[..], 3));
        picker.press(b"ppd");
        assert_eq!(names(&picker), ["Payments production/ReadOnly"]);
    }

    #[test]
    fn nothing_is_picked_from_nothing_and_leaving_is_always_possible() {
        let all = [role("A", "B")];
        let mut picker = Picker::new(all.iter().collect(), "xyz");
        assert_eq!(picker.press(b"\r"), None);
        for key in [&b"\x03"[..], b"\x04", b"\x1b", b""] {
            assert_eq!(picker.press(key), Some(Done::Left));
        }
        assert_eq!(picker.press(b"\x1b[5~\x1bOP\x1b[200"), None);
    }

    #[test]
    fn no_line_is_wider_than_the_terminal_and_nothing_moves_the_cursor_but_we() {
        let all: Vec<Role> =
            (0..40).map(|n| role(&format!("An account with a long name\x1b[2J {n}"), "Röle")).collect();
        let mut picker = Picker::new(all.iter().collect(), "");
        picker.at = 39;
        for columns in [0, 20, 80] {
            let drawn = picker.draw(columns, 10, false);
            let lines: Vec<&str> = drawn.strip_prefix("\r\x1b[J").unwrap().split('\n').collect();
            assert_eq!(lines.len(), 1 + 7 + 1);
            let last = lines.last().unwrap().split('\x1b').next().unwrap();
            for line in lines[..8].iter().chain([&last]) {
                assert!(line.chars().count() < columns.max(20) && !line.contains('\x1b'), "{line:?}");
            }
        }
        assert!(picker.draw(80, 10, false).contains("> An account"));
    }
}
