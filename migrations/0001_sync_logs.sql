-- One row a run, written when it begins and again when it ends; `sync all` is one run. The shape is the
-- predecessor's, whose rows stay.
create table if not exists {schema}.sync_logs (
    id uuid primary key default gen_random_uuid(),
    sync_type text not null,
    status text not null constraint sync_logs_status_is_known check (status in ('running', 'completed', 'failed')),
    user_id uuid,
    started_at timestamptz not null default now(),
    completed_at timestamptz,
    synced_count integer not null default 0,
    error_count integer not null default 0,
    results jsonb,
    error text,
    created_at timestamptz not null default now(),
    constraint sync_logs_ended_runs_have_an_end check ((status = 'running') = (completed_at is null))
);

alter table {schema}.sync_logs
    add column if not exists user_id uuid,
    add column if not exists started_at timestamptz,
    add column if not exists completed_at timestamptz,
    add column if not exists synced_count integer,
    add column if not exists error_count integer,
    add column if not exists results jsonb,
    add column if not exists error text,
    add column if not exists created_at timestamptz default now();

create index if not exists sync_logs_started_at_idx on {schema}.sync_logs (started_at desc);
