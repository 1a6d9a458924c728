//! `Retry-After`: when an endpoint asks us to come back (RFC 9110 section 10.2.3).

use std::time::{Duration, SystemTime};

use beacon_spec::Timestamp;
use http::{HeaderMap, header};

/// Longer wishes are cut to this; a job that cannot wait a day gives up either way.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Seconds or an HTTP date, as a time from `now`. "At once" and the past are no wish: our own back-off is longer than that.
pub(crate) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    let wish = match text.parse::<f64>() {
        Ok(seconds) if seconds > LONGEST.as_secs_f64() => LONGEST,
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok()?,
        Err(_) => until(text, now)?,
    };
    Some(wish.min(LONGEST)).filter(|wish| !wish.is_zero())
}

fn until(date: &str, now: Timestamp) -> Option<Duration> {
    httpdate::parse_http_date(date).ok()?.duration_since(SystemTime::from(now)).ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn check(text: &str, seconds: Option<f64>) {
        let now = "1994-11-06T08:49:37Z".parse().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, HeaderValue::from_str(text).unwrap());

        assert_eq!(retry_after(&headers, now), seconds.map(Duration::from_secs_f64), "{text}");
    }

    #[test]
    fn seconds_are_understood() {
        check("1", Some(1.0));
        check(" 120 ", Some(120.0));
        check("0.5", Some(0.5));
    }

    #[test]
    fn all_three_forms_of_date_are_understood() {
        check("Sun, 06 Nov 1994 08:50:37 GMT", Some(60.0));
        check("Sunday, 06-Nov-94 08:50:37 GMT", Some(60.0));
        check("Sun Nov  6 08:50:37 1994", Some(60.0));
    }

    #[test]
    fn at_once_and_the_past_are_no_wish() {
        check("0", None);
        check("Sun, 06 Nov 1994 08:49:37 GMT", None);
        check("Sat, 05 Nov 1994 08:49:37 GMT", None);
    }

    #[test]
    fn absurd_values_do_no_harm() {
        let day = Some(24.0 * 3600.0);
        check("99999999999999999999999", day);
        check("1e300", day);
        check("inf", day);
        check("Fri, 31 Dec 9999 23:59:59 GMT", day);
        for text in ["-5", "NaN", "soon", "", "1 hour", "Sun, 99 Nov 1994 08:49:37 GMT"] {
            check(text, None);
        }
    }
}
