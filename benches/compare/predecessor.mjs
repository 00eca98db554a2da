// The same first load in the way of the Node predecessor, for comparison: pages in turn, and for each record one
// upsert through a pool of one connection. Beyond what it did, the whole record is kept in `raw`, as wix-sync does.
//
// Usage: node predecessor.mjs BASE_URL API_KEY SITE_ID DATABASE_URL      (needs: npm install pg@8.23.1)
//
// The benchmark runs it with `--against`: see BENCHMARKS.md. It makes its own tables, in the schema `predecessor`.

import pg from "pg";

const [baseUrl, apiKey, siteId, databaseUrl] = process.argv.slice(2);
if (!databaseUrl) {
  console.error("usage: node predecessor.mjs BASE_URL API_KEY SITE_ID DATABASE_URL");
  process.exit(2);
}

const pool = new pg.Pool({ connectionString: databaseUrl, max: 1 });

async function ask(path, body) {
  const response = await fetch(baseUrl + path, {
    method: "POST",
    headers: { authorization: apiKey, "wix-site-id": siteId, "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return response.json();
}

const sort = [{ fieldName: "createdDate", order: "ASC" }];

async function* contacts() {
  for (let offset = 0; ; ) {
    const query = { sort, paging: { limit: 1000, offset }, fieldsets: ["FULL"] };
    const page = await ask("/contacts/v4/contacts/query", { query });
    yield* page.contacts;
    offset += page.contacts.length;
    if (page.contacts.length === 0 || offset >= page.pagingMetadata.total) return;
  }
}

async function* byCursor(path, envelope, items, metadata, filter = {}) {
  let words = { filter, sort, cursorPaging: { limit: 100 } };
  while (true) {
    const page = await ask(path, { [envelope]: words });
    yield* page[items];
    const cursor = page[metadata]?.cursors?.next;
    if (!cursor) return;
    words = { cursorPaging: { limit: 100, cursor } };
  }
}

await pool.query(`
  drop schema if exists predecessor cascade;
  create schema predecessor;
  create table predecessor.customers (id uuid primary key default gen_random_uuid(), wix_contact_id text unique,
    name text not null, email text, phone text, notes text, raw jsonb, created_at timestamptz not null default now(),
    updated_at timestamptz not null default now());
  create table predecessor.appointments (id uuid primary key default gen_random_uuid(), wix_booking_id text unique,
    customer_id uuid references predecessor.customers, service_name text, staff_member text, start_time timestamptz,
    end_time timestamptz, status text, notes text, raw jsonb, created_at timestamptz not null default now());
  create table predecessor.orders (id uuid primary key default gen_random_uuid(), wix_order_id text unique,
    customer_id uuid references predecessor.customers, order_date timestamptz, total_amount decimal(10, 2), status text,
    items jsonb, raw jsonb, created_at timestamptz not null default now());`);

const customerOf = async (contactId) => {
  if (!contactId) return null;
  const found = await pool.query("select id from predecessor.customers where wix_contact_id = $1", [contactId]);
  return found.rows[0]?.id ?? null;
};

const begun = performance.now();
const counts = { contacts: 0, bookings: 0, orders: 0 };

for await (const contact of contacts()) {
  const { info = {}, primaryInfo = {} } = contact;
  const name = [info.name?.first, info.name?.last].filter(Boolean).join(" ") || "Unknown";
  await pool.query(
    `insert into predecessor.customers (wix_contact_id, name, email, phone, raw) values ($1, $2, $3, $4, $5)
     on conflict (wix_contact_id) do update set name = excluded.name, email = excluded.email, phone = excluded.phone,
       raw = excluded.raw, updated_at = now()`,
    [contact.id, name, primaryInfo.email, primaryInfo.phone, JSON.stringify(contact)],
  );
  counts.contacts++;
}

const bookings = byCursor("/_api/bookings-reader/v2/extended-bookings/query", "query", "extendedBookings", "pagingMetadata");
for await (const { booking } of bookings) {
  const slot = booking.bookedEntity?.slot ?? {};
  await pool.query(
    `insert into predecessor.appointments (wix_booking_id, customer_id, service_name, staff_member, start_time, end_time,
       status, raw) values ($1, $2, $3, $4, $5, $6, $7, $8)
     on conflict (wix_booking_id) do update set customer_id = excluded.customer_id, service_name = excluded.service_name,
       staff_member = excluded.staff_member, start_time = excluded.start_time, end_time = excluded.end_time,
       status = excluded.status, raw = excluded.raw`,
    [booking.id, await customerOf(booking.contactDetails?.contactId), booking.bookedEntity?.title, slot.resource?.name,
      booking.startDate, booking.endDate, booking.status ?? "pending", JSON.stringify(booking)],
  );
  counts.bookings++;
}

// Left to itself, Wix lists fewer: this is what wix-sync asks for.
const listed = { status: { $in: ["APPROVED", "CANCELED", "PENDING", "REJECTED"] } };
for await (const order of byCursor("/ecom/v1/orders/search", "search", "orders", "metadata", listed)) {
  await pool.query(
    `insert into predecessor.orders (wix_order_id, customer_id, order_date, total_amount, status, items, raw)
     values ($1, $2, $3, $4, $5, $6, $7)
     on conflict (wix_order_id) do update set customer_id = excluded.customer_id, order_date = excluded.order_date,
       total_amount = excluded.total_amount, status = excluded.status, items = excluded.items, raw = excluded.raw`,
    [order.id, await customerOf(order.buyerInfo?.contactId), order.createdDate, order.priceSummary?.total?.amount ?? 0,
      order.fulfillmentStatus ?? "pending", JSON.stringify(order.lineItems ?? []), JSON.stringify(order)],
  );
  counts.orders++;
}

const seconds = (performance.now() - begun) / 1000;
await pool.end();
const { userCPUTime, systemCPUTime, maxRSS } = process.resourceUsage();
console.log(
  `predecessor's design, node ${process.versions.node}: ${seconds.toFixed(1)} s, ` +
    `${((userCPUTime + systemCPUTime) / 1e6).toFixed(1)} s CPU, ${(maxRSS / 1e3).toFixed(0)} MB, ${JSON.stringify(counts)}`,
);
