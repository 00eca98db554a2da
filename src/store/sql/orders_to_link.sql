-- Orders that may belong to the contacts in $1 (Wix ids) or the emails in $2.
select by_contact.id
from {schema}.orders by_contact
where by_contact.wix_contact_id = any ($1)
union
select by_source.id
from {schema}.orders by_source
where by_source.wix_contact_id = any (
    array(select c.wix_contact_id from {schema}.customers c where c.merged_into = any ($1))
)
union
select by_email.id
from {schema}.orders by_email
where lower(btrim(by_email.email) collate "C") = any (
    array(select lower(btrim(e) collate "C") from unnest($2::text[]) e where btrim(e) <> '')
)
