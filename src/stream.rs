//! The kinds of records that are synced, each named after its table.

use std::fmt;

use serde::Serialize;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Wix contacts, in `customers`.
    Customers,
    /// Wix bookings, in `appointments`.
    Appointments,
    /// Wix eCommerce orders, in `orders`.
    Orders,
}

impl Stream {
    /// In the order of a run: customers first, since the others link to them.
    pub const ALL: [Stream; 3] = [Stream::Customers, Stream::Appointments, Stream::Orders];

    /// The table's name, which is also the word used in commands, logs and `sync_logs.results`.
    pub fn table(self) -> &'static str {
        match self {
            Stream::Customers => "customers",
            Stream::Appointments => "appointments",
            Stream::Orders => "orders",
        }
    }

    /// The column that holds Wix's id: unique, and what rows are matched by.
    pub fn id_column(self) -> &'static str {
        match self {
            Stream::Customers => "wix_contact_id",
            Stream::Appointments => "wix_booking_id",
            Stream::Orders => "wix_order_id",
        }
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.table())
    }
}
