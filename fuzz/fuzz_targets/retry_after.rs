//! `Retry-After` (RFC 9110 section 10.2.3): seconds and the three forms of dates, written here by other means.
#![no_main]

use std::time::{Duration, SystemTime};

use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use webpush_channels::engine::response::retry_after;
use webpush_channels_fuzz::Fields;

/// The last second of the year 9999.
const END: u64 = 253_402_300_799;
const MAX: u64 = 1 << 31;
/// 1970-01-01 to 2070-01-01: what two digits of a year can mean.
const CENTURY: u64 = 3_155_760_000;

fuzz_target!(|data: &[u8]| {
    let mut fields = Fields::new(data);
    let (now, at) = (fields.number() % (END + 1), fields.number() % (END + 1));
    for (date, known) in dates(at) {
        if known {
            assert_eq!(
                read(&[date.as_bytes()], now),
                Some(at.saturating_sub(now).min(MAX)),
                "{date} at {now}"
            );
        }
    }
    let rest = fields.rest();
    let seconds = read(&[rest], now);
    assert!(seconds.is_none_or(|seconds| seconds <= MAX), "R-7");
    if let Ok(text) = std::str::from_utf8(rest) {
        let text = text.trim_matches([' ', '\t']);
        if !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit()) {
            let number = text.parse::<u128>().unwrap_or(u128::MAX).min(MAX.into());
            assert_eq!(seconds.map(u128::from), Some(number));
        }
    }
    assert_eq!(read(&[rest, b"60"], now), None, "two are no answer");
});

fn read(values: &[&[u8]], now: u64) -> Option<u64> {
    let mut headers = HeaderMap::new();
    for value in values {
        headers.append(RETRY_AFTER, HeaderValue::from_bytes(value).ok()?);
    }
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(now);
    retry_after(&headers, now).map(|after| after.as_secs())
}

/// One second in the three forms, and whether each can say it.
fn dates(at: u64) -> [(String, bool); 3] {
    const DAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (days, second) = (at / 86_400, at % 86_400);
    let day_name = DAYS[usize::try_from(days % 7).expect("below seven")];
    let short = &day_name[..3];
    let (mut year, mut left) = (1970, days);
    while left >= year_length(year) {
        left -= year_length(year);
        year += 1;
    }
    let mut month = 0;
    while left >= month_length(year, month) {
        left -= month_length(year, month);
        month += 1;
    }
    let (name, day) = (MONTHS[month], left + 1);
    let time = format!("{:02}:{:02}:{:02}", second / 3600, second / 60 % 60, second % 60);
    [
        (format!("{short}, {day:02} {name} {year} {time} GMT"), true),
        (format!("{day_name}, {day:02}-{name}-{:02} {time} GMT", year % 100), at < CENTURY),
        (format!("{short} {name} {day:2} {time} {year}"), true),
    ]
}

const fn year_length(year: u64) -> u64 {
    if is_leap(year) { 366 } else { 365 }
}

const fn month_length(year: u64, month: usize) -> u64 {
    match month {
        1 if is_leap(year) => 29,
        1 => 28,
        3 | 5 | 8 | 10 => 30,
        _ => 31,
    }
}

const fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}
