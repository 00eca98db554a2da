-- The installation of the app through which the tables are filled, and the site that Wix named for it. With app
-- credentials Wix learns nothing of WIX_SITE_ID, so a run asks about a pair that is new here before it reads.
alter table {schema}.sync_state
    add column wix_instance_id text,
    add column wix_instance_site_id text;

comment on column {schema}.sync_state.wix_instance_id is
    'the app installation that runs use; null if they use an API key';
comment on column {schema}.sync_state.wix_instance_site_id is
    'the site that Wix named for wix_instance_id; null if Wix did not name one, so the next run asks again';
