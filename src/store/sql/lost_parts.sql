-- For each copy (its id in $1, the record in $2) the fields that have a value in the row's record and are missing in
-- the copy. Compares the fields of the record itself and of its fields `info` and `booking`, which hold most of a
-- contact and of a booking.
select lost.wix_id, array_agg(lost.part order by lost.part)
from (
    select u.wix_id, stored.prefix || member.key as part
    from unnest($1::text[]) u (wix_id)
    join {schema}.{table} t on t.{id} = u.wix_id and t.deleted_at is null and t.raw is not null
    cross join lateral (values (t.raw, ''), (t.raw -> 'info', 'info.'), (t.raw -> 'booking', 'booking.'))
        as stored (body, prefix)
    cross join lateral jsonb_each(case jsonb_typeof(stored.body) when 'object' then stored.body else '{}' end)
        as member (key, value)
    where member.value not in ('null', '""', '[]', '{}', '{"items": []}')
    except
    select u.wix_id, sent.prefix || member.key
    from unnest($1::text[], $2::text[]) u (wix_id, raw)
    -- Parsed once: `offset 0` stops the planner from repeating the cast three times.
    cross join lateral (select u.raw::jsonb as raw offset 0) record
    cross join lateral (
        values (record.raw, ''), (record.raw -> 'info', 'info.'), (record.raw -> 'booking', 'booking.')
    ) as sent (body, prefix)
    cross join lateral jsonb_each(case jsonb_typeof(sent.body) when 'object' then sent.body else '{}' end)
        as member (key, value)
    where member.value not in ('null', '""', '[]', '{}', '{"items": []}')
) lost
group by lost.wix_id
