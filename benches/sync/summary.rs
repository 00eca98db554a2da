//! Many numbers as few, and tables of them in Markdown.

/// The least, the middle and the greatest of some numbers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// Of these numbers; `None` if there are none.
    pub(crate) fn of(numbers: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut numbers: Vec<f64> = numbers.into_iter().collect();
        numbers.sort_by(f64::total_cmp);
        let (min, max) = (*numbers.first()?, *numbers.last()?);
        let middle = numbers.len() / 2;
        let median = match numbers.len() % 2 {
            0 => (numbers[middle - 1] + numbers[middle]) / 2.0,
            _ => numbers[middle],
        };
        Some(Spread { min, median, max })
    }

    /// `2.10 (1.98 to 2.40)`.
    pub(crate) fn shown(&self) -> String {
        format!("{:.2} ({:.2} to {:.2})", self.median, self.min, self.max)
    }
}

/// The middle of some numbers with so many digits behind the point, or a dash where one of them is not known.
pub(crate) fn median(numbers: impl IntoIterator<Item = Option<f64>>, digits: usize) -> String {
    let numbers: Option<Vec<f64>> = numbers.into_iter().collect();
    match numbers.and_then(Spread::of) {
        Some(spread) => format!("{:.digits$}", spread.median),
        None => "-".to_owned(),
    }
}

/// A number with commas.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A table in Markdown, which reads well on a terminal too.
pub(crate) fn table(head: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).chain([head[column].chars().count()]).max().unwrap_or_default()
    };
    let line = |cells: Vec<String>| {
        let padded: Vec<String> =
            cells.iter().enumerate().map(|(column, cell)| format!("{cell:<0$}", width(column))).collect();
        format!("| {} |\n", padded.join(" | "))
    };
    let mut text = line(head.iter().map(|cell| (*cell).to_owned()).collect());
    text.push_str(&line((0..head.len()).map(|column| "-".repeat(width(column))).collect()));
    rows.iter().for_each(|row| text.push_str(&line(row.clone())));
    text
}
