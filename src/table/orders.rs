//! Orders: Wix eCommerce orders, read through Orders v1 (wix-api.md 4).

use super::customers::CUSTOMERS;
use super::definition::{Events, Relation, Table};
use super::field::Kind::{Decimal, Id, List, ShortText, Text, Timestamp};
use super::field::{Cell, Field};
use super::json::{Object, Reading};
use super::listing::{Count, Listing, Lookup, Paging, Statuses};

pub static ORDERS: Table = Table {
    name: "orders",
    records: "Wix eCommerce orders",
    id_column: "wix_order_id",
    listing: Listing {
        path: "/ecom/v1/orders/search",
        envelope: "search",
        items: "orders",
        metadata: "metadata",
        paging: Paging::Cursor,
        page_limit: 100,
        fieldsets: &[],
        lookup: Lookup::Get { path: "/ecom/v1/orders/", query: "", member: "order" },
        count: Count::None,
        // Pending and rejected orders are not returned unless the filter names them (wix-api.md 4.1).
        statuses: Some(Statuses { known: &STATUSES, hidden: &["PENDING", "REJECTED"], never: &["INITIALIZED"] }),
        api: "orders API",
        permission: "Read Orders",
        app: "Wix Stores",
    },
    // The id in events about fulfillments and payments is that of the order (wix-api.md 7.3).
    events: Events {
        fqdns: &["wix.ecom.v1.order", "wix.ecom.v1.fulfillments", "wix.ecom.v1.order_transactions"],
        automations: &[("orderNumber", "id"), ("orderNumber", "_id")],
    },
    inside: None,
    fields: &[
        Field::at("wix_contact_id", Id, "buyerInfo.contactId"),
        Field::at("order_number", Text, "number"),
        Field::at("email", ShortText, "buyerInfo.email"),
        Field::from("order_date", Timestamp, order_date),
        Field::status("status", "status", &STATUSES),
        Field::status("payment_status", "paymentStatus", &PAYMENT_STATUSES),
        Field::status(
            "fulfillment_status",
            "fulfillmentStatus",
            &["NOT_FULFILLED", "FULFILLED", "PARTIALLY_FULFILLED"],
        ),
        Field::at("currency", Text, "currency"),
        Field::at("subtotal", Decimal, "priceSummary.subtotal.amount"),
        Field::at("shipping", Decimal, "priceSummary.shipping.amount"),
        Field::at("tax", Decimal, "priceSummary.tax.amount"),
        Field::at("discount", Decimal, "priceSummary.discount.amount"),
        Field::at("total_amount", Decimal, "priceSummary.total.amount"),
        Field::at("items", List, "lineItems"),
    ],
    has_notes: false,
    range_field: None,
    needs: &[&CUSTOMERS],
    relation: Some(Relation::Order),
    personal: &["email", "items"],
};

const STATUSES: [&str; 4] = ["APPROVED", "CANCELED", "PENDING", "REJECTED"];

const PAYMENT_STATUSES: [&str; 6] =
    ["NOT_PAID", "PAID", "PARTIALLY_REFUNDED", "FULLY_REFUNDED", "PENDING", "PARTIALLY_PAID"];

/// For imported orders, the creation date is the date of the import (wix-api.md 4.3).
fn order_date(order: &Object<'_>) -> Reading<Cell> {
    match order.instant("purchasedDate")? {
        Some(purchased) => Ok(Cell::Timestamp(purchased)),
        None => order.instant("createdDate").map(Cell::from),
    }
}
