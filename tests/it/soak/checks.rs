//! What has to hold during a soak and at its end: seen by triggers in the database, and by the oracle.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::soak::site::{SoakSite, id_of};
use crate::support::harness::{Finished, World};
use crate::support::truth::{Rows, Truth, differences};

/// Notes who writes under which number of the lease, in the order of the writes, and what must never happen.
/// A writer is told by the application name of its connection; whoever has none is not a run.
const WATCH: &str = "
    create schema soak;
    create table soak.writes (n bigint generated always as identity, token bigint, writer text);
    create table soak.broken (what text);
    create function soak.note_write() returns trigger language plpgsql as $$ begin
        if current_setting('application_name') like 'soak-%' then
            insert into soak.writes (token, writer)
                select token, current_setting('application_name') from public.sync_locks where name = 'sync';
        end if;
        return null;
    end $$;
    create function soak.note_loss() returns trigger language plpgsql as $$ begin
        if current_setting('application_name') like 'soak-%' then
            insert into soak.broken values ('a row of ' || tg_table_name || ' was deleted');
        end if;
        return null;
    end $$;
    create function soak.note_state() returns trigger language plpgsql as $$ begin
        if old.watermark is not null and (new.watermark is null or new.watermark < old.watermark) then
            insert into soak.broken values ('the watermark of ' || new.table_name || ' went backward');
        end if;
        return null;
    end $$;
    create function soak.note_mark() returns trigger language plpgsql as $$ begin
        if not exists (
            select from public.sync_missing where table_name = 'appointments' and wix_id = new.wix_booking_id
                and absent_at <= clock_timestamp() - interval '24 hours'
        ) then
            insert into soak.broken values (new.wix_booking_id || ' was marked without two lookups a day apart');
        end if;
        return null;
    end $$;
    create trigger soak_mark after update on public.appointments for each row
        when (old.deleted_at is null and new.deleted_at is not null) execute function soak.note_mark();
    create table soak.history (wix_id text, at timestamptz, what text);
    create trigger soak_state after update on public.sync_state for each row execute function soak.note_state()";

/// Lets the database watch.
pub(crate) fn watch(world: &World) {
    world.execute(WATCH);
    for (table, key) in TABLES {
        let more = if table == "customers" { "', merged into ' || new.merged_into" } else { "''" };
        world.execute(&format!(
            "create trigger soak_write after insert or update on public.{table} for each statement
                execute function soak.note_write();
             create function soak.note_{table}() returns trigger language plpgsql as $$ begin
                insert into soak.history values (
                    new.{key}, clock_timestamp(),
                    format('%s by %s, number %s of the lease: updated at Wix %s, deleted %s%s', lower(tg_op),
                        current_setting('application_name'), (select token from public.sync_locks where name = 'sync'),
                        new.wix_updated_at, new.deleted_at, {more})
                );
                return null;
             end $$;
             create trigger soak_history after insert or update on public.{table} for each row
                execute function soak.note_{table}();
             create trigger soak_loss after delete on public.{table} for each row execute function soak.note_loss()"
        ));
    }
    world.execute(
        "create trigger soak_write after update on public.sync_state for each statement
            execute function soak.note_write()",
    );
}

/// What the database has seen that must never happen.
pub(crate) fn broken(world: &World) -> Vec<String> {
    let rows = world.query(
        "select what from soak.broken
         union all select 'several wrote under number ' || token || ': ' || string_agg(distinct writer, ', ')
            from soak.writes group by token having count(distinct writer) > 1
         union all select 'number ' || token || ' wrote after number ' || before
            from (select token, max(token) over (order by n rows unbounded preceding) as before from soak.writes) w
            where token < before",
    );
    // What was looked at is not looked at again, but for the last writer.
    world.execute("delete from soak.writes where n < (select max(n) from soak.writes)");
    rows.iter().map(|row| row.get(0)).collect()
}

/// Of so many records it is told what happened to them.
const TOLD: usize = 8;

