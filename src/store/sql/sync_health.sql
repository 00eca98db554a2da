-- The view must be correct for every role. A time in the future was written by a wrong clock: then the last success
-- counts as infinitely old, and a lease that expires later than any lease can does not count, as in src/store/lease.rs.
-- If row level security hides the tables from a role, the view raises an error, since an empty result would look
-- healthy: it casts a text to boolean, which is how a view raises an error without a function. A view that reads with
-- its owner's rights (Postgres 14) sees all rows.
create or replace view {schema}.sync_health as
select
    t.table_name,
    t.rows,
    t.deleted_rows,
    (
        select count(*) from {schema}.sync_errors e where e.table_name = t.table_name and e.resolved_at is null
    ) as unresolved_errors,
    (select count(*) from {schema}.sync_missing m where m.table_name = t.table_name) as missing_rows,
    s.last_success_at,
    case
        when s.last_success_at > clock_timestamp() then clock_timestamp() - timestamptz 'epoch'
        else clock_timestamp() - s.last_success_at
    end as age,
    s.last_full_pass_at,
    s.watermark,
    l.run_id as running_run_id,
    l.progress -> t.table_name as running_progress
from (
    {counts}
) t
left join {schema}.sync_state s on s.table_name = t.table_name
left join {schema}.sync_locks l
    on l.name = 'sync' and l.expires_at >= clock_timestamp()
        and l.expires_at <= clock_timestamp() + interval '65 seconds'
where
    case
        when exists (
            select from pg_catalog.pg_class v
            join pg_catalog.pg_class state on state.relnamespace = v.relnamespace
            where state.oid = '{schema}.sync_state'::regclass and v.relname = 'sync_health'
                and 'security_invoker=true' = any (v.reloptions)
        ) and (
            (row_security_active('{schema}.sync_state'::regclass) and not exists (select from {schema}.sync_state))
            or exists (
                select from pg_catalog.pg_class c
                where c.oid in (
                    {synced},
                    '{schema}.sync_state'::regclass, '{schema}.sync_errors'::regclass, '{schema}.sync_missing'::regclass
                ) and row_security_active(c.oid) and not exists (
                    select from pg_catalog.pg_policy p, unnest(p.polroles) as granted (role)
                    where p.polrelid = c.oid and p.polpermissive and p.polcmd in ('r', '*')
                        and case when granted.role = 0 then true else pg_has_role(granted.role, 'USAGE') end
                )
            )
        ) then concat('row level security hides the tables of wix-sync from role ', current_user)::boolean
        else true
    end
order by t.place;

-- Replacing a view drops its options.
do $$
begin
    if current_setting('server_version_num')::integer >= 150000 then
        alter view {schema}.sync_health set (security_invoker = true);
    end if;
end
$$;

comment on view {schema}.sync_health is
    'one row per table: is it fresh (age since the last success), is anything left out, is a run at work';
comment on column {schema}.sync_health.age is
    'time since last_success_at, decades if that is in the future; null if the table was never synced';
