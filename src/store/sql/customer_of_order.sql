-- Whose order {order} is, by Wix's data: the contact's whose id it holds, where a live customer has that (merges
-- followed), else of the only live customer with the buyer's email.
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
            -- Under "C": the same letters are equal whatever the database's locale.
            where c.deleted_at is null
                and lower(btrim(c.email) collate "C") = lower(btrim({order}.email) collate "C")
                and btrim({order}.email) <> ''
            -- However many there are: a second one settles it.
            limit 2
        ) found
        having count(*) = 1
    )
)
