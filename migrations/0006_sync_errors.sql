-- One row a record that could not be written, with its reason, until it can be. `record` is the text that Wix
-- sent: what is no valid jsonb must be kept too. It is emptied when the error is resolved.
create table {schema}.sync_errors (
    id uuid primary key default gen_random_uuid(),
    table_name text not null,
    record_key text not null,
    wix_id text,
    run_id uuid,
    reason text not null,
    record text,
    tries integer not null default 1,
    first_failed_at timestamptz not null default now(),
    last_failed_at timestamptz not null default now(),
    resolved_at timestamptz,
    constraint sync_errors_one_row_a_record unique (table_name, record_key)
);

comment on column {schema}.sync_errors.record_key is 'the Wix id; for a record without one, a hash of its content';
