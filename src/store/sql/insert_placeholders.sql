-- Creates placeholders for the customers that bookings name and the table does not have, from the bookings' details. A
-- later customers sync fills them; a placeholder never overwrites a contact. Each one is noted in sync_unlinked,
-- because orders that are written at the same time cannot be linked to it yet.
with created as (
    insert into {schema}.customers (id, wix_contact_id, name, first_name, last_name, email, phone, created_at, updated_at)
    select distinct on (u.wix_contact_id)
        gen_random_uuid(), u.wix_contact_id,
        nullif(concat_ws(' ', nullif(btrim(u.first_name), ''), nullif(btrim(u.last_name), '')), ''),
        u.first_name, u.last_name, u.email, u.phone, $6, $6
    from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) with ordinality
        as u (wix_contact_id, first_name, last_name, email, phone, position)
    where u.wix_contact_id is not null
        and not exists (select from {schema}.customers c where c.wix_contact_id = u.wix_contact_id)
    order by u.wix_contact_id, u.position
    on conflict (wix_contact_id) do nothing
    returning wix_contact_id
), noted as (
    insert into {schema}.sync_unlinked (wix_contact_id)
    select wix_contact_id from created
    on conflict (wix_contact_id) do nothing
)
select count(*) from created
