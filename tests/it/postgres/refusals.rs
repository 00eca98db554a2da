//! User-defined triggers and policies that refuse records, deletions or links: only the refused ones are affected.

use serde_json::{Value, json};
use wix_sim::Entity;

use crate::support::harness::World;
use crate::wix::deletions::{CUSTOMERS, KINDS, ORDERS, deleted, id, record, site};

/// SQLSTATEs that a function may raise, whatever they mean if the server reports them.
const STATES: [&str; 22] = [
    "PT409", "45000", "42501", "0A000", "55000", "XX000", "42P01", "21000", "2F005", "57014", "08006", "40001",
    "40P01", "55P03", "57P01", "53100", "25006", "54000", "58030", "P0001", "23505", "22000",
];

/// A function `refuse` that raises the nth state for the record `rNNN`.
fn refuse(condition: &str) -> String {
    let states = STATES.map(|state| format!("'{state}'")).join(", ");
    format!(
        "create function refuse() returns trigger language plpgsql as $$
         declare
            key text := coalesce(to_jsonb(new)->>'wix_contact_id', to_jsonb(new)->>'wix_booking_id', to_jsonb(new)->>'wix_order_id');
            states text[] := array[{states}];
            place int := substr(key, 2)::int + 1;
         begin
            if place <= cardinality(states) and {condition} then
                raise exception 'never %', key using errcode = states[place];
            end if;
            return new;
         end $$"
    )
}

/// A site of 60 records per table, not synced yet.
fn fresh() -> World {
    let world = World::empty().migrated();
    for kind in KINDS {
        for index in 0..60 {
            world.sim.put_raw(kind.entity, &record(kind, &id(index), index));
        }
    }
    world
}

#[track_caller]
fn assert_refused_by_state(world: &World, result: &Value, table: &str) {
    let results = &result["results"][table];
    assert_eq!((&results["status"], &results["inserted"]), (&json!("completed"), &json!(60 - STATES.len())), "{table}");
    let reasons =
        world.query(&format!("select wix_id, reason from sync_errors where table_name = '{table}' order by 1"));
    let ids: Vec<String> = reasons.iter().map(|row| row.get(0)).collect();
    assert_eq!(ids, (0..STATES.len()).map(id).collect::<Vec<_>>(), "{table}");
    for (row, state) in reasons.iter().zip(STATES) {
        let reason: String = row.get(1);
        assert!(reason.contains(state) && !reason.contains("never"), "{reason}");
    }
}

#[test]
fn trigger_raising_any_sqlstate_costs_only_its_records() {
    let world = fresh();
    world.execute(&refuse("true"));
    for kind in KINDS {
        world.execute(&format!(
            "create trigger refuse before insert or update on {} for each row execute function refuse()",
            kind.table
        ));
    }
    let result = world.sync_json(&["all"], 3);
    for kind in KINDS {
        assert_refused_by_state(&world, &result, kind.table);
        world.execute(&format!("drop trigger refuse on {}", kind.table));
    }
    world.run(&["errors", "retry"]).expect_exit(0);
    assert_eq!(world.value::<i64>("select count(*) from customers"), 60);
}

#[test]
fn deferred_trigger_raising_any_sqlstate_costs_only_its_records() {
    let world = fresh();
    world.execute(&refuse("true"));
    for kind in KINDS {
        world.execute(&format!(
            "create constraint trigger refuse after insert or update on {} deferrable initially deferred
             for each row execute function refuse()",
            kind.table
        ));
    }
    let result = world.sync_json(&["all"], 3);
    for kind in KINDS {
        assert_refused_by_state(&world, &result, kind.table);
    }
}

#[test]
fn statement_that_fails_within_a_trigger_costs_only_its_records() {
    let world = fresh();
    world.execute(
        "create role nobody nologin; create table secret (id int); create sequence counter maxvalue 2;
         create function refuse() returns trigger language plpgsql as $$ begin
            case new.wix_contact_id
                when 'r001' then perform from nowhere.missing;
                when 'r002' then insert into public.secret values ('one');
                when 'r003' then perform from pg_catalog.no_such_function();
                when 'r004' then perform (values (1), (2));
                when 'r005' then perform 1 / 0;
                when 'r006' then for n in 1..3 loop perform pg_catalog.nextval('public.counter'); end loop;
                when 'r007' then execute 'vacuum';
                when 'r008' then execute 'set local role nobody'; perform from public.secret;
                else null;
            end case;
            return new;
         end $$;
         create trigger refuse before insert on customers for each row execute function refuse()",
    );
    let result = world.sync_json(&["all"], 3);
    let refused = world.query("select wix_id from sync_errors order by 1");
    let refused: Vec<String> = refused.iter().map(|row| row.get(0)).collect();
    assert_eq!(refused, [1, 2, 3, 4, 5, 6, 7, 8].map(id));
    for kind in KINDS {
        let expected = if kind.entity == Entity::Contacts { 52 } else { 60 };
        assert_eq!(result["results"][kind.table]["inserted"], expected, "{}", kind.table);
    }
}

