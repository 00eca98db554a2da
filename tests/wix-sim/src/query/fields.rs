//! Fields that can be filtered and sorted: one table per endpoint, as Wix documents them.

use super::filter::Op;
use super::filter::Op::{Eq, Exists, Gt, Gte, HasAll, HasSome, In, Lt, Lte, Ne, Nin, StartsWith};

/// The endpoints that have a table of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Dialect {
    ContactsV4,
    ContactsV5,
    Bookings,
    Orders,
}

/// What a field allows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rule {
    pub(crate) ops: &'static [Op],
    pub(crate) sort: Sortable,
    pub(crate) is_date: bool,
}

/// The directions in which a field can be sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sortable {
    No,
    Ascending,
    Both,
}

const IDS: &[Op] = &[Eq, Ne, In, Exists];
const RANGE: &[Op] = &[Eq, Ne, Gt, Gte, Lt, Lte];
const TEXTS: &[Op] = &[Eq, Ne, In, Exists, StartsWith];
const HAS: &[Op] = &[HasSome, HasAll];
const NAMES: &[Op] = &[Eq, Ne, In, Nin];
const V5_RANGE: &[Op] = &[Eq, Gt, Gte, Lt, Lte];
const V5_IDS: &[Op] = &[Eq, In];
const V5_TEXTS: &[Op] = &[Eq, In, Exists];
const BOOKING: &[Op] = &[Eq, Ne, Gt, Gte, Lt, Lte, In, Nin];
const FLAG: &[Op] = &[Eq, Ne, In];
const ALL: &[Op] = &[Eq, Ne, Gt, Gte, Lt, Lte, In, Nin, Exists, StartsWith, HasSome, HasAll];

/// What `path` allows at this endpoint; `None` if it is not declared there.
pub(crate) fn rule(dialect: Dialect, path: &str) -> Option<Rule> {
    use Sortable::{Ascending, Both, No};
    let is_date = path == "createdDate" || path.ends_with("Date") || path == "info.birthdate";
    let (ops, sort) = match dialect {
        Dialect::ContactsV4 => contacts_v4(path)?,
        Dialect::ContactsV5 => match path {
            "id" => (V5_IDS, No),
            "createdDate" | "updatedDate" => (V5_RANGE, Ascending),
            "email.email" | "phone.phone" | "externalId" => (V5_TEXTS, No),
            _ => return None,
        },
        Dialect::Bookings => match path {
            "bookedEntity.tags" => (HAS, Both),
            "doubleBooked" => (FLAG, Both),
            "id"
            | "status"
            | "paymentStatus"
            | "selectedPaymentOption"
            | "externalUserId"
            | "contactDetails.contactId"
            | "contactDetails.email"
            | "createdDate"
            | "updatedDate"
            | "startDate"
            | "endDate" => (BOOKING, Both),
            _ if path.starts_with("createdBy.") || is_booked_item(path) => (BOOKING, Both),
            _ => return None,
        },
        Dialect::Orders => orders(path)?,
    };
    // Birthdays are plain dates, compared as text.
    Some(Rule { ops, sort, is_date: is_date && path != "info.birthdate" })
}

fn contacts_v4(path: &str) -> Option<(&'static [Op], Sortable)> {
    use Sortable::{Both, No};
    Some(match path {
        "id" | "info.locale" => (IDS, No),
        "createdDate" | "lastActivity.activityDate" | "info.birthdate" => (RANGE, Both),
        "updatedDate" => (RANGE, No),
        "primaryInfo.email" | "info.name.first" | "info.name.last" | "info.company" | "info.jobTitle"
        | "primaryEmail.email" => (TEXTS, Both),
        "primaryInfo.phone"
        | "info.emails.email"
        | "info.phones.phone"
        | "info.phones.e164Phone"
        | "info.addresses.city"
        | "primaryEmail.subscriptionStatus"
        | "primaryEmail.deliverabilityStatus"
        | "primaryPhone.phone"
        | "primaryPhone.e164Phone"
        | "primaryPhone.formattedPhone"
        | "primaryPhone.countryCode"
        | "primaryPhone.subscriptionStatus" => (TEXTS, No),
        "info.addresses.street" | "info.addresses.subdivision" | "info.addresses.country" => (IDS, No),
        "info.labelKeys" | "info.locations" => (HAS, No),
        _ if path.starts_with("info.extendedFields.") => (ALL, No),
        _ => return None,
    })
}

fn is_booked_item(path: &str) -> bool {
    let Some(rest) = path.strip_prefix("bookedEntity.item.") else {
        return false;
    };
    matches!(
        rest,
        "slot.sessionId"
            | "slot.eventId"
            | "slot.serviceId"
            | "slot.scheduleId"
            | "slot.resource.id"
            | "slot.location.id"
            | "slot.location.locationType"
            | "schedule.scheduleId"
            | "schedule.serviceId"
            | "schedule.location.id"
            | "schedule.location.locationType"
    )
}

fn orders(path: &str) -> Option<(&'static [Op], Sortable)> {
    use Sortable::{Both, No};
    Some(match path {
        "createdDate"
        | "updatedDate"
        | "purchasedDate"
        | "number"
        | "priceSummary.total.amount"
        | "buyerInfo.email"
        | "billingInfo.contactDetails.firstName"
        | "billingInfo.contactDetails.lastName"
        | "businessLocation.id"
        | "businessLocation.name"
        | "taxInfo.totalTax.amount" => (ALL, Both),
        "balanceSummary.balance.amount" | "balanceSummary.paid.amount" | "balanceSummary.refunded.amount" => {
            (ALL, Both)
        }
        "status"
        | "paymentStatus"
        | "fulfillmentStatus"
        | "channelInfo.type"
        | "shippingInfo.title"
        | "shippingInfo.region.name" => (NAMES, Both),
        "id"
        | "buyerInfo.contactId"
        | "buyerInfo.memberId"
        | "channelInfo.externalOrderId"
        | "checkoutId"
        | "createdBy.userId"
        | "lineItems.subscriptionInfo.id" => (NAMES, No),
        "archived" | "imported" | "seenByAHuman" => (ALL, No),
        "lineItems.catalogReference.appId" | "lineItems.catalogReference.catalogItemId" | "lineItems.locations.id" => {
            (HAS, No)
        }
        "lineItems.productName.original" => (HAS, Both),
        _ => return None,
    })
}
