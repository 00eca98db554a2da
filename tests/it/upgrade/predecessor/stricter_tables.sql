-- The same tables as a careful person would have made them: NOT NULL on everything, bounded text, times
-- without a zone, an enum.
create type order_state as enum ('pending', 'fulfilled', 'NOT_FULFILLED');
create table customers (
    id uuid primary key default gen_random_uuid(),
    wix_contact_id varchar(64) unique,
    name varchar(255) not null default 'Unknown',
    email varchar(255) not null default '',
    phone varchar(32) not null default '',
    notes text,
    created_at timestamp not null default now(),
    updated_at timestamp not null default now()
);
create table appointments (
    id uuid primary key default gen_random_uuid(),
    wix_booking_id varchar(64) unique,
    customer_id uuid references customers (id) on delete cascade,
    service_name varchar(255) not null default 'Unknown',
    staff_member varchar(255) not null default 'Unknown',
    start_time timestamp not null default now(),
    end_time timestamp not null default now(),
    status varchar(20) not null default 'pending',
    notes text,
    created_at timestamp not null default now()
);
create table orders (
    id uuid primary key default gen_random_uuid(),
    wix_order_id varchar(64) unique,
    customer_id uuid references customers (id),
    order_date timestamp not null default now(),
    total_amount numeric(10,2) not null default 0,
    status order_state not null default 'pending',
    items json not null default '[]',
    created_at timestamp not null default now()
);
create table sync_logs (
    id uuid primary key default gen_random_uuid(),
    sync_type varchar(20) not null,
    status varchar(20) not null,
    user_id uuid,
    started_at timestamp not null default now(),
    completed_at timestamp,
    synced_count integer not null default 0,
    error_count integer not null default 0,
    results json,
    error text,
    created_at timestamp not null default now()
);
