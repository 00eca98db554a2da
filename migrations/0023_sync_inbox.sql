-- Ids of records that a webhook event of Wix named. Each record is looked up by `serve` or by the next run. One row per
-- record, however many events arrived. Nothing else of an event is stored.
create table if not exists {schema}.sync_inbox (
    table_name text not null,
    wix_id text not null,
    events bigint not null default 1,
    received_at timestamptz not null default now(),
    tries integer not null default 0,
    due_at timestamptz not null default now(),
    primary key (table_name, wix_id)
);

comment on column {schema}.sync_inbox.events is
    'events received: the row is removed only if none came since it was read';
