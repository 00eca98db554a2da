-- Every fact of the catalog that a migration could change, one per line, in one text. Without oids: they differ between
-- databases.
with n as (
    select oid, nspname, nspowner, nspacl from pg_catalog.pg_namespace
    where nspname !~ '^pg_' and nspname <> 'information_schema'
),
facts (fact) as (
    select format('schema %s, owner %s, granted %s', nspname, pg_get_userbyid(nspowner), nspacl) from n
    union all
    select format('%s.%s is %s of %s, row security %s, forced %s, granted %s', nspname, relname, relkind,
        pg_get_userbyid(relowner), relrowsecurity, relforcerowsecurity, relacl)
    from pg_catalog.pg_class c join n on n.oid = c.relnamespace
    union all
    select format('%s.%s.%s %s %s, not null %s, default %s, granted %s', nspname, relname, attnum, attname,
        format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid), attacl)
    from pg_catalog.pg_attribute a
    join pg_catalog.pg_class c on c.oid = a.attrelid
    join n on n.oid = c.relnamespace
    left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
    where attnum > 0
    union all
    select format('constraint %s of %s: %s', conname, conrelid::regclass, pg_get_constraintdef(x.oid))
    from pg_catalog.pg_constraint x join n on n.oid = x.connamespace
    union all
    select format('index: %s', pg_get_indexdef(c.oid))
    from pg_catalog.pg_class c join n on n.oid = c.relnamespace where c.relkind = 'i'
    union all
    select format('view %s.%s: %s', nspname, relname, pg_get_viewdef(c.oid))
    from pg_catalog.pg_class c join n on n.oid = c.relnamespace where c.relkind in ('v', 'm')
    union all
    select format('policy %s of %s: %s %s to %s', polname, polrelid::regclass, polcmd, pg_get_expr(polqual, polrelid),
        (select string_agg(pg_get_userbyid(role), ',') from unnest(polroles) role))
    from pg_catalog.pg_policy p
    union all
    select format('function %s.%s', nspname, proname) from pg_catalog.pg_proc f join n on n.oid = f.pronamespace
    union all
    select format('type %s.%s', nspname, typname) from pg_catalog.pg_type t join n on n.oid = t.typnamespace
)
select string_agg(fact, E'\n' order by fact) from facts
