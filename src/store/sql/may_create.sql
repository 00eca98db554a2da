-- Roles that can create objects in the schemas $1: one row per schema, with the roles in the form that REVOKE accepts.
-- Excludes superusers, roles that can act as this database user, and the owners of the schema and the database.
select
    format('%I', n.nspname),
    string_agg(distinct coalesce(quote_ident(r.rolname), 'public'), ', ')
from pg_catalog.pg_namespace n
join pg_catalog.pg_database b on b.datname = current_database()
cross join lateral pg_catalog.aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) acl
left join pg_catalog.pg_roles r on r.oid = acl.grantee
where n.nspname::text = any ($1)
    and n.nspname <> 'pg_catalog'
    and acl.privilege_type = 'CREATE'
    and case
        when acl.grantee = 0 then true
        else not r.rolsuper
            and r.oid <> n.nspowner
            and r.oid <> b.datdba
            and r.rolname <> 'pg_database_owner'
            and not pg_has_role(r.oid, current_user, 'MEMBER')
    end
group by n.nspname
order by n.nspname
