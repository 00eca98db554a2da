-- A record that could not be written is tried again when it changes, once a day, and when the program's version does:
-- so each try is noted with the version. Candidates for deletion that Wix refuses to answer for go to the end of the
-- queue, so that they do not keep it from the others.
alter table {schema}.sync_errors add column program_version text;
alter table {schema}.sync_missing add column tried_at timestamptz;

create index sync_errors_unresolved_idx on {schema}.sync_errors (table_name, last_failed_at) where resolved_at is null;

comment on column {schema}.sync_errors.program_version is 'the version of wix-sync that tried last';
comment on column {schema}.sync_missing.tried_at is 'when Wix was last asked for it by id, without a clear answer';
