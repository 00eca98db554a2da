-- The live rows of {table} created at Wix from $2 on and before $3 (either may be open) that Wix did not list there
-- ($4). At the end of the listing ($5) also those whose creation date nobody knows: stubs, and adopted rows that no
-- contact came for. Records that Wix lists and that can't be written are not missing: an entry of an earlier full sync
-- goes as well.
with listed_again as (
    delete from {schema}.sync_missing where table_name = $1 and wix_id = any ($4)
)
insert into {schema}.sync_missing (table_name, wix_id, found_at)
select $1, t.{id}, $6
from {schema}.{table} t
where t.deleted_at is null
    and t.{id} is not null
    and (
        (t.wix_created_at >= coalesce($2, '-infinity') and t.wix_created_at < coalesce($3, 'infinity'))
        or ($5 and t.wix_created_at is null)
    )
    and not t.{id} = any ($4)
on conflict (table_name, wix_id) do nothing
