-- Second part of catalog.sql: definitions of indexes and CHECK constraints. The functions that return them wait for
-- locks on the tables.
select 'index', r.name, x.relname::text, substring(pg_catalog.pg_get_indexdef(x.oid) from ' USING (.*)$'), ''
from relation r
join pg_catalog.pg_index i on i.indrelid = r.oid
join pg_catalog.pg_class x on x.oid = i.indexrelid
where i.indisvalid and r.kind = 'r'
union all
select 'check', r.name, k.conname::text, pg_catalog.pg_get_expr(k.conbin, k.conrelid), ''
from relation r join pg_catalog.pg_constraint k on k.conrelid = r.oid and k.contype = 'c'
