-- Deleted customers that may have been merged since. A contact that is deleted in Wix can be restored for 90 days and
-- then merged before any run sees it alive. Only customers that live appointments or orders are still linked to, and
-- only contacts with a creation date from Wix: a placeholder was never in Wix's list, so a lookup would not find it.
-- Excludes those that were marked between $1 and now ($3), because they were just looked up. The latest first, at most
-- $2.
select c.wix_contact_id::text
from {schema}.customers c
where c.deleted_at > clock_timestamp() - interval '90 days'
    and (c.deleted_at < $1 or c.deleted_at > $3)
    and c.merged_into is null
    and c.wix_contact_id is not null
    and num_nonnulls(c.wix_created_at, c.wix_updated_at) > 0
    -- Written so that the planner cannot choose the indexes on the dates of live rows and read them completely.
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
