-- Creates the placeholders of the contacts in $1 again, which were deleted manually, from the stored bookings, and
-- links the appointments that lost them. As in insert_placeholders.sql the oldest booking provides the details, and
-- each placeholder is noted in sync_unlinked.
with created as (
    insert into {schema}.customers (id, wix_contact_id, name, first_name, last_name, email, phone, created_at, updated_at)
    select distinct on (a.wix_contact_id)
        gen_random_uuid(), a.wix_contact_id,
        nullif(concat_ws(' ', nullif(btrim(d.details ->> 'firstName'), ''), nullif(btrim(d.details ->> 'lastName'), '')), ''),
        d.details ->> 'firstName', d.details ->> 'lastName', d.details ->> 'email', d.details ->> 'phone', $2, $2
    from {schema}.appointments a
    cross join lateral (select a.raw #> '{booking,contactDetails}' as details) d
    where a.wix_contact_id = any ($1) and a.wix_booking_id is not null and a.deleted_at is null
        and lower(btrim(d.details ->> 'contactId')) = lower(a.wix_contact_id)
    order by a.wix_contact_id, a.wix_created_at, a.wix_booking_id
    on conflict (wix_contact_id) do nothing
    returning id, wix_contact_id
), noted as (
    insert into {schema}.sync_unlinked (wix_contact_id)
    select wix_contact_id from created
    on conflict (wix_contact_id) do nothing
), linked as (
    update {schema}.appointments a
    set customer_id = created.id, updated_at = $2
    from created
    where a.wix_contact_id = created.wix_contact_id and a.customer_id is null and a.wix_booking_id is not null
)
select count(*) from created
