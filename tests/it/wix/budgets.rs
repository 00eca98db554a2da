//! Costs of runs that can be counted: requests, statements, bytes of WAL, rows written. BENCHMARKS.md has times.

use wix_sim::Endpoint;

use crate::support::harness::World;

/// Enough for several pages of each kind.
const SITE: [usize; 3] = [2_300, 450, 450];

/// Maximum requests of a list: one per page, one more per hundred pages, and two at its end.
fn requests_allowed(records: usize, page: usize) -> usize {
    let pages = records.div_ceil(page);
    pages + pages / 100 + 2
}

fn world() -> World {
    let [contacts, bookings, orders] = SITE;
    World::new(contacts, bookings, orders).migrated()
}

/// The current WAL position in bytes.
fn wal(world: &World) -> i64 {
    world.value("select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint")
}

/// From now on the server logs every statement of a run.
fn log_statements(world: &World) {
    world.execute("alter database postgres set log_statement = 'all'");
}

/// How many statements the log holds, those that begin and end transactions included.
fn statement_count(world: &World) -> usize {
    let log = world.postgres.log_text();
    log.lines().filter(|line| line.contains("LOG:  execute ") || line.contains("LOG:  statement: ")).count()
}

/// The version and position of each row, and who locked it last: any write changes it.
fn versions(world: &World) -> Vec<String> {
    let of = |table: &str| format!("select '{table}', ctid::text, xmin::text, xmax::text from {table}");
    let tables = ["customers", "appointments", "orders"].map(of).join(" union all ");
    let rows = world.query(&format!("{tables} order by 1, 2"));
    rows.iter().map(|row| (0..4).map(|column| row.get::<_, &str>(column)).collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn first_load_requests_each_page_once() {
    let world = world();
    world.sim.clear_requests();
    world.run(&["sync", "all"]).expect_exit(0);
    let listings = [(Endpoint::ContactsQuery, 1_000), (Endpoint::BookingsQuery, 100), (Endpoint::OrdersSearch, 100)];
    let mut listed = 0;
    for ((endpoint, page), records) in listings.into_iter().zip(SITE) {
        let (count, allowed) = (world.sim.request_count(endpoint), requests_allowed(records, page));
        assert!(count <= allowed, "{endpoint:?}: {count} requests, {allowed} allowed");
        listed += count;
    }
    assert_eq!(world.sim.request_count(Endpoint::Any), listed, "nothing but listings");
}

#[test]
fn number_of_statements_depends_on_batches_not_rows() {
    let world = world();
    log_statements(&world);
    world.run(&["sync", "all"]).expect_exit(0);
    let first = statement_count(&world);
    // Batches are never smaller than a page of bookings or orders.
    let batches: usize = SITE.iter().map(|records| records.div_ceil(100)).sum();
    assert!(first <= 60 + 12 * batches, "{first} statements for {batches} batches at most");

    world.run(&["sync", "all"]).expect_exit(0);
    let second = statement_count(&world) - first;
    assert!(second <= 60, "{second} statements where nothing has changed");
    assert!(second > 5, "statements are counted at all: {second}");
}

#[test]
fn sync_without_changes_writes_no_row_and_little_wal() {
    let world = world();
    world.run(&["sync", "all"]).expect_exit(0);
    // Placeholders: the first full sync looks each of them up.
    world.run(&["sync", "all", "--full"]).expect_exit(0);
    let (rows, before) = (versions(&world), wal(&world));
    assert!(rows.len() >= SITE.iter().sum::<usize>() / 2, "{} rows", rows.len());

    world.sim.clear_requests();
    world.run(&["sync", "all"]).expect_exit(0);
    let changes_bytes = wal(&world) - before;
    assert_eq!(world.sim.request_count(Endpoint::Any), 3, "one request a table");
    assert!(changes_bytes < 32_768, "{changes_bytes} bytes for an incremental sync");

    let before = wal(&world);
    world.run(&["sync", "all", "--full"]).expect_exit(0);
    let full_bytes = wal(&world) - before;
    let most = 100 * rows.len() as i64;
    assert!(full_bytes < most, "{full_bytes} bytes for a full sync over {} rows", rows.len());
    assert!(versions(&world) == rows, "rows were written or locked");
}

#[test]
fn lookups_use_indexes() {
    let world = World::new(1_200, 1_500, 600).migrated();
    // The planner has no statistics, as in the first days of a site.
    for table in ["customers", "appointments", "orders"] {
        world.execute(&format!("alter table {table} set (autovacuum_enabled = off)"));
    }
    let read = "select (sum(seq_tup_read) + (select sum(idx_tup_read) from pg_stat_user_indexes i
            where i.relname in ('customers', 'appointments', 'orders')))::bigint
        from pg_stat_user_tables t where t.relname in ('customers', 'appointments', 'orders')";
    world.run(&["sync", "all"]).expect_exit(0);
    let rows: i64 = world.value("select count(*) from appointments");
    let stubs: i64 = world.value("select count(*) from customers where raw is null");
    assert!(stubs >= 40, "{stubs} customers were made from bookings");
    let first: i64 = world.value(read);
    world.run(&["sync", "all", "--full"]).expect_exit(0);
    let full = world.value::<i64>(read) - first;
    assert_eq!(world.value::<i64>("select count(*) from customers where deleted_at is not null"), stubs);
    assert!(first < 20 * rows, "{first} entries and rows were read in a first load with {rows} bookings");
    assert!(full < 20 * rows, "{full} entries and rows were read to mark {stubs} customers beside {rows} bookings");
    assert!(full > 2 * rows, "{full}: they are counted");
}

#[test]
fn shared_email_lookup_reads_two_customers() {
    // Without contacts all buyers of the simulated site are one person, and each booking creates a customer with that
    // email.
    let world = World::new(0, 1_500, 1_500).migrated();
    world.run(&["sync", "appointments"]).expect_exit(0);
    let most: i64 = world.value("select max(n) from (select count(*) n from customers group by lower(email)) counted");
    assert!(most >= 40, "{most} customers share an email");
    world.execute("select pg_stat_reset()");
    world.run(&["sync", "orders"]).expect_exit(0);
    let orders: i64 = world.value("select count(*) from orders");
    let read: i64 =
        world.value("select sum(idx_tup_read)::bigint from pg_stat_user_indexes where relname = 'customers'");
    assert!(read >= orders && read < 8 * orders, "{read} entries of customers' indexes were read for {orders} orders");
}
