//! Findings of `doctor` as text: one line each. The status is a word; colour only adds to it.

use std::fmt::Write;
use std::io::IsTerminal;

use console::Term;

use super::text::{broken, columns, counted};
use crate::doctor::{Finding, Mark};
use crate::visible::one_line;

#[derive(Clone, Copy, Debug)]
pub(super) struct Paper {
    /// Width of the terminal in columns; `None` where lines have no end.
    width: Option<usize>,
    colour: bool,
}

impl Paper {
    /// For stdout: a terminal has a width, and colours unless NO_COLOR is set; anything else gets one line each.
    pub(super) fn of_stdout() -> Paper {
        Paper { width: columns(&Term::stdout()), colour: std::io::stdout().is_terminal() && console::colors_enabled() }
    }
}

/// One line per finding, and the counts at the end.
pub(super) fn render_findings(findings: &[Finding], paper: Paper) -> String {
    let mut out = String::new();
    let check_width = findings.iter().map(|finding| finding.check.chars().count()).max().unwrap_or_default();
    for finding in findings {
        let outcome = &finding.outcome;
        let mend = outcome.mend.as_deref().map(|mend| format!("; mend: {mend}")).unwrap_or_default();
        let mark = format!("{:<4}", outcome.mark.as_str());
        let mark = if paper.colour { coloured(&mark, outcome.mark) } else { mark };
        let indent = 4 + 2 + check_width + 2;
        let lines = broken(
            &one_line(&format!("{}{mend}", outcome.found)),
            paper.width.map(|width| width - indent.min(width / 2)),
        );
        let _ = writeln!(out, "{mark}  {:<check_width$}  {}", finding.check, lines.join(&format!("\n{:indent$}", "")));
    }
    let count = |mark: Mark| findings.iter().filter(|finding| finding.outcome.mark == mark).count();
    let verdict = match (count(Mark::Fail), count(Mark::Warn)) {
        (0, 0) => "All is well.".to_owned(),
        (0, warnings) => format!("Nothing is wrong; {}.", counted(warnings, "warning")),
        (faults, warnings) => format!("{}, {}.", counted(faults, "fault"), counted(warnings, "warning")),
    };
    let _ = writeln!(out, "\n{verdict}");
    out
}

fn coloured(text: &str, mark: Mark) -> String {
    let code = match mark {
        Mark::Ok => 32,
        Mark::Warn => 33,
        Mark::Fail => 31,
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

#[cfg(test)]
mod tests {
    use super::{Paper, render_findings};
    use crate::doctor::{Finding, Outcome};

    fn findings() -> Vec<Finding> {
        vec![
            Finding { check: "clock", outcome: Outcome::ok("agrees") },
            Finding { check: "orders", outcome: Outcome::warn("last success more than a day ago", "look at cron") },
            Finding { check: "database", outcome: Outcome::fail("could not connect", "check host and port") },
        ]
    }

    #[test]
    fn a_finding_is_a_line_with_its_mend_and_breaks_on_a_terminal_only() {
        let text = render_findings(&findings(), Paper { width: None, colour: false });
        assert_eq!(
            text,
            "ok    clock     agrees\n\
             warn  orders    last success more than a day ago; mend: look at cron\n\
             fail  database  could not connect; mend: check host and port\n\n\
             1 fault, 1 warning.\n"
        );
        let narrow = render_findings(&findings(), Paper { width: Some(44), colour: false });
        assert!(narrow.lines().all(|line| line.chars().count() <= 44), "{narrow}");
        assert!(
            narrow.contains("warn  orders    last success more than a day\n                ago; mend: look at cron\n"),
            "{narrow}"
        );
    }

    #[test]
    fn colour_stands_beside_the_word_only() {
        let text = render_findings(&findings(), Paper { width: None, colour: true });
        assert!(text.contains("\u{1b}[31mfail\u{1b}[0m  database"), "{text:?}");
        assert_eq!(text.matches('\u{1b}').count(), 6);
    }
}
