-- On Supabase the user who started a run is one of auth.users. Elsewhere, or where the owner of the tables may
-- not refer to auth.users, the column stays without a foreign key. Not validated: that would read all of
-- sync_logs while auth.users is locked against sign-ups. Looks names up in the catalog, since naming auth.users
-- is an error already for who may not use that schema.
do $$
declare
    users oid;
begin
    select c.oid into users
    from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    join pg_catalog.pg_index i on i.indrelid = c.oid and i.indisprimary and i.indnatts = 1
    join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = i.indkey[0]
    where n.nspname = 'auth' and c.relname = 'users' and a.attname = 'id' and a.atttypid = 'uuid'::regtype
        and has_schema_privilege(current_user, n.oid, 'USAGE')
        and has_table_privilege(current_user, c.oid, 'REFERENCES');

    if users is not null and not exists (
        select from pg_catalog.pg_constraint
        where conrelid = '{schema}.sync_logs'::regclass and contype = 'f' and confrelid = users
    ) then
        alter table {schema}.sync_logs
            add constraint sync_logs_user_id_fkey foreign key (user_id) references auth.users (id) on delete set null not valid;
    end if;
end
$$;
