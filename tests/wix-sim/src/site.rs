//! What the simulated site holds: which entities, how many, and how they are distinguished.

/// The three kinds of record the simulator keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Entity {
    /// Contacts (v4, with a view as v5).
    Contacts,
    /// Extended bookings: `{"booking":{…}}`.
    Bookings,
    Orders,
}

impl Entity {
    /// A word for one record.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::Contacts => "contact",
            Self::Bookings => "booking",
            Self::Orders => "order",
        }
    }
}

/// How many records of each kind a generated site starts with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sizes {
    pub contacts: usize,
    pub bookings: usize,
    /// Orders of every status, the hidden ones included.
    pub orders: usize,
    /// This many contacts, from the first quarter on, share one `createdDate`, as after an import.
    pub tie_block: usize,
}

impl Sizes {
    pub(crate) fn of(&self, entity: Entity) -> usize {
        match entity {
            Entity::Contacts => self.contacts,
            Entity::Bookings => self.bookings,
            Entity::Orders => self.orders,
        }
    }
}

/// A site to simulate.
#[derive(Debug, Clone, Default)]
pub struct Site {
    pub(crate) sizes: Sizes,
    pub(crate) seed: u64,
}

impl Site {
    /// A site of invented records; the same sizes and seed always give the same records.
    pub fn generate(sizes: Sizes) -> Self {
        Self { sizes, seed: 0 }
    }

    /// A site without any record, to be filled with [`put_raw`](crate::SimHandle::put_raw) and
    /// [`add`](crate::SimHandle::add).
    pub fn empty() -> Self {
        Self::default()
    }

    /// Another seed: other records of the same kind.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }
}
