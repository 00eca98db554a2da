-- Links the appointments of the contacts in $1, and of contacts that were merged into them, to their customers; only
-- the rows in $3, unless it is null. A link to a user-defined customer stays.
update {schema}.appointments a
set customer_id = coalesce(survivor.id, contact.id), updated_at = $2
from {schema}.customers contact
left join {schema}.customers survivor on survivor.wix_contact_id = contact.merged_into
where contact.wix_contact_id = any (array(
        select unnest($1::text[])
        union
        select merged.wix_contact_id from {schema}.customers merged where merged.merged_into = any ($1)
    ))
    and a.wix_contact_id = contact.wix_contact_id
    and a.wix_booking_id is not null
    and a.customer_id is distinct from coalesce(survivor.id, contact.id)
    and not exists (
        select from {schema}.customers own where own.id = a.customer_id and own.wix_contact_id is null
    )
    and ($3::uuid[] is null or a.id = any ($3))
