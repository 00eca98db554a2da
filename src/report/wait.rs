//! The text of a wait: reason and duration.

use std::time::Duration;

use crate::event::Wait;
use crate::table::Table;

/// For example `waiting 40 s for Wix's rate limit`. `left` is the remaining time as text, if it is known.
pub(super) fn describe_wait(wait: &Wait, table: Option<&'static Table>, left: Option<&str>) -> String {
    let waiting = left.map_or("waiting".to_owned(), |left| format!("waiting {left}"));
    match wait {
        Wait::RateLimit => format!("{waiting} for Wix's rate limit"),
        Wait::Database { cause } => format!("{waiting} for the database: {cause}"),
        // The request of another table failed, and no request is sent until its retry.
        Wait::Retry { table: failed, cause, .. } if *failed != table => {
            format!("{waiting} for a retry of {}: {cause}", failed.map_or("another request", |failed| failed.name))
        }
        Wait::Retry { number, max, cause, .. } => {
            let of = max.map(|max| format!(" {number} of {max}")).unwrap_or_default();
            let left = left.map(|left| format!(" in {left}")).unwrap_or_default();
            format!("retry{of}{left}: {cause}")
        }
    }
}

/// A remaining time, in whole seconds.
pub(super) fn seconds_left(left: Duration) -> i64 {
    i64::try_from(left.as_millis().div_ceil(1000)).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::describe_wait;
    use crate::event::Wait;
    use crate::table::{CUSTOMERS, ORDERS};

    #[test]
    fn a_wait_is_described_with_its_reason_and_the_time_left() {
        let said = |wait: &Wait| describe_wait(wait, Some(&CUSTOMERS), Some("4 s"));
        let retry =
            |table, max| Wait::Retry { table: Some(table), number: 2, max, cause: "Wix answered 503".to_owned() };
        assert_eq!(said(&Wait::RateLimit), "waiting 4 s for Wix's rate limit");
        assert_eq!(said(&retry(&CUSTOMERS, Some(3))), "retry 2 of 3 in 4 s: Wix answered 503");
        assert_eq!(said(&retry(&CUSTOMERS, None)), "retry in 4 s: Wix answered 503");
        assert_eq!(said(&retry(&ORDERS, Some(3))), "waiting 4 s for a retry of orders: Wix answered 503");
        let wait = Wait::Database { cause: "connection refused".to_owned() };
        assert_eq!(describe_wait(&wait, None, None), "waiting for the database: connection refused");
    }
}
