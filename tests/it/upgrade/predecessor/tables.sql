-- The tables of AsyncSyncAgent, as it made them.
create table customers (
    id uuid primary key default gen_random_uuid(),
    wix_contact_id text unique,
    name text not null,
    email text,
    phone text,
    notes text,
    created_at timestamptz default now(),
    updated_at timestamptz default now()
);
create table appointments (
    id uuid primary key default gen_random_uuid(),
    wix_booking_id text unique,
    customer_id uuid references customers (id),
    service_name text,
    staff_member text,
    start_time timestamptz,
    end_time timestamptz,
    status text,
    notes text,
    created_at timestamptz default now()
);
create table orders (
    id uuid primary key default gen_random_uuid(),
    wix_order_id text unique,
    customer_id uuid references customers (id),
    order_date timestamptz,
    total_amount decimal(10,2),
    status text,
    items jsonb,
    created_at timestamptz default now()
);
create table sync_logs (
    id uuid primary key default gen_random_uuid(),
    sync_type text not null,
    status text not null,
    user_id uuid,
    started_at timestamptz default now(),
    completed_at timestamptz,
    synced_count integer default 0,
    error_count integer default 0,
    results jsonb,
    error text,
    created_at timestamptz default now()
);
