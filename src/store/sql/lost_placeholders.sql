-- The contacts, $1 at most and those after $2, that live appointments name and no customer has, not even a deleted one: somebody deleted
-- their placeholder, and the foreign key has emptied customer_id. Written so that the planner can only take the index on
-- customer_id, in which no appointment stands under NULL while all customers are there.
with lost as materialized (
    select a.wix_contact_id, a.raw #>> '{booking,contactDetails,contactId}' as named
    from {schema}.appointments a
    where a.customer_id is null
        and coalesce(a.wix_contact_id, '') <> ''
        and a.wix_booking_id is not null
        and coalesce(a.deleted_at, 'infinity') = 'infinity'
)
select distinct l.wix_contact_id::text
from lost l
-- A contact id that somebody else wrote says nothing about a customer of Wix.
where lower(btrim(l.named)) = lower(l.wix_contact_id)
    and l.wix_contact_id::text > $2
    and not exists (select from {schema}.customers c where c.wix_contact_id = l.wix_contact_id)
order by 1 limit $1
