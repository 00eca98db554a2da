-- The records as Wix sent them are most of what is written. lz4 compresses them in a third of the time of Postgres's own
-- method, where the server was built with it; values that are there stay as they are until they are written again.
do $$
begin
    if exists (
        select from pg_catalog.pg_settings where name = 'default_toast_compression' and 'lz4' = any (enumvals)
    ) then
        alter table {schema}.customers alter column raw set compression lz4;
        alter table {schema}.appointments alter column raw set compression lz4;
        alter table {schema}.orders alter column raw set compression lz4, alter column items set compression lz4;
    end if;
end
$$;
