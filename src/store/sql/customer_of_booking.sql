-- The customer of the booking {booking}: the one with the booking's contact id, or the one into which that contact was
-- merged.
(
    select coalesce(survivor.id, contact.id)
    from {schema}.customers contact
    left join {schema}.customers survivor on survivor.wix_contact_id = contact.merged_into
    where contact.wix_contact_id = {booking}.wix_contact_id
)
