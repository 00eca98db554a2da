-- Deleted customers that may have been merged since: Wix keeps a deleted contact for 90 days, in which it can be restored,
-- and then merged before any run sees it alive. Only those are wanted of which live appointments or orders still hang; and
-- only real contacts, which have a date of Wix: a placeholder was never in Wix's list, and asking for it again is hopeless.
-- Not those that were marked since $1 and before $3, which is now: they were just looked up. The latest first, $2 at most.
select c.wix_contact_id::text
from {schema}.customers c
where c.deleted_at > clock_timestamp() - interval '90 days'
    and (c.deleted_at < $1 or c.deleted_at > $3)
    and c.merged_into is null
    and c.wix_contact_id is not null
    and num_nonnulls(c.wix_created_at, c.wix_updated_at) > 0
    -- Written so that the planner can't take the indexes on live rows' dates, and read all of them.
    and (
        exists (
            select from {schema}.appointments a
            where a.wix_contact_id = c.wix_contact_id and coalesce(a.deleted_at, 'infinity') = 'infinity'
        )
        or exists (
            select from {schema}.appointments a
            where a.customer_id = c.id and coalesce(a.deleted_at, 'infinity') = 'infinity'
        )
        or exists (
            select from {schema}.orders o
            where o.wix_contact_id = c.wix_contact_id and coalesce(o.deleted_at, 'infinity') = 'infinity'
        )
        or exists (
            select from {schema}.orders o
            where o.customer_id = c.id and coalesce(o.deleted_at, 'infinity') = 'infinity'
        )
    )
order by c.deleted_at desc, c.wix_contact_id
limit $2
