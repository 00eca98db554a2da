-- Syncs that were requested over HTTP (`wix-sync serve`) and have not ended. The id is the run's id in sync_logs.
create table if not exists {schema}.sync_queue (
    id uuid primary key,
    sync_type text not null,
    date_range jsonb,
    user_id uuid,
    requested_at timestamptz not null default now(),
    started_at timestamptz
);

comment on column {schema}.sync_queue.started_at is
    'when its run started; the row is deleted when the run ends. A row of a process that died is taken again';
