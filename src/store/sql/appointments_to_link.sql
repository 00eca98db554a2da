-- The appointments of the contacts in $1 (Wix ids) and of contacts that were merged into them.
select by_contact.id
from {schema}.appointments by_contact
where by_contact.wix_contact_id = any (array(
    select unnest($1::text[])
    union
    select merged.wix_contact_id from {schema}.customers merged where merged.merged_into = any ($1)
))
