//! The actors of a soak that change what the runs rely on: they remove rows, break a page for a while, start runs with
//! the credentials of another installation, and put an earlier database back.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use postgres::{Client, NoTls};
use serde_json::Value;
use wix_sim::{Endpoint, SimHandle};

use crate::postgres::books::copy;
use crate::soak::checks::{Log, TABLES, judge};
use crate::soak::site::ENTITIES;
use crate::soak::{Soak, pass};
use crate::support::harness::{Finished, World};
use crate::support::running::Running;

/// An installation of the app on another site.
const OTHER_INSTANCE: &str = "00000000-0000-4000-8000-00000000beef";
const OTHER_SITE: &str = "00000000-0000-4000-8000-00000000dead";

/// Installs the app on another site too.
pub(crate) fn install_elsewhere(sim: &SimHandle) {
    sim.install_app(OTHER_INSTANCE, OTHER_SITE);
}

/// Maximum number of tries to remove rows: a run at work may hold them, or win the deadlock.
const REMOVAL_TRIES: usize = 5;

/// A run that ended leaves the process list within this time.
const TIME_TO_EXIT: Duration = Duration::from_secs(1);

/// A record whose pages all fail.
pub(crate) struct Poison {
    /// The failing lasts for so many more runs.
    runs_left: usize,
}

/// The data directory of an earlier moment, removed with this value.
pub(crate) struct Past {
    directory: PathBuf,
}

impl Drop for Past {
    fn drop(&mut self) {
        // What is left lies in the directory for temporary files.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// A table's live rows: those that it holds and those that the books say.
fn balance(world: &World, table: &str) -> (i64, Option<i64>) {
    let key = TABLES.iter().find(|(name, _)| *name == table).expect("a table").1;
    let rows = world.query(&format!(
        "select (select count(*) from {table} where {key} is not null and deleted_at is null), live_rows
         from (select) x left join sync_state on table_name = '{table}'"
    ));
    (rows[0].get(0), rows[0].get(1))
}

/// The tables that do not hold what the books say.
fn unbalanced(world: &World) -> BTreeMap<&'static str, (i64, i64)> {
    let balances = TABLES.iter().map(|(table, _)| (*table, balance(world, table)));
    balances
        .filter_map(|(table, (holds, must_hold))| Some((table, (holds, must_hold?))))
        .filter(|(_, (holds, must_hold))| holds != must_hold)
        .collect()
}

/// The result that a run printed.
pub(crate) fn result_of(finished: &Finished) -> Value {
    serde_json::from_str(&finished.stdout).unwrap_or_default()
}

/// Whether a run looked at a whole table.
fn has_synced(result: &Value, table: &str) -> bool {
    let of_table = &result["results"][table];
    of_table["status"] == "completed" && matches!(of_table["kind"].as_str(), Some("full" | "incremental"))
}

/// A sum of everything in these tables.
fn fingerprint(world: &World, tables: &[&str]) -> String {
    let all: Vec<String> = tables.iter().map(|table| format!("select '{table}' || t::text r from {table} t")).collect();
    world.value(&format!("select coalesce(md5(string_agg(r, '' order by r)), '') from ({}) a", all.join(" union all ")))
}

const OF_WIX: [&str; 6] = ["customers", "appointments", "orders", "sync_state", "sync_errors", "sync_missing"];

impl Soak {
    /// Something else than wix-sync removes rows.
    pub(crate) fn with_rows_removed(&mut self) {
        if self.random.bool() {
            self.remove_rows();
            self.note_act("rows removed between runs");
            let missing = unbalanced(&self.world);
            let running = self.start();
            let finished = self.end(running, true);
            let wrong = untold(&finished, &missing);
            self.expect(wrong.is_empty(), || format!("{}\n{missing:?}\n{finished:#?}", wrong.join("\n")));
        } else {
            let mut running = self.start();
            let mut asked = None;
            if self.comes_to_some_point(&mut running) {
                self.remove_rows();
                self.note_act("rows removed during a run");
                asked = Some(self.world.sim.requests().len());
            }
            let finished = self.end(running, true);
            // With no request since, the run may have had its last look at the tables before.
            let is_done = matches!(finished.code, Some(0 | 3));
            if is_done && asked.is_some_and(|asked| self.world.sim.requests().len() > asked) {
                let result = result_of(&finished);
                let mut missing = unbalanced(&self.world);
                missing.retain(|table, _| has_synced(&result, table));
                self.expect(missing.is_empty(), || {
                    format!("rows are gone, but it did not fail: {missing:?}\n{finished:#?}")
                });
            }
        }
        if self.random.bool() {
            self.calm();
        }
    }

