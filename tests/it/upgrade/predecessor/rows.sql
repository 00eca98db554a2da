-- What the predecessor and people left behind; names in braces stand for ids that Wix knows.
insert into customers (id, wix_contact_id, name, email, phone, notes, created_at, updated_at) values
    ('c0000000-0000-4000-8000-000000000001', '{contact}', 'Unknown', 'old@example.com', '', 'calls on Mondays', '2024-01-02 03:04:05', '2024-01-02 03:04:05'),
    ('c0000000-0000-4000-8000-000000000002', '{nameless}', 'Unknown', 'old2@example.com', '', null, '2024-01-02 03:04:05', '2024-01-02 03:04:05'),
    ('c0000000-0000-4000-8000-000000000003', null, 'By hand', 'hand@example.com', '1', 'mine', '2024-01-02 03:04:05', '2024-01-02 03:04:05');
insert into appointments (id, wix_booking_id, customer_id, service_name, staff_member, start_time, end_time, status, notes, created_at) values
    ('a0000000-0000-4000-8000-000000000001', '{booking}', null, 'Unknown', 'Unknown', '2024-01-02 03:04:05', '2024-01-02 03:04:05', 'pending', 'window seat', '2024-01-02 03:04:05'),
    ('a0000000-0000-4000-8000-000000000002', null, 'c0000000-0000-4000-8000-000000000003', 'Phone call', 'me', '2024-02-02 03:04:05', '2024-02-02 04:04:05', 'planned', 'by hand', '2024-01-02 03:04:05');
insert into orders (id, wix_order_id, customer_id, order_date, total_amount, status, items, created_at) values
    ('d0000000-0000-4000-8000-000000000001', '{order}', null, '2024-01-02 03:04:05', 0, 'pending', '[]', '2024-01-02 03:04:05'),
    ('d0000000-0000-4000-8000-000000000002', '{bare}', null, '2024-01-02 03:04:05', 0, 'pending', '[]', '2024-01-02 03:04:05'),
    ('d0000000-0000-4000-8000-000000000003', null, 'c0000000-0000-4000-8000-000000000003', '2024-03-02 03:04:05', 12.50, 'fulfilled', '[{"cash": true}]', '2024-01-02 03:04:05');
insert into sync_logs (id, sync_type, status, started_at, completed_at, synced_count, error_count, results, error, created_at) values
    ('50000000-0000-4000-8000-000000000001', 'customers', 'completed', '2024-05-01 10:00:00', '2024-05-01 10:00:09', 42, 1, '{"synced": 42}', null, '2024-05-01 10:00:00'),
    ('50000000-0000-4000-8000-000000000002', 'orders', 'running', '2024-05-02 10:00:00', null, 0, 0, null, null, '2024-05-02 10:00:00'),
    ('50000000-0000-4000-8000-000000000003', 'all', 'failed', '2024-05-03 10:00:00', '2024-05-03 10:01:00', 0, 3, null, 'it broke', '2024-05-03 10:00:00');
