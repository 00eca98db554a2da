-- The books of each table: what it must hold, so that a run notices rows that went missing by something else, and a
-- database that is behind what the run wrote (restored, or a standby that took over).
alter table {schema}.sync_state
    add column write_number bigint not null default 0,
    add column live_rows bigint,
    add column full_checkpoint jsonb,
    add column shortfall bigint not null default 0,
    add column drift jsonb;

-- Incremental syncs go on while a full sync is unfinished, so each has a checkpoint of its own.
update {schema}.sync_state set full_checkpoint = checkpoint, checkpoint = null where checkpoint ->> 'pass' = 'full';

comment on column {schema}.sync_state.write_number is
    'grows with each transaction that writes the table; a run writes on only from the number that it wrote last';
comment on column {schema}.sync_state.live_rows is
    'rows with a Wix id and without deleted_at that the table must hold; null while that is not known';
comment on column {schema}.sync_state.checkpoint is
    'of an unfinished incremental sync: since (its bound), watermark (to be stored at its end), created_from (where it goes on)';
comment on column {schema}.sync_state.full_checkpoint is 'the same of an unfinished full sync';
comment on column {schema}.sync_state.shortfall is
    'records that Wix announced and did not return in the last full sync';
comment on column {schema}.sync_state.drift is
    'the last drift check: Wix''s own count minus the rows of the table, when it was made, and what is normal here';

-- Copies of records that lose a part which their rows have, such as all bookings their contact details where a
-- permission was taken away. They are written at the end of the pass, unless too many lose the same part.
create table {schema}.sync_held (
    table_name text not null,
    wix_id text not null,
    lost text[] not null,
    record text not null,
    found_at timestamptz not null default now(),
    primary key (table_name, wix_id)
);

comment on column {schema}.sync_held.lost is 'the members of the record that the row has and this copy lacks';
comment on column {schema}.sync_held.record is 'the record as Wix sent it; the entry goes once it is written, or a whole copy came';
