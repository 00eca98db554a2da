//! The tests, one binary. Each runs the built program against a private Postgres and the simulator.
//!
//! - [`migrate`]: a fresh schema, twice, several at once, other schemas and search paths.
//! - [`migrate_failures`]: who may migrate, and what stops it, after which nothing has changed.
//! - [`adoption`]: the predecessor's tables and rows, as it made them and stricter.
//! - [`adoption_refused`]: tables of those names that can't be taken over, and what is said about it.
//! - [`statuses`]: orders with a status that Wix added after this version was made.
//! - [`changed_by_hand`]: tables that somebody changed: what every command says, and what `migrate` restores.
//! - [`supabase`]: roles, policies and grants: who may read what was created or taken over; `auth.users`.
//! - [`status`]: every view of `status`, whole outputs, read-only.
//! - [`health`]: the run at work, dead runs, `--max-age`, the view `sync_health`.
//! - [`access`]: what anon and authenticated may do with tables and views: what doctor says, and what stops adoption.
//! - [`hostile`]: functions, operators, tables and types of others in a schema that is searched: never used.
//! - [`doctor`]: each fault that it finds, that it goes on after it, and that it changes nothing.
//! - [`addresses`]: addresses that are refused, to whom nothing secret is sent, and passwords in them.
//! - [`wix_tls`]: certificates of Wix that cannot be trusted; proxies and certificates named in `.env`.
//! - [`escapes`]: texts of Wix and Postgres never control a terminal or forge a line.
//! - [`metrics_file`]: where metrics are not written, links, and what is left when a write fails.
//! - [`signals_out`]: a monitor's pings, the metrics file, log lines as JSON.
//! - [`shell`]: completions, man pages, help, and what is said about mistyped values.
//! - [`cli_output`]: what the commands print, whole outputs: help, errors, runs.
//! - [`pooler`]: all commands through a transaction-mode pooler whose servers are busy.
//! - [`tidy`]: the rules of the house: imports, printing, SQL, file lengths.
//! - [`truth`]: the oracle: what the tables have to hold, from the simulator's records alone.
//! - [`mapping`]: whole sites: first loads, second runs, edits, and walks that are disturbed.
//! - [`verify`]: Wix and the tables compared without a write, and gaps mended one by one.
//! - [`repair`]: `verify` beside rejected records, and repairs that are killed, refused or not whole.
//! - [`wix_faults`]: what Wix and the network get wrong, and what becomes of the run.
//! - [`broken_pages`]: pages that Wix never delivers cost one record, which is named.
//! - [`large_answers`]: large records and pages, bodies without end: what arrives, what is named, and the memory for it.
//! - [`unsorted`]: long lists that Wix refuses to sort, read in windows by date.
//! - [`lists`]: lists that end early, ignore the sort or announce other numbers than they return.
//! - [`odd_answers`]: lists without an end, ignored filters, members that come twice, damaged text, other copies by id.
//! - [`links`]: links between the tables, stubs, and rows of people's own.
//! - [`credentials`]: credentials under all their names, refused ones, and that nothing secret is shown.
//! - [`installations`]: app credentials of another installation, and of one whose site Wix does not tell.
//! - [`bad_records`]: records that Postgres can't store or nobody can read: isolated, kept, mended.
//! - [`refusals`]: triggers and policies of the user that refuse records, deletions or links cost exactly those.
//! - [`fields`]: fields that cannot be read do not cost the record; spellings that are read.
//! - [`ids`]: ids in another form, ids that no index holds, and emails in databases of other locales.
//! - [`dead_letters`]: records in `sync_errors`: listed, tried again, resolved; and how long the log is kept.
//! - [`deletions`]: what Wix deleted: found by full passes, asked for by id, marked, back if it comes back.
//! - [`deletions_held_back`]: too many at once, answers that prove nothing, empty listings: nothing is marked.
//! - [`deletions_resumed`]: interrupted passes, records without a date, records in `sync_errors`.
//! - [`bookings_hole`]: bookings that Wix's index leaves out: two lookups a day apart before they are marked.
//! - [`placeholders`]: placeholder customers, made from bookings: outside the deletion limit, looked up by id.
//! - [`merges`]: merged contacts: what hung on the source moves to the survivor and stays there.
//! - [`samples`]: sample records and whole sample answers, against rows written by hand.
//! - [`passes`]: full and changes passes: what they ask for, what moves the watermark, what they find.
//! - [`resume`]: runs that were killed, stopped or ran out of time, and those that go on after them.
//! - [`lease`]: two runs at once, dead holders, and runs that were stopped and woke up too late.
//! - [`tls`]: every `sslmode`, private authorities, client certificates, channel binding, a pooler with TLS.
//! - [`connection_urls`]: special characters, several hosts, libpq's variables, password files, mistakes.
//! - [`docs`]: the documentation and the examples name only what is there: commands, flags, variables, links, messages.
//! - [`docs_sql`]: the SQL of the documentation runs, and its list of columns is that of the catalog.
//! - [`budgets`]: what runs may cost: requests, statements, bytes of WAL, rows written.
//! - [`database_faults`]: what happens to the database during a run, and what becomes of the run.
//! - [`clocks`]: clocks that are wrong, and times in the future that they left in the tables.
//! - [`waiting`]: locks that a session holds for ever, a server that does not answer, and stops meanwhile.
//! - [`crashes`]: of the server itself, which take with them what it had not written down.
//! - [`books`]: rows that something else removed, a database that is behind, and counts that drift apart from Wix's.
//! - [`full_syncs`]: full syncs that cannot end, and those that start over.
//! - [`losses`]: records that come without a part that they had.
//! - [`versions`]: which of two copies of a record is newer.
//! - [`soak`]: a changing site, every fault and kills at random, for as long as is wanted.
//! - [`disk_full`]: a disk that has no room left: said, nothing lost, gone on with when there is room again.
//! - [`lost_answers`]: connections that break around COMMIT and at any byte: nothing lost, nothing counted twice.
//!
//! What they stand on:
//!
//! - [`harness`]: a private Postgres, a simulated site, and the binary between them.
//! - [`authority`]: private authorities, their certificates, and servers that show them.
//! - [`running`]: the binary while it is at work.
//! - [`terminal`]: a pseudo-terminal around the binary.
//! - [`tls_front`]: a server with TLS, and a proxy, before the simulator.
//! - [`monitor`]: a monitor that takes pings.
//! - [`soak_actors`]: what else happens to the database and to the credentials of a soak.
//! - [`soak_site`]: how the site of a soak changes.
//! - [`soak_faults`]: the faults of a soak, armed at random.
//! - [`soak_numbers`]: what happened during a soak, and how often.
//! - [`soak_troubles`]: triggers that refuse records during a soak, and stored times that are still to come.
//! - [`soak_checks`]: what has to hold during a soak and at its end.
//! - [`small_disk`]: a disk that gets full, real or pretended, and has room again when a test says so.
//! - [`cutting_proxy`]: a wire to Postgres or PgBouncer that breaks where a test wants.
//! - [`redact`]: whole outputs made comparable.

