-- For each of the tables $2 in schema $1 and each role of $3: a row if the role can read rows of it, with the
-- policies and the grants that let it.
select
    c.relname::text,
    r.rolname::text,
    c.relrowsecurity,
    (
        select string_agg(format('%I', p.polname), ', ' order by p.polname)
        from pg_catalog.pg_policy p
        where c.relrowsecurity and p.polrelid = c.oid and p.polpermissive and p.polcmd in ('r', '*')
            and exists (select from unnest(p.polroles) as granted (role) where case when granted.role = 0 then true else pg_has_role(r.oid, granted.role, 'MEMBER') end)
    ),
    (
        select string_agg(distinct format('%s to %s', acl.privilege_type, coalesce(grantee.rolname, 'PUBLIC')), ', ')
        from (
            select acl.grantee, acl.privilege_type from pg_catalog.aclexplode(c.relacl) acl
            union all
            select acl.grantee, format('%s (%I)', acl.privilege_type, a.attname)
            from pg_catalog.pg_attribute a, pg_catalog.aclexplode(a.attacl) acl
            where a.attrelid = c.oid and not a.attisdropped
        ) acl
        left join pg_catalog.pg_roles grantee on grantee.oid = acl.grantee
        where case when acl.grantee = 0 then true else pg_has_role(r.oid, acl.grantee, 'MEMBER') end
    )
from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
cross join pg_catalog.pg_roles r
where n.nspname = $1
    and c.relname::text = any ($2)
    and c.relkind in ('r', 'p', 'v', 'm', 'f')
    and r.rolname::text = any ($3)
    and has_schema_privilege(r.oid, n.oid, 'USAGE')
    and has_any_column_privilege(r.oid, c.oid, 'SELECT')
    and (
        not c.relrowsecurity
        or r.rolbypassrls
        or exists (
            select from pg_catalog.pg_policy p
            where p.polrelid = c.oid and p.polpermissive and p.polcmd in ('r', '*')
                and exists (select from unnest(p.polroles) as granted (role) where case when granted.role = 0 then true else pg_has_role(r.oid, granted.role, 'MEMBER') end)
        )
    )
order by 1, 2
