-- Pending deletions: the live rows of {table} created at Wix from $2 on and before $3 (either may be open) that Wix did
-- not return there. $4 has the keys of the ids that it returned. At the end of the list ($5) this includes rows without
-- a creation date: placeholders, and adopted rows whose contact was never returned. The entry of a returned record is
-- removed together with writing its row, or its row in sync_errors.
insert into {schema}.sync_missing (table_name, wix_id, found_at)
select $1, t.{id}, $6
from {schema}.{table} t
where t.deleted_at is null
    and t.{id} is not null
    and (
        (t.wix_created_at >= coalesce($2, '-infinity') and t.wix_created_at < coalesce($3, 'infinity'))
        or ($5 and t.wix_created_at is null)
    )
    and not {listed_key} = any ($4)
on conflict (table_name, wix_id) do nothing
