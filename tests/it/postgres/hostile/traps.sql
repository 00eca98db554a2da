-- Fills schema public with traps: functions, operators, aggregates, relations and types named like those of pg_catalog.
-- Each writes a line with TRAP and the session's user to the server's log. What cannot be made a trap, such as a function of
-- an internal type, is skipped.
set search_path to pg_catalog, pg_temp;
set check_function_bodies = off;

create procedure pg_temp.try(statement text) language plpgsql as $$
begin
    execute statement;
exception when others then
    null;
end
$$;

create function pg_temp.body(what text, ending text) returns text language sql as $$
    select quote_literal('begin raise log ' || quote_literal('TRAP % ' || what) || ', session_user; ' || ending || ' end')
$$;

-- Lists of types as arguments, as they are and as calls of ours may have them: polymorphic types and "any" made one
-- concrete type, some types narrowed.
create function pg_temp.variants(arguments oid[], is_variadic boolean) returns setof text language plpgsql as $$
declare
    concrete text;
    listed text;
    narrowed record;
begin
    listed := array_to_string(array(select format_type(t, null) from unnest(arguments) with ordinality a (t, n) order by n), ', ');
    if listed !~ 'any' then
        return next listed;
        for narrowed in
            values ('bigint', 'integer'), ('text', 'name'), ('text', 'character varying'), ('double precision', 'integer'),
                ('double precision', 'numeric'), ('timestamp with time zone', 'date')
        loop
            if listed ~ ('\m' || narrowed.column1 || '\M') then
                return next regexp_replace(listed, '\m' || narrowed.column1 || '\M', narrowed.column2, 'g');
            end if;
        end loop;
        return;
    end if;
    foreach concrete in array array['text', 'integer', 'bigint', 'uuid', 'jsonb', 'boolean', 'name', 'oid', 'bytea',
        'timestamp with time zone', 'numeric', '"char"']
    loop
        listed := array_to_string(array(
            select case
                when t::regtype::text like 'any%array' and t::regtype::text not like '%nonarray' then concrete || '[]'
                when t::regtype::text ~ 'any' then concrete
                else format_type(t, null)
            end
            from unnest(arguments) with ordinality a (t, n) order by n), ', ');
        return next listed;
        if is_variadic then
            for more in 1..5 loop
                listed := listed || ', ' || concrete;
                return next listed;
            end loop;
        end if;
    end loop;
end
$$;

do $$
declare
    f record;
    arguments text;
    kept text;
begin
    for f in
        select p.oid, p.proname, p.prokind, p.proargtypes::oid[] as types, p.provariadic = '"any"'::regtype as is_variadic,
            p.proretset, pg_get_function_arguments(p.oid) as written, pg_get_function_result(p.oid) as result,
            p.prorettype = 'void'::regtype as is_void, format_type(p.prorettype, null) as plain,
            oidvectortypes(p.proargtypes) ~ 'any' or format_type(p.prorettype, null) ~ 'any' as is_polymorphic
        from pg_proc p
        where p.pronamespace = 'pg_catalog'::regnamespace and p.prokind in ('f', 'w', 'a')
    loop
        kept := case when f.proretset or f.is_void then 'return;' else 'return null;' end;
        if f.prokind = 'a' then
            for arguments in select distinct v from pg_temp.variants(f.types, f.is_variadic) v loop
                call pg_temp.try(format('create function public.trap_of_%s_%s(%s) returns text language plpgsql as %s',
                    f.proname, f.oid, concat_ws(', ', 'text', nullif(arguments, '')),
                    pg_temp.body('aggregate ' || f.proname, 'return null;')));
                call pg_temp.try(format('create aggregate public.%I(%s) (sfunc = public.trap_of_%s_%s, stype = text)',
                    f.proname, coalesce(nullif(arguments, ''), '*'), f.proname, f.oid));
            end loop;
        else
            call pg_temp.try(format('create function public.%I(%s) returns %s language plpgsql as %s',
                f.proname, f.written, f.result, pg_temp.body('function ' || f.proname, kept)));
            for arguments in select distinct v from pg_temp.variants(f.types, f.is_variadic) v loop
                call pg_temp.try(format('create function public.%I(%s) returns %s language plpgsql as %s',
                    f.proname, arguments,
                    case when f.proretset then 'setof ' else '' end || case when f.is_polymorphic then 'text' else f.plain end,
                    pg_temp.body('function ' || f.proname, kept)));
            end loop;
        end if;
    end loop;

    for f in
        select o.oid, o.oprname, array_remove(array[o.oprleft, o.oprright], 0::oid) as types, o.oprleft = 0 as is_prefix,
            format_type(o.oprresult, null) as result
        from pg_operator o where o.oprnamespace = 'pg_catalog'::regnamespace
    loop
        for arguments in select distinct v from pg_temp.variants(f.types, false) v loop
            call pg_temp.try(format('create function public.trap_of_operator_%s(%s) returns %s language plpgsql as %s',
                f.oid, arguments, case when f.result ~ 'any' then 'text' else f.result end,
                pg_temp.body('operator ' || f.oprname, 'return null;')));
            call pg_temp.try(format('create operator public.%s (%s, function = public.trap_of_operator_%s)', f.oprname,
                case when f.is_prefix then 'rightarg = ' || arguments
                    else 'leftarg = ' || split_part(arguments, ', ', 1) || ', rightarg = ' || split_part(arguments, ', ', 2) end,
                f.oid));
        end loop;
    end loop;
end
$$;

create function public.trap(what text) returns boolean language plpgsql as $$
begin
    raise log 'TRAP % %', session_user, what;
    return true;
end
$$;

do $$
declare
    name name;
begin
    for name in
        select relname from pg_class where relnamespace = 'pg_catalog'::regnamespace and relkind in ('r', 'v')
    loop
        call pg_temp.try(format('create view public.%1$I as select * from pg_catalog.%1$I where public.trap(%2$L)',
            name, 'relation ' || name));
        call pg_temp.try(format('grant select on public.%I to app', name));
    end loop;
    for name in
        select typname from pg_type
        where typnamespace = 'pg_catalog'::regnamespace and typtype in ('b', 'r') and typcategory <> 'A'
    loop
        call pg_temp.try(format('create domain public.%1$I as pg_catalog.%1$I check (public.trap(%2$L))',
            name, 'type ' || name));
    end loop;
end
$$;
