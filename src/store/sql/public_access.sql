-- What the roles $3 can do with the relations $2 in schema $1, and with views that read them, directly or through other
-- views, in any schema: one row per relation and role, with the privileges that take effect and the policies and grants
-- behind them.
--
-- Row level security does not cover TRUNCATE, REFERENCES and TRIGGER. A view without security_invoker reads the tables
-- with its owner's rights and bypasses their policies; a simple view also passes writes on to its table.
with recursive ours as (
    select c.oid
    from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where n.nspname = $1 and c.relname::text = any ($2) and c.relkind in ('r', 'p', 'v', 'm', 'f')
),
reached (oid) as (
    select oid from ours
    union
    select v.oid
    from reached
    join pg_catalog.pg_depend d on d.refclassid = 'pg_catalog.pg_class'::regclass and d.refobjid = reached.oid
    join pg_catalog.pg_rewrite w on d.classid = 'pg_catalog.pg_rewrite'::regclass and w.oid = d.objid
    join pg_catalog.pg_class v on v.oid = w.ev_class and v.relkind in ('v', 'm')
    where v.relkind = 'm'
        or has_any_column_privilege(v.relowner, reached.oid, 'SELECT, INSERT, UPDATE')
        or has_table_privilege(v.relowner, reached.oid, 'DELETE')
),
relations as (
    select
        c.*,
        n.nspname,
        exists (select from ours where ours.oid = c.oid) as is_ours,
        coalesce((
            select o.option_value::boolean from pg_catalog.pg_options_to_table(c.reloptions) o
            where o.option_name = 'security_invoker'
        ), false) as is_invoker
    from reached
    join pg_catalog.pg_class c on c.oid = reached.oid
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
),
-- The bits of pg_relation_is_updatable.
privileges (place, privilege, command, write_bit) as (
    values (1, 'SELECT', 'r', 0), (2, 'INSERT', 'a', 8), (3, 'UPDATE', 'w', 4), (4, 'DELETE', 'd', 16),
        (5, 'TRUNCATE', null, 0), (6, 'REFERENCES', null, 0), (7, 'TRIGGER', null, 0)
),
-- Privileges that a role has and that take effect.
usable as (
    select
        c.oid as relation,
        r.oid as role,
        array_agg(p.privilege order by p.place) as privileges,
        array_agg(p.command) filter (where p.command is not null) as commands
    from relations c
    cross join pg_catalog.pg_roles r
    cross join privileges p
    where r.rolname::text = any ($3)
        and (c.is_ours or not c.is_invoker)
        and has_schema_privilege(r.oid, c.relnamespace, 'USAGE')
        and case
            when p.privilege in ('SELECT', 'INSERT', 'UPDATE', 'REFERENCES')
                then has_any_column_privilege(r.oid, c.oid, p.privilege)
            else has_table_privilege(r.oid, c.oid, p.privilege)
        end
        and case
            when c.relkind = 'm' then p.privilege = 'SELECT'
            when c.relkind = 'v' then
                p.privilege = 'SELECT'
                or p.privilege = 'TRIGGER' and c.is_ours
                or pg_relation_is_updatable(c.oid, true) & p.write_bit > 0
            else
                p.command is null
                or not c.relrowsecurity
                or r.rolsuper
                or r.rolbypassrls
                or not c.relforcerowsecurity and pg_has_role(r.oid, c.relowner, 'USAGE')
                or exists (
                    select from pg_catalog.pg_policy y
                    where y.polrelid = c.oid and y.polpermissive and y.polcmd::text in (p.command, '*')
                        and exists (
                            select from unnest(y.polroles) granted (role)
                            where case when granted.role = 0 then true else pg_has_role(r.oid, granted.role, 'MEMBER') end
                        )
                )
        end
    group by c.oid, r.oid
)
select
    format('%I.%I', c.nspname, c.relname),
    format('%s.%s', c.nspname, c.relname),
    c.relkind::text,
    c.is_ours,
    r.rolname::text,
    u.privileges,
    c.relrowsecurity,
    has_any_column_privilege(r.oid, c.oid, 'INSERT, UPDATE, REFERENCES')
        or has_table_privilege(r.oid, c.oid, 'DELETE, TRUNCATE, TRIGGER'),
    (
        select string_agg(format('%I', y.polname), ', ' order by y.polname)
        from pg_catalog.pg_policy y
        where c.relrowsecurity and y.polrelid = c.oid and y.polpermissive
            and (y.polcmd = '*' and u.commands is not null or y.polcmd::text = any (u.commands))
            and exists (
                select from unnest(y.polroles) granted (role)
                where case when granted.role = 0 then true else pg_has_role(r.oid, granted.role, 'MEMBER') end
            )
    ),
    (
        select string_agg(distinct format('%s to %s', acl.shown, coalesce(grantee.rolname, 'PUBLIC')), ', ')
        from (
            select t.grantee, t.privilege_type, t.privilege_type as shown from pg_catalog.aclexplode(c.relacl) t
            union all
            select t.grantee, t.privilege_type, format('%s (%I)', t.privilege_type, a.attname)
            from pg_catalog.pg_attribute a, pg_catalog.aclexplode(a.attacl) t
            where a.attrelid = c.oid and not a.attisdropped
        ) acl
        left join pg_catalog.pg_roles grantee on grantee.oid = acl.grantee
        where acl.privilege_type = any (u.privileges)
            and case when acl.grantee = 0 then true else pg_has_role(r.oid, acl.grantee, 'MEMBER') end
    )
from usable u
join relations c on c.oid = u.relation
join pg_catalog.pg_roles r on r.oid = u.role
order by not c.is_ours, 2, 5
