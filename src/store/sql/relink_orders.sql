-- Creates and corrects the links of orders that may belong to the customers in $1 (Wix ids) or the emails in $2
-- (orders_to_link.sql, customer_of_order.sql); only the rows in $4, unless it is null. A link to a user-defined
-- customer stays if Wix's data names no customer. Orders without a Wix id are user-defined and stay too.
with affected as (
    -- Arrays, so that the indexes are used whatever the table's statistics are; an OR would use no index.
    select o.id, o.customer_id, o.wix_contact_id, o.email
    from {schema}.orders o
    where o.wix_order_id is not null and o.id = any (array(
        {orders_to_link}
    )) and ($4::uuid[] is null or o.id = any ($4))
), linked as (
    select
        a.id, a.customer_id as old_id,
        coalesce(
            {customer_of_order},
            (select own.id from {schema}.customers own where own.id = a.customer_id and own.wix_contact_id is null)
        ) as new_id
    from affected a
), locked as (
    -- In a fixed order, so that two writers cannot deadlock.
    select o.id, l.new_id
    from {schema}.orders o
    join linked l on l.id = o.id
    where l.new_id is distinct from l.old_id
    order by o.id
    for update of o
)
update {schema}.orders o
set customer_id = locked.new_id, updated_at = $3
from locked
where locked.id = o.id
