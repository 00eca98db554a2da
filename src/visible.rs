//! Makes text from outside (Wix, Postgres, the tables) safe to show: it cannot control a terminal, change the direction
//! of writing, or start a line that looks like one of this program's.

use std::borrow::Cow;
use std::fmt::Write;

/// In one line: `
/// ` and `\u{1b}` are shown as escapes.
pub fn one_line(text: &str) -> Cow<'_, str> {
    escape(text, is_harmful, |out, c| match c {
        '\n' | '\r' | '\t' => out.extend(c.escape_default()),
        _ => out.extend(c.escape_unicode()),
    })
}

/// Like [`one_line`], for a text that is already split into lines.
pub fn lines(text: &str) -> Cow<'_, str> {
    if text.contains('\n') {
        return Cow::Owned(text.split('\n').map(one_line).collect::<Vec<_>>().join("\n"));
    }
    one_line(text)
}

/// Like [`lines`], for JSON, whose meaning does not change.
pub fn json(text: &str) -> Cow<'_, str> {
    escape(
        text,
        |c| is_harmful(c) && c != '\n',
        |out, c| {
            // All these characters are within 16 bits. Writing to a string cannot fail.
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        },
    )
}

/// Control characters (C0, DEL, C1), and characters that separate lines or change the direction of writing.
fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn escape(text: &str, is_escaped: impl Fn(char) -> bool, write: impl Fn(&mut String, char)) -> Cow<'_, str> {
    if !text.contains(&is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_escaped(c) { write(&mut out, c) } else { out.push(c) }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::{json, lines, one_line};

    #[test]
    fn what_controls_a_terminal_is_escaped_and_all_else_stays() {
        assert_eq!(one_line("a\u{1b}[2J\r\n\tb\u{9b}\u{202e}\u{7f}"), r"a\u{1b}[2J\r\n\tb\u{9b}\u{202e}\u{7f}");
        assert_eq!(one_line("Zoë · 日本 👩‍🔧 \\n"), "Zoë · 日本 👩‍🔧 \\n");
        assert_eq!(lines("a\nb\rc\n"), "a\nb\\rc\n");
        assert_eq!(json("{\"a\":\"\u{9b}\u{7f}\u{2066}\"}\n"), "{\"a\":\"\\u009b\\u007f\\u2066\"}\n");
    }
}
