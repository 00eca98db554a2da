//! The site of a soak: what changes there, at random, and what the harness has to remember of it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use fastrand::Rng;
use serde_json::{Value, json};
use wix_sim::webhooks::Webhooks;
use wix_sim::{Entity, SimHandle};

pub(crate) const ENTITIES: [Entity; 3] = [Entity::Contacts, Entity::Bookings, Entity::Orders];

/// A change may become visible so much later than its date says: less than the overlap of two passes.
const MAX_LATE_MINUTES: i64 = 8;

/// What is known of the site beside what the simulator knows.
pub(crate) struct SoakSite {
    sim: SimHandle,
    /// The ids of the records, by kind.
    ids: [Vec<String>; 3],
    /// Records that nobody can read now, with their text from before.
    bad: BTreeMap<(usize, String), String>,
    /// Contacts that were merged away, and into which.
    merged: BTreeMap<String, String>,
    /// Deleted records that may come back.
    gone: Vec<(usize, String)>,
    /// Records whose pages failed, and those created at the same time.
    pub(crate) was_poisoned: BTreeSet<String>,
    /// Whether rows were removed by something else than a run.
    pub(crate) has_lost_rows: bool,
    /// What happened to each record, in its order, with the site's time.
    history: BTreeMap<String, Vec<String>>,
    /// The events of what happens, until they are delivered.
    pub(crate) webhooks: Webhooks,
    /// What was done how often.
    pub(crate) counts: BTreeMap<&'static str, usize>,
}

impl SoakSite {
    pub(crate) fn new(sim: SimHandle) -> SoakSite {
        let ids_of = |records: Vec<Value>| records.iter().map(id_of).collect();
        let ids = [ids_of(sim.contacts()), ids_of(sim.bookings()), ids_of(sim.orders())];
        let webhooks = Webhooks::new("", &sim.credentials().instance_id);
        SoakSite {
            sim,
            webhooks,
            ids,
            bad: BTreeMap::new(),
            merged: BTreeMap::new(),
            gone: Vec::new(),
            was_poisoned: BTreeSet::new(),
            has_lost_rows: false,
            history: BTreeMap::new(),
            counts: BTreeMap::new(),
        }
    }

    /// A few things happen at once.
    pub(crate) fn change(&mut self, random: &mut Rng) {
        for _ in 0..random.usize(1..8) {
            let kind = random.usize(0..3);
            let name = match random.u8(0..100) {
                0..36 => self.edit(random, kind),
                36..46 => self.edit_late(random, kind),
                46..66 => self.add(random, kind),
                66..74 => self.delete(random, kind),
                74..80 => self.merge(random),
                80..88 => self.spoil(random, kind),
                88..95 => self.mend(random),
                _ => self.bring_back(random),
            };
            if let Some(name) = name {
                *self.counts.entry(name).or_default() += 1;
            }
        }
    }

    /// Every record that nobody could read is as it was before, and newer.
    pub(crate) fn mend_all(&mut self) {
        for (kind, id) in self.bad.keys().cloned().collect::<Vec<_>>() {
            self.mend_one(kind, &id);
        }
    }

    pub(crate) fn is_bad(&self, kind: usize, id: &str) -> bool {
        self.bad.contains_key(&(kind, id.to_owned()))
    }

    /// The contact that a contact's merges end in: itself, if it was never merged.
    pub(crate) fn survivor<'a>(&'a self, id: &'a str) -> &'a str {
        let mut last = id;
        while let Some(next) = self.merged.get(last) {
            last = next;
        }
        last
    }

    /// What happened to a record since the soak began.
    pub(crate) fn history(&self, id: &str) -> &[String] {
        self.history.get(id).map_or(&[], Vec::as_slice)
    }

