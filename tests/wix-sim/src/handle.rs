//! The handle for tests: reads and changes the site, and makes the server fail.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::auth::Credentials;
use crate::clock::{date_text, nanos};
use crate::endpoint::Endpoint;
use crate::fault::Fault;
use crate::log::Request;
use crate::site::Entity;
use crate::state::{Hook, Shared};
use crate::store::{OrderStatus, id_key, id_text};

/// A clonable handle of a running simulator; usable from any thread and from hooks.
#[derive(Debug, Clone)]
pub struct SimHandle {
    pub(crate) shared: Arc<Shared>,
}

impl SimHandle {
    /// `http://127.0.0.1:PORT`, which replaces Wix's host.
    pub fn base_url(&self) -> String {
        self.shared.base_url.clone()
    }

    pub fn credentials(&self) -> &Credentials {
        &self.shared.credentials
    }

    /// Every contact as the API sends it, in `createdDate` order.
    pub fn contacts(&self) -> Vec<Value> {
        self.all(Entity::Contacts)
    }

    /// Every extended booking as the API sends it, in `createdDate` order.
    pub fn bookings(&self) -> Vec<Value> {
        self.all(Entity::Bookings)
    }

    /// Every order that search can list (all but `INITIALIZED`), in `createdDate` order.
    pub fn orders(&self) -> Vec<Value> {
        self.all(Entity::Orders)
    }

    /// The records as the text that is sent, for records that are not valid JSON.
    ///
    /// In [`contacts`](Self::contacts) and the like such a record is a `Value::String` of this text.
    pub fn texts(&self, entity: Entity) -> Vec<String> {
        let state = self.shared.lock();
        let table = state.table(entity);
        (0..table.records.len())
            .filter(|at| table.records[*at].status != OrderStatus::Initialized)
            .map(|at| table.text(at))
            .collect()
    }

    /// One record of any status, if it exists.
    pub fn record(&self, entity: Entity, id: &str) -> Option<Value> {
        let state = self.shared.lock();
        let table = state.table(entity);
        table.find(id).map(|position| table.value(position))
    }

    /// Number of records of a kind, hidden orders included.
    pub fn len(&self, entity: Entity) -> usize {
        self.shared.lock().table(entity).records.len()
    }

    /// Changes one record; its `updatedDate` becomes now and its revision goes up by one.
    ///
    /// # Panics
    /// If there is no such record, or its text cannot be read as JSON.
    #[track_caller]
    pub fn edit(&self, entity: Entity, id: &str, change: impl FnOnce(&mut Value)) {
        let Some(mut record) = self.record(entity, id) else {
            panic!("there is no {} {id}", entity.noun());
        };
        assert!(record.is_object(), "{} {id} is no object", entity.noun());
        change(&mut record);
        let mut state = self.shared.lock();
        touch(entity, &mut record, nanos(state.clock.now()));
        let table = state.table_mut(entity);
        // The closure may have given it another id.
        if let Some(position) = table.find(id) {
            table.remove(position);
        }
        table.put_text(&record.to_string());
    }

    /// Changes every `step`th of the records that can be listed, as [`edit`](Self::edit) does. Returns their number.
    ///
    /// # Panics
    /// If one of them is not an object.
    pub fn edit_every(&self, entity: Entity, step: usize, change: impl Fn(&mut Value)) -> usize {
        let ids: Vec<String> = {
            let state = self.shared.lock();
            let records = state.table(entity).records.iter();
            let listed = records.filter(|record| record.status != OrderStatus::Initialized);
            listed.step_by(step.max(1)).map(|record| id_text(record.id)).collect()
        };
        ids.iter().for_each(|id| self.edit(entity, id, &change));
        ids.len()
    }

    /// Creates `count` records now, and returns their ids. Orders are `APPROVED`.
    pub fn add(&self, entity: Entity, count: usize) -> Vec<String> {
        let mut state = self.shared.lock();
        let now = nanos(state.clock.now());
        let table = state.table_mut(entity);
        (0..count).map(|_| table.add(now)).collect()
    }

    /// Stores one record unchanged: the same bytes are sent. Replaces a record with the same id. The text may contain
    /// `\u0000`, lone surrogates, wrong types, and no id at all.
    pub fn put_raw(&self, entity: Entity, text: &str) {
        self.shared.lock().table_mut(entity).put_text(text);
    }

    /// Deletes one record, without a trace.
    ///
    /// # Panics
    /// If there is no such record.
    #[track_caller]
    pub fn delete(&self, entity: Entity, id: &str) {
        let mut state = self.shared.lock();
        let table = state.table_mut(entity);
        let Some(position) = table.find(id) else {
            drop(state);
            panic!("there is no {} {id}", entity.noun());
        };
        table.remove(position);
    }