mod access;
mod addresses;
mod adoption;
mod adoption_refused;
mod authority;
mod bad_records;
mod bookings_hole;
mod books;
mod broken_pages;
mod budgets;
mod changed_by_hand;
mod cli_output;
mod clocks;
mod connection_urls;
mod crashes;
mod credentials;
mod cutting_proxy;
mod database_faults;
mod dead_letters;
mod deletions;
mod deletions_held_back;
mod deletions_resumed;
mod disk_full;
mod docs;
mod docs_sql;
mod doctor;
mod escapes;
mod fields;
mod full_syncs;
mod harness;
mod health;
mod hostile;
mod ids;
mod installations;
mod large_answers;
mod lease;
mod links;
mod lists;
mod losses;
mod lost_answers;
mod mapping;
mod merges;
mod metrics_file;
mod migrate;
mod migrate_failures;
mod monitor;
mod odd_answers;
mod passes;
mod placeholders;
mod pooler;
mod redact;
mod refusals;
mod repair;
mod resume;
mod running;
mod samples;
mod shell;
mod signals_out;
mod small_disk;
mod soak;
mod soak_actors;
mod soak_checks;
mod soak_faults;
mod soak_numbers;
mod soak_site;
mod soak_troubles;
mod status;
mod statuses;
mod supabase;
#[cfg(target_os = "linux")]
mod terminal;
mod tidy;
mod tls;
mod tls_front;
mod truth;
mod unsorted;
mod verify;
mod versions;
mod waiting;
mod wix_faults;
mod wix_tls;
