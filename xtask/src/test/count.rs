//! Reads how many tests passed, failed and were skipped out of what the test runners print.

/// Tests by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// Ran and held.
    pub(crate) passed: u64,
    /// Ran and did not hold, or could not run.
    pub(crate) failed: u64,
    /// Did not run: ignored, skipped, expected to fail.
    pub(crate) skipped: u64,
    /// Failed, and held when they ran once more by themselves: also counted as passed.
    pub(crate) flaky: u64,
}

impl std::ops::Add for Count {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            skipped: self.skipped + other.skipped,
            flaky: self.flaky + other.flaky,
        }
    }
}

impl Count {
    /// A runner that failed without naming a failed test (it did not compile, it found no test) failed once.
    pub(crate) fn with_status(mut self, success: bool) -> Self {
        let none = self == Self::default();
        if (!success || none) && self.failed == 0 {
            self.failed = 1;
        }
        self
    }

    /// Whether so few tests failed that each may have met a moment that seldom comes, rather than a mistake.
    pub(crate) fn may_be_flaky(self) -> bool {
        (1..=FLAKY_MAX).contains(&self.failed)
    }

    /// These counts, once the failed tests ran again by themselves and gave `again`.
    pub(crate) fn after(self, again: Self) -> Self {
        let flaky = self.failed.min(again.passed);
        Self { passed: self.passed + flaky, failed: self.failed - flaky, flaky, ..self }
    }
}

/// How many failed tests of a whole run may hold at their second try.
pub(crate) const FLAKY_MAX: u64 = 3;

/// The name in a line of libtest that tells of a failed test: `test pool::grows ... FAILED`.
pub(crate) fn libtest_failed(line: &str) -> Option<&str> {
    line.strip_prefix("test ")?.strip_suffix(" ... FAILED")
}

/// The counts of one line of libtest: `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
pub(crate) fn libtest_line(line: &str) -> Count {
    let mut count = Count::default();
    let Some(rest) = line.strip_prefix("test result: ") else { return count };
    for part in rest.split([';', '.']) {
        let mut words = part.split_whitespace();
        if let (Some(Ok(number)), Some(word)) = (words.next().map(str::parse), words.next()) {
            match word {
                "passed" => count.passed = number,
                "failed" => count.failed = number,
                "ignored" => count.skipped = number,
                _ => {}
            }
        }
    }
    count
}

/// The counts of pytest's last line: `=== 1 failed, 3 passed, 2 skipped in 4.00s ===`.
pub(crate) fn pytest_line(line: &str) -> Count {
    let mut count = Count::default();
    let bare = line.trim_matches('=').trim();
    let Some((told, _)) = line.starts_with("==").then_some(bare).and_then(|bare| bare.split_once(" in "))
    else {
        return count;
    };
    for part in told.split(", ") {
        if let Some((Ok(number), word)) =
            part.split_once(' ').map(|(number, word)| (number.parse::<u64>(), word))
        {
            match word {
                "passed" => count.passed += number,
                "failed" | "error" | "errors" => count.failed += number,
                "skipped" | "xfailed" => count.skipped += number,
                _ => {}
            }
        }
    }
    count
}

/// The counts of a JUnit report, from the attributes of its `<testsuite>`.
pub(crate) fn junit(report: &str) -> Count {
    let Some(suite) = report.split("<testsuite ").nth(1).and_then(|rest| rest.split('>').next()) else {
        return Count::default();
    };
    let number = |name: &str| {
        let value = suite.split(&format!("{name}=\"")).nth(1).and_then(|rest| rest.split('"').next());
        value.and_then(|text| text.parse().ok()).unwrap_or(0)
    };
    let (tests, failed, skipped): (u64, u64, u64) =
        (number("tests"), number("failures") + number("errors"), number("skipped"));
    // A test whose teardown fails too is counted in both.
    Count { passed: tests.saturating_sub(failed + skipped), failed, skipped, flaky: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(passed: u64, failed: u64, skipped: u64) -> Count {
        Count { passed, failed, skipped, flaky: 0 }
    }

    #[test]
    fn libtest_lines_are_read() {
        let line = "test result: FAILED. 3 passed; 2 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.01s";
        assert_eq!(libtest_line(line), counted(3, 2, 1));
        assert_eq!(libtest_line("test pool::grows ... ok"), Count::default());
    }

    #[test]
    fn pytests_last_line_is_read() {
        let line = "==== 1 failed, 12 passed, 2 skipped, 1 error in 4.00s (0:00:04) ====";
        assert_eq!(pytest_line(line), counted(12, 2, 2));
        assert_eq!(pytest_line("== sandbox: begins, 6.1.0, in time"), Count::default());
    }

    #[test]
    fn junit_reports_are_read() {
        let report = r#"<?xml version="1.0"?><testsuites name="all"><testsuite name="pytest" errors="1" failures="2"
            skipped="3" tests="10" time="0.1"><testcase name="x" tests="99"/></testsuite></testsuites>"#;
        assert_eq!(junit(report), counted(4, 3, 3));
        assert_eq!(junit("nothing"), Count::default());
    }

    #[test]
    fn a_runner_that_ran_nothing_has_failed() {
        let nothing = Count::default();
        assert_eq!(nothing.with_status(true).failed, 1);
        assert_eq!(nothing.with_status(false).failed, 1);
        let good = counted(5, 0, 0);
        assert_eq!(good.with_status(true), good);
        assert_eq!(good.with_status(false).failed, 1);
    }

    #[test]
    fn a_test_that_holds_at_its_second_try_is_flaky() {
        let first = counted(10, 2, 0);
        assert_eq!(first.after(counted(2, 0, 0)), Count { passed: 12, failed: 0, skipped: 0, flaky: 2 });
        assert_eq!(first.after(counted(1, 1, 0)), Count { passed: 11, failed: 1, skipped: 0, flaky: 1 });
        // Nothing ran at the second try: nothing is forgiven.
        assert_eq!(first.after(Count::default()), first);
    }

    #[test]
    fn many_failures_are_a_mistake() {
        assert!(counted(10, 1, 0).may_be_flaky());
        assert!(!counted(10, 0, 0).may_be_flaky());
        assert!(!counted(10, FLAKY_MAX + 1, 0).may_be_flaky());
    }

    #[test]
    fn libtests_failed_tests_are_named() {
        assert_eq!(libtest_failed("test pool::grows ... FAILED"), Some("pool::grows"));
        assert_eq!(libtest_failed("test pool::grows ... ok"), None);
        assert_eq!(libtest_failed("test result: FAILED. 3 passed; 2 failed"), None);
    }
}
