//! Writing a batch so that one bad record never stops the others: if Postgres blames a row, the batch is
//! halved until that row stands alone.

use std::collections::HashMap;

use crate::record::{Rejection, Row};
use crate::store::batch::{BatchContext, BatchOutcome};
use crate::store::{Store, StoreError};

/// Of each id one row, sorted by id: the newer of two copies, of equally old ones the later. How many
/// records that leaves out is the difference in length.
pub fn newest_by_id(rows: Vec<Row>) -> Vec<Row> {
    let mut newest: HashMap<String, Row> = HashMap::with_capacity(rows.len());
    for row in rows {
        match newest.get(&row.wix_id) {
            Some(kept) if kept.wix_updated_at > row.wix_updated_at => {}
            _ => {
                newest.insert(row.wix_id.clone(), row);
            }
        }
    }
    let mut rows: Vec<Row> = newest.into_values().collect();
    // In one order in all transactions: two writers then wait for each other, but not in a circle.
    rows.sort_unstable_by(|left, right| left.wix_id.cmp(&right.wix_id));
    rows
}

/// Writes all rows but those that Postgres refuses for their own sake.
pub async fn write_isolating(
    store: &mut Store,
    context: &BatchContext,
    rows: &[Row],
) -> Result<(BatchOutcome, Vec<Rejection>), StoreError> {
    let mut total = BatchOutcome::default();
    let mut rejections = Vec::new();
    let mut parts = vec![rows];
    while let Some(part) = parts.pop() {
        match store.write_batch(context, part).await {
            Ok(outcome) => {
                total.inserted += outcome.inserted;
                total.updated += outcome.updated;
                total.unchanged += outcome.unchanged;
            }
            Err(error) if error.blames_a_row() => match part {
                [row] => rejections.push(Rejection {
                    wix_id: Some(row.wix_id.clone()),
                    wix_created_at: row.wix_created_at,
                    reason: error.to_string(),
                    raw: row.raw.clone(),
                }),
                _ => {
                    let (left, right) = part.split_at(part.len() / 2);
                    parts.extend([right, left]);
                }
            },
            Err(error) => return Err(error),
        }
    }
    Ok((total, rejections))
}

#[cfg(test)]
mod tests {
    use super::newest_by_id;
    use crate::record::Row;
    use crate::timestamp::{Timestamp, parse};

    fn row(id: &str, updated: Option<&str>, raw: &str) -> Row {
        let wix_updated_at = updated.and_then(parse).map(|timestamp| match timestamp {
            Timestamp::Instant(instant) => instant,
            Timestamp::Local(local) => local.and_utc(),
        });
        Row {
            wix_id: id.to_owned(),
            wix_created_at: None,
            wix_updated_at,
            wix_revision: None,
            content_hash: [0; 16],
            raw: raw.to_owned(),
            cells: Vec::new(),
        }
    }

    #[test]
    fn of_two_copies_the_newer_stays_and_of_equals_the_later() {
        let rows = vec![
            row("b", Some("2026-01-02T00:00:00Z"), "newer"),
            row("a", None, "first"),
            row("b", Some("2026-01-01T00:00:00Z"), "older"),
            row("a", None, "second"),
        ];
        let raws: Vec<String> = newest_by_id(rows).into_iter().map(|row| row.raw).collect();
        assert_eq!(raws, ["second", "newer"]);
    }
}
