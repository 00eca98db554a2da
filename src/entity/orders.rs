//! Orders: Wix eCommerce orders, read through Orders v1 (wix-api.md 4).

use chrono::{DateTime, Utc};

use super::Entity;
use crate::json::{Object, Reading};
use crate::record::{Cell, Column, ColumnKind};
use crate::stream::Stream;
use crate::wix::query::Statuses;
use crate::wix::{Count, Listing, Lookup, Paging};

pub(super) struct Orders;

/// Pending and rejected orders are left out unless the filter names them (wix-api.md 4.1).
static LISTING: Listing = Listing {
    path: "/ecom/v1/orders/search",
    envelope: "search",
    items: "orders",
    metadata: "metadata",
    paging: Paging::Cursor,
    page_limit: 100,
    fieldsets: &[],
    lookup: Lookup::Get { path: "/ecom/v1/orders/", query: "", member: "order" },
    count: Count::None,
    statuses: Some(Statuses {
        known: &["APPROVED", "CANCELED", "PENDING", "REJECTED"],
        hidden: &["PENDING", "REJECTED"],
        never: &["INITIALIZED"],
    }),
    permission: "Read Orders",
    app: "Wix Stores",
};

/// In the order of `sql/upsert_orders.sql`. The cell of `items` is always null: the statement takes the items from
/// `raw`, which it parses anyway.
const COLUMNS: &[Column] = {
    use ColumnKind::{Decimal, Text, Timestamp};
    &[
        Column::named("wix_contact_id", Text),
        Column::named("order_number", Text),
        Column::named("email", Text),
        Column::named("order_date", Timestamp),
        Column::named("status", Text),
        Column::named("payment_status", Text),
        Column::named("fulfillment_status", Text),
        Column::named("currency", Text),
        Column::named("subtotal", Decimal),
        Column::named("shipping", Decimal),
        Column::named("tax", Decimal),
        Column::named("discount", Decimal),
        Column::named("total_amount", Decimal),
        Column::elsewhere("items", Text),
    ]
};

impl Entity for Orders {
    fn stream(&self) -> Stream {
        Stream::Orders
    }

    fn listing(&self) -> &'static Listing {
        &LISTING
    }

    fn columns(&self) -> &'static [Column] {
        COLUMNS
    }

    fn body<'a>(&self, item: &Object<'a>) -> Object<'a> {
        item.clone()
    }

    fn cells(&self, order: &Object<'_>) -> Vec<Reading<Cell>> {
        let buyer = order.object("buyerInfo");
        let prices = order.object("priceSummary");
        let amount = |name: &str| prices.object(name).decimal("amount").map(Cell::decimal);
        vec![
            buyer.id("contactId").map(Cell::text),
            order.text("number").map(Cell::text),
            buyer.short_text("email").map(Cell::text),
            order_date(order).map(Cell::timestamp),
            order.text("status").map(Cell::text),
            order.text("paymentStatus").map(Cell::text),
            order.text("fulfillmentStatus").map(Cell::text),
            order.text("currency").map(Cell::text),
            amount("subtotal"),
            amount("shipping"),
            amount("tax"),
            amount("discount"),
            amount("total"),
            order.check_list("lineItems").map(|()| Cell::Null),
        ]
    }
}

/// Not the date of creation: for imported orders that is the date of the import (wix-api.md 4.3).
fn order_date(order: &Object<'_>) -> Reading<Option<DateTime<Utc>>> {
    match order.instant("purchasedDate")? {
        Some(purchased) => Ok(Some(purchased)),
        None => order.instant("createdDate"),
    }
}