    fn remove_rows(&mut self) {
        let table = self.random.choice(&TABLES).expect("some").0;
        let statement = match self.random.u8(0..4) {
            0 => "truncate customers, appointments, orders".to_owned(),
            // TRUNCATE would take the tables that refer to it too.
            1 if table == "customers" => "delete from customers".to_owned(),
            1 => format!("truncate {table}"),
            // Not the rows of contacts that were merged: they alone tell where appointments and orders belong.
            _ => format!(
                "delete from {table} where id in (
                    select id from {table} where deleted_at is null order by random()
                    limit (select (count(*) + 1) / 2 from {table} where deleted_at is null)
                 )"
            ),
        };
        self.journal.push(format!("   {statement}"));
        self.site.has_lost_rows = true;
        let url = self.world.postgres.url("postgres");
        for _ in 0..REMOVAL_TRIES {
            let mut writer = Client::connect(&url, NoTls).expect("the database can be reached");
            if writer.batch_execute(&format!("set lock_timeout = '10s'; {statement}")).is_ok() {
                return;
            }
        }
        panic!("it cannot be done: {statement}");
    }

    /// Each page that holds some record fails, for some runs. Other changes arrive.
    pub(crate) fn with_a_failing_page(&mut self) {
        self.cure();
        self.clear_faults();
        let kind = self.random.usize(0..3);
        let picked = (self.site.pick(&mut self.random, kind), self.site.pick(&mut self.random, kind));
        let (Some(bad), Some(other)) = picked else { return };
        let (table, key) = TABLES[kind];
        self.site.poison(kind, &bad);
        self.poison = Some(Poison { runs_left: self.random.usize(2..9) });
        self.note_act("a page that always fails");
        self.journal.push(format!("   each page with {bad} of {table} fails"));
        let is_apart = bad != other && !self.site.was_poisoned.contains(&other) && self.is_long_read(kind, &bad);
        let edited_at = self.world.sim.now() - TimeDelta::milliseconds(1);
        self.site.edit_one(&mut self.random, kind, &other);
        let arguments = ["sync", table, "--full", "--json"];
        let command = self.command(&arguments);
        let finished = self.end(Running::of(&arguments, command), true);
        let is_honest = matches!(finished.code, Some(1 | 3));
        self.expect(is_honest, || format!("a full sync passed by a page that always fails: {finished:#?}"));
        if finished.code == Some(3) && result_of(&finished)["results"][table]["kind"] == "full" {
            let kept = format!(
                "select count(*) from sync_errors
                 where table_name = '{table}' and resolved_at is null and (wix_id is null or wix_id = '{bad}')"
            );
            self.expect(self.world.value::<i64>(&kept) > 0, || format!("{bad} is not in sync_errors: {finished:#?}"));
        }
        if is_apart {
            let updated: Option<DateTime<Utc>> =
                self.world.value(&format!("select max(wix_updated_at) from {table} where {key} = '{other}'"));
            let has_arrived = updated.is_some_and(|updated| updated >= edited_at);
            self.expect(has_arrived, || {
                format!("{other} was edited at {edited_at}, but is of {updated:?}: {finished:#?}")
            });
        }
    }

    /// Whether the next incremental sync is a new one and does not list this record.
    fn is_long_read(&self, kind: usize, id: &str) -> bool {
        let table = TABLES[kind].0;
        let record = self.world.sim.record(ENTITIES[kind], id).expect("it is there");
        let body = if kind == 1 { &record["booking"] } else { &record };
        let updated = body["updatedDate"].as_str().and_then(|text| text.parse::<DateTime<Utc>>().ok());
        let rows = self
            .world
            .query(&format!("select watermark from sync_state where table_name = '{table}' and checkpoint is null"));
        let watermark: Option<DateTime<Utc>> = rows.first().and_then(|row| row.get(0));
        matches!((updated, watermark), (Some(updated), Some(watermark)) if updated < watermark - TimeDelta::minutes(11))
    }

    /// A run more with a failing page; after the last of them, all pages can be had.
    pub(crate) fn let_poison_wear_off(&mut self) {
        if let Some(poison) = &mut self.poison {
            poison.runs_left -= 1;
            if poison.runs_left == 0 {
                self.cure();
            }
        }
    }

    /// All pages can be had.
    pub(crate) fn cure(&mut self) {
        if self.poison.take().is_some() {
            self.journal.push("   no page fails any more".to_owned());
        }
        self.world.sim.cure();
    }

