//! Durations as people write them: `500ms 5s 5m 2h 7d`.
//!
//! Owns: the one spelling. Fails: with what would be right. Proved by: the tests below.

use std::time::Duration;

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a duration; write a whole number and a unit, such as `500ms`, `5s`, `5m`, `2h` or `7d`")]
pub struct InvalidDuration(String);

/// Reads a duration.
pub fn parse(text: &str) -> Result<Duration, InvalidDuration> {
    let invalid = || InvalidDuration(text.chars().filter(|c| !c.is_control()).take(40).collect());
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(invalid)?;
    let (number, unit) = text.split_at(unit_at);
    let number: u64 = number.parse().map_err(|_| invalid())?;
    let millis: u64 = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(invalid()),
    };
    number.checked_mul(millis).map(Duration::from_millis).ok_or_else(invalid)
}

/// Writes a duration the way it is read, in the largest unit that is exact.
pub fn display(duration: Duration) -> String {
    let millis = duration.as_millis();
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s"), (1, "ms")];
    let exact = units.iter().find(|(size, _)| millis > 0 && millis.is_multiple_of(*size));
    exact.map_or_else(|| "0s".to_owned(), |(size, unit)| format!("{}{unit}", millis / size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_read_and_written() {
        for (text, millis) in
            [("500ms", 500), ("5s", 5_000), ("5m", 300_000), ("2h", 7_200_000), ("7d", 604_800_000), ("0s", 0)]
        {
            let duration = parse(text).unwrap();
            assert_eq!(duration, Duration::from_millis(millis), "{text}");
            assert_eq!(display(duration), text);
        }
        assert_eq!(display(Duration::from_secs(90)), "90s");
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in [
            "",
            "5",
            "s",
            "5 s",
            "-5s",
            "1.5h",
            "5S",
            "5min",
            "1h30m",
            "99999999999999999999d",
            "9999999999999999d",
            "５s",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
