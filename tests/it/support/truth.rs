//! The expected content of the tables, computed from the simulator's records: an oracle that shares no code with the
//! program, written from the contract. It compares whole tables, all rows and all columns.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, NaiveDateTime, SecondsFormat, TimeZone, Utc};
use serde_json::{Map, Value, json};
use wix_sim::Sim;

use crate::support::harness::World;

/// Rows by Wix id; the columns by name, times as text in UTC, amounts as text, `customer` in place of `customer_id`.
pub(crate) type Rows = BTreeMap<String, Map<String, Value>>;

/// Maximum differences shown per table.
const MAX_SHOWN: usize = 8;

/// Wix's records that the tables must contain.
pub(crate) struct Truth {
    pub(crate) contacts: Vec<Value>,
    /// The extended bookings, sorted by creation.
    pub(crate) bookings: Vec<Value>,
    pub(crate) orders: Vec<Value>,
    /// Whether a full sync of customers ran after the bookings: placeholders were looked up, and Wix has none of them.
    pub(crate) stubs_are_gone: bool,
}

impl Truth {
    /// All that the simulator has.
    pub(crate) fn of(sim: &Sim) -> Truth {
        Truth { contacts: sim.contacts(), bookings: sim.bookings(), orders: sim.orders(), stubs_are_gone: false }
    }

    /// Nothing, for tests that sync some tables only.
    pub(crate) fn empty() -> Truth {
        Truth { contacts: Vec::new(), bookings: Vec::new(), orders: Vec::new(), stubs_are_gone: false }
    }

    /// The contacts, and a placeholder for each contact that only bookings name.
    pub(crate) fn customers(&self) -> Rows {
        let mut rows: Rows = self.contacts.iter().map(customer).collect();
        for booking in &self.bookings {
            let details = &booking["booking"]["contactDetails"];
            if let Some(id) = filled(&details["contactId"]) {
                rows.entry(id.to_owned()).or_insert_with(|| stub(id, details, self.stubs_are_gone));
            }
        }
        rows
    }

    pub(crate) fn appointments(&self) -> Rows {
        self.bookings.iter().map(appointment).collect()
    }

    pub(crate) fn orders(&self) -> Rows {
        let customers: Rows = self.customers().into_iter().filter(|(_, row)| row["deleted_at"] == false).collect();
        let mut by_email: HashMap<String, Vec<&str>> = HashMap::new();
        for (id, row) in &customers {
            if let Some(email) = row["email"].as_str() {
                by_email.entry(email.trim().to_lowercase()).or_default().push(id);
            }
        }
        self.orders.iter().map(|record| order(record, &customers, &by_email)).collect()
    }
}

impl World {
    /// Fails unless all three tables hold exactly what the simulator has.
    #[track_caller]
    pub(crate) fn assert_tables_equal_truth(&self) {
        self.assert_tables_equal(&Truth::of(&self.sim));
    }

    /// Fails unless all three tables hold exactly this.
    #[track_caller]
    pub(crate) fn assert_tables_equal(&self, truth: &Truth) {
        let differences = [
            differences("customers", &truth.customers(), &self.rows("customers", "wix_contact_id")),
            differences("appointments", &truth.appointments(), &self.rows("appointments", "wix_booking_id")),
            differences("orders", &truth.orders(), &self.rows("orders", "wix_order_id")),
        ];
        let differences = differences.concat();
        assert!(differences.is_empty(), "the tables are not as Wix has them:\n{}", differences.join("\n"));
    }

    /// Fails unless the rows that are not marked as deleted are exactly these. Deleted rows are not compared: the
    /// contract promises little more than their ids.
    #[track_caller]
    pub(crate) fn assert_live_rows_equal(&self, truth: &Truth) {
        let live = |mut rows: Rows| {
            rows.retain(|_, row| row["deleted_at"] == false);
            rows
        };
        let found = |table: &str, key: &str| live(self.rows(table, key));
        let differences = [
            differences("customers", &live(truth.customers()), &found("customers", "wix_contact_id")),
            differences("appointments", &truth.appointments(), &found("appointments", "wix_booking_id")),
            differences("orders", &truth.orders(), &found("orders", "wix_order_id")),
        ];
        let differences = differences.concat();
        assert!(differences.is_empty(), "the live rows are not as Wix has them:\n{}", differences.join("\n"));
    }

