-- How far an unfinished pass has come: written in the transaction of each batch, so rows and checkpoint agree
-- whatever happens. Null while no pass is unfinished.
alter table {schema}.sync_state
    add column checkpoint jsonb,
    add column last_success_at timestamptz;

comment on column {schema}.sync_state.checkpoint is
    'pass (full or changes), since (its bound), watermark (to be stored at its end), created_from (where it goes on)';
comment on column {schema}.sync_state.last_success_at is 'when a full or changes pass last reached Wix''s own end';
