//! Isolates items that Postgres refuses: a refused batch is split in half until the item is alone, so the others are
//! written. A batch that takes the server too long is split too.

use super::error::StoreError;

/// Calls `write` with all items, and with smaller parts if Postgres refuses some of them or takes too long. Returns the
/// items that are refused even alone, with the reasons.
pub async fn narrow<'i, T>(
    items: &'i [T],
    mut write: impl AsyncFnMut(&'i [T]) -> Result<(), StoreError>,
) -> Result<Vec<(&'i T, StoreError)>, StoreError> {
    let mut refused = Vec::new();
    let mut parts = vec![items];
    while let Some(part) = parts.pop() {
        match (write(part).await, part) {
            (Ok(()), _) => {}
            (Err(error), [item]) if error.is_refusal() => refused.push((item, error)),
            (Err(error), [_, _, ..]) if error.is_refusal() || error.is_too_slow() => {
                let (left, right) = part.split_at(part.len() / 2);
                parts.extend([right, left]);
            }
            (Err(error), _) => return Err(error),
        }
    }
    Ok(refused)
}
