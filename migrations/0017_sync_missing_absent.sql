-- Bookings are looked up by id through the list itself, so a hole in Wix's index hides them from both. Such a row is
-- marked as deleted only if a second lookup, at least 24 hours after the first, does not find it either.
alter table {schema}.sync_missing add column absent_at timestamptz;

comment on column {schema}.sync_missing.absent_at is
    'when a lookup by id first did not find it, by the server''s clock; only where a second lookup has to confirm that';
