-- Stores the unreadable fields ($4) of the rows $3, and removes the entries of the rows $2, whose fields are all
-- readable.
with readable as (
    delete from {schema}.sync_unreadable where table_name = $1 and wix_id = any ($2)
)
insert into {schema}.sync_unreadable as t (table_name, wix_id, fields)
select $1, u.wix_id, u.fields::text[]
from unnest($3::text[], $4::text[]) u (wix_id, fields)
on conflict (table_name, wix_id) do update set fields = excluded.fields where t.fields <> excluded.fields
