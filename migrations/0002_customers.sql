-- Wix contacts. First the table as the predecessor had it, then the columns that are new; so a new database
-- and one with the predecessor's table end up the same. `notes` belongs to people and is never written.
create table if not exists {schema}.customers (
    id uuid primary key default gen_random_uuid(),
    wix_contact_id text constraint customers_wix_contact_id_key unique,
    name text,
    email text,
    phone text,
    notes text,
    created_at timestamptz not null default now(),
    updated_at timestamptz not null default now()
);

alter table {schema}.customers
    add column if not exists notes text,
    add column if not exists created_at timestamptz not null default now(),
    add column if not exists updated_at timestamptz not null default now(),
    add column if not exists first_name text,
    add column if not exists last_name text,
    add column if not exists company text,
    add column if not exists job_title text,
    add column if not exists birthdate date,
    add column if not exists locale text,
    add column if not exists labels text[],
    add column if not exists merged_into text,
    add column if not exists raw jsonb,
    add column if not exists content_hash bytea,
    add column if not exists wix_created_at timestamptz,
    add column if not exists wix_updated_at timestamptz,
    add column if not exists wix_revision bigint,
    add column if not exists deleted_at timestamptz;

-- Orders without a contact are linked by the buyer's email, whatever its case or the spaces around it.
create index if not exists customers_email_idx on {schema}.customers (lower(btrim(email))) where deleted_at is null;

comment on column {schema}.customers.raw is 'the contact as Wix sent it; null for a stub made from a booking';
comment on column {schema}.customers.merged_into is 'the Wix id of the contact that this one was merged into';
comment on column {schema}.customers.deleted_at is 'null while Wix has it';
