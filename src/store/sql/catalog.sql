-- The catalog's facts about the relations $2 in schema $1, one per row: kind, relation, name, definition, marks. Waits
-- for no lock on the relations.
with relation as (
    select c.oid, c.relname::text as name, c.relkind::text as kind, c.relnamespace as schema_oid
    from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where n.nspname = $1 and c.relname::text = any ($2)
)
select 'relation' as fact, r.name as relation, r.name, r.kind as definition, '' as marks from relation r
union all
-- Marks: n: NOT NULL. d: has a default. g: generated and stored. v: generated, not stored. i: identity, always
-- generated. h: used by sync_health.
select 'column', r.name, a.attname::text, pg_catalog.format_type(a.atttypid, a.atttypmod), concat(
    case when a.attnotnull then 'n' end,
    case when a.atthasdef and a.attgenerated = '' or a.attidentity <> '' then 'd' end,
    case a.attgenerated when 's' then 'g' when 'v' then 'v' end,
    case when a.attidentity = 'a' then 'i' end,
    case when exists (
        select from pg_catalog.pg_depend d
        join pg_catalog.pg_rewrite w on w.oid = d.objid
        join pg_catalog.pg_class view on view.oid = w.ev_class
        where d.classid = 'pg_catalog.pg_rewrite'::regclass and d.refclassid = 'pg_catalog.pg_class'::regclass
            and d.refobjid = r.oid and d.refobjsubid = a.attnum
            and view.relname = 'sync_health' and view.relnamespace = r.schema_oid
    ) then 'h' end
)
from relation r join pg_catalog.pg_attribute a on a.attrelid = r.oid
where a.attnum > 0 and not a.attisdropped and r.kind in ('r', 'v')
union all
-- The definition lists the columns by name. Marks: i: checked immediately. p: primary key.
select 'unique', r.name, x.relname::text, (
    select string_agg(a.attname, ',' order by a.attname) from pg_catalog.pg_attribute a
    where a.attrelid = r.oid and a.attnum = any ((i.indkey::int2[])[0:i.indnkeyatts - 1])
), concat(case when i.indimmediate then 'i' end, case when i.indisprimary then 'p' end)
from relation r
join pg_catalog.pg_index i on i.indrelid = r.oid
join pg_catalog.pg_class x on x.oid = i.indexrelid
where i.indisunique and i.indisvalid and i.indpred is null and i.indexprs is null
union all
-- The definition lists the columns, and the referenced table of the same schema.
select 'foreign key', r.name, k.conname::text, (
    select string_agg(a.attname, ',') from pg_catalog.pg_attribute a
    where a.attrelid = r.oid and a.attnum = any (k.conkey)
), coalesce((select f.name from relation f where f.oid = k.confrelid), '')
from relation r join pg_catalog.pg_constraint k on k.conrelid = r.oid and k.contype = 'f'
union all
select 'rule', r.name, w.rulename::text, w.ev_type::text, ''
from relation r join pg_catalog.pg_rewrite w on w.ev_class = r.oid
where r.kind = 'r' and w.ev_enabled <> 'D' and w.ev_type in ('2', '3', '4')