    /// The table's rows in the oracle's form.
    pub(crate) fn rows(&self, table: &str, key: &str) -> Rows {
        let columns = self.query(&format!(
            "select attname::text, format_type(atttypid, null) from pg_attribute
             where attrelid = 'public.{table}'::regclass and attnum > 0 and not attisdropped
                and attname not in ('id', 'created_at', 'updated_at', 'content_hash')"
        ));
        let cells: Vec<String> = columns
            .iter()
            .map(|row| {
                let (name, kind): (String, String) = (row.get(0), row.get(1));
                match kind.as_str() {
                    _ if name == "customer_id" => {
                        "'customer', (select c.wix_contact_id from public.customers c where c.id = t.customer_id)"
                            .to_owned()
                    }
                    // The time of the deletion is this program's own.
                    _ if name == "deleted_at" => "'deleted_at', deleted_at is not null".to_owned(),
                    "timestamp with time zone" => {
                        format!("'{name}', to_char({name} at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
                    }
                    // JSON numbers would lose the last digits.
                    "numeric" => format!("'{name}', {name}::text"),
                    _ => format!("'{name}', {name}"),
                }
            })
            .collect();
        let rows = self.query(&format!("select {key}, jsonb_build_object({}) from public.{table} t", cells.join(", ")));
        let mut found = Rows::new();
        for row in &rows {
            let id: Option<String> = row.get(0);
            let Value::Object(cells) = row.get(1) else { panic!("a row of {table} is no object") };
            let id = id.unwrap_or_else(|| format!("without a Wix id, {found}", found = found.len()));
            assert!(found.insert(id, cells).is_none(), "{table} holds an id twice");
        }
        found
    }
}

/// The first differences, each a line; empty if there are none.
pub(crate) fn differences(table: &str, truth: &Rows, found: &Rows) -> Vec<String> {
    let mut lines = Vec::new();
    for (id, row) in truth {
        let Some(found) = found.get(id) else {
            lines.push(format!("{table} {id}: the row is missing"));
            continue;
        };
        for column in row.keys().chain(found.keys().filter(|name| !row.contains_key(*name))) {
            let (expected, actual) = (row.get(column), found.get(column));
            if expected != actual {
                lines.push(format!("{table} {id}: {column} is {}, not {}", shown(actual), shown(expected)));
            }
        }
    }
    let extra = found.keys().filter(|id| !truth.contains_key(*id));
    lines.extend(extra.map(|id| format!("{table} {id}: Wix has no such record")));
    if lines.len() > MAX_SHOWN {
        let more = lines.len() - MAX_SHOWN;
        lines.truncate(MAX_SHOWN);
        lines.push(format!("{table}: and {more} more differences"));
    }
    lines
}

fn shown(value: Option<&Value>) -> String {
    let text = value.map_or("no column".to_owned(), Value::to_string);
    match text.char_indices().nth(400) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn row(cells: Value) -> Map<String, Value> {
    let Value::Object(cells) = cells else { panic!("a row is an object") };
    cells
}

/// Columns that all three tables have.
fn common(body: &Value, raw: &Value) -> Map<String, Value> {
    let revision = match &body["revision"] {
        Value::String(text) => json!(text.parse::<i64>().expect("a revision is a number")),
        other => other.clone(),
    };
    row(json!({
        "raw": raw,
        "wix_created_at": instant(&body["createdDate"]),
        "wix_updated_at": instant(&body["updatedDate"]),
        "wix_revision": revision,
        "deleted_at": false,
    }))
}

fn customer(contact: &Value) -> (String, Map<String, Value>) {
    let info = &contact["info"];
    let reach = |kind: &str, detail: &str, list: &str| -> Value {
        let items = info[list]["items"].as_array().cloned().unwrap_or_default();
        let listed = items.iter().find(|item| item["primary"] == true).or(items.first());
        let named = [&contact["primaryInfo"][kind], &contact[detail][kind]];
        let found = named.into_iter().find(|value| filled(value).is_some()).or(listed.map(|item| &item[kind]));
        found.and_then(filled).map_or(Value::Null, Value::from)
    };
    let labels = &info["labelKeys"];
    let mut cells = common(contact, contact);
    cells.extend(row(json!({
        "wix_contact_id": contact["id"],
        "name": full_name(&info["name"]["first"], &info["name"]["last"]),
        "first_name": info["name"]["first"],
        "last_name": info["name"]["last"],
        "email": reach("email", "primaryEmail", "emails"),
        "phone": reach("phone", "primaryPhone", "phones"),
        "company": info["company"],
        "job_title": info["jobTitle"],
        "birthdate": info["birthdate"],
        "locale": info["locale"],
        "labels": if labels.is_null() { Value::Null } else { json!(labels["items"].as_array().expect("labels")) },
        "notes": null,
        "merged_into": null,
    })));
    (id_of(contact), cells)
}

/// A customer created from a booking's contact details.
fn stub(id: &str, details: &Value, is_gone: bool) -> Map<String, Value> {
    row(json!({
        "wix_contact_id": id,
        "name": full_name(&details["firstName"], &details["lastName"]),
        "first_name": details["firstName"],
        "last_name": details["lastName"],
        "email": details["email"],
        "phone": details["phone"],
        "company": null, "job_title": null, "birthdate": null, "locale": null, "labels": null, "notes": null,
        "merged_into": null, "raw": null, "wix_created_at": null, "wix_updated_at": null, "wix_revision": null,
        "deleted_at": is_gone,
    }))
}

fn appointment(item: &Value) -> (String, Map<String, Value>) {
    let booking = &item["booking"];
    let (slot, schedule) = (&booking["bookedEntity"]["slot"], &booking["bookedEntity"]["schedule"]);
    let either = |name: &str| filled(&slot[name]).or(filled(&schedule[name])).map_or(Value::Null, Value::from);
    let place = |name: &str| filled(&slot["location"][name]).or(filled(&schedule["location"][name]));
    let time = |own: &str, session: &str| -> Value {
        let value = [&booking[own], &slot[own], &schedule[session]].into_iter().find(|value| filled(value).is_some());
        value.map_or(Value::Null, |value| moment(value, filled(&slot["timezone"]).or(filled(&schedule["timezone"]))))
    };
    let contact = filled(&booking["contactDetails"]["contactId"]);
    let choices = booking["participantsChoices"]["serviceChoices"].as_array();
    let chosen =
        choices.map(|all| all.iter().filter_map(|choice| choice["numberOfParticipants"].as_i64()).sum::<i64>());
    let mut cells = common(booking, item);
    cells.extend(row(json!({
        "wix_booking_id": booking["id"],
        "customer": contact,
        "wix_contact_id": contact,
        "service_id": either("serviceId"),
        "service_name": booking["bookedEntity"]["title"],
        "staff_member": slot["resource"]["name"],
        "start_time": time("startDate", "firstSessionStart"),
        "end_time": time("endDate", "lastSessionEnd"),
        "timezone": either("timezone"),
        "location": place("name").or(place("formattedAddress")),
        "participants": booking["totalParticipants"].as_i64().or(chosen),
        "status": booking["status"],
        "payment_status": booking["paymentStatus"],
        "notes": null,
    })));
    (id_of(booking), cells)
}

fn order(record: &Value, customers: &Rows, by_email: &HashMap<String, Vec<&str>>) -> (String, Map<String, Value>) {
    let contact = filled(&record["buyerInfo"]["contactId"]);
    let email = record["buyerInfo"]["email"].as_str();
    let holders = email.and_then(|email| by_email.get(&email.trim().to_lowercase()));
    let by_email = holders.filter(|holders| holders.len() == 1).map(|holders| holders[0]);
    let purchased = &record["purchasedDate"];
    let mut cells = common(record, record);
    cells.extend(row(json!({
        "wix_order_id": record["id"],
        "customer": contact.filter(|id| customers.contains_key(*id)).or(by_email),
        "wix_contact_id": contact,
        "order_number": record["number"],
        "email": email,
        "order_date": instant(if purchased.is_null() { &record["createdDate"] } else { purchased }),
        "status": record["status"],
        "payment_status": record["paymentStatus"],
        "fulfillment_status": record["fulfillmentStatus"],
        "currency": record["currency"],
        "items": record["lineItems"],
    })));
    let sums = [("subtotal", "subtotal"), ("shipping", "shipping"), ("tax", "tax"), ("discount", "discount")];
    for (column, name) in sums.into_iter().chain([("total_amount", "total")]) {
        cells.insert(column.to_owned(), record["priceSummary"][name]["amount"].clone());
    }
    (id_of(record), cells)
}

fn id_of(body: &Value) -> String {
    body["id"].as_str().expect("a record with an id").to_owned()
}

fn filled(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| !text.trim().is_empty())
}

fn full_name(first: &Value, last: &Value) -> Value {
    let parts: Vec<&str> = [first, last].into_iter().filter_map(filled).map(str::trim).collect();
    if parts.is_empty() { Value::Null } else { json!(parts.join(" ")) }
}

fn instant(value: &Value) -> Value {
    moment(value, None)
}

/// A time with `Z` or an offset. A time without one is local to the zone, or UTC.
fn moment(value: &Value, zone: Option<&str>) -> Value {
    let Some(text) = filled(value) else { return Value::Null };
    let utc: DateTime<Utc> = DateTime::parse_from_rfc3339(text).map_or_else(
        |_| {
            let local: NaiveDateTime = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            match zone {
                Some(zone) => {
                    let zone: chrono_tz::Tz = zone.parse().unwrap_or_else(|error| panic!("{zone}: {error}"));
                    zone.from_local_datetime(&local).earliest().expect("a time that exists").to_utc()
                }
                None => local.and_utc(),
            }
        },
        |instant| instant.to_utc(),
    );
    json!(utc.to_rfc3339_opts(SecondsFormat::Micros, true))
}
