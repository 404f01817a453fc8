//! Rows in columns, for people.

/// One row a line, each column as wide as its widest cell; the last one as wide as it is.
pub(super) fn table<const N: usize>(head: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut rows: Vec<[String; N]> = rows.into_iter().collect();
    rows.insert(0, head.map(str::to_owned));
    let mut widths = [0; N];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A text that changes nothing on a terminal: control characters are shown, not sent.
pub(super) fn tame(text: &str) -> String {
    let mut tame = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_control() { tame.extend(char.escape_default()) } else { tame.push(char) }
    }
    tame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_lines_end_where_they_end() {
        let rows = [
            ["events-0".to_owned(), "1".to_owned(), String::new()],
            ["e".to_owned(), "100".to_owned(), "é".to_owned()],
        ];
        assert_eq!(table(["A", "LAG", "X"], rows), "A         LAG  X\nevents-0  1\ne         100  é\n");
    }

    #[test]
    fn a_terminal_is_told_nothing_by_a_record() {
        assert_eq!(tame("a\u{1b}[2Jé\n\u{9b}x"), "a\\u{1b}[2Jé\\n\\u{9b}x");
    }
}
