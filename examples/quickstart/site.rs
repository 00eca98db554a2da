//! The simulated Wix site: what is in it, what changes in it, and whether the tables hold the same.

use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

use postgres::Client;
use serde_json::{Value, json};
use wix_sim::{Entity, Sim, Site, Sizes};

use crate::Result;

/// Long enough to see the bars move.
pub(crate) const LATENCY: Duration = Duration::from_millis(120);

const SIZES: Sizes = Sizes { contacts: 2_000, bookings: 1_500, orders: 1_500, tie_block: 0 };

/// Starts the site on a free port of this machine.
pub(crate) fn start() -> io::Result<Sim> {
    Sim::builder().latency(LATENCY).start(Site::generate(SIZES))
}

/// What wix-sync has to know to find both sides.
pub(crate) fn variables(sim: &Sim, database_url: &str) -> Vec<(&'static str, String)> {
    let credentials = sim.credentials();
    vec![
        ("WIX_API_BASE_URL", sim.base_url()),
        ("WIX_SITE_ID", credentials.site_id.clone()),
        ("WIX_API_TOKEN", credentials.api_keys[0].clone()),
        ("DATABASE_URL", database_url.to_owned()),
        // The bars move with every batch, and this site is small.
        ("WIX_SYNC_BATCH_SIZE", "100".to_owned()),
    ]
}

/// How much is in it.
pub(crate) fn describe(sim: &Sim) -> String {
    let [contacts, bookings, orders] = listings(sim).map(|(_, records)| records.len());
    format!("{contacts} contacts, {bookings} bookings and {orders} orders")
}

/// Changes a few records, as people and visitors would, and says which.
pub(crate) fn change(sim: &Sim) -> String {
    let id = |record: &Value| record["id"].as_str().unwrap_or_default().to_owned();
    let (contacts, bookings, orders) = (sim.contacts(), sim.bookings(), sim.orders());
    for contact in contacts.iter().step_by(500) {
        sim.edit(Entity::Contacts, &id(contact), |contact| contact["info"]["company"] = json!("Moved Ltd"));
    }
    for booking in bookings.iter().filter(|item| item["booking"]["status"] == "CONFIRMED").take(3) {
        sim.edit(Entity::Bookings, &id(&booking["booking"]), |item| item["booking"]["status"] = json!("CANCELED"));
    }
    for order in orders.iter().filter(|order| order["paymentStatus"] == "NOT_PAID").take(2) {
        sim.edit(Entity::Orders, &id(order), |order| order["paymentStatus"] = json!("PAID"));
    }
    sim.add(Entity::Contacts, 1);
    sim.add(Entity::Orders, 1);
    "On the site, 4 contacts change their company, 3 bookings are canceled and 2 orders are paid;\n\
     1 contact and 1 order are new."
        .to_owned()
}

/// Compares the ids of the site's records with those in the tables; an error if they differ.
pub(crate) fn compare(sim: &Sim, client: &mut Client) -> Result<String> {
    const QUERIES: [&str; 3] = [
        "select wix_contact_id from customers where raw is not null and deleted_at is null",
        "select wix_booking_id from appointments where deleted_at is null",
        "select wix_order_id from orders where deleted_at is null",
    ];
    for ((name, records), query) in listings(sim).into_iter().zip(QUERIES) {
        let wanted: BTreeSet<String> =
            records.iter().filter_map(|record| record["id"].as_str()).map(str::to_owned).collect();
        let found: BTreeSet<String> = client.query(query, &[])?.iter().map(|row| row.get(0)).collect();
        if wanted != found {
            let (missing, odd) = (wanted.difference(&found).count(), found.difference(&wanted).count());
            return Err(
                format!("of the site's {name}, {missing} are missing in Postgres, and {odd} are too many").into()
            );
        }
    }
    let stubs = "select count(*) from customers where raw is null and wix_contact_id is not null";
    let stub_count: i64 = client.query_one(stubs, &[])?.get(0);
    Ok(format!(
        "Compared: Postgres holds the site's {}, and no others.\n\
         {stub_count} more customers were made from bookings, since the site does not list their contacts.",
        describe(sim)
    ))
}

/// The records that the site lists, of each kind.
fn listings(sim: &Sim) -> [(&'static str, Vec<Value>); 3] {
    let bookings = sim.bookings().into_iter().map(|mut item| item["booking"].take()).collect();
    [("contacts", sim.contacts()), ("bookings", bookings), ("orders", sim.orders())]
}
