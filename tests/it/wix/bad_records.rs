//! Records that Postgres cannot store or that are unreadable: they never stop the others, and none is lost.

use serde_json::{Value, json};
use wix_sim::{Endpoint, Entity, Fault};

use crate::support::harness::World;

const WHEN: &str = r#""createdDate":"2026-01-01T00:00:00.000Z","updatedDate":"2026-01-02T00:00:00.000Z""#;

const OLD: &str = "2026-01-02T00:00:00.000Z";
const NEW: &str = "2026-01-03T00:00:00.000Z";

/// The unresolved errors by Wix id: reason and tries.
fn errors(world: &World) -> Vec<Value> {
    world.rows_as_json(
        "select table_name, wix_id, reason, tries from sync_errors where resolved_at is null order by wix_id, reason",
    )
}

fn reason_of(world: &World, id: &str) -> String {
    world.value(&format!("select reason from sync_errors where wix_id = '{id}' and resolved_at is null"))
}

fn text_of(world: &World, column: &str, id: &str) -> Option<String> {
    world.value(&format!("select {column} from customers where wix_contact_id = '{id}'"))
}

#[test]
fn characters_that_postgres_cannot_store_are_replaced() {
    let world = World::empty().migrated();
    let put = |text: &str| world.sim.put_raw(Entity::Contacts, text);
    put(&format!(
        r#"{{"id":"nul",{WHEN},"info":{{"name":{{"first":"A\u0000da"}},"extendedFields":{{"items":{{"custom.\u0000key":["x\u0000"]}}}}}}}}"#
    ));
    put(&format!(r#"{{"id":"lone",{WHEN},"info":{{"name":{{"first":"x\ud83dy","last":"\ude00"}}}}}}"#));
    put(&format!(r#"{{"id":"emoji",{WHEN},"info":{{"name":{{"first":"\ud83d\ude00 \uD83E\uDD67","last":"👩‍👩‍👧"}}}}}}"#));
    put(&format!(r#"{{"id":"backslash",{WHEN},"info":{{"name":{{"first":"C:\\u0000 \\ud83d"}}}}}}"#));
    let result = world.full_sync_json(&["all"], 0);
    assert_eq!(result["results"]["customers"]["inserted"], 4);
    assert_eq!(result["results"]["customers"]["repaired_characters"], 5);
    assert_eq!(text_of(&world, "first_name", "nul").as_deref(), Some("Ada"));
    assert_eq!(text_of(&world, "name", "lone").as_deref(), Some("x\u{FFFD}y \u{FFFD}"));
    assert_eq!(text_of(&world, "name", "emoji").as_deref(), Some("😀 🥧 👩‍👩‍👧"));
    assert_eq!(text_of(&world, "first_name", "backslash").as_deref(), Some(r"C:\u0000 \ud83d"));
    let nested: Value =
        world.value("select raw->'info'->'extendedFields'->'items' from customers where wix_contact_id = 'nul'");
    assert_eq!(nested, json!({"custom.key": ["x"]}));
    let again = world.full_sync_json(&["all"], 0);
    assert_eq!(again["results"]["customers"]["unchanged"], 4, "what was repaired is not repaired anew each time");
}

#[test]
fn rows_that_a_trigger_skips_are_named() {
    let world = World::new(30, 30, 30).migrated();
    world.execute(
        "create function skip() returns trigger language plpgsql as $$ begin return null; end $$;
         create trigger skip before insert on customers for each row when (new.wix_contact_id < '4') execute function skip();
         create trigger skip before insert on appointments for each row when (new.wix_booking_id < '4') execute function skip()",
    );
    let result = world.sync_json(&["customers"], 3);
    let (left_out, there): (i64, i64) = (
        world.value("select count(*) from sync_errors where resolved_at is null"),
        world.value("select count(*) from customers"),
    );
    assert!(left_out > 0 && left_out + there == 30, "{left_out} and {there}");
    let customers = &result["results"]["customers"];
    assert_eq!(
        (&customers["synced"], &customers["unchanged"], &customers["errors"]),
        (&json!(there), &json!(0), &json!(left_out))
    );
    assert!(errors(&world)[0]["reason"].to_string().contains("a trigger of the table skipped the row"));
    world.execute("drop trigger skip on customers; drop trigger skip on appointments");
    world.run(&["errors", "retry"]).expect_exit(0);
    world.sync_json(&["all"], 0);

    // An existing row that cannot be changed is rejected too.
    world.execute("create trigger skip before update on orders for each row execute function skip()");
    let first = world.sim.orders()[0]["id"].as_str().expect("an id").to_owned();
    world.sim.edit(Entity::Orders, &first, |order| order["currency"] = json!("XXX"));
    let result = world.sync_json(&["orders"], 3);
    assert_eq!(result["results"]["orders"]["error_details"][0]["wix_id"], first.as_str());
    // A copy that looks older than its row is not one of these: Wix returns the same copy by id.
    world.execute("drop trigger skip on orders; update orders set wix_updated_at = now() + interval '1 year', content_hash = '\\x00'");
    let result = world.full_sync_json(&["orders"], 0);
    assert_eq!(result["results"]["orders"]["updated"], world.sim.orders().len());
}

#[test]
fn records_that_postgres_refuses_are_rejected_alone() {
    let world = World::new(1100, 110, 110).migrated();
    let good: i64 = (world.sim.contacts().len() + world.sim.bookings().len() + world.sim.orders().len()) as i64;
    // `jsonb` cannot store such a number.
    world.sim.put_raw(Entity::Contacts, r#"{"id":"k","info":{"extendedFields":{"items":{"custom.n":1e400000}}}}"#);
    world.sim.put_raw(Entity::Bookings, r#"{"booking":{"id":"m","n":1e-400000}}"#);
    world.sim.put_raw(Entity::Orders, r#"{"id":"o","status":"APPROVED","n":1e-400000}"#);
    let result = world.full_sync_json(&["all"], 3);
    assert_eq!(result["status"], "completed");
    for (table, id) in [("customers", "k"), ("appointments", "m"), ("orders", "o")] {
        assert_eq!(result["results"][table]["errors"], 1, "{table}");
        assert!(!reason_of(&world, id).is_empty(), "{table}");
    }
    let landed = "select (select count(*) from customers where raw is not null) + (select count(*) from appointments)
        + (select count(*) from orders)";
    assert_eq!(world.value::<i64>(landed), good);
    let (synced, failed): (i32, i32) = {
        let rows = world.query("select synced_count, error_count from sync_logs");
        (rows[0].get(0), rows[0].get(1))
    };
    assert_eq!((i64::from(synced), failed), (good, 3));
}

#[test]
fn records_without_id_or_object_are_rejected() {
    let world = World::empty().migrated();
    let first = format!(r#"{{{WHEN},"primaryInfo":{{"email":"a@b.example"}}}}"#);
    let second = format!(r#"{{"id":"",{WHEN}}}"#);
    world.sim.put_raw(Entity::Contacts, &first);
    world.sim.put_raw(Entity::Contacts, &second);
    world.sim.put_raw(Entity::Contacts, &format!(r#"{{"id":"good",{WHEN}}}"#));
    world.sim.put_raw(Entity::Bookings, r#"{"attendance":{}}"#);
    world.sim.put_raw(Entity::Bookings, r#"{"booking":[]}"#);
    world.full_sync_json(&["all"], 3);
    assert_eq!(world.value::<i64>("select count(*) from customers"), 1);
    let kept: Vec<Value> =
        world.rows_as_json("select record from sync_errors where table_name = 'customers' order by record");
    assert_eq!(kept.len(), 2, "{kept:?}");
    assert!(kept.iter().any(|row| row["record"] == first.as_str()), "the record is kept as Wix sent it");
    assert_eq!(world.value::<i64>("select count(*) from sync_errors where table_name = 'appointments'"), 2);
    world.full_sync_json(&["all"], 3);
    assert_eq!(world.value::<i64>("select count(*) from sync_errors"), 4, "one row a record, however often it fails");
    assert_eq!(world.value::<i64>("select count(*) from sync_errors where tries = 2"), 4);
}

#[test]
fn null_records_on_a_page_are_rejected_alone() {
    let world = World::empty().migrated();
    let page = r#"{"contacts":[null,7,{"id":"good"}],"pagingMetadata":{"count":3,"offset":0,"total":3}}"#;
    world.sim.fault(Fault::on(Endpoint::ContactsQuery).body(page));
    let result = world.full_sync_json(&["customers"], 3);
    assert_eq!(
        (&result["results"]["customers"]["synced"], &result["results"]["customers"]["errors"]),
        (&json!(1), &json!(2))
    );
    assert_eq!(errors(&world).len(), 2);
}

fn page_of(contacts: &[Value], offset: usize, total: usize) -> String {
    let count = contacts.len();
    json!({"contacts": contacts, "pagingMetadata": {"count": count, "offset": offset, "total": total}}).to_string()
}

fn version(id: &str, updated: &str, name: &str) -> Value {
    json!({"id": id, "createdDate": "2026-01-01T00:00:00.000Z", "updatedDate": updated, "info": {"name": {"first": name}}})
}

#[test]
fn newer_of_two_copies_on_one_page_wins() {
    for newer_first in [true, false] {
        let world = World::empty().migrated();
        let (one, two) = (version("twice", NEW, "new"), version("twice", OLD, "old"));
        let pair = if newer_first { [one, two] } else { [two, one] };
        world.sim.fault(Fault::on(Endpoint::ContactsQuery).body(page_of(&pair, 0, 2)));
        world.full_sync_json(&["customers"], 0);
        assert_eq!(text_of(&world, "name", "twice").as_deref(), Some("new"), "newer first: {newer_first}");
        assert_eq!(world.value::<i64>("select count(*) from customers"), 1);
    }
}

#[test]
fn newer_of_two_copies_on_two_pages_wins() {
    let booking = |id: &str, created: &str, updated: &str, status: &str| json!({"booking": {"id": id, "createdDate": created, "updatedDate": updated, "status": status}});
    let page = |items: &[Value], cursors: Value| {
        json!({"extendedBookings": items, "pagingMetadata": {"count": items.len(), "cursors": cursors}}).to_string()
    };
    // With one creation date for all, and with another record between the two.
    for (newer_first, batch_size, other) in
        [(true, "1", OLD), (true, "1000", NEW), (false, "1", NEW), (false, "1000", NEW), (false, "1000", OLD)]
    {
        let world = World::empty().migrated();
        let (one, two) = (booking("twice", OLD, NEW, "CONFIRMED"), booking("twice", OLD, OLD, "PENDING"));
        let (first, second) = if newer_first { (one, two) } else { (two, one) };
        let between = booking("other", other, NEW, "CONFIRMED");
        // An older copy is looked up by id.
        world.sim.put_raw(Entity::Bookings, &booking("twice", OLD, NEW, "CONFIRMED").to_string());
        world.sim.fault(Fault::on(Endpoint::BookingsQuery).body(page(&[first, between], json!({"next": "x"}))));
        world.sim.fault(Fault::on(Endpoint::BookingsQuery).body(page(&[second], json!({}))));
        world.full_sync_json(&["appointments", "--batch-size", batch_size], 0);
        let status: String = world.value("select status from appointments where wix_booking_id = 'twice'");
        assert_eq!(status, "CONFIRMED", "newer first: {newer_first}, batches of {batch_size}, other of {other}");
    }
}

#[test]
fn older_copy_is_written_only_after_a_lookup_by_id() {
    let world = World::empty().migrated();
    let put = |contact: Value| world.sim.put_raw(Entity::Contacts, &contact.to_string());
    put(version("c", "2026-01-03T00:00:00.000Z", "third"));
    world.full_sync_json(&["customers"], 0);
    world.sim.remember();
    put(version("c", "2026-01-02T00:00:00.000Z", "second"));
    world.sim.fault(Fault::on(Endpoint::ContactGet).stale());
    let result = world.full_sync_json(&["customers"], 0);
    assert_eq!(result["results"]["customers"]["updated"], 0);
    assert_eq!(text_of(&world, "name", "c").as_deref(), Some("third"), "a list that lags behind");
    let result = world.full_sync_json(&["customers"], 0);
    assert_eq!(result["results"]["customers"]["updated"], 1);
    assert_eq!(text_of(&world, "name", "c").as_deref(), Some("second"), "a date that was wrong");
    world.sim.clear_requests();
    put(version("c", "2026-01-03T00:00:00.000Z", "other"));
    world.full_sync_json(&["customers"], 0);
    assert_eq!(text_of(&world, "name", "c").as_deref(), Some("other"));
    assert_eq!(world.sim.request_count(Endpoint::ContactGet), 0);
    let mut undated = version("c", "", "undated");
    undated.as_object_mut().expect("an object").remove("updatedDate");
    put(undated);
    world.full_sync_json(&["customers"], 0);
    assert_eq!(text_of(&world, "name", "c").as_deref(), Some("undated"));
}

#[test]
fn labels_texts_and_amounts_are_exact() {
    let world = World::empty().migrated();
    let labels = json!(["", "a,b", "{c}", "\"d\"", "e\\f", "NULL", "null", " g ", "h\ni", "☃"]);
    let text = "'; drop table customers; -- \"\\ $1 \u{1} \t \u{200B} 名";
    let mut contact = version("c", "2026-01-02T00:00:00.000Z", text);
    contact["info"]["labelKeys"] = json!({"items": labels});
    world.sim.put_raw(Entity::Contacts, &contact.to_string());
    let amounts = [
        ("a", "65.865"),
        ("b", "0.123456789012345678901234567890"),
        ("c", "12345678901234567890123456789012345678.90"),
        ("d", "-0.01"),
        ("e", "45"),
    ];
    for (id, amount) in amounts {
        world.sim.put_raw(
            Entity::Orders,
            &json!({"id": id, "status": "APPROVED", "priceSummary": {"total": {"amount": amount}}}).to_string(),
        );
    }
    world.full_sync_json(&["all"], 0);
    let row = &world.rows_as_json("select first_name, labels from customers")[0];
    assert_eq!((&row["first_name"], &row["labels"]), (&json!(text), &labels));
    for (id, amount) in amounts {
        let stored: String = world.value(&format!("select total_amount::text from orders where wix_order_id = '{id}'"));
        assert_eq!(stored, amount);
    }
}

#[test]
fn fixed_record_is_written_and_its_error_resolved() {
    let world = World::empty().migrated();
    world.sim.put_raw(Entity::Orders, &format!(r#"{{"id":"o1","status":"APPROVED",{WHEN},"n":1e-400000}}"#));
    world.sim.put_raw(Entity::Orders, &format!(r#"{{"id":"o2","status":"APPROVED",{WHEN}}}"#));
    world.run(&["sync", "orders", "--full"]).expect_exit(3).expect_stderr("o1");
    world.run(&["sync", "orders", "--full"]).expect_exit(3);
    let before = errors(&world);
    assert_eq!(before.len(), 1);
    assert_eq!(
        (&before[0]["table_name"], &before[0]["wix_id"], &before[0]["tries"]),
        (&json!("orders"), &json!("o1"), &json!(2))
    );
    let details: Value =
        world.value("select results->'orders'->'error_details' from sync_logs order by started_at desc limit 1");
    assert_eq!(details, json!([{"wix_id": "o1", "reason": before[0]["reason"]}]));

    world.sim.put_raw(Entity::Orders, &format!(r#"{{"id":"o1","status":"APPROVED",{WHEN},"lineItems":[]}}"#));
    world.run(&["sync", "orders", "--full"]).expect_exit(0);
    assert_eq!(world.value::<i64>("select count(*) from orders"), 2);
    let row = &world.rows_as_json("select record, tries, resolved_at is not null as resolved from sync_errors")[0];
    assert_eq!(row, &json!({"record": null, "tries": 2, "resolved": true}));
}

#[test]
fn row_that_a_user_trigger_refuses_is_rejected_alone() {
    let world = World::new(700, 0, 0).migrated();
    let contacts = world.sim.contacts();
    let id_at = |position: usize| contacts[position]["id"].as_str().expect("an id").to_owned();
    world.execute(&format!(
        "create function refuse() returns trigger language plpgsql as $$ begin
             if new.wix_contact_id in ('{}', '{}') then
                raise exception 'not %, a secret', new.name using errcode = 'check_violation';
             end if;
             return new;
         end $$;
         create trigger refuse before insert or update on customers for each row execute function refuse();
         create unique index one_company on customers (company) where company = 'Only One Ltd'",
        id_at(3),
        id_at(600),
    ));
    for position in [100, 400] {
        world
            .sim
            .edit(Entity::Contacts, &id_at(position), |contact| contact["info"]["company"] = json!("Only One Ltd"));
    }
    let result = world.full_sync_json(&["customers"], 3);
    assert_eq!(
        (&result["results"]["customers"]["inserted"], &result["results"]["customers"]["errors"]),
        (&json!(697), &json!(3))
    );
    let index: i64 = world.value("select count(*) from sync_errors where reason like '%one_company%'");
    assert_eq!(index, 1, "{:?}", errors(&world));
    for position in [3, 600] {
        // Whatever SQLSTATE it chooses: a trigger's message is user-defined and may quote the row.
        assert_eq!(
            reason_of(&world, &id_at(position)),
            "could not write a batch: a trigger or function refused it (SQLSTATE 23514)"
        );
    }
    world.execute("drop trigger refuse on customers; drop index one_company");
    let result = world.full_sync_json(&["customers"], 0);
    assert_eq!(result["results"]["customers"]["inserted"], 3);
    world.assert_tables_equal_truth();
    assert_eq!(errors(&world), Vec::<Value>::new());
}
