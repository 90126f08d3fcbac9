//! Words and tables for the terminal.

use purser_core::money::{NanoUsd, USD};

/// A table with a header, columns as wide as they must be.
pub fn table(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let header: Vec<String> = header.iter().map(|cell| (*cell).to_owned()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(header).chain(rows).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|c| c.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// An amount as people read it: cents above a dollar, four decimals below.
pub fn usd(amount: NanoUsd) -> String {
    let (whole, nano) = (amount.0 / USD, amount.0 % USD);
    if whole > 0 { format!("${whole}.{:02}", nano / 10_000_000) } else { format!("$0.{:04}", nano / 100_000) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let rows = [vec!["a".to_owned(), "1".to_owned()], vec!["long".to_owned(), "22".to_owned()]];
        assert_eq!(table(&["who", "n"], rows.into_iter()), "who   n\na     1\nlong  22");
    }

    #[test]
    fn small_amounts_keep_four_decimals() {
        assert_eq!(usd(NanoUsd(12_345_678_901)), "$12.34");
        assert_eq!(usd(NanoUsd(1_234_567)), "$0.0012");
    }
}
