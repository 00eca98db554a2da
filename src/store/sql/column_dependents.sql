-- Objects that use the columns $3 of table $2 in schema $1 and prevent a change of their type: column, kind, name.
select a.attname::text, 'view', w.ev_class::regclass::text
from pg_catalog.pg_depend d
join pg_catalog.pg_rewrite w on d.classid = 'pg_catalog.pg_rewrite'::regclass and w.oid = d.objid
join pg_catalog.pg_class c on d.refclassid = 'pg_catalog.pg_class'::regclass and c.oid = d.refobjid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = d.refobjsubid
where n.nspname = $1 and c.relname = $2 and a.attname::text = any ($3) and w.ev_class <> c.oid
union
select a.attname::text, 'policy', format('%I on %I.%I', p.polname, n.nspname, c.relname)
from pg_catalog.pg_depend d
join pg_catalog.pg_policy p on d.classid = 'pg_catalog.pg_policy'::regclass and p.oid = d.objid
join pg_catalog.pg_class c on d.refclassid = 'pg_catalog.pg_class'::regclass and c.oid = d.refobjid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = d.refobjsubid
where n.nspname = $1 and c.relname = $2 and a.attname::text = any ($3)
union
select a.attname::text, 'trigger', format('%I on %I.%I', t.tgname, n.nspname, c.relname)
from pg_catalog.pg_depend d
join pg_catalog.pg_trigger t on d.classid = 'pg_catalog.pg_trigger'::regclass and t.oid = d.objid
join pg_catalog.pg_class c on d.refclassid = 'pg_catalog.pg_class'::regclass and c.oid = d.refobjid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
join pg_catalog.pg_attribute a on a.attrelid = c.oid and a.attnum = d.refobjsubid
where n.nspname = $1 and c.relname = $2 and a.attname::text = any ($3)
order by 1, 2, 3
