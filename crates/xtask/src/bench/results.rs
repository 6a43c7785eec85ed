//! The results of a benchmark: a table for people, and the raw samples.

use std::time::Duration;

use serde_json::{Value, json};

/// The results of one benchmark.
#[derive(Clone, Debug, Default)]
pub(super) struct Results {
    pub(super) columns: Vec<&'static str>,
    pub(super) rows: Vec<Vec<String>>,
    /// Sentences under the table: limits, and how to read the figures.
    pub(super) notes: Vec<String>,
    /// Everything that was measured, one JSON object per measurement.
    pub(super) samples: Vec<Value>,
}

impl Results {
    pub(super) fn new(columns: &[&'static str]) -> Self {
        Self {
            columns: columns.to_vec(),
            ..Self::default()
        }
    }

    pub(super) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    pub(super) fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    pub(super) fn sample(&mut self, sample: Value) {
        self.samples.push(sample);
    }

    /// Adds the rows, notes and samples of another part of the same benchmark.
    pub(super) fn append(&mut self, other: Self) {
        self.rows.extend(other.rows);
        self.samples.extend(other.samples);
        for note in other.notes {
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
    }

    /// Writes the table and the notes in Markdown.
    pub(super) fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let columns: Vec<_> = self.columns.iter().map(ToString::to_string).collect();
        let rule: Vec<_> = columns.iter().map(|_| "---".to_owned()).collect();
        let rows: String = self.rows.iter().map(|row| line(row)).collect();
        let notes: Vec<_> = self
            .notes
            .iter()
            .map(|note| format!("\n{note}\n"))
            .collect();
        format!("{}{}{rows}{}", line(&columns), line(&rule), notes.concat())
    }

    pub(super) fn json(&self) -> Value {
        json!({"columns": self.columns, "rows": self.rows, "notes": self.notes, "samples": self.samples})
    }
}

/// Writes a number with separators, such as `100,000`.
pub(super) fn number(number: usize) -> String {
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

pub(super) fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1024 * 1024))
}

pub(super) fn seconds(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    let digits = if seconds < 10.0 {
        2
    } else {
        usize::from(seconds < 100.0)
    };
    format!("{seconds:.digits$} s")
}

/// Writes the part of a duration that one of `count` things has, in microseconds.
pub(super) fn microseconds_each(duration: Duration, count: usize) -> String {
    format!("{:.1} µs", each(duration, count))
}

/// Returns the least time in which AWS lists so many secrets: 100 pages of 100 secrets per second.
pub(super) fn at_limit(secrets: usize) -> Duration {
    Duration::from_secs_f64(float(secrets) / 10_000.0)
}

pub(super) fn float(count: usize) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a count of objects fits a double"
    )]
    let count = count as f64;
    count
}

/// Returns the part of a duration that one of `count` things has, in microseconds.
pub(super) fn each(duration: Duration, count: usize) -> f64 {
    duration.as_secs_f64() * 1e6 / float(count.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        assert_eq!(
            [999, 1_000, 500_000].map(number),
            ["999", "1,000", "500,000"]
        );
        assert_eq!(mebibytes(3 * 1024 * 1024 + 1), "4 MiB");
        let times = [0.123, 12.34, 123.4].map(|time| seconds(Duration::from_secs_f64(time)));
        assert_eq!(times, ["0.12 s", "12.3 s", "123 s"]);
        assert_eq!(
            microseconds_each(Duration::from_secs(1), 100_000),
            "10.0 µs"
        );
    }

    #[test]
    fn a_table_is_markdown_with_notes() {
        let mut results = Results::new(&["Secrets", "CPU"]);
        results.row(vec!["2".to_owned(), "1 s".to_owned()]);
        results.note("A note.");
        assert_eq!(
            results.markdown(),
            "| Secrets | CPU |\n| --- | --- |\n| 2 | 1 s |\n\nA note.\n"
        );
    }
}
