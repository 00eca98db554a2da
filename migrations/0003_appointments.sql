-- Wix bookings. First the table as the predecessor had it, then the columns that are new (see 0002).
create table if not exists {schema}.appointments (
    id uuid primary key default gen_random_uuid(),
    wix_booking_id text constraint appointments_wix_booking_id_key unique,
    customer_id uuid references {schema}.customers (id) on delete set null,
    service_name text,
    staff_member text,
    start_time timestamptz,
    end_time timestamptz,
    status text,
    notes text,
    created_at timestamptz not null default now()
);

alter table {schema}.appointments
    add column if not exists notes text,
    add column if not exists created_at timestamptz not null default now(),
    add column if not exists updated_at timestamptz not null default now(),
    add column if not exists wix_contact_id text,
    add column if not exists service_id text,
    add column if not exists timezone text,
    add column if not exists location text,
    add column if not exists participants integer,
    add column if not exists payment_status text,
    add column if not exists raw jsonb,
    add column if not exists content_hash bytea,
    add column if not exists wix_created_at timestamptz,
    add column if not exists wix_updated_at timestamptz,
    add column if not exists wix_revision bigint,
    add column if not exists deleted_at timestamptz;

create index if not exists appointments_wix_contact_id_idx on {schema}.appointments (wix_contact_id);
create index if not exists appointments_customer_id_idx on {schema}.appointments (customer_id);

comment on column {schema}.appointments.raw is 'the extended booking as Wix sent it: {"booking": {...}}';
comment on column {schema}.appointments.deleted_at is 'null while Wix has it';
