-- The exit code distinguishes complete runs, runs with rejected records, failed runs and stopped runs.
alter table {schema}.sync_logs add column if not exists exit_code integer;

comment on column {schema}.sync_logs.exit_code is
    'exit code of the run; null while it runs, if it was killed, and for runs of versions that did not record it';
