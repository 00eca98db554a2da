-- One row a table: which site it holds, and how far its passes have come. The first run notes the site; a
-- run for another site is refused, since one schema is one site.
create table {schema}.sync_state (
    table_name text primary key,
    wix_site_id text not null,
    watermark timestamptz,
    last_full_pass_at timestamptz,
    last_run_id uuid,
    updated_at timestamptz not null default now()
);

comment on column {schema}.sync_state.watermark is
    'Wix''s clock at the first answer of the last complete pass; it never moves backward';
