-- Rows that the last full pass did not find at Wix: candidates for deletion. Found page by page, with the rows and
-- the checkpoint, so a resumed pass finds the same. Each stays here until Wix was asked for it by id, or until it
-- was seen again; where there are too many, until an operator allows it.
create table {schema}.sync_missing (
    table_name text not null,
    wix_id text not null,
    found_at timestamptz not null default now(),
    primary key (table_name, wix_id)
);

-- What was merged into a contact that is merged itself moves on to the last survivor.
create index customers_merged_into_idx on {schema}.customers (merged_into) where merged_into is not null;

-- Each page of a full pass is compared with the table's rows of the same span of creation dates.
create index customers_wix_created_at_idx on {schema}.customers (wix_created_at) where deleted_at is null;
create index appointments_wix_created_at_idx on {schema}.appointments (wix_created_at) where deleted_at is null;
create index orders_wix_created_at_idx on {schema}.orders (wix_created_at) where deleted_at is null;
