//! Everything the simulator knows, behind one lock.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::auth::{Credentials, Tokens};
use crate::clock::Clock;
use crate::data::Shape;
use crate::endpoint::Endpoint;
use crate::fault::Faults;
use crate::handle::SimHandle;
use crate::log::Request;
use crate::query::select::Selections;
use crate::site::{Entity, Site};
use crate::store::Table;

/// What a cursor holds; Wix does not document which it uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum CursorStyle {
    /// The sort values and id of the last record: a walk skips nothing when records vanish.
    #[default]
    Keyset,
    /// A count of records: a walk skips a record for each that vanishes before it.
    Offset,
}

/// The order of records with equal sort values; Wix does not document it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum TieOrder {
    /// By id, always.
    #[default]
    ById,
    /// In another order at every request. Concerns pages counted by offset; keyset cursors need
    /// one order and keep to the id.
    Unstable,
}

/// How the simulator behaves, fixed at the start.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    pub(crate) latency: Duration,
    pub(crate) cursor_style: CursorStyle,
    pub(crate) tie_order: TieOrder,
    pub(crate) requests_per_minute: Option<usize>,
    pub(crate) forget_requests: bool,
    pub(crate) status_rule: StatusRule,
}

/// When the search for orders returns those that are pending or rejected. Wix does not document it completely.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StatusRule {
    /// If the filter asks for that status by name.
    #[default]
    Named,
    /// If the filter has any condition for the status.
    AnyCondition,
    /// As `Named`, and a filter that excludes statuses is refused.
    NoExclusion,
}

/// The part that changes.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) contacts: Table,
    pub(crate) bookings: Table,
    pub(crate) orders: Table,
    /// The tables as they were when last remembered.
    pub(crate) past: Option<Box<[Table; 3]>>,
    /// Records that make every page with them fail.
    pub(crate) poisoned: HashSet<u128>,
    /// Ids of merged contacts, and of those into which they were merged.
    pub(crate) merged: HashMap<String, String>,
    pub(crate) selections: Selections,
    pub(crate) tokens: Tokens,
    pub(crate) faults: Faults,
    pub(crate) hooks: Vec<Hook>,
    pub(crate) log: Vec<Request>,
    pub(crate) counts: HashMap<Endpoint, usize>,
    pub(crate) clock: Clock,
    /// Cursors of older generations have expired.
    pub(crate) generation: u64,
    /// Counts requests; makes request ids, nonces and unstable orders differ.
    pub(crate) serial: u64,
    /// When the requests of the last minute came, if their rate is limited.
    recent: VecDeque<Instant>,
}

/// A closure that waits for its request.
pub(crate) struct Hook {
    pub(crate) endpoint: Endpoint,
    /// Matching requests to skip before it runs.
    pub(crate) skip: usize,
    pub(crate) after: bool,
    pub(crate) run: Box<dyn FnOnce(&SimHandle) + Send>,
}

impl std::fmt::Debug for Hook {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Hook")
            .field("endpoint", &self.endpoint)
            .field("skip", &self.skip)
            .field("after", &self.after)
            .finish_non_exhaustive()
    }
}

impl State {
    pub(crate) fn new(site: &Site, credentials: &Credentials, token_life: u64) -> Self {
        let table = |entity| {
            let (seed, sizes) = (site.seed, site.sizes);
            Table::generate(entity, Shape { seed, sizes })
        };
        Self {
            contacts: table(Entity::Contacts),
            bookings: table(Entity::Bookings),
            orders: table(Entity::Orders),
            past: None,
            poisoned: HashSet::new(),
            merged: HashMap::new(),
            selections: Selections::default(),
            tokens: Tokens::new(credentials, token_life),
            faults: Faults::default(),
            hooks: Vec::new(),
            log: Vec::new(),
            counts: HashMap::new(),
            clock: Clock::default(),
            generation: 0,
            serial: 0,
            recent: VecDeque::new(),
        }
    }

    pub(crate) fn table(&self, entity: Entity) -> &Table {
        match entity {
            Entity::Contacts => &self.contacts,
            Entity::Bookings => &self.bookings,
            Entity::Orders => &self.orders,
        }
    }

    pub(crate) fn table_mut(&mut self, entity: Entity) -> &mut Table {
        match entity {
            Entity::Contacts => &mut self.contacts,
            Entity::Bookings => &mut self.bookings,
            Entity::Orders => &mut self.orders,
        }
    }

    /// Exchanges the tables with those that were remembered, if any were.
    pub(crate) fn exchange_past(&mut self) {
        if let Some(past) = &mut self.past {
            let [contacts, bookings, orders] = &mut **past;
            std::mem::swap(&mut self.contacts, contacts);
            std::mem::swap(&mut self.bookings, bookings);
            std::mem::swap(&mut self.orders, orders);
        }
    }

    /// Takes out the hooks that are due at this request.
    pub(crate) fn due_hooks(&mut self, endpoint: Endpoint) -> Vec<Hook> {
        let mut due = Vec::new();
        let mut waiting = Vec::with_capacity(self.hooks.len());
        for mut hook in self.hooks.drain(..) {
            if !hook.endpoint.covers(endpoint) {
                waiting.push(hook);
            } else if hook.skip == 0 {
                due.push(hook);
            } else {
                hook.skip -= 1;
                waiting.push(hook);
            }
        }
        self.hooks = waiting;
        due
    }

    /// Counts a request against the limit; true if it exceeds the limit of this minute.
    pub(crate) fn is_over_limit(&mut self, limit: Option<usize>) -> bool {
        let Some(limit) = limit else { return false };
        let now = Instant::now();
        let minute = Duration::from_secs(60);
        while let Some(first) = self.recent.front()
            && now.duration_since(*first) >= minute
        {
            self.recent.pop_front();
        }
        if self.recent.len() >= limit {
            return true;
        }
        self.recent.push_back(now);
        false
    }
}

/// What all handles and the server share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) credentials: Credentials,
    pub(crate) options: Options,
    pub(crate) base_url: String,
    state: Mutex<State>,
}

impl Shared {
    pub(crate) fn new(credentials: Credentials, options: Options, base_url: String, state: State) -> Self {
        Self { credentials, options, base_url, state: Mutex::new(state) }
    }

    /// A panic in a test's closure leaves the state usable.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