    /// A run with app credentials of another site.
    pub(crate) fn with_another_installation(&mut self) {
        // Where nothing is remembered and Wix gives no usable answer, the first pair is accepted.
        if !self.is_installation_known() {
            self.clear_faults();
            let arguments = ["sync", "customers", "--json"];
            let mut command = self.command(&arguments);
            self.use_app(&mut command, &self.world.sim.credentials().instance_id);
            self.end(Running::of(&arguments, command), true);
            if !self.is_installation_known() {
                return;
            }
        }
        let has_faults = !self.has_long_faults && self.random.bool();
        if !has_faults {
            self.clear_faults();
        }
        let is_alone = self.random.u8(0..3) > 0;
        let other = (!is_alone).then(|| self.start());
        let tables = [&OF_WIX[..], &["sync_logs"]].concat();
        let sums = |world: &World| (fingerprint(world, &OF_WIX), fingerprint(world, &tables));
        let before = is_alone.then(|| sums(&self.world));
        let asked = self.world.sim.requests().len();
        let choices: [&[&str]; 6] = [
            &["sync", "all", "--json"],
            &["sync", "all", "--full", "--json"],
            &["sync", "orders", "--json"],
            &["verify", "all"],
            &["verify", "all", "--repair"],
            &["errors", "retry", "--json"],
        ];
        let arguments = *self.random.choice(&choices).expect("some");
        let mut command = self.command(arguments);
        self.use_app(&mut command, OTHER_INSTANCE);
        self.journal.push("   with the credentials of another installation".to_owned());
        let finished = self.wait(Running::of(arguments, command));
        self.note_act(if is_alone { "another installation" } else { "another installation beside a run" });
        let is_refused = match finished.code {
            Some(2) => true,
            // A token that cannot be had.
            Some(1) => has_faults,
            Some(4) => !is_alone,
            _ => false,
        };
        self.expect(is_refused, || format!("another installation is not refused: {finished:#?}"));
        if let Some((data, all)) = before {
            let after = sums(&self.world);
            let is_unchanged = if finished.code == Some(2) { after.1 == all } else { after.0 == data };
            self.expect(is_unchanged, || format!("a run that was refused has written: {finished:#?}"));
            let requests = self.world.sim.requests();
            let reads: Vec<_> = requests[asked..]
                .iter()
                .filter(|request| !matches!(request.endpoint, Endpoint::OauthToken | Endpoint::OauthTokenInfo))
                .collect();
            self.expect(reads.is_empty(), || format!("a run that was refused has read: {reads:#?}\n{finished:#?}"));
        }
        if let Some(other) = other {
            self.end(other, false);
        }
    }

    fn is_installation_known(&self) -> bool {
        self.world.value("select exists (select from sync_state where wix_instance_site_id is not null)")
    }

    /// Gives a run app credentials.
    pub(crate) fn use_app(&self, command: &mut Command, instance: &str) {
        let credentials = self.world.sim.credentials();
        command.env_remove("WIX_API_TOKEN").env("WIX_APP_ID", &credentials.app_id);
        command.env("WIX_APP_SECRET", &credentials.app_secret).env("WIX_APP_INSTANCE_ID", instance);
    }

    /// The database becomes that of an earlier moment, as after a failover to a standby that is behind.
    pub(crate) fn with_an_older_database(&mut self) {
        if self.past.is_none() || self.random.bool() {
            self.keep_past();
        }
        // A full sync writes for long enough.
        let arguments = ["sync", "all", "--full", "--batch-size", "100", "--json"];
        let mut running = match self.random.bool() {
            true => Running::of(&arguments, self.command(&arguments)),
            false => self.start(),
        };
        if self.random.bool() && self.comes_to_some_point(&mut running) {
            self.keep_past();
        }
        self.comes_to_some_point(&mut running);
        let has_ended = self.return_to_past(&mut running);
        let act = if has_ended { "an older database between runs" } else { "an older database under a run" };
        self.note_act(act);
        self.journal.push(format!("   {act}"));
        // The database may give another run the place of this one.
        let second = (!has_ended && self.random.bool()).then(|| self.start());
        let was_alone = second.is_none();
        if let Some(second) = second {
            self.end(second, false);
        }
        let finished = self.wait(running);
        let log = if has_ended { Log::OlderThanTheEnd } else { Log::Older };
        let mut wrong = judge(&self.world, &finished, was_alone, log);
        if !has_ended && was_alone && matches!(finished.code, Some(0 | 3)) {
            wrong.extend(unknown_to_the_database(&self.world, &finished));
        }
        self.expect(wrong.is_empty(), || format!("{}\n{finished:#?}", wrong.join("\n")));
        if self.random.bool() {
            self.calm();
        }
    }

