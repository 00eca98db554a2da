-- Orders find their customer by email, and customers their orders. Where a table that was taken over had an index of
-- people's own by the name of one of ours, as Postgres itself names one on (email), IF NOT EXISTS has left ours out.
do $$
begin
    if not exists (
        select from pg_catalog.pg_index
        where indrelid = '{schema}.customers'::regclass and indisvalid
            and pg_catalog.pg_get_indexdef(indexrelid) like '%lower(btrim(email))%'
    ) then
        create index on {schema}.customers (lower(btrim(email))) where deleted_at is null;
    end if;
    if not exists (
        select from pg_catalog.pg_index
        where indrelid = '{schema}.orders'::regclass and indisvalid
            and pg_catalog.pg_get_indexdef(indexrelid) like '%lower(btrim(email))%'
    ) then
        create index on {schema}.orders (lower(btrim(email)));
    end if;
end
$$;
