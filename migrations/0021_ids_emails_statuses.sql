-- GUIDs are read in lower case and without spaces around them. Rows that have one in another form are brought to it, so
-- that none is written a second time. Where the table has the id in both forms, the second row stays: Wix does not list it,
-- and the next full sync resolves it.
do $$
declare
    guid constant text := '^[[:space:]]*[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}[[:space:]]*$';
    place record;
begin
    for place in
        select * from (values
            ('customers', 'wix_contact_id', 'true'),
            ('appointments', 'wix_booking_id', 'true'),
            ('orders', 'wix_order_id', 'true'),
            ('sync_unlinked', 'wix_contact_id', 'true'),
            ('sync_missing', 'wix_id', 'o.table_name = t.table_name'),
            ('sync_held', 'wix_id', 'o.table_name = t.table_name'),
            ('sync_unreadable', 'wix_id', 'o.table_name = t.table_name'),
            ('sync_errors', 'record_key', 'o.table_name = t.table_name'),
            -- References, which need not be unique.
            ('sync_errors', 'wix_id', 'false'),
            ('customers', 'merged_into', 'false'),
            ('appointments', 'wix_contact_id', 'false'),
            ('orders', 'wix_contact_id', 'false')
        ) as p (in_table, in_column, beside)
    loop
        execute format(
            'update {schema}.%1$I t set %2$I = lower(btrim(t.%2$I, e'' \t\r\n'') collate "C")
             where t.%2$I <> lower(btrim(t.%2$I, e'' \t\r\n'') collate "C") and t.%2$I ~ $1
                and not exists (
                    select from {schema}.%1$I o
                    where lower(btrim(o.%2$I, e'' \t\r\n'') collate "C") = lower(btrim(t.%2$I, e'' \t\r\n'') collate "C")
                        and (o.%2$I = lower(btrim(o.%2$I, e'' \t\r\n'') collate "C") or o.ctid < t.ctid)
                        and o.ctid <> t.ctid and %3$s
                )',
            place.in_table, place.in_column, place.beside
        ) using guid;
    end loop;
end
$$;

-- Emails are compared without case and surrounding spaces. lower() follows the database's locale, in which a Turkish `I`
-- becomes another letter than elsewhere; under "C" it lowers A to Z only, in every database and version of Postgres.
do $$
declare
    old record;
begin
    for old in
        select i.indexrelid::regclass as name
        from pg_catalog.pg_index i
        join pg_catalog.pg_class c on c.oid = i.indexrelid
        where i.indrelid in ('{schema}.customers'::regclass, '{schema}.orders'::regclass)
            -- Ours, by the name that a migration or Postgres gave it: one of the user's own stays.
            and c.relname ~ '^(customers|orders)_(email|lower)_idx[0-9]*$'
            and not i.indisunique
            and pg_catalog.pg_get_indexdef(i.indexrelid) like '%btree (lower(btrim(email)))%'
    loop
        execute format('drop index %s', old.name);
    end loop;
end
$$;

create index if not exists customers_email_folded_idx on {schema}.customers (lower(btrim(email) collate "C"))
    where deleted_at is null;
create index if not exists orders_email_folded_idx on {schema}.orders (lower(btrim(email) collate "C"));

-- Statuses that Wix has added since this version was made.
alter table {schema}.sync_state add column order_statuses jsonb;

comment on column {schema}.sync_state.order_statuses is
    'of orders: statuses found in Wix that the program does not know, whether excluding statuses shows hidden ones, and when that was looked at';
