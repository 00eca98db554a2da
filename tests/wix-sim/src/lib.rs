//! A simulator of the parts of Wix's REST API that wix-sync reads: contacts, bookings, orders, tokens.
//!
//! It serves a generated site over HTTP like Wix: the same paths, formats, limits, refusals and page metadata. Tests
//! change the site while a client reads it, and make the server fail as real servers do. Records are invented and a
//! pure function of the seed; a site of a million contacts needs little memory, and every page of a list costs the
//! same.
//!
//! It does not model Wix's internals: where Wix does not document its behavior (order of equal dates, content of
//! cursors), there is a switch, and tests should pass with every setting.
//!
//! ```
//! use std::io::{Read, Write};
//! use wix_sim::{Endpoint, Entity, Fault, Sim, Site, Sizes};
//!
//! # fn main() -> std::io::Result<()> {
//! let sim = Sim::start(Site::generate(Sizes { contacts: 25, ..Default::default() }))?;
//! let ask = || -> std::io::Result<String> {
//!     let host = sim.base_url().replace("http://", "");
//!     let mut stream = std::net::TcpStream::connect(&host)?;
//!     let credentials = sim.credentials();
//!     write!(
//!         stream,
//!         "GET /contacts/v4/contacts?paging.limit=10 HTTP/1.1\r\nhost: {host}\r\n\
//!          authorization: {}\r\nwix-site-id: {}\r\nconnection: close\r\n\r\n",
//!         credentials.api_keys[0], credentials.site_id,
//!     )?;
//!     let mut answer = String::new();
//!     stream.read_to_string(&mut answer)?;
//!     Ok(answer)
//! };
//!
//! sim.fault(Fault::on(Endpoint::ContactsList).nth(2).throttled().retry_after("120"));
//! assert!(ask()?.contains("\"total\":25"));
//! assert!(ask()?.starts_with("HTTP/1.1 429"));
//!
//! let id = sim.contacts()[0]["id"].as_str().unwrap_or_default().to_owned();
//! sim.on_request(Endpoint::ContactsList, 1, move |sim| sim.delete(Entity::Contacts, &id));
//! assert!(ask()?.contains("\"total\":24"));
//! assert_eq!(sim.requests()[2].items, 10);
//! # Ok(())
//! # }
//! ```

mod api;
mod auth;
mod clock;
mod data;
mod endpoint;
mod fault;
mod handle;
mod log;
mod query;
mod reply;
mod server;
mod sim;
mod site;
mod state;
mod store;
pub mod webhooks;

pub use auth::Credentials;
pub use endpoint::Endpoint;
pub use fault::Fault;
pub use handle::SimHandle;
pub use log::{AuthorizationKind, Request};
pub use sim::{Sim, SimBuilder};
pub use site::{Entity, Site, Sizes};
pub use state::{CursorStyle, StatusRule, TieOrder};
