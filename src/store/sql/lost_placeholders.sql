-- The contacts, at most $1 and those after $2, that live appointments name and that have no customer row, not even a
-- deleted one: their placeholder was deleted manually, and the foreign key set customer_id to NULL. Written so that the
-- planner can only use the index on customer_id: it has no appointment under NULL while all customers exist.
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
-- A contact id that another program wrote does not name a customer of Wix.
where lower(btrim(l.named)) = lower(l.wix_contact_id)
    and l.wix_contact_id::text > $2
    and not exists (select from {schema}.customers c where c.wix_contact_id = l.wix_contact_id)
order by 1 limit $1
