-- Writes the bookings of a batch, each linked to its customer by the contact's
-- id; if that contact was merged, to the one it went into. A link that a person made to a customer of their own,
-- one without a Wix id, stays where Wix names no contact. Columns after $8: entity/appointments.rs, in its order.
insert into {schema}.appointments as t (
    id, wix_booking_id, content_hash, wix_created_at, wix_updated_at, wix_revision, raw, created_at, updated_at,
    customer_id, wix_contact_id, service_id, service_name, staff_member, start_time, end_time, timezone, location,
    participants, status, payment_status
)
select
    u.id, u.wix_id, u.content_hash, u.wix_created_at, u.wix_updated_at, u.wix_revision, u.raw::jsonb, $8, $8,
    coalesce(survivor.id, contact.id), u.wix_contact_id, u.service_id, u.service_name, u.staff_member, u.start_time,
    u.end_time, u.timezone, u.location, u.participants, u.status, u.payment_status
from unnest($1::uuid[], $2::text[], $3::bytea[], $4::timestamptz[], $5::timestamptz[], $6::bigint[], $7::text[],
    $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::text[],
    $17::timestamptz[], $18::timestamptz[], $19::text[], $20::text[], $21::bigint[], $22::text[], $23::text[])
    as u (id, wix_id, content_hash, wix_created_at, wix_updated_at, wix_revision, raw,
        wix_contact_id, contact_first_name, contact_last_name, contact_email, contact_phone, service_id, service_name,
        staff_member, start_time, end_time, timezone, location, participants, status, payment_status)
left join {schema}.customers contact on contact.wix_contact_id = u.wix_contact_id
left join {schema}.customers survivor on survivor.wix_contact_id = contact.merged_into
on conflict (wix_booking_id) do update set
    content_hash = excluded.content_hash,
    wix_created_at = excluded.wix_created_at,
    wix_updated_at = excluded.wix_updated_at,
    wix_revision = excluded.wix_revision,
    raw = excluded.raw,
    updated_at = excluded.updated_at,
    deleted_at = null,
    customer_id = coalesce(
        excluded.customer_id,
        (select own.id from {schema}.customers own where own.id = t.customer_id and own.wix_contact_id is null)
    ),
    wix_contact_id = excluded.wix_contact_id,
    service_id = excluded.service_id,
    service_name = excluded.service_name,
    staff_member = excluded.staff_member,
    start_time = excluded.start_time,
    end_time = excluded.end_time,
    timezone = excluded.timezone,
    location = excluded.location,
    participants = excluded.participants,
    status = excluded.status,
    payment_status = excluded.payment_status
where t.content_hash is distinct from excluded.content_hash or t.deleted_at is not null
returning t.xmax = 0 as inserted