    /// Merges one contact into another: the source is gone, and a request for it returns the target.
    ///
    /// # Panics
    /// If one of the two does not exist.
    #[track_caller]
    pub fn merge_contacts(&self, source: &str, target: &str) {
        // Atomic: no request sees the source deleted but not merged.
        let mut state = self.shared.lock();
        let now = nanos(state.clock.now());
        let table = &mut state.contacts;
        let (Some(position), true) = (table.find(target), table.find(source).is_some()) else {
            drop(state);
            panic!("there is no contact {source}, or no {target}");
        };
        let mut survivor = table.value(position);
        survivor["lastActivity"] = json!({"activityDate": date_text(now), "activityType": "CONTACT_MERGED"});
        touch(Entity::Contacts, &mut survivor, now);
        table.put_text(&survivor.to_string());
        if let Some(position) = table.find(source) {
            table.remove(position);
        }
        state.merged.insert(source.to_owned(), target.to_owned());
    }

    /// The simulator's clock: the machine's plus the offset, cut to milliseconds.
    pub fn now(&self) -> DateTime<Utc> {
        self.shared.lock().clock.now()
    }

    /// Sets how far the simulator's clock is ahead of the machine's.
    pub fn set_clock_offset(&self, offset: TimeDelta) {
        self.shared.lock().clock.offset = offset;
    }

    /// Stops the simulator's clock at an instant (plus the offset), or lets it run again.
    pub fn freeze_clock(&self, at: Option<DateTime<Utc>>) {
        self.shared.lock().clock.frozen = at;
    }

    /// Arms a fault. Faults are tried in the order in which they were armed, and removed when used up.
    pub fn fault(&self, fault: Fault) {
        self.shared.lock().faults.arm(fault);
    }

    pub fn clear_faults(&self) {
        self.shared.lock().faults.clear();
    }

    /// Makes every list page that holds this record fail with 500.
    pub fn poison(&self, id: &str) {
        self.shared.lock().poisoned.insert(id_key(id));
    }

    /// Makes all records deliverable again.
    pub fn cure(&self) {
        self.shared.lock().poisoned.clear();
    }

    /// Stores the current records for [`stale`](Fault::stale) responses.
    pub fn remember(&self) {
        let mut state = self.shared.lock();
        let now = [state.contacts.clone(), state.bookings.clone(), state.orders.clone()];
        state.past = Some(Box::new(now));
    }

    /// Runs a closure right before the `nth` request to the endpoint from now on is answered.
    pub fn on_request(&self, endpoint: Endpoint, nth: usize, run: impl FnOnce(&SimHandle) + Send + 'static) {
        self.hook(endpoint, nth, false, Box::new(run));
    }

    /// Runs a closure when the answer to the `nth` request is made and before it is sent.
    pub fn after_request(&self, endpoint: Endpoint, nth: usize, run: impl FnOnce(&SimHandle) + Send + 'static) {
        self.hook(endpoint, nth, true, Box::new(run));
    }

    fn hook(&self, endpoint: Endpoint, nth: usize, after: bool, run: Box<dyn FnOnce(&SimHandle) + Send>) {
        self.shared.lock().hooks.push(Hook { endpoint, skip: nth.saturating_sub(1), after, run });
    }

    /// Adds another installation of the app, on this site or on another one. Tokens of that installation list the
    /// records of this simulator as if they were the other site's; only token-info tells the sites apart.
    pub fn install_app(&self, instance_id: &str, site_id: &str) {
        self.shared.lock().tokens.install(instance_id, site_id);
    }

    /// Makes every access token invalid; new ones can be requested.
    pub fn revoke_tokens(&self) {
        self.shared.lock().tokens.revoke_all();
    }

    /// Makes every cursor handed out so far invalid.
    pub fn expire_cursors(&self) {
        self.shared.lock().generation += 1;
    }

    /// Every request since the start or the last [`clear_requests`](Self::clear_requests).
    pub fn requests(&self) -> Vec<Request> {
        self.shared.lock().log.clone()
    }

    pub fn request_count(&self, endpoint: Endpoint) -> usize {
        let state = self.shared.lock();
        let counts = state.counts.iter();
        counts.filter(|(counted, _)| endpoint.covers(**counted)).map(|(_, count)| count).sum()
    }

    pub fn clear_requests(&self) {
        let mut state = self.shared.lock();
        state.log.clear();
        state.counts.clear();
    }

    fn all(&self, entity: Entity) -> Vec<Value> {
        self.texts(entity).into_iter().map(|text| serde_json::from_str(&text).unwrap_or(Value::String(text))).collect()
    }
}

/// Moves `updatedDate` and the revision, as Wix does at each change.
fn touch(entity: Entity, record: &mut Value, now: i64) {
    let body = match entity {
        Entity::Bookings => &mut record["booking"],
        Entity::Contacts | Entity::Orders => record,
    };
    body["updatedDate"] = json!(date_text(now));
    match &body["revision"] {
        Value::Number(number) => {
            body["revision"] = json!(number.as_u64().unwrap_or(0) + 1);
        }
        Value::String(text) => {
            let next = text.parse::<u64>().unwrap_or(0) + 1;
            body["revision"] = json!(next.to_string());
        }
        _ => {}
    }
}
