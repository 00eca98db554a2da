//! Replaces everything that differs from run to run by marks, so that outputs can be compared.

/// Replaces times, durations and run ids by marks. Marks for times and ids have the width of what they replace.
pub(crate) fn redact(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (mark, length) = [timestamp(rest), uuid(rest), short_id(out.as_str(), rest), duration(out.as_str(), rest)]
            .into_iter()
            .flatten()
            .next()
            .unwrap_or((None, first.len_utf8()));
        match mark {
            Some(mark) => out.push_str(mark),
            None => out.push_str(&rest[..length]),
        }
        rest = &rest[length..];
    }
    out
}

type Mark = Option<(Option<&'static str>, usize)>;

/// Number of bytes at the start of `text` that match the pattern: `9` is a digit, `h` a hex digit, anything else
/// itself.
fn fits(text: &str, pattern: &str) -> bool {
    let mut bytes = text.bytes();
    pattern.bytes().all(|wanted| {
        bytes.next().is_some_and(|byte| match wanted {
            b'9' => byte.is_ascii_digit(),
            b'h' => byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase(),
            other => byte == other,
        })
    })
}

fn timestamp(rest: &str) -> Mark {
    if fits(rest, "9999-99-99T99:99:99.999Z") {
        return Some((Some("[---------time---------]"), 24));
    }
    if fits(rest, "9999-99-99 99:99") {
        return Some((Some("[----minute----]"), 16));
    }
    fits(rest, "9999-99-99T99:99:99Z").then_some((Some("[-------time-------]"), 20))
}

fn uuid(rest: &str) -> Mark {
    fits(rest, "hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh").then_some((Some("[---------------uuid---------------]"), 36))
}

/// The first eight digits of a run's id at the start of a line, or after "Run ".
fn short_id(before: &str, rest: &str) -> Mark {
    let at_start = before.is_empty() || before.ends_with('\n') || before.ends_with("Run ");
    (at_start && fits(rest, "hhhhhhhh ")).then_some((Some("[run-id]"), 8))
}

/// `12 ms`, `3.4 s`.
fn duration(before: &str, rest: &str) -> Mark {
    if before.ends_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | ',' | '-' | ':')) {
        return None;
    }
    let digits = rest.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
    let unit = ["ms", "s"].into_iter().find(|unit| {
        let end = rest.get(digits..).and_then(|tail| tail.strip_prefix(' ')).and_then(|tail| tail.strip_prefix(unit));
        end.is_some_and(|tail| !tail.starts_with(|c: char| c.is_alphanumeric()))
    })?;
    (digits > 0).then_some((Some("[took]"), digits + 1 + unit.len()))
}
