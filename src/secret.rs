//! Text that must never be printed.

use std::fmt;

/// A secret. It has no `Display`, and `Debug` does not show its value.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Removes surrounding white space, which is often added by pasting.
    pub fn new(text: &str) -> Secret {
        Secret(text.trim().to_owned())
    }

    /// Keeps every character.
    pub fn verbatim(text: &str) -> Secret {
        Secret(text.to_owned())
    }

    /// The secret itself, for sending it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// `text` with every occurrence of the secret replaced by `***`, for responses that repeat what was sent.
    pub fn redact(&self, text: &str) -> String {
        if self.0.len() < 4 { text.to_owned() } else { text.replace(&self.0, "***") }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::Secret;

    #[test]
    fn secret_is_not_printed() {
        let secret = Secret::new(" IST.abc \n");
        assert_eq!(format!("{secret:?}"), "Secret(***)");
        assert_eq!(secret.redact("bad key IST.abc!"), "bad key ***!");
    }
}
