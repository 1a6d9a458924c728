//! `Retry-After`: when a receiver asks us to come back (RFC 9110, section 10.2.3).

use std::time::{Duration, SystemTime};

use beacon_spec::Timestamp;
use http::{HeaderMap, header};

/// Longer wishes are cut to this, the longest pause of our own.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Seconds or an HTTP date, as a time from `now`; at most a day.
pub(crate) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number has are a wish for longer than a day as well.
        return Some(text.parse().map_or(LONGEST, Duration::from_secs).min(LONGEST))
            .filter(|_| !text.is_empty());
    }
    let then = httpdate::parse_http_date(text).ok()?;
    Some(then.duration_since(SystemTime::from(now)).unwrap_or_default().min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, seconds: Option<u64>) {
        let now = "1994-11-06T08:49:37Z".parse().unwrap();
        let headers = HeaderMap::from_iter([(header::RETRY_AFTER, text.parse().unwrap())]);
        assert_eq!(retry_after(&headers, now), seconds.map(Duration::from_secs), "{text}");
    }

    #[test]
    fn a_wish_is_seconds_or_a_date_and_bounded() {
        check("120", Some(120));
        check("0", Some(0));
        check("Sun, 06 Nov 1994 08:51:37 GMT", Some(120));
        check("Sun, 06 Nov 1994 08:00:00 GMT", Some(0));
        check("99999999", Some(86_400));
        check("99999999999999999999999999", Some(86_400));
        check("Sat, 06 Nov 2094 08:51:37 GMT", Some(86_400));
        for odd in ["", "-1", "+1", "1.5", "soon"] {
            check(odd, None);
        }
    }
}
