//! Rows of a query as a table of text.

use std::io::{self, Write};

use postgres::{SimpleQueryMessage, SimpleQueryRow};

/// Longer values are cut: `raw` and `items` hold whole records.
const MAX_WIDTH: usize = 60;

/// Prints the answer to one or more statements.
pub(crate) fn print(messages: &[SimpleQueryMessage]) -> io::Result<()> {
    let mut out = String::new();
    let mut header: Option<Vec<String>> = None;
    let mut rows: Vec<Vec<String>> = Vec::new();
    for message in messages {
        match message {
            SimpleQueryMessage::RowDescription(columns) => {
                header = Some(columns.iter().map(|column| column.name().to_owned()).collect());
            }
            SimpleQueryMessage::Row(row) => rows.push(cells(row)),
            SimpleQueryMessage::CommandComplete(count) => {
                if let Some(header) = header.take() {
                    out.push_str(&render(&header, &std::mem::take(&mut rows)));
                }
                out.push_str(&format!("({count} {})\n", if *count == 1 { "row" } else { "rows" }));
            }
            _ => {}
        }
    }
    match io::stdout().lock().write_all(out.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

fn cells(row: &SimpleQueryRow) -> Vec<String> {
    (0..row.len()).map(|column| row.get(column).map_or_else(|| "NULL".to_owned(), one_line)).collect()
}

/// Without line breaks, and cut where it is too long.
fn one_line(text: &str) -> String {
    let text = text.replace(['\n', '\r', '\t'], " ");
    if width(&text) <= MAX_WIDTH {
        return text;
    }
    let mut cut = String::new();
    for character in text.chars() {
        if width(&cut) + 2 > MAX_WIDTH {
            break;
        }
        cut.push(character);
    }
    cut + "…"
}

fn render(header: &[String], rows: &[Vec<String>]) -> String {
    let widths: Vec<usize> = (0..header.len())
        .map(|column| rows.iter().chain([&header.to_vec()]).map(|row| width(&row[column])).max().unwrap_or_default())
        .collect();
    let line = |row: &[String]| {
        let padded: Vec<String> = row
            .iter()
            .zip(&widths)
            .map(|(cell, wanted)| format!("{cell}{}", " ".repeat(wanted - width(cell))))
            .collect();
        format!("{}\n", padded.join("  ").trim_end())
    };
    let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
    [line(header), line(&rule)].into_iter().chain(rows.iter().map(|row| line(row))).collect()
}

/// How many columns of a terminal a text takes, near enough: East Asian characters two, marks none.
fn width(text: &str) -> usize {
    text.chars()
        .map(|character| match character {
            '\u{300}'..='\u{36f}' | '\u{200b}'..='\u{200f}' | '\u{fe00}'..='\u{fe0f}' => 0,
            '\u{1100}'..='\u{115f}'
            | '\u{2e80}'..='\u{a4cf}'
            | '\u{ac00}'..='\u{d7a3}'
            | '\u{f900}'..='\u{faff}'
            | '\u{ff00}'..='\u{ff60}'
            | '\u{1f300}'..='\u{1faff}'
            | '\u{20000}'..='\u{3ffff}' => 2,
            _ => 1,
        })
        .sum()
}
