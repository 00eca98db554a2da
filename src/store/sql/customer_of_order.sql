-- The customer of the order {order} according to Wix's data: the live customer with the order's contact id (merges
-- followed), otherwise the only live customer with the buyer's email.
coalesce(
    (
        select coalesce(survivor.id, contact.id)
        from {schema}.customers contact
        left join {schema}.customers survivor on survivor.wix_contact_id = contact.merged_into
        where contact.wix_contact_id = {order}.wix_contact_id
            and case when survivor.id is null then contact.deleted_at else survivor.deleted_at end is null
    ),
    (
        select min(found.id::text)::uuid
        from (
            select c.id
            from {schema}.customers c
            -- Collation "C": the comparison does not depend on the database's locale.
            where c.deleted_at is null
                and lower(btrim(c.email) collate "C") = lower(btrim({order}.email) collate "C")
                and btrim({order}.email) <> ''
            -- Two are enough to see that the email is not unique.
            limit 2
        ) found
        having count(*) = 1
    )
)
