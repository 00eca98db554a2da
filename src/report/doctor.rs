//! Prints the findings of `doctor` as text: one line each, and its hint in the next line. Colour only repeats the
//! status.

use std::fmt::Write;

use super::grid::{Colour, Style};
use super::text::{broken, counted};
use crate::doctor::{CheckStatus, Finding};
use crate::visible::one_line;

/// Width of the longest status: `warning`, `problem`, `skipped`.
const STATUS_WIDTH: usize = 7;

/// The findings, and the counts at the end.
pub(super) fn render_findings(findings: &[Finding], style: Style) -> String {
    let mut out = render_lines(findings, style);
    let count = |status: CheckStatus| findings.iter().filter(|finding| finding.outcome.status == status).count();
    let verdict = match (count(CheckStatus::Problem), count(CheckStatus::Warning)) {
        (0, 0) => "No problems found.".to_owned(),
        (problems, 0) => format!("{}.", counted(problems, "problem")),
        (problems, warnings) => format!("{}, {}.", counted(problems, "problem"), counted(warnings, "warning")),
    };
    let _ = writeln!(out, "\n{verdict}");
    out
}

/// One line for each finding, and one for its hint.
pub(super) fn render_lines(findings: &[Finding], style: Style) -> String {
    let mut out = String::new();
    let check_width = findings.iter().map(|finding| finding.check.chars().count()).max().unwrap_or_default();
    let indent = STATUS_WIDTH + 2 + check_width + 2;
    let wrap = |text: &str| {
        let lines = broken(&one_line(text), style.width.map(|width| width - indent.min(width / 2)));
        lines.join(&format!("\n{:indent$}", ""))
    };
    for Finding { check, outcome } in findings {
        let status = style.paint(&format!("{:<STATUS_WIDTH$}", outcome.status.as_str()), colour_of(outcome.status));
        let _ = writeln!(out, "{status}  {check:<check_width$}  {}", wrap(&outcome.message));
        if let Some(hint) = &outcome.hint {
            let _ = writeln!(out, "{:indent$}{}", "", wrap(&format!("hint: {hint}")));
        }
    }
    out
}

fn colour_of(status: CheckStatus) -> Colour {
    match status {
        CheckStatus::Ok => Colour::Green,
        CheckStatus::Warning => Colour::Yellow,
        CheckStatus::Problem => Colour::Red,
        CheckStatus::Skipped => Colour::Grey,
    }
}

#[cfg(test)]
mod tests {
    use super::render_findings;
    use crate::doctor::{Finding, Outcome};
    use crate::report::grid::Style;

    fn findings() -> Vec<Finding> {
        vec![
            Finding { check: "clock", outcome: Outcome::ok("agrees") },
            Finding { check: "orders", outcome: Outcome::warning("last success more than a day ago", "check cron") },
            Finding { check: "database", outcome: Outcome::problem("could not connect", "check host and port") },
        ]
    }

    #[test]
    fn finding_has_its_hint_below_and_wraps_on_a_terminal_only() {
        let text = render_findings(&findings(), Style { width: None, colour: false });
        assert_eq!(
            text,
            "ok       clock     agrees\n\
             warning  orders    last success more than a day ago\n                   \
                                hint: check cron\n\
             problem  database  could not connect\n                   \
                                hint: check host and port\n\n\
             1 problem, 1 warning.\n"
        );
        let narrow = render_findings(&findings(), Style { width: Some(47), colour: false });
        assert!(narrow.lines().all(|line| line.chars().count() <= 47), "{narrow}");
        assert!(
            narrow.contains(
                "orders    last success more than a day\n                   ago\n                   hint: check cron\n"
            ),
            "{narrow}"
        );
        let fine = render_findings(&findings()[..1], Style { width: None, colour: false });
        assert!(fine.ends_with("\n\nNo problems found.\n"), "{fine}");
        let warned = render_findings(&findings()[..2], Style { width: None, colour: false });
        assert!(warned.ends_with("\n\n0 problems, 1 warning.\n"), "{warned}");
    }

    #[test]
    fn colour_is_on_the_status_only() {
        let text = render_findings(&findings(), Style { width: None, colour: true });
        assert!(text.contains("\u{1b}[31mproblem\u{1b}[0m  database"), "{text:?}");
        assert_eq!(text.matches('\u{1b}').count(), 6);
    }
}