    /// Keeps the database as it is now.
    fn keep_past(&mut self) {
        self.journal.push("   a copy of the database".to_owned());
        let directory = std::env::temp_dir().join(format!("wix-sync-soak-{}", std::process::id()));
        let past = self.past.get_or_insert(Past { directory });
        self.world.postgres.stop().expect("the server stops");
        copy(self.world.postgres.data_dir(), &past.directory);
        self.world.postgres.restart().expect("the server starts");
    }

    /// Puts the kept database back. True if the run ended before that.
    fn return_to_past(&mut self, running: &mut Running) -> bool {
        let past = self.past.as_ref().expect("a copy was kept");
        self.world.postgres.stop().expect("the server stops");
        copy(&past.directory, self.world.postgres.data_dir());
        let stopped = Instant::now();
        while !running.has_ended() && stopped.elapsed() < TIME_TO_EXIT {
            pass(Duration::from_millis(5));
        }
        let has_ended = running.has_ended();
        self.world.postgres.restart().expect("the server starts");
        has_ended
    }

    fn note_act(&mut self, name: &'static str) {
        self.numbers.note_act(name);
    }

    pub(crate) fn strike_database(&mut self, name: &str) {
        let cut = "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'syncer'";
        let world = &self.world;
        match name {
            "connections cut" => world.execute(cut),
            "one connection cut" => world.execute(&format!("{cut} order by random() limit 1")),
            "server restarted" => {
                world.postgres.stop().expect("the server stops");
                pass(Duration::from_millis(self.random.u64(0..300)));
                world.postgres.restart().expect("the server starts");
            }
            "server crashed" => {
                world.postgres.kill_hard().expect("the server ends");
                world.postgres.restart().expect("the server starts");
            }
            "a table locked" => {
                let tables = [&OF_WIX[..], &["sync_logs", "sync_locks", "sync_unlinked", "sync_held"]].concat();
                let table = *self.random.choice(&tables).expect("some");
                let mode = *self.random.choice(&["exclusive", "access exclusive"]).expect("some");
                self.hold(&format!("lock table {table} in {mode} mode"));
            }
            "rows locked" => self.hold("update customers set name = name where wix_contact_id < '4'"),
            _ => {}
        }
    }

    /// Another writer holds what this statement locks for a while. It may be the one that a deadlock ends.
    fn hold(&mut self, statement: &str) {
        let url = self.world.postgres.url("postgres");
        let mut writer = Client::connect(&url, NoTls).expect("the database can be reached");
        if writer.batch_execute(&format!("set lock_timeout = '5s'; begin; {statement}")).is_ok() {
            // Now and then for longer than a statement waits for a lock.
            let most = if self.random.u8(0..8) == 0 { 15_000 } else { 900 };
            pass(Duration::from_millis(self.random.u64(0..most)));
            let _ = writer.batch_execute("rollback");
        }
    }
}

/// What is wrong with a run that was alone where these tables had lost rows before.
fn untold(finished: &Finished, missing: &BTreeMap<&'static str, (i64, i64)>) -> Vec<String> {
    let mut wrong = Vec::new();
    if !matches!(finished.code, Some(0 | 3)) {
        return wrong;
    }
    let result = result_of(finished);
    for table in missing.keys() {
        let of_table = &result["results"][*table];
        if of_table.is_null() {
            continue;
        }
        if !of_table["notices"].to_string().contains("but the last run left") {
            wrong.push(format!("nothing is said about the rows that {table} lost"));
        }
        match of_table["kind"].as_str() {
            Some("full") => {}
            Some("incremental") => wrong.push(format!("{table} lost rows, and was not read from the beginning")),
            _ if finished.code == Some(0) => {
                wrong.push(format!("{table} lost rows, and the run says that all is well"))
            }
            _ => {}
        }
    }
    wrong
}

/// Tables that a run says it has synced, and of which the database, an older one by now, does not know that.
fn unknown_to_the_database(world: &World, finished: &Finished) -> Vec<String> {
    let result = result_of(finished);
    let id = result["run_id"].as_str().unwrap_or_default();
    let is_unknown = |table: &str| {
        has_synced(&result, table)
            && result["results"][table]["notices"].is_null()
            && world.value::<bool>(&format!(
                "select last_run_id::text is distinct from '{id}' from sync_state where table_name = '{table}'"
            ))
    };
    let tables = TABLES.iter().map(|(table, _)| *table).filter(|table| is_unknown(table));
    tables.map(|table| format!("{table} was synced, but the database does not know that")).collect()
}
