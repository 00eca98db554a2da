-- Customers that were made from bookings while orders were written at the same time: neither of two transactions sees
-- what the other has not committed, so the links of orders to them are made behind both. Noted in the transaction that
-- makes the customer, so no crash loses a link.
create table {schema}.sync_unlinked (
    wix_contact_id text primary key
);