    fn note(&mut self, id: &str, what: &str) {
        let text = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Millis, true);
        let line = format!("{} at the site, where it was {}: {what}", text(Utc::now()), text(self.sim.now()));
        self.history.entry(id.to_owned()).or_default().push(line);
    }

    /// Some record that can be read.
    pub(crate) fn pick(&self, random: &mut Rng, kind: usize) -> Option<String> {
        let id = random.choice(&self.ids[kind])?;
        (!self.is_bad(kind, id)).then(|| id.clone())
    }

    fn edit(&mut self, random: &mut Rng, kind: usize) -> Option<&'static str> {
        let id = self.pick(random, kind)?;
        self.edit_one(random, kind, &id);
        Some("edits")
    }

    pub(crate) fn edit_one(&mut self, random: &mut Rng, kind: usize, id: &str) {
        self.sim.edit(ENTITIES[kind], id, |record| touch(record, kind, random));
        self.note(id, "edited");
        self.webhooks.happened(ENTITIES[kind], "updated", id);
    }

    /// Makes each page with this record fail.
    pub(crate) fn poison(&mut self, kind: usize, id: &str) {
        let body = |record: &Value| if kind == 1 { record["booking"].clone() } else { record.clone() };
        let records = match kind {
            0 => self.sim.contacts(),
            1 => self.sim.bookings(),
            _ => self.sim.orders(),
        };
        let created =
            records.iter().find(|record| id_of(record) == id).map(|record| body(record)["createdDate"].clone());
        let same = records.iter().filter(|record| Some(&body(record)["createdDate"]) == created.as_ref());
        self.was_poisoned.extend(same.map(id_of));
        self.sim.poison(id);
        self.note(id, "each page with it fails from now on");
    }

    /// A change whose date lies some minutes back: Wix lists what it wrote with a delay.
    fn edit_late(&mut self, random: &mut Rng, kind: usize) -> Option<&'static str> {
        let id = self.pick(random, kind)?;
        let mut record = self.sim.record(ENTITIES[kind], &id)?;
        touch(&mut record, kind, random);
        let late = self.sim.now() - TimeDelta::seconds(random.i64(0..MAX_LATE_MINUTES * 60));
        let late = late.to_rfc3339_opts(SecondsFormat::Millis, true);
        let body = if kind == 1 { &mut record["booking"] } else { &mut record };
        // An edit of before must not be made to look newer than this one.
        if body["updatedDate"].as_str().is_some_and(|updated| updated < late.as_str()) {
            body["updatedDate"] = json!(late);
            self.sim.put_raw(ENTITIES[kind], &record.to_string());
            self.note(&id, &format!("edited as of {late}"));
            self.webhooks.happened(ENTITIES[kind], "updated", &id);
        }
        Some("late edits")
    }

    fn add(&mut self, random: &mut Rng, kind: usize) -> Option<&'static str> {
        let count = if random.u8(0..8) == 0 { 120 } else { random.usize(1..4) };
        let added = self.sim.add(ENTITIES[kind], count);
        for id in added {
            self.note(&id, "added");
            self.webhooks.happened(ENTITIES[kind], "created", &id);
            self.ids[kind].push(id);
        }
        Some(if count > 100 { "blocks of one date" } else { "additions" })
    }

    fn delete(&mut self, random: &mut Rng, kind: usize) -> Option<&'static str> {
        let id = self.pick(random, kind)?;
        // What was merged into it would have no survivor.
        if kind == 0 && self.merged.values().any(|survivor| *survivor == id) {
            return None;
        }
        let record = self.sim.record(ENTITIES[kind], &id)?;
        self.remove(kind, &id);
        self.note(&id, "about to be deleted");
        self.sim.delete(ENTITIES[kind], &id);
        self.note(&id, "deleted");
        self.webhooks.happened(ENTITIES[kind], "deleted", &id);
        self.gone.push((kind, record.to_string()));
        Some("deletions")
    }

    fn merge(&mut self, random: &mut Rng) -> Option<&'static str> {
        let (source, target) = (self.pick(random, 0)?, self.pick(random, 0)?);
        if source == target {
            return None;
        }
        self.note(&source, &format!("about to be merged into {target}"));
        self.note(&target, &format!("about to take over {source}"));
        self.sim.merge_contacts(&source, &target);
        self.note(&source, "merged");
        self.webhooks.merged(&source, &target);
        self.remove(0, &source);
        self.merged.insert(source, target);
        Some("merges")
    }

    /// A record becomes one that Postgres refuses: no `jsonb` holds such a number.
    fn spoil(&mut self, random: &mut Rng, kind: usize) -> Option<&'static str> {
        let id = self.pick(random, kind)?;
        let text = self.sim.record(ENTITIES[kind], &id)?.to_string();
        self.sim.edit(ENTITIES[kind], &id, |_| {});
        let edited = self.sim.record(ENTITIES[kind], &id)?.to_string();
        self.sim.put_raw(ENTITIES[kind], &edited.replacen('{', r#"{"n":1e-400000,"#, 1));
        self.note(&id, "spoilt");
        self.webhooks.happened(ENTITIES[kind], "updated", &id);
        self.bad.insert((kind, id), text);
        Some("spoilt records")
    }

    fn mend(&mut self, random: &mut Rng) -> Option<&'static str> {
        let bad: Vec<(usize, String)> = self.bad.keys().cloned().collect();
        let (kind, id) = random.choice(&bad)?;
        self.mend_one(*kind, id);
        Some("mended records")
    }

    fn mend_one(&mut self, kind: usize, id: &str) {
        let Some(text) = self.bad.remove(&(kind, id.to_owned())) else { return };
        self.sim.put_raw(ENTITIES[kind], &text);
        self.sim.edit(ENTITIES[kind], id, |_| {});
        self.note(id, "mended");
        self.webhooks.happened(ENTITIES[kind], "updated", id);
    }

    fn bring_back(&mut self, random: &mut Rng) -> Option<&'static str> {
        if self.gone.is_empty() {
            return None;
        }
        let (kind, text) = self.gone.swap_remove(random.usize(0..self.gone.len()));
        self.sim.put_raw(ENTITIES[kind], &text);
        let id = id_of(&serde_json::from_str(&text).expect("a record"));
        self.sim.edit(ENTITIES[kind], &id, |_| {});
        self.note(&id, "came back");
        self.webhooks.happened(ENTITIES[kind], "created", &id);
        self.ids[kind].push(id);
        Some("records that came back")
    }

    fn remove(&mut self, kind: usize, id: &str) {
        self.ids[kind].retain(|other| other != id);
    }
}

/// The id of a record of any kind.
pub(crate) fn id_of(record: &Value) -> String {
    record["id"].as_str().or(record["booking"]["id"].as_str()).expect("an id").to_owned()
}

/// Something of a record becomes another.
fn touch(record: &mut Value, kind: usize, random: &mut Rng) {
    let number = random.u32(0..1_000_000);
    match kind {
        0 if random.bool() => record["info"]["company"] = json!(format!("Company {number}")),
        0 => record["primaryInfo"]["email"] = json!(format!("u{}@soak.example", number % 200)),
        1 => record["booking"]["status"] = json!(["CONFIRMED", "CANCELED", "DECLINED"][number as usize % 3]),
        _ if random.bool() => record["priceSummary"]["total"]["amount"] = json!(format!("{number}.25")),
        _ => record["buyerInfo"]["email"] = json!(format!("u{}@soak.example", number % 200)),
    }
}
