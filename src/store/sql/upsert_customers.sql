-- Writes the contacts of a batch. A row with the same content is not written at all. Columns after $8 are those of
-- entity/customers.rs, in its order.
insert into {schema}.customers as t (
    id, wix_contact_id, content_hash, wix_created_at, wix_updated_at, wix_revision, raw, created_at, updated_at,
    name, first_name, last_name, email, phone, company, job_title, birthdate, locale, labels
)
select
    u.id, u.wix_id, u.content_hash, u.wix_created_at, u.wix_updated_at, u.wix_revision, u.raw::jsonb, $8, $8,
    u.name, u.first_name, u.last_name, u.email, u.phone, u.company, u.job_title, u.birthdate, u.locale, u.labels::text[]
from unnest($1::uuid[], $2::text[], $3::bytea[], $4::timestamptz[], $5::timestamptz[], $6::bigint[], $7::text[],
    $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[], $15::text[], $16::date[], $17::text[], $18::text[])
    as u (id, wix_id, content_hash, wix_created_at, wix_updated_at, wix_revision, raw,
        name, first_name, last_name, email, phone, company, job_title, birthdate, locale, labels)
on conflict (wix_contact_id) do update set
    content_hash = excluded.content_hash,
    wix_created_at = excluded.wix_created_at,
    wix_updated_at = excluded.wix_updated_at,
    wix_revision = excluded.wix_revision,
    raw = excluded.raw,
    updated_at = excluded.updated_at,
    deleted_at = null,
    merged_into = null,
    name = excluded.name,
    first_name = excluded.first_name,
    last_name = excluded.last_name,
    email = excluded.email,
    phone = excluded.phone,
    company = excluded.company,
    job_title = excluded.job_title,
    birthdate = excluded.birthdate,
    locale = excluded.locale,
    labels = excluded.labels
where t.content_hash is distinct from excluded.content_hash or t.deleted_at is not null
returning t.xmax = 0 as inserted
