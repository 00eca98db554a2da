-- How the run at work is getting on, as its heartbeat tells, and one view of all that a dashboard or a monitor asks:
-- a row a table. Counts and times only: nothing of any record. Where the server has it (15 and newer) the view reads
-- with the rights of whoever asks.
alter table {schema}.sync_locks add column progress jsonb;

comment on column {schema}.sync_locks.progress is
    'per table: status, pass, records so far, total where Wix tells it, requests; as of renewed_at';

create view {schema}.sync_health as
select
    t.table_name,
    t.rows,
    t.deleted_rows,
    (
        select count(*) from {schema}.sync_errors e where e.table_name = t.table_name and e.resolved_at is null
    ) as unresolved_errors,
    (select count(*) from {schema}.sync_missing m where m.table_name = t.table_name) as missing_rows,
    s.last_success_at,
    clock_timestamp() - s.last_success_at as age,
    s.last_full_pass_at,
    s.watermark,
    l.run_id as running_run_id,
    l.progress -> t.table_name as running_progress
from (
    select
        1 as place,
        'customers' as table_name,
        count(*) filter (where deleted_at is null) as rows,
        count(*) filter (where deleted_at is not null) as deleted_rows
    from {schema}.customers where wix_contact_id is not null
    union all
    select
        2,
        'appointments',
        count(*) filter (where deleted_at is null),
        count(*) filter (where deleted_at is not null)
    from {schema}.appointments where wix_booking_id is not null
    union all
    select
        3,
        'orders',
        count(*) filter (where deleted_at is null),
        count(*) filter (where deleted_at is not null)
    from {schema}.orders where wix_order_id is not null
) t
left join {schema}.sync_state s on s.table_name = t.table_name
left join {schema}.sync_locks l on l.name = 'sync' and l.expires_at >= clock_timestamp()
order by t.place;

do $$
begin
    if current_setting('server_version_num')::integer >= 150000 then
        alter view {schema}.sync_health set (security_invoker = true);
    end if;
end
$$;

comment on view {schema}.sync_health is
    'one row a table: is it fresh (age since the last success), is anything left out, is a run at work';
comment on column {schema}.sync_health.rows is 'rows that Wix has';
comment on column {schema}.sync_health.deleted_rows is 'rows that Wix had once';
comment on column {schema}.sync_health.unresolved_errors is 'records that could not be written; they are in sync_errors';
comment on column {schema}.sync_health.missing_rows is
    'rows that Wix did not list and that are not settled yet: candidates for deletion';
comment on column {schema}.sync_health.age is 'time since last_success_at; null if the table was never synced';
comment on column {schema}.sync_health.running_run_id is 'the run that holds the lease now, whatever it is at';
