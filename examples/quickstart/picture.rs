//! Draws docs/first-run.svg: the quickstart runs on a terminal of its own, and what is left on the screen becomes text
//! elements of an SVG.

use std::fmt::Write;
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::process::{Command, ExitCode};

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::Result;

const COLUMNS: u16 = 100;
/// High enough that nothing scrolls out of the screen.
const ROWS: u16 = 200;
/// Size of a character cell, in SVG units.
const CELL_WIDTH: usize = 8;
const LINE_HEIGHT: usize = 18;
const MARGIN: usize = 16;

const STYLE: &str = "\
text { font: 13px ui-monospace, Menlo, Consolas, 'DejaVu Sans Mono', monospace; fill: #1f2328; white-space: pre; }
rect { fill: #f6f8fa; stroke: #d1d9e0; }
.b { font-weight: bold; } .d { opacity: .6; }
.c31 { fill: #cf222e; } .c32 { fill: #1a7f37; } .c33 { fill: #9a6700; } .c34 { fill: #0969da; }
.c35 { fill: #8250df; } .c36 { fill: #1b7c83; }
@media (prefers-color-scheme: dark) {
  text { fill: #f0f6fc; } rect { fill: #0d1117; stroke: #3d444d; }
  .c31 { fill: #ff7b72; } .c32 { fill: #3fb950; } .c33 { fill: #d29922; } .c34 { fill: #58a6ff; }
  .c35 { fill: #bc8cff; } .c36 { fill: #39c5cf; }
}";

/// Runs the quickstart and writes the picture into a file.
pub(crate) fn draw(path: &str) -> Result<ExitCode> {
    let output = run_on_terminal()?;
    let mut screen = Screen::default();
    screen.print(&String::from_utf8_lossy(&output));
    let lines = screen.between("$ wix-sync migrate", "Compared: ");
    if lines.is_empty() {
        return Err(format!("the quickstart failed:\n{}", String::from_utf8_lossy(&output)).into());
    }
    fs::write(path, svg(lines))?;
    println!("{path}: {} lines", lines.len());
    Ok(ExitCode::SUCCESS)
}

fn run_on_terminal() -> Result<Vec<u8>> {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let name = ptsname(&master, Vec::new())?.into_string()?;
    tcsetwinsize(&master, Winsize { ws_row: ROWS, ws_col: COLUMNS, ws_xpixel: 0, ws_ypixel: 0 })?;
    let flags = i32::try_from(OFlags::NOCTTY.bits())?;
    let terminal: File =
        std::os::unix::fs::OpenOptionsExt::custom_flags(OpenOptions::new().read(true).write(true), flags).open(name)?;

    let mut command = Command::new(std::env::current_exe()?);
    command.env("TERM", "xterm-256color").env_remove("NO_COLOR").env_remove("CLICOLOR");
    let mut child =
        command.stdin(terminal.try_clone()?).stdout(terminal.try_clone()?).stderr(terminal.try_clone()?).spawn()?;
    // The output ends when no process has the terminal open.
    drop((command, terminal));
    let mut output = Vec::new();
    match File::from(master).read_to_end(&mut output) {
        // Linux reports the end of a terminal's output as an I/O error.
        Err(error) if Errno::from_io_error(&error) != Some(Errno::IO) => return Err(error.into()),
        _ => {}
    }
    child.wait()?;
    Ok(output)
}

/// A character and the classes of its style, such as `b c32`.
type Cell = (char, String);

/// What a terminal shows: enough of one for the sequences that progress bars and colours use.
#[derive(Default)]
struct Screen {
    lines: Vec<Vec<Cell>>,
    row: usize,
    column: usize,
    style: Vec<u16>,
}

impl Screen {
    fn print(&mut self, text: &str) {
        let mut rest = text.chars();
        while let Some(character) = rest.next() {
            match character {
                '\n' => self.row += 1,
                '\r' => self.column = 0,
                '\u{1b}' => self.sequence(&mut rest),
                _ if character.is_control() => {}
                _ => self.put(character),
            }
        }
    }

    /// `ESC [ parameters letter`.
    fn sequence(&mut self, rest: &mut std::str::Chars<'_>) {
        if rest.next() != Some('[') {
            return;
        }
        let mut parameters = String::new();
        let Some(letter) = rest.by_ref().find(|character| {
            let ends = character.is_ascii_alphabetic();
            if !ends {
                parameters.push(*character);
            }
            ends
        }) else {
            return;
        };
        let numbers: Vec<u16> = parameters.split(';').map(|number| number.parse().unwrap_or(0)).collect();
        let count = usize::from(numbers[0].max(1));
        match letter {
            'A' => self.row = self.row.saturating_sub(count),
            'B' => self.row += count,
            'C' => self.column += count,
            'D' => self.column = self.column.saturating_sub(count),
            'G' => self.column = count - 1,
            'J' => self.lines.truncate(self.row + 1),
            'K' if numbers[0] == 2 => self.line().clear(),
            'K' => {
                let column = self.column;
                self.line().truncate(column);
            }
            'm' => self.restyle(&numbers),
            _ => {}
        }
    }

    fn restyle(&mut self, numbers: &[u16]) {
        for &number in numbers {
            match number {
                0 => self.style.clear(),
                22 => self.style.retain(|style| !matches!(style, 1 | 2)),
                39 => self.style.retain(|style| *style < 30),
                _ => self.style.push(number),
            }
        }
    }

    fn classes(&self) -> String {
        let classes = self.style.iter().filter_map(|style| match style {
            1 => Some("b".to_owned()),
            2 => Some("d".to_owned()),
            31..=36 => Some(format!("c{style}")),
            91..=96 => Some(format!("c{}", style - 60)),
            _ => None,
        });
        classes.collect::<Vec<_>>().join(" ")
    }

    fn line(&mut self) -> &mut Vec<Cell> {
        if self.lines.len() <= self.row {
            self.lines.resize(self.row + 1, Vec::new());
        }
        &mut self.lines[self.row]
    }

    fn put(&mut self, character: char) {
        // A terminal wraps when the next character comes, not when the line is full.
        if self.column == usize::from(COLUMNS) {
            (self.row, self.column) = (self.row + 1, 0);
        }
        let (column, cell) = (self.column, (character, self.classes()));
        let line = self.line();
        if line.len() <= column {
            line.resize(column + 1, (' ', String::new()));
        }
        line[column] = cell;
        self.column += 1;
    }

    /// The lines from the one that begins with `first` up to the one that begins with `end`, which is left out.
    fn between(&self, first: &str, end: &str) -> &[Vec<Cell>] {
        let position = |start: &str| self.lines.iter().position(|line| text(line).starts_with(start));
        match (position(first), position(end)) {
            (Some(first), Some(end)) if first < end => &self.lines[first..end],
            _ => &[],
        }
    }
}

fn text(line: &[Cell]) -> String {
    line.iter().map(|(character, _)| character).collect::<String>().trim_end().to_owned()
}

fn svg(lines: &[Vec<Cell>]) -> String {
    let used = lines.iter().rposition(|line| !text(line).is_empty()).map_or(0, |last| last + 1);
    let lines = &lines[..used];
    let width = usize::from(COLUMNS) * CELL_WIDTH + 2 * MARGIN;
    let height = lines.len() * LINE_HEIGHT + 2 * MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         role=\"img\">\n<title>A first run of wix-sync, a second one, and its status</title>\n<style>\n{STYLE}\n</style>\n\
         <rect x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"8\"/>\n",
        width - 1,
        height - 1,
    );
    for (row, line) in lines.iter().enumerate() {
        let y = MARGIN + row * LINE_HEIGHT + LINE_HEIGHT * 3 / 4;
        let mut column = 0;
        // One element per run of characters of the same style, at its own column: the font's width does not matter then.
        for part in line.chunk_by(|one, other| one.1 == other.1) {
            let words = text(part);
            let indent = words.len() - words.trim_start().len();
            if !words.is_empty() {
                let class = if part[0].1.is_empty() { String::new() } else { format!(" class=\"{}\"", part[0].1) };
                let count = words.trim_start().chars().count();
                let (x, length) = (MARGIN + (column + indent) * CELL_WIDTH, count * CELL_WIDTH);
                let escaped = words.trim_start().replace('&', "&amp;").replace('<', "&lt;").replace(' ', "\u{a0}");
                // Writing to a String cannot fail.
                let _ = writeln!(svg, "<text x=\"{x}\" y=\"{y}\" textLength=\"{length}\"{class}>{escaped}</text>");
            }
            column += part.len();
        }
    }
    svg.push_str("</svg>\n");
    svg
}
