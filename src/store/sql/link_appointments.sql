-- Links the appointments of the contacts in $1 and of those that were merged into them, where they have no customer or
-- the merged one. A link to a customer of people's own stays.
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
    and (a.customer_id is null or (a.customer_id = contact.id and survivor.id is not null))