/// What happened to the records that a text names, at the site and to their rows.
pub(crate) fn histories(world: &World, site: &SoakSite, text: &str) -> String {
    let words = text.split(|c: char| !(c.is_ascii_hexdigit() || c == '-'));
    let ids: BTreeSet<&str> = words.filter(|word| word.len() == 36 && word.matches('-').count() == 4).collect();
    let mut told = String::new();
    for id in ids.into_iter().take(TOLD) {
        let rows = world.query(&format!(
            "select to_char(at at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MSZ') || ' in the table: ' || what
             from soak.history where wix_id = '{id}' order by at"
        ));
        let mut lines: Vec<String> =
            rows.iter().map(|row| row.get(0)).chain(site.history(id).iter().cloned()).collect();
        lines.sort();
        told.push_str(&format!("history of {id}:\n   {}\n", lines.join("\n   ")));
    }
    told
}

/// The exit codes that a run may end with, beside 4 where another is at work; without one it was killed.
const EXITS: [i32; 6] = [0, 1, 3, 6, 130, 143];

/// What became of `sync_logs` while a run was at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Log {
    /// Only runs wrote it.
    Kept,
    /// The database became an older one, which may not know the run.
    Older,
    /// The same, after the run had ended.
    OlderThanTheEnd,
}

/// What is wrong with how a run ended: its exit code, its JSON and its row in `sync_logs` have to agree.
pub(crate) fn judge(world: &World, finished: &Finished, was_alone: bool, log: Log) -> Vec<String> {
    let mut wrong = Vec::new();
    if finished.stderr.contains("panicked") {
        wrong.push("it panicked".to_owned());
    }
    let Some(code) = finished.code else { return wrong };
    if !(EXITS.contains(&code) || (code == 4 && !was_alone)) {
        wrong.push(format!("exit {code}"));
    }
    let Ok(result) = serde_json::from_str::<Value>(&finished.stdout) else {
        if matches!(code, 0 | 3) {
            wrong.push(format!("exit {code} without a result"));
        }
        return wrong;
    };
    if result["exit_code"] != code {
        wrong.push(format!("exit {code}, but the result says {}", result["exit_code"]));
    }
    let is_done = matches!(code, 0 | 3);
    if (result["status"] == "completed") != is_done {
        wrong.push(format!("exit {code}, but the result says {}", result["status"]));
    }
    let id = result["run_id"].as_str().unwrap_or_default();
    let rows = world.rows_as_json(&format!("select status, results, error from sync_logs where id::text = '{id}'"));
    match rows.first() {
        _ if log == Log::OlderThanTheEnd => {}
        None if log == Log::Older && !is_done => {}
        None => wrong.push("its run is not in sync_logs".to_owned()),
        // Where the database was away at the end, the next run closes it.
        Some(row) if !is_done && row["status"] == "running" => {}
        Some(row) => {
            let fits = if is_done { row["status"] == "completed" } else { row["status"] == "failed" };
            if !fits || (row["error"].is_null() != is_done) {
                wrong.push(format!("exit {code}, but sync_logs says {row}"));
            }
        }
    }
    wrong
}

/// The oracle's rows of the records that can be read and are alive, links through merges made.
fn truth(world: &World, site: &SoakSite) -> [Rows; 3] {
    let mut truth = Truth::of(&world.sim);
    truth.contacts.retain(|record| !site.is_bad(0, &id_of(record)));
    truth.bookings.retain(|record| !site.is_bad(1, &id_of(record)));
    truth.orders.retain(|record| !site.is_bad(2, &id_of(record)));
    truth.stubs_are_gone = true;
    let mut customers = truth.customers();
    customers.retain(|_, row| row["deleted_at"] == false);
    let (mut appointments, mut orders) = (truth.appointments(), truth.orders());
    for row in appointments.values_mut() {
        if let Some(contact) = row["customer"].as_str().map(str::to_owned) {
            row.insert("customer".to_owned(), site.survivor(&contact).into());
        }
    }
    // Of a contact that was merged before any listing had it, and that only orders name, nobody tells where it went.
    let mut known = texts(world, "select wix_contact_id from customers");
    let mut linked = BTreeSet::new();
    if site.has_lost_rows {
        // The same where its row was removed. The orders that were linked before may still be.
        linked = texts(
            world,
            "select o.wix_order_id || c.wix_contact_id from orders o join customers c on c.id = o.customer_id",
        );
    } else {
        known.extend(texts(world, "select wix_id from sync_errors where table_name = 'customers'"));
    }
    for (id, row) in &mut orders {
        let contact = row["wix_contact_id"].as_str().map(str::to_owned);
        if let Some(contact) = contact
            && site.survivor(&contact) != contact
            && customers.contains_key(site.survivor(&contact))
            && (known.contains(&contact) || linked.contains(&format!("{id}{}", site.survivor(&contact))))
        {
            row.insert("customer".to_owned(), site.survivor(&contact).into());
        }
    }
    [customers, appointments, orders]
}

