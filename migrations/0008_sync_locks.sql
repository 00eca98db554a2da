-- The lease of the run at work: one run at a time. `token` grows with each taking, and every write transaction
-- first asks for its own with FOR KEY SHARE: unique (name, token) makes it a key column, so a take-over waits for a
-- write under way, and a renewal does not. An advisory lock would be stranded by a pooler.
create table {schema}.sync_locks (
    name text primary key,
    token bigint not null,
    run_id uuid not null,
    holder jsonb not null,
    acquired_at timestamptz not null,
    renewed_at timestamptz not null,
    expires_at timestamptz not null,
    constraint sync_locks_token_is_a_key unique (name, token)
);

comment on column {schema}.sync_locks.holder is 'host, boot, pid namespace, pid and start time of the process';
comment on column {schema}.sync_locks.expires_at is 'by the server''s clock; -infinity once released';
