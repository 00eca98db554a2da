//! Orders: Wix eCommerce orders, read through Orders v1 (wix-api.md 4).

use super::Entity;
use crate::json::{FieldError, Object};
use crate::record::{Cell, Column, ColumnKind};
use crate::stream::Stream;
use crate::wix::{Count, Listing, Lookup, Paging};

pub(super) struct Orders;

/// Waiting and rejected orders are left out unless the filter names them (wix-api.md 4.1).
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
    wanted: Some(("status", &["APPROVED", "CANCELED", "PENDING", "REJECTED"])),
    permission: "Read Orders",
    app: "Wix Stores",
};

/// In the order in which `sql/upsert_orders.sql` takes them. `items` is taken from `raw` where that is parsed anyway.
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

    fn body<'a>(&self, item: &Object<'a>) -> Result<Object<'a>, FieldError> {
        Ok(item.clone())
    }

    fn cells(&self, order: &Object<'_>) -> Result<Vec<Cell>, FieldError> {
        let buyer = order.object("buyerInfo")?;
        let prices = order.object("priceSummary")?;
        let amount =
            |name: &str| -> Result<Cell, FieldError> { Ok(Cell::decimal(prices.object(name)?.decimal("amount")?)) };
        // For imported orders the date of creation is that of the import (wix-api.md 4.3).
        let order_date = match order.instant("purchasedDate")? {
            Some(purchased) => Some(purchased),
            None => order.instant("createdDate")?,
        };
        order.check_list("lineItems")?;
        Ok(vec![
            Cell::text(buyer.text("contactId")?.filter(|id| !id.is_empty())),
            Cell::text(order.text("number")?),
            Cell::text(buyer.text("email")?),
            Cell::timestamp(order_date),
            Cell::text(order.text("status")?),
            Cell::text(order.text("paymentStatus")?),
            Cell::text(order.text("fulfillmentStatus")?),
            Cell::text(order.text("currency")?),
            amount("subtotal")?,
            amount("shipping")?,
            amount("tax")?,
            amount("discount")?,
            amount("total")?,
        ])
    }
}
