//! Formats tables as text, for a terminal of a given width, or for a pipe, where nothing is cut. It escapes all cells.

use std::io::IsTerminal;

use console::Term;

use super::text::{broken, columns};
use crate::visible::one_line;

/// Number of spaces between columns.
const GAP: usize = 2;

/// Minimum width of a wrapped last column, in characters.
const MIN_WRAPPED: usize = 30;

/// The properties of an output.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    /// Width of the terminal in columns; `None` for a pipe or a file, where lines are not limited.
    pub(super) width: Option<usize>,
    pub(super) colour: bool,
}

impl Style {
    /// Colours only on a terminal, and not with NO_COLOR.
    pub(super) fn of_stdout() -> Style {
        Style { width: columns(&Term::stdout()), colour: std::io::stdout().is_terminal() && console::colors_enabled() }
    }

    /// The style of stderr.
    pub(super) fn of_stderr() -> Style {
        let colour = std::io::stderr().is_terminal() && console::colors_enabled_stderr();
        Style { width: columns(&Term::stderr()), colour }
    }

    pub(super) fn paint(self, text: &str, colour: Colour) -> String {
        let code = match colour {
            Colour::None => return text.to_owned(),
            _ if !self.colour => return text.to_owned(),
            Colour::Green => 32,
            Colour::Yellow => 33,
            Colour::Red => 31,
            Colour::Grey => 2,
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// Wraps a text: the first line starts with `first`, the others are indented by its width.
    pub(super) fn hanging(self, first: &str, text: &str) -> String {
        let indent = first.chars().count();
        let lines = broken(&one_line(text), self.width.map(|width| width - indent.min(width / 2)));
        format!("{first}{}\n", lines.join(&format!("\n{:indent$}", "")))
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Colour {
    #[default]
    None,
    Green,
    Yellow,
    Red,
    Grey,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Column<'a> {
    name: &'a str,
    is_right: bool,
    is_optional: bool,
}

pub(super) fn left(name: &str) -> Column<'_> {
    Column { name, is_right: false, is_optional: false }
}

/// A column of numbers, aligned to the right.
pub(super) fn right(name: &str) -> Column<'_> {
    Column { name, is_right: true, is_optional: false }
}

impl<'a> Column<'a> {
    /// Omitted if the terminal is too narrow. If there are several such columns, the last is omitted first.
    pub(super) fn optional(self) -> Column<'a> {
        Column { is_optional: true, ..self }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Cell {
    text: String,
    colour: Colour,
}

impl Cell {
    pub(super) fn new(text: &str, colour: Colour) -> Cell {
        Cell { text: one_line(text).into_owned(), colour }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Cell {
        Cell::new(text, Colour::None)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Cell {
        Cell::from(text.as_str())
    }
}

/// The header and the rows, one line each, padded to the widest cell of each column.
pub(super) fn grid(columns: &[Column<'_>], rows: &[Vec<Cell>], style: Style) -> Vec<String> {
    let widths = widths(columns, rows);
    let mut shown: Vec<usize> = (0..columns.len()).collect();
    let total = |shown: &[usize]| shown.iter().map(|index| widths[*index] + GAP).sum::<usize>().saturating_sub(GAP);
    while style.width.is_some_and(|width| total(&shown) > width)
        && let Some(place) = shown.iter().rposition(|index| columns[*index].is_optional)
    {
        shown.remove(place);
    }
    let header: Vec<Cell> = columns.iter().map(|column| Cell::from(column.name)).collect();
    std::iter::once(&header)
        .chain(rows)
        .map(|row| {
            let cells = shown.iter().map(|index| {
                let padding = " ".repeat(widths[*index] - row[*index].text.chars().count());
                let text = style.paint(&row[*index].text, row[*index].colour);
                if columns[*index].is_right { padding + &text } else { text + &padding }
            });
            cells.collect::<Vec<_>>().join(&" ".repeat(GAP)).trim_end().to_owned()
        })
        .collect()
}

/// Like [`grid`], with the last column wrapped on a terminal; `None` if it would be too narrow.
pub(super) fn wrapped_grid(columns: &[Column<'_>], rows: &[Vec<Cell>], style: Style) -> Option<Vec<String>> {
    let Some(width) = style.width else { return Some(grid(columns, rows, style)) };
    let widths = widths(columns, rows);
    let (last, others) = widths.split_last()?;
    let indent: usize = others.iter().map(|width| width + GAP).sum();
    let room = width.checked_sub(indent).filter(|room| *room >= (*last).min(MIN_WRAPPED))?;
    let mut lines = Vec::new();
    for row in rows {
        let (cell, before) = row.split_last()?;
        let parts = broken(&cell.text, Some(room));
        for (index, part) in parts.iter().enumerate() {
            let blank = || before.iter().map(|_| Cell::from("")).collect();
            let mut line: Vec<Cell> = if index == 0 { before.to_vec() } else { blank() };
            line.push(Cell { text: part.clone(), colour: cell.colour });
            lines.push(line);
        }
    }
    Some(grid(columns, &lines, Style { width: None, ..style }))
}

fn widths(columns: &[Column<'_>], rows: &[Vec<Cell>]) -> Vec<usize> {
    let width_of = |(index, column): (usize, &Column<'_>)| {
        let cells = rows.iter().map(|row| row[index].text.chars().count());
        cells.chain([column.name.chars().count()]).max().unwrap_or_default()
    };
    columns.iter().enumerate().map(width_of).collect()
}

#[cfg(test)]
mod tests {
    use super::{Cell, Colour, Style, grid, left, right, wrapped_grid};

    const PIPE: Style = Style { width: None, colour: false };

    fn rows(rows: &[&[&str]]) -> Vec<Vec<Cell>> {
        rows.iter().map(|row| row.iter().map(|cell| Cell::from(*cell)).collect()).collect()
    }

    #[test]
    fn columns_are_aligned_and_optional_ones_are_omitted_if_too_wide() {
        let columns = [left("table"), right("rows"), right("took").optional(), left("end")];
        let rows = rows(&[&["customers", "5", "1 s", "x"], &["orders", "1,000", "2 s", "y"]]);
        let wide = ["table       rows  took  end", "customers      5   1 s  x", "orders     1,000   2 s  y"];
        assert_eq!(grid(&columns, &rows, PIPE), wide);
        assert_eq!(grid(&columns, &rows, Style { width: Some(27), ..PIPE }), wide);
        let narrow = ["table       rows  end", "customers      5  x", "orders     1,000  y"];
        assert_eq!(grid(&columns, &rows, Style { width: Some(26), ..PIPE }), narrow);
    }

    #[test]
    fn colour_does_not_change_the_alignment_and_cells_are_escaped() {
        let rows = vec![vec![Cell::new("ab\u{1b}[2J", Colour::Red), Cell::from("c")]];
        let plain = grid(&[left("x"), left("y")], &rows, PIPE);
        assert_eq!(plain, ["x            y", r"ab\u{1b}[2J  c"]);
        let coloured = grid(&[left("x"), left("y")], &rows, Style { colour: true, ..PIPE });
        assert_eq!(coloured[1], "\u{1b}[31mab\\u{1b}[2J\u{1b}[0m  c");
    }

    #[test]
    fn the_last_column_is_wrapped_on_a_terminal_only() {
        let columns = [left("id"), left("reason")];
        let rows = rows(&[&["a1", "one two three four five six seven eight nine"]]);
        assert_eq!(wrapped_grid(&columns, &rows, PIPE).expect("a pipe").len(), 2);
        let lines = wrapped_grid(&columns, &rows, Style { width: Some(40), ..PIPE }).expect("it fits");
        assert_eq!(lines[1..], ["a1  one two three four five six seven", "    eight nine"]);
        assert_eq!(wrapped_grid(&columns, &rows, Style { width: Some(33), ..PIPE }), None);
    }
}
