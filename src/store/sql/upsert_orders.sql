-- Writes the orders of a batch, each linked to its customer (customer_of_order.sql).
-- A link that a person made to a customer of their own, one without a Wix id, stays where Wix's data finds none.
-- Columns after $8: entity/orders.rs, in its order.
insert into {schema}.orders as t (
    id, wix_order_id, content_hash, wix_created_at, wix_updated_at, wix_revision, raw, created_at, updated_at,
    customer_id, wix_contact_id, order_number, email, order_date, status, payment_status, fulfillment_status, currency,
    subtotal, shipping, tax, discount, total_amount, items
)
select
    u.id, u.wix_id, u.content_hash, u.wix_created_at, u.wix_updated_at, u.wix_revision, record.raw, $8, $8,
    {customer_of_order},
    u.wix_contact_id, u.order_number, u.email, u.order_date, u.status, u.payment_status, u.fulfillment_status, u.currency,
    u.subtotal::numeric, u.shipping::numeric, u.tax::numeric, u.discount::numeric, u.total_amount::numeric,
    case jsonb_typeof(record.raw -> 'lineItems') when 'array' then record.raw -> 'lineItems' end
from unnest($1::uuid[], $2::text[], $3::bytea[], $4::timestamptz[], $5::timestamptz[], $6::bigint[], $7::text[],
    $9::text[], $10::text[], $11::text[], $12::timestamptz[], $13::text[], $14::text[], $15::text[], $16::text[],
    $17::text[], $18::text[], $19::text[], $20::text[], $21::text[], $22::text[])
    as u (id, wix_id, content_hash, wix_created_at, wix_updated_at, wix_revision, raw,
        wix_contact_id, order_number, email, order_date, status, payment_status, fulfillment_status, currency,
        subtotal, shipping, tax, discount, total_amount, items)
-- Parsed once for both columns: `offset 0` keeps the planner from writing the cast out twice.
cross join lateral (select u.raw::jsonb as raw offset 0) record
on conflict (wix_order_id) do update set
    content_hash = excluded.content_hash,
    wix_created_at = excluded.wix_created_at,
    wix_updated_at = excluded.wix_updated_at,
    wix_revision = excluded.wix_revision,
    raw = excluded.raw,
    updated_at = excluded.updated_at,
    deleted_at = null,
    customer_id = coalesce(
        excluded.customer_id,
        (select own.id from {schema}.customers own where own.id = t.customer_id and own.wix_contact_id is null)
    ),
    wix_contact_id = excluded.wix_contact_id,
    order_number = excluded.order_number,
    email = excluded.email,
    order_date = excluded.order_date,
    status = excluded.status,
    payment_status = excluded.payment_status,
    fulfillment_status = excluded.fulfillment_status,
    currency = excluded.currency,
    subtotal = excluded.subtotal,
    shipping = excluded.shipping,
    tax = excluded.tax,
    discount = excluded.discount,
    total_amount = excluded.total_amount,
    items = excluded.items
where t.content_hash is distinct from excluded.content_hash or t.deleted_at is not null
returning t.xmax = 0 as inserted