#[test]
fn row_level_policy_costs_only_the_records_that_it_refuses() {
    let mut world = World::new(200, 0, 0).migrated();
    world.execute(
        "create role syncer login; grant usage on schema public to syncer;
         grant select, insert, update, delete on all tables in schema public to syncer",
    );
    for table in world.query("select tablename from pg_tables where schemaname = 'public'") {
        let table: String = table.get(0);
        world.execute(&format!("create policy syncer on {table} to syncer using (true) with check (true)"));
    }
    world.execute("alter policy syncer on customers with check (coalesce(wix_contact_id, '') not like '%7')");
    let url = world.postgres.url_as("syncer", "postgres");
    world.set("DATABASE_URL", &url);
    let expected = world
        .sim
        .contacts()
        .iter()
        .filter(|contact| contact["id"].as_str().is_some_and(|id| id.ends_with('7')))
        .count();
    assert!(expected > 0);
    let result = world.sync_json(&["customers"], 3);
    let customers = &result["results"]["customers"];
    assert_eq!((&customers["inserted"], &customers["errors"]), (&json!(200 - expected), &json!(expected)));
}

#[test]
fn refused_deletions_cost_only_their_rows() {
    let world = site(60);
    world.execute(&refuse("new.deleted_at is not null and place in (1, 5, 10)"));
    for kind in [CUSTOMERS, ORDERS] {
        world.execute(&format!(
            "create constraint trigger refuse after update on {} deferrable initially deferred
             for each row execute function refuse()",
            kind.table
        ));
        for index in 0..15 {
            world.sim.delete(kind.entity, &id(index));
        }
    }
    let result = world.full_sync_json(&["all"], 3);
    for kind in [CUSTOMERS, ORDERS] {
        let results = &result["results"][kind.table];
        assert_eq!((&results["status"], &results["deleted"]), (&json!("completed"), &json!(12)), "{}", kind.table);
        assert_eq!(deleted(&world, kind).len(), 12);
        let notices = results["notices"].to_string();
        assert!(["r000", "r004", "r009"].iter().all(|id| notices.contains(id)), "{notices}");
    }
}

fn put_order(world: &World, order: &str, buyer: &Value) {
    let mut record: Value = serde_json::from_str(&record(ORDERS, order, 0)).expect("a record");
    record["buyerInfo"] = buyer.clone();
    world.sim.put_raw(Entity::Orders, &record.to_string());
}

/// Orders `o000` to `o009` and bookings `b000` to `b009` of the contact `gone`, of which `refused` may not be linked to
/// another customer.
fn linked_to(contact: &str) -> World {
    let world = World::empty().migrated();
    for index in 0..10 {
        put_order(&world, &format!("o{index:03}"), &json!({"contactId": contact}));
        let booking = json!({"booking": {"id": format!("b{index:03}"), "status": "CONFIRMED",
            "createdDate": "2026-01-01T00:00:00.000Z", "updatedDate": "2026-01-02T00:00:00.000Z",
            "contactDetails": {"contactId": contact}}});
        world.sim.put_raw(Entity::Bookings, &booking.to_string());
    }
    world
}

fn refuse_links(world: &World) {
    world.execute(
        "create function refuse() returns trigger language plpgsql as $$ begin
            if new.customer_id is distinct from old.customer_id
                and '3' = right(coalesce(to_jsonb(new)->>'wix_booking_id', to_jsonb(new)->>'wix_order_id'), 1) then
                raise exception 'never' using errcode = '55000';
            end if;
            return new;
         end $$;
         create trigger refuse before update on orders for each row execute function refuse();
         create constraint trigger refuse after update on appointments deferrable initially deferred
            for each row execute function refuse()",
    );
}

/// The rows of a table that are linked to this contact's customer.
fn linked(world: &World, table: &str, contact: &str) -> i64 {
    world.value(&format!(
        "select count(*) from {table} t join customers c on c.id = t.customer_id where c.wix_contact_id = '{contact}'"
    ))
}

#[test]
fn refused_links_of_a_merge_cost_only_their_rows() {
    let world = linked_to("r000");
    for index in 0..2 {
        world.sim.put_raw(Entity::Contacts, &record(CUSTOMERS, &id(index), index));
    }
    world.sync_json(&["all"], 0);
    refuse_links(&world);
    world.sim.merge_contacts("r000", "r001");
    let result = world.full_sync_json(&["all"], 3);
    assert_eq!(deleted(&world, CUSTOMERS), ["r000"]);
    assert_eq!((linked(&world, "orders", "r001"), linked(&world, "appointments", "r001")), (9, 9));
    let notices = result["results"].to_string();
    assert!(notices.contains("o003: ") && notices.contains("b003: "), "{notices}");
    // The next run tries again, and reports again what is still refused.
    world.sync_json(&["all"], 3);
    world.execute("drop trigger refuse on orders; drop trigger refuse on appointments");
    world.sync_json(&["all"], 0);
    assert_eq!((linked(&world, "orders", "r001"), linked(&world, "appointments", "r001")), (10, 10));
    assert_eq!(world.value::<i64>("select count(*) from sync_unlinked"), 0);
}

