//! Orders: Wix eCommerce orders, read through Orders v1 (wix-api.md 4).

use super::Entity;
use crate::json::{FieldError, Object};
use crate::record::{Cell, ColumnKind};
use crate::stream::Stream;
use crate::wix::{Listing, Lookup, Paging};

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
    wanted: Some(("status", &["APPROVED", "CANCELED", "PENDING", "REJECTED"])),
    permission: "Read Orders",
    app: "Wix Stores",
};

impl Entity for Orders {
    fn stream(&self) -> Stream {
        Stream::Orders
    }

    fn listing(&self) -> &'static Listing {
        &LISTING
    }

    fn columns(&self) -> &'static [ColumnKind] {
        use ColumnKind::{Decimal, Text, Timestamp};
        // wix_contact_id, order_number, email, order_date, status, payment_status, fulfillment_status, currency,
        // subtotal, shipping, tax, discount, total_amount. `items` is taken from `raw` where that is parsed anyway.
        &[Text, Text, Text, Timestamp, Text, Text, Text, Text, Decimal, Decimal, Decimal, Decimal, Decimal]
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
