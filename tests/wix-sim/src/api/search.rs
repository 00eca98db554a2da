//! Extended bookings and orders: query, search, count and get.

use serde_json::json;

use super::Ask;
use super::page::Walk;
use crate::query::fields::Dialect;
use crate::reply::{Reply, field_violation, not_found};
use crate::state::State;

/// Bytes reserved for one record of a page.
const ROOM_PER_RECORD: usize = 6144;

/// `POST …/extended-bookings/query`: the metadata has no `hasNext`.
pub(super) fn bookings(state: &mut State, ask: &Ask) -> Result<Reply, Reply> {
    let body = ask.body()?;
    let walk = Walk::new(Dialect::Bookings, &body["query"], "query", state.generation)?;
    let page = walk.page(state, ask)?;
    let flag = |name: &str| body[name].as_bool().unwrap_or(false);
    let mut extras = String::new();
    if flag("withBookingAllowedActions") {
        extras.push_str(",\"allowedActions\":{\"cancel\":true,\"reschedule\":false}");
    }
    if flag("withBookingAttendanceInfo") {
        extras.push_str(",\"attendance\":{\"status\":\"NOT_SET\",\"numberOfAttendees\":0}");
    }
    if flag("withBookingPolicySettings") {
        extras.push_str(",\"bookingPolicySettings\":{\"cancellationFeeEnabled\":false}");
    }
    let mut out = String::with_capacity(page.positions.len() * ROOM_PER_RECORD + 512);
    out.push_str("{\"extendedBookings\":[");
    for (number, position) in page.positions.iter().enumerate() {
        if number > 0 {
            out.push(',');
        }
        state.bookings.write(*position, false, &mut out);
        // A stored text is returned byte for byte, without additions.
        let unchanged = state.bookings.records[*position].text.is_none();
        if unchanged && !extras.is_empty() && out.ends_with('}') {
            out.pop();
            out.push_str(&extras);
            out.push('}');
        }
    }
    let mut metadata = if walk.by_cursor {
        json!({"count": page.positions.len(), "cursors": page.cursors()})
    } else {
        page.offset_metadata(&walk, ask.tweaks.without_total)
    };
    page.add_total(&mut metadata, &ask.tweaks);
    if ask.tweaks.has_next {
        metadata["hasNext"] = json!(page.next.is_some());
    }
    out.push_str("],\"pagingMetadata\":");
    out.push_str(&metadata.to_string());
    out.push('}');
    Ok(Reply::json(out, page.positions.len()))
}

/// `POST …/extended-bookings/count`
pub(super) fn bookings_count(state: &mut State, ask: &Ask) -> Result<Reply, Reply> {
    let query = json!({"filter": ask.body()?["filter"]});
    let walk = Walk::new(Dialect::Bookings, &query, "query", state.generation)?;
    let answer = json!({"count": walk.count(state)?});
    Ok(Reply::json(answer.to_string(), 0))
}

/// `POST /ecom/v1/orders/search`: anything but `search` in the body is ignored.
pub(super) fn orders(state: &mut State, ask: &Ask) -> Result<Reply, Reply> {
    let search = &ask.body()?["search"];
    let walk = Walk::new(Dialect::Orders, search, "search", state.generation)?;
    let page = walk.page(state, ask)?;
    let mut out = String::with_capacity(page.positions.len() * ROOM_PER_RECORD + 512);
    out.push_str("{\"orders\":[");
    for (number, position) in page.positions.iter().enumerate() {
        if number > 0 {
            out.push(',');
        }
        state.orders.write(*position, false, &mut out);
    }
    let mut metadata = json!({
        "count": page.positions.len(), "cursors": page.cursors(), "hasNext": page.next.is_some(),
    });
    page.add_total(&mut metadata, &ask.tweaks);
    out.push_str("],\"metadata\":");
    out.push_str(&metadata.to_string());
    out.push('}');
    Ok(Reply::json(out, page.positions.len()))
}

/// `GET /ecom/v1/orders/{id}`: returns orders of every status.
pub(super) fn order(state: &mut State, ask: &Ask) -> Result<Reply, Reply> {
    let Some(id) = ask.id else {
        return Err(field_violation("id", "must not be empty"));
    };
    let position = state.orders.find(id).ok_or_else(not_found)?;
    let mut out = String::with_capacity(ROOM_PER_RECORD + 16);
    out.push_str("{\"order\":");
    state.orders.write(position, false, &mut out);
    out.push('}');
    Ok(Reply::json(out, 1))
}
