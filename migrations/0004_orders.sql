-- Wix eCommerce orders. First the table as the predecessor had it, then the columns that are new (see 0002).
-- `status` is Wix's order status; the predecessor kept the fulfillment status there.
create table if not exists {schema}.orders (
    id uuid primary key default gen_random_uuid(),
    wix_order_id text constraint orders_wix_order_id_key unique,
    customer_id uuid references {schema}.customers (id) on delete set null,
    order_date timestamptz,
    total_amount numeric,
    status text,
    items jsonb,
    created_at timestamptz not null default now()
);

alter table {schema}.orders
    add column if not exists created_at timestamptz not null default now(),
    add column if not exists updated_at timestamptz not null default now(),
    add column if not exists wix_contact_id text,
    add column if not exists order_number text,
    add column if not exists email text,
    add column if not exists payment_status text,
    add column if not exists fulfillment_status text,
    add column if not exists currency text,
    add column if not exists subtotal numeric,
    add column if not exists shipping numeric,
    add column if not exists tax numeric,
    add column if not exists discount numeric,
    add column if not exists raw jsonb,
    add column if not exists content_hash bytea,
    add column if not exists wix_created_at timestamptz,
    add column if not exists wix_updated_at timestamptz,
    add column if not exists wix_revision bigint,
    add column if not exists deleted_at timestamptz;

create index if not exists orders_wix_contact_id_idx on {schema}.orders (wix_contact_id);
create index if not exists orders_customer_id_idx on {schema}.orders (customer_id);
create index if not exists orders_email_idx on {schema}.orders (lower(btrim(email)));

comment on column {schema}.orders.raw is 'the order as Wix sent it';
comment on column {schema}.orders.status is 'Wix''s order status; the fulfillment status is in fulfillment_status';
comment on column {schema}.orders.deleted_at is 'null while Wix has it';
