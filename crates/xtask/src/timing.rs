//! The time that each test took, computed from the output of the standard test harness, which does not report it.
//!
//! The harness starts tests in the order in which it lists them, and the next one as soon as one has ended. So the start
//! time of a test follows from its position in the list and from the times at which others ended.

use std::time::{Duration, Instant};

/// The tests of one program, and the times at which tests ended.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    names: Vec<String>,
    threads: usize,
    began: Instant,
    ends: Vec<Instant>,
}

impl Program {
    /// Creates the state of a program that starts now, with its tests in order and the number of tests at once.
    pub(crate) const fn new(names: Vec<String>, threads: usize, began: Instant) -> Self {
        Self {
            names,
            threads,
            began,
            ends: Vec::new(),
        }
    }

    /// Returns how long the test took that has just ended; `None` if it is not one of the list.
    pub(crate) fn end(&mut self, name: &str, now: Instant) -> Option<Duration> {
        let place = self.names.iter().position(|one| one == name)?;
        let began = match place.checked_sub(self.threads) {
            None => self.began,
            Some(before) => *self.ends.get(before)?,
        };
        self.ends.push(now);
        Some(now.duration_since(began))
    }
}

/// Reads the names of the tests of each program from what `cargo test -- --list` prints.
pub(crate) fn listed(output: &str) -> Vec<Vec<String>> {
    let mut programs = Vec::new();
    let mut names = Vec::new();
    for line in output.lines() {
        if let Some(name) = line.strip_suffix(": test") {
            names.push(name.to_owned());
        } else if line.contains(" tests, ") || line.contains(" test, ") {
            programs.push(std::mem::take(&mut names));
        }
    }
    programs
}

/// Returns the name of the test that a line such as `test NAME ... ok` reports as ended.
pub(crate) fn ended(line: &str) -> Option<&str> {
    let (name, result) = line.strip_prefix("test ")?.rsplit_once(" ... ")?;
    let is_end = ["ok", "FAILED", "ignored"]
        .iter()
        .any(|word| result.starts_with(word));
    is_end.then(|| name.trim_end_matches(" - should panic"))
}

#[expect(
    clippy::disallowed_methods,
    reason = "a stopwatch for people, outside the product"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_begins_when_a_place_is_free() {
        let names = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
        let began = now();
        let at = |seconds| began + Duration::from_secs(seconds);
        let mut program = Program::new(names, 2, began);
        let mut end = |name: &str, seconds| program.end(name, at(seconds));
        let took = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(end("b", 3), took(3));
        assert_eq!(end("c", 4), took(1));
        assert_eq!(end("a", 9), took(9));
        assert_eq!(end("d", 10), took(6));
        assert_eq!(end("of another program", 11), None);
    }

    #[test]
    fn lists_are_read_program_by_program() {
        let output = "a: test\nb::c: test\n\n2 tests, 0 benchmarks\n0 tests, 0 benchmarks\nd: test\n\n1 test, 0 benchmarks\n";
        let expected: [&[&str]; 3] = [&["a", "b::c"], &[], &["d"]];
        assert_eq!(listed(output), expected);
    }

    #[test]
    fn the_end_of_a_test_is_told_from_other_lines() {
        for (line, expected) in [
            ("test a::b ... ok", Some("a::b")),
            ("test a::b ... FAILED", Some("a::b")),
            (
                "test a::b ... ignored, run by cargo xtask upgrade",
                Some("a::b"),
            ),
            ("test a::b - should panic ... ok", Some("a::b")),
            ("test a::b has been running for over 60 seconds", None),
            ("test result: ok. 3 passed; 0 failed", None),
        ] {
            assert_eq!(ended(line), expected, "{line}");
        }
    }
}
