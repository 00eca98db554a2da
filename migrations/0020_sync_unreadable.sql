-- Fields of a record that could not be read are NULL in its row, and named here, so that `wix-sync errors` can list them.
create table {schema}.sync_unreadable (
    table_name text not null,
    wix_id text not null,
    fields text[] not null,
    primary key (table_name, wix_id)
);

comment on column {schema}.sync_unreadable.fields is
    'columns that are null because Wix sent something for them that could not be read; `raw` of the row has it';

-- Records that were rejected for such a field are tried again by the next run.
update {schema}.sync_errors set program_version = null where resolved_at is null;