/// The first column of a query.
fn texts(world: &World, sql: &str) -> BTreeSet<String> {
    world.query(sql).iter().filter_map(|row| row.get(0)).collect()
}

pub(crate) const TABLES: [(&str, &str); 3] =
    [("customers", "wix_contact_id"), ("appointments", "wix_booking_id"), ("orders", "wix_order_id")];

/// After passes without any fault: every record that Wix has and that can be read is there as Wix has it. Links to
/// other tables, and rows of which Wix has no record, are matters of full syncs.
pub(crate) fn missing_or_old(world: &World, site: &SoakSite) -> Vec<String> {
    let mut wrong = Vec::new();
    for ((table, key), mut truth) in TABLES.into_iter().zip(truth(world, site)) {
        let mut found = world.rows(table, key);
        // What could not be listed may wait for a full sync.
        truth.retain(|id, _| !site.was_poisoned.contains(id));
        found.retain(|id, _| truth.contains_key(id));
        for row in truth.values_mut().chain(found.values_mut()) {
            row.remove("customer");
            row.remove("merged_into");
        }
        wrong.extend(differences(table, &truth, &found));
    }
    wrong
}

/// In the end: the live rows are exactly what Wix has, links included, and of each other row no more is left than
/// where it went.
pub(crate) fn wrong_at_the_end(world: &World, site: &SoakSite) -> Vec<String> {
    let mut wrong = Vec::new();
    let truth = truth(world, site);
    let named: BTreeSet<String> =
        truth[1].values().filter_map(|row| row["wix_contact_id"].as_str().map(str::to_owned)).collect();
    for ((table, key), truth) in TABLES.into_iter().zip(truth) {
        let mut live = world.rows(table, key);
        let mut dead = live.clone();
        live.retain(|_, row| row["deleted_at"] == false);
        dead.retain(|_, row| row["deleted_at"] == true);
        wrong.extend(differences(table, &truth, &live));
        for (id, row) in dead {
            // What was made from a booking, and never was a contact, keeps what that tells.
            let is_told = table == "customers" && row["wix_created_at"].is_null() && named.contains(&id);
            if !row["raw"].is_null() || (!is_told && row.get("email").is_some_and(|email| !email.is_null())) {
                wrong.push(format!("{table} {id}: it is marked as deleted, and still holds the record"));
            }
            let survivor = Some(site.survivor(&id)).filter(|survivor| *survivor != id);
            if table == "customers" && row["merged_into"].as_str() != survivor {
                wrong.push(format!("{table} {id}: merged into {}, not into {survivor:?}", row["merged_into"]));
            }
        }
    }
    let left = [
        ("runs that say they are running", "select count(*) from sync_logs where status = 'running'"),
        ("records in sync_errors", "select count(*) from sync_errors where resolved_at is null"),
        ("candidates for deletion", "select count(*) from sync_missing"),
        ("unfinished passes", "select count(*) from sync_state where checkpoint is not null"),
        (
            "leases that are held",
            "select count(*) from sync_locks where name = 'sync' and expires_at > clock_timestamp()",
        ),
        ("entries in the inbox", "select count(*) from sync_inbox"),
    ];
    for (what, sql) in left {
        let count = world.value::<i64>(sql);
        if count > 0 {
            wrong.push(format!("{count} {what}"));
        }
    }
    wrong
}