#[test]
fn refused_link_to_a_new_customer_does_not_cost_the_customer() {
    let world = World::empty().migrated();
    for index in 0..10 {
        put_order(&world, &format!("o{index:03}"), &json!({"email": "nadia@shop.example"}));
    }
    world.sync_json(&["all"], 0);
    refuse_links(&world);
    for index in 0..30 {
        let mut contact: Value = serde_json::from_str(&record(CUSTOMERS, &id(index), index)).expect("a record");
        if index == 7 {
            contact["primaryInfo"] = json!({"email": "nadia@shop.example"});
        }
        world.sim.put_raw(Entity::Contacts, &contact.to_string());
    }
    let result = world.full_sync_json(&["all"], 3);
    assert_eq!(result["results"]["customers"]["inserted"], 30);
    assert_eq!(linked(&world, "orders", "r007"), 9);
    world.execute("drop trigger refuse on orders");
    world.sync_json(&["all"], 0);
    assert_eq!(linked(&world, "orders", "r007"), 10);
}

#[test]
fn refused_placeholder_does_not_cost_its_booking() {
    let world = World::empty().migrated();
    for index in 0..30 {
        let booking = json!({"booking": {"id": format!("b{index:03}"), "status": "CONFIRMED",
            "createdDate": "2026-01-01T00:00:00.000Z", "updatedDate": "2026-01-02T00:00:00.000Z",
            "contactDetails": {"contactId": format!("c{index:03}")}}});
        world.sim.put_raw(Entity::Bookings, &booking.to_string());
    }
    world.execute(
        "create function refuse() returns trigger language plpgsql as $$ begin
            if new.wix_contact_id in ('c003', 'c020') then raise exception 'never' using errcode = 'PT409'; end if;
            return new;
         end $$;
         create trigger refuse before insert on customers for each row execute function refuse()",
    );
    let result = world.sync_json(&["all"], 3);
    let appointments = &result["results"]["appointments"];
    assert_eq!((&appointments["inserted"], &appointments["errors"]), (&json!(30), &json!(0)));
    assert_eq!(world.value::<i64>("select count(*) from appointments where customer_id is not null"), 28);
    let notices = appointments["notices"].to_string();
    assert!(notices.contains("c003") && notices.contains("c020") && !notices.contains("c004"), "{notices}");
    world.execute("drop trigger refuse on customers");
    world.sync_json(&["all"], 0);
    assert_eq!(world.value::<i64>("select count(*) from appointments where customer_id is not null"), 30);
}

#[test]
fn failed_customers_do_not_stop_orders() {
    let mut world = fresh();
    world.execute(
        "create role syncer login bypassrls; grant usage on schema public to syncer;
         grant all on all tables in schema public to syncer; revoke insert on customers from syncer",
    );
    let url = world.postgres.url_as("syncer", "postgres");
    world.set("DATABASE_URL", &url);
    let result = world.sync_json(&["all"], 1);
    assert_eq!(result["results"]["customers"]["status"], "failed");
    assert_eq!(result["results"]["orders"]["inserted"], 60);
}

/// The DETAIL of such an error names columns and publications, never rows.
#[test]
fn publication_that_needs_a_replica_identity_is_explained() {
    let world = World::new(3, 0, 0).migrated();
    world.sync_json(&["customers"], 0);
    let has_filters: bool = world.value("select current_setting('server_version_num')::integer >= 150000");
    let mut cases = vec![(
        "alter table customers replica identity nothing; create publication watched for table customers",
        "SQLSTATE 55000",
    )];
    if has_filters {
        cases.push((
            "alter table customers replica identity default;
             create publication watched for table customers where (email is not null)",
            "Column used in the publication WHERE expression is not part of the replica identity. (SQLSTATE 42P10)",
        ));
    }
    for (change, expected) in cases {
        world.execute(change);
        world.sim.edit_every(Entity::Contacts, 1, |contact| contact["info"]["jobTitle"] = "Baker".into());
        let finished = world.run(&["sync", "customers", "--full"]).expect_exit(1).expect_stderr(expected);
        finished.expect_stderr("hint: a publication for logical replication includes this table");
        world.execute("drop publication watched");
        world.sync_json(&["customers"], 0);
        world.execute("update customers set job_title = null, content_hash = null");
    }
}
