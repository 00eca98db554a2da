-- Stores a rejected record: one row per record, however often it is rejected.
insert into {schema}.sync_errors as t (
    table_name, record_key, wix_id, run_id, reason, record, first_failed_at, last_failed_at, program_version
)
values ($1, $2, $3, $4, $5, $6, $7, $7, $8)
on conflict (table_name, record_key) do update set
    wix_id = excluded.wix_id,
    run_id = excluded.run_id,
    reason = excluded.reason,
    record = excluded.record,
    tries = t.tries + 1,
    last_failed_at = excluded.last_failed_at,
    program_version = excluded.program_version,
    resolved_at = null
