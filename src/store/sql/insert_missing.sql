-- The live rows of {table} created at Wix from $2 on and before $3 (either may be open) that Wix did not list there: $4 has
-- what stands for the ids that it did. At the end of the list ($5) also those whose creation date nobody knows: placeholders,
-- and adopted rows that no contact came for.
-- An entry of a record that is listed goes with the record's row, or with its row in sync_errors.
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
