//! Unreadable fields: the record is written without them, they are reported, and nothing else changes. Also spellings
//! that are accepted although Wix does not document them.

use serde_json::{Value, json};
use wix_sim::Entity;

use crate::support::harness::World;

const WHEN: &str = r#""createdDate":"2026-01-01T00:00:00.000Z","updatedDate":"2026-01-02T00:00:00.000Z""#;

fn put(world: &World, entity: Entity, id: &str, fields: &str) {
    let record = format!(r#"{{"id":"{id}","status":"APPROVED",{WHEN},{fields}}}"#);
    let text = if entity == Entity::Bookings { format!(r#"{{"booking":{record}}}"#) } else { record };
    world.sim.put_raw(entity, &text);
}

/// For each record: its fields, and the columns that are NULL for it.
type Case = (&'static str, &'static str, &'static [&'static str]);

const CONTACTS: &[Case] = &[
    ("c1", r#""info":{"birthdate":"secret","company":"Acme"}"#, &["birthdate"]),
    ("c2", r#""info":{"birthdate":"1990-02-31"}"#, &["birthdate"]),
    ("c3", r#""info":{"labelKeys":"secret"}"#, &["labels"]),
    ("c4", r#""info":{"labelKeys":{"items":[{}]}}"#, &["labels"]),
    ("c5", r#""info":{"name":{"first":{"x":1},"last":"Ng"}}"#, &["name", "first_name"]),
    ("c6", r#""revision":"many""#, &["wix_revision"]),
    ("c7", r#""updatedDate":"secret""#, &["wix_updated_at"]),
];
const BOOKINGS: &[Case] = &[
    ("b1", r#""totalParticipants":1.5"#, &["participants"]),
    ("b2", r#""totalParticipants":99999999999"#, &["participants"]),
    ("b3", r#""totalParticipants":99999999999999999999999"#, &["participants"]),
    (
        "b4",
        r#""bookedEntity":{"title":"Yoga","slot":{"startDate":["secret"],"endDate":"2026-02-01T10:00:00Z"}}"#,
        &["start_time"],
    ),
];
const ORDERS: &[Case] = &[
    ("o1", r#""priceSummary":{"total":{"amount":{"secret":1}},"tax":{"amount":"7"}}"#, &["total_amount"]),
    ("o2", r#""priceSummary":{"total":{"amount":"12,50"}}"#, &["total_amount"]),
    ("o3", r#""priceSummary":{"total":{"amount":"1e400000"}}"#, &["total_amount"]),
    ("o4", r#""lineItems":{"secret":1}"#, &["items"]),
    ("o5", r#""purchasedDate":"31.12.2025""#, &["order_date"]),
    ("o6", r#""buyerInfo":"secret""#, &["wix_contact_id", "email"]),
];
const ALL: [(&str, &str, Entity, &[Case]); 3] = [
    ("customers", "wix_contact_id", Entity::Contacts, CONTACTS),
    ("appointments", "wix_booking_id", Entity::Bookings, BOOKINGS),
    ("orders", "wix_order_id", Entity::Orders, ORDERS),
];

fn with_unreadable_fields() -> World {
    let world = World::new(20, 20, 20).migrated();
    for (_, _, entity, cases) in ALL {
        for (id, fields, _) in cases {
            put(&world, entity, id, fields);
        }
    }
    world
}

fn mend(world: &World) {
    for (_, _, entity, cases) in ALL {
        for (id, _, _) in cases {
            put(world, entity, id, r#""revision":"7""#);
        }
    }
}

/// Number of records of these cases without each column.
fn counts(cases: &[Case]) -> Value {
    let mut counts = serde_json::Map::new();
    for column in cases.iter().flat_map(|(_, _, columns)| *columns) {
        let count = counts.get(*column).and_then(Value::as_u64).unwrap_or(0);
        counts.insert((*column).to_owned(), json!(count + 1));
    }
    counts.into()
}

fn errors_json(world: &World) -> Value {
    serde_json::from_str(&world.run(&["errors", "--json"]).expect_exit(0).stdout).expect("it is JSON")
}

fn text_of(world: &World, column: &str) -> Option<String> {
    world.value(&format!("select {column}::text from customers where wix_contact_id = 'c1'"))
}

fn rejected(world: &World) -> i64 {
    world.value("select count(*) from sync_errors where resolved_at is null")
}

#[test]
fn field_that_cannot_be_read_does_not_cost_the_record() {
    let world = with_unreadable_fields();
    let dry: Value = {
        let finished = world.run(&["sync", "all", "--full", "--dry-run", "--json"]).expect_exit(0);
        serde_json::from_str(&finished.stdout).expect("it is JSON")
    };
    let result = world.full_sync_json(&["all"], 0);
    assert_eq!((rejected(&world), &result["error_count"]), (0, &json!(0)));
    let logged: Value = world.value("select results from sync_logs");
    for (position, (table, id_column, _, cases)) in ALL.into_iter().enumerate() {
        for found in [&logged[table], &result["results"][table], &dry["tables"][position]] {
            assert_eq!(found["unreadable_fields"], counts(cases), "{table}");
        }
        assert_eq!(dry["tables"][position]["new_rejected"], 0);
        for (id, _, columns) in cases {
            let row = &world.rows_as_json(&format!("select * from {table} where {id_column} = '{id}'"))[0];
            for column in *columns {
                assert_eq!(row[column], Value::Null, "{id}: {column}");
            }
            assert_ne!(row["raw"], Value::Null, "{id}");
        }
    }
    // The other fields of such a record are written.
    let texts: [Option<String>; 4] = [
        "select company from customers where wix_contact_id = 'c1'",
        "select last_name from customers where wix_contact_id = 'c5'",
        "select service_name || end_time::timestamptz::date from appointments where wix_booking_id = 'b4'",
        "select tax::text from orders where wix_order_id = 'o1'",
    ]
    .map(|sql| world.value(sql));
    assert_eq!(texts.map(Option::unwrap_or_default), ["Acme", "Ng", "Yoga2026-02-01", "7"]);
    let raw: Value = world.value("select raw -> 'info' from customers where wix_contact_id = 'c1'");
    assert_eq!(raw["birthdate"], "secret", "raw has what Wix sent");

    let verified = world.run(&["verify"]).expect_exit(0);
    assert!(verified.stdout.contains("customers: birthdate could not be read in 2 records"), "{verified:?}");
    let again = world.full_sync_json(&["all"], 0);
    assert_eq!(again["results"]["customers"]["updated"], 0, "unchanged, and named as before");
    assert_eq!(again["results"]["customers"]["unreadable_fields"], counts(CONTACTS));
    world.sync_json(&["all"], 0);
}

#[test]
fn unreadable_fields_are_listed_without_values() {
    let world = with_unreadable_fields();
    let run = world.run(&["sync", "all"]).expect_exit(0).expect_stderr("birthdate could not be read in 2 records");
    let shown = world.run(&["errors"]).expect_exit(0);
    let text = world.run(&["errors", "--json"]).expect_exit(0).stdout;
    let status = world.run(&["status", &world.value::<uuid::Uuid>("select id from sync_logs").to_string()]);
    for output in
        [&run.stderr, &shown.stdout, &text, &status.stdout, &world.value("select results::text from sync_logs")]
    {
        assert!(output.contains("birthdate") && !output.contains("secret"), "{output}");
    }
    assert!(shown.stdout.contains("Unreadable field customers.birthdate in 2 records:\n  c1\n  c2\n"), "{shown:?}");
    let json: Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!((&json["total"], &json["rejected_records"]), (&json!(0), &json!([])));
    let labels = json!({"table": "customers", "column": "labels", "records": 2, "wix_ids": ["c3", "c4"]});
    assert!(json["unreadable_fields"].as_array().expect("a list").contains(&labels), "{json}");

    world.sim.delete(Entity::Orders, "o1");
    mend(&world);
    world.sim.delete(Entity::Orders, "o2");
    world.full_sync_json(&["all"], 0);
    assert_eq!(errors_json(&world)["unreadable_fields"], json!([]), "fixed, or gone from Wix");
    assert_eq!(world.value::<i64>("select count(*) from sync_unreadable"), 0);
    assert_eq!(world.run(&["errors"]).stdout, "Schema public: no rejected records\n");
}

#[test]
fn records_rejected_by_an_older_version_are_written_by_the_next_run() {
    let world = with_unreadable_fields();
    world.run(&["sync", "all"]).expect_exit(0);
    // The row as that version wrote it.
    for (table, id_column, _, cases) in ALL {
        for (id, _, _) in cases {
            world.execute(&format!(
                "delete from {table} where {id_column} = '{id}';
                 update sync_state set live_rows = live_rows - 1 where table_name = '{table}';
                 insert into sync_errors (table_name, record_key, wix_id, reason, record, program_version)
                 values ('{table}', '{id}', '{id}', 'not a date', '{{}}', '0.0.1')"
            ));
        }
    }
    let result = world.sync_json(&["all"], 0);
    assert_eq!(rejected(&world), 0);
    for (table, _, _, cases) in ALL {
        assert_eq!(result["results"][table]["inserted"], cases.len(), "{table}");
    }
    world.run(&["verify"]).expect_exit(0);
}

#[test]
fn field_that_this_version_can_read_is_written_by_a_full_sync() {
    let world = with_unreadable_fields();
    world.run(&["sync", "customers"]).expect_exit(0);
    put(&world, Entity::Contacts, "c1", r#""info":{"birthdate":"1990-02-01"}"#);
    world.full_sync_json(&["customers"], 0);
    // The row of a version that could not read the field, which the hash shows.
    world.execute(
        "update customers set birthdate = null, content_hash = '\\x00' where wix_contact_id = 'c1';
         insert into sync_unreadable (table_name, wix_id, fields) values ('customers', 'c1', '{birthdate}')",
    );
    world.full_sync_json(&["customers"], 0);
    assert_eq!(text_of(&world, "birthdate").as_deref(), Some("1990-02-01"));
    assert_eq!(world.value::<i64>("select count(*) from sync_unreadable where wix_id = 'c1'"), 0);
}

#[test]
fn harmless_spellings_are_read() {
    let world = World::empty().migrated();
    put(&world, Entity::Contacts, "c", r#""revision":"3","info":{"birthdate":"1985-06-07T00:00:00.000Z"}"#);
    put(&world, Entity::Bookings, "b1", r#""revision":1.0,"totalParticipants":2.0"#);
    put(&world, Entity::Bookings, "b2", r#""totalParticipants":"3""#);
    put(&world, Entity::Orders, "o", r#""priceSummary":{"total":{"amount":12.50},"tax":{"amount":"1e1"}}"#);
    let result = world.full_sync_json(&["all"], 0);
    assert!(!result.to_string().contains("unreadable_fields"), "{result}");
    let row = &world.rows_as_json("select birthdate, wix_revision from customers")[0];
    assert_eq!(row, &json!({"birthdate": "1985-06-07", "wix_revision": 3}));
    let rows = world.rows_as_json("select participants from appointments order by wix_booking_id");
    assert_eq!(rows, [json!({"participants": 2}), json!({"participants": 3})]);
    let order = &world.rows_as_json("select total_amount::text, tax::text from orders")[0];
    assert_eq!(order, &json!({"total_amount": "12.50", "tax": "10"}));
}

#[test]
fn time_zones_are_read_in_every_spelling() {
    let world = World::empty().migrated();
    let slot = |start: &str, end: &str, zone: &str| {
        format!(r#""bookedEntity":{{"slot":{{"startDate":"{start}","endDate":"{end}","timezone":"{zone}"}}}}"#)
    };
    let zones =
        ["europe/berlin", "UTC+2", "GMT+02:00", "+02:00", "Etc/GMT-2", "UTC", "Etc/UTC", "Mars/Olympus", "UTC+99"];
    for zone in zones {
        put(&world, Entity::Bookings, zone, &slot("2026-07-01T08:00:00", "2026-07-01T09:00:00", zone));
    }
    put(
        &world,
        Entity::Bookings,
        "absolute",
        &slot("2026-07-01T08:00:00+02:00", "2026-07-01T07:00:00Z", "Mars/Olympus"),
    );
    let result = world.full_sync_json(&["appointments"], 0);
    assert_eq!(
        result["results"]["appointments"]["unreadable_fields"],
        json!({"end_time": 2, "start_time": 2, "timezone": 2})
    );
    let times = |id: &str| -> Option<String> {
        world.value(&format!(
            "select to_char(start_time at time zone 'UTC', 'HH24:MI') || to_char(end_time at time zone 'UTC', '-HH24:MI')
             from appointments where wix_booking_id = '{id}'"
        ))
    };
    for zone in &zones[..5] {
        assert_eq!(times(zone).as_deref(), Some("06:00-07:00"), "{zone}");
    }
    for zone in &zones[5..7] {
        assert_eq!(times(zone).as_deref(), Some("08:00-09:00"), "{zone}");
    }
    for zone in &zones[7..] {
        assert_eq!(times(zone), None, "{zone}: never UTC");
    }
    assert_eq!(times("absolute").as_deref(), Some("06:00-07:00"));
    world.run(&["verify"]).expect_exit(0);
}

#[test]
fn duplicate_keys_in_another_order_are_a_change() {
    let world = World::empty().migrated();
    let put = |first: &str, second: &str| {
        put(&world, Entity::Contacts, "c", &format!(r#""info":{{"company":"{first}","company":"{second}"}}"#));
    };
    put("Old", "New");
    world.full_sync_json(&["customers"], 0);
    put("New", "Old");
    let result = world.full_sync_json(&["customers"], 0);
    assert_eq!(result["results"]["customers"]["updated"], 1);
    assert_eq!(world.value::<String>("select company from customers"), "Old");
}
