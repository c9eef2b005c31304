-- Prepares one database for compiled grants. Run by its administrator (a superuser), as often as one likes: after new
-- extensions or functions it must be run again. What PUBLIC loses here, the role clover_services has, and with it every role that
-- is there now.
begin;
set local search_path = pg_catalog, pg_temp;
set local client_min_messages = warning;

do $clover$
declare
  name text;
begin
  foreach name in array array['clover_views', 'clover_reader', 'clover_services', 'clover_gateway'] loop
    if not exists (select from pg_roles where rolname = name) then
      execute format('create role %I', name);
    end if;
  end loop;
end
$clover$;
alter role clover_views nologin nosuperuser nocreatedb nocreaterole noreplication nobypassrls inherit;
alter role clover_reader nologin nosuperuser nocreatedb nocreaterole noreplication nobypassrls inherit;
alter role clover_services nologin nosuperuser nocreatedb nocreaterole noreplication nobypassrls inherit;
alter role clover_gateway login nosuperuser nocreatedb createrole noreplication nobypassrls inherit;
grant clover_views, pg_signal_backend to clover_gateway;
grant clover_reader to clover_gateway with admin option;

-- Schema, tables and functions of ours.
create schema if not exists clover;
revoke all on schema clover from public;
grant usage on schema clover to clover_views, clover_reader, clover_gateway;
create table if not exists clover.keys (
  "grant" text not null, class text not null, epoch bigint not null, ipad bytea not null, opad bytea not null,
  primary key ("grant", class, epoch)
);
create table if not exists clover.grants ("grant" text primary key, plan bytea not null, parts jsonb not null);
alter table clover.keys owner to clover_views;
alter table clover.grants owner to clover_views;
revoke all on clover.keys, clover.grants from public;

create or replace function clover.base32(bytes bytea) returns text language plpgsql immutable strict parallel safe as $clover$
begin
  return {base32};
end
$clover$;

-- HMAC-SHA-256 (RFC 2104) of the kind behind its length, and the value; a token as the rest of Clover spells it.
create or replace function clover.token(ipad bytea, opad bytea, prefix text, kind text, value text) returns text
language plpgsql immutable strict parallel safe as $clover$
begin
  return prefix || clover.base32(substring(sha256(opad || sha256(
    ipad || int8send(octet_length(kind)) || convert_to(kind, 'UTF8') || convert_to(value, 'UTF8'))) from 1 for 16));
end
$clover$;

-- Unicode's white space.
create or replace function clover.trim(value text) returns text language plpgsql immutable strict parallel safe as $clover$
begin
  return btrim(value, U&'\0009\000A\000B\000C\000D\0020\0085\00A0\1680\2000\2001\2002\2003\2004\2005\2006\2007\2008\2009'
    '\200A\2028\2029\202F\205F\3000');
end
$clover$;

create or replace function clover.email(value text) returns text language plpgsql immutable strict parallel safe as $clover$
declare
  plain text := clover.trim(value);
begin
  if octet_length(plain) = char_length(plain) then
    return lower(plain collate "C");
  end if;
  plain := normalize(plain, NFKC);
  plain := normalize(replace(lower(plain collate "und-x-icu"), U&'\03C2', U&'\03C3'), NFKC);
  return clover.trim(plain);
end
$clover$;

create or replace function clover.handle(value text) returns text language plpgsql immutable strict parallel safe as $clover$
declare
  plain text := clover.trim(value);
begin
  if starts_with(plain, '@') then
    plain := substr(plain, 2);
  end if;
  if octet_length(plain) = char_length(plain) then
    return lower(plain collate "C");
  end if;
  return lower(plain collate "und-x-icu");
end
$clover$;

create or replace function clover.phone(value text) returns text language plpgsql immutable strict parallel safe as $clover$
declare
  whole text := clover.trim(value);
  bare text := whole;
  abroad boolean;
  plus boolean;
  at integer;
  digits text;
begin
  if octet_length(bare) <> char_length(bare) then
    bare := translate(normalize(bare, NFKC), {digits});
  end if;
  if lower(left(bare, 4) collate "C") = 'tel:' then
    bare := substr(bare, 5);
  end if;
  bare := btrim(split_part(bare, ';', 1), E' \t\n\f\r');
  plus := starts_with(bare, '+');
  abroad := plus or starts_with(bare, '00');
  digits := bare;
  if abroad then
    -- The (0) that is dialled at home only.
    at := length(substring(bare from '^[^0-9]*[0-9]'));
    if at is not null then
      digits := left(bare, at) || replace(substr(bare, at + 1), '(0)', '');
    end if;
  end if;
  digits := regexp_replace(digits, '[^0-9]', '', 'g');
  if not plus and starts_with(digits, '00') then
    digits := substr(digits, 3);
  end if;
  if digits = '' then
    return whole;
  end if;
  abroad := abroad or starts_with(regexp_replace(bare, '[^0-9]', '', 'g'), '00');
  return case when abroad then '+' else '' end || digits;
end
$clover$;

create or replace function clover.ip(value text) returns text language plpgsql immutable strict parallel safe as $clover$
declare
  whole text := clover.trim(value);
  bare text;
  port text;
  read text;
  tail integer[];
begin
  if octet_length(whole) > 128 then
    return whole;
  end if;
  port := substring(whole from '^(?:[0-9.]+|\[[^]]*\]):([0-9]{1,5})$');
  if port is not null and port::integer > 65535 then
    return whole;
  end if;
  bare := substring(whole from '^([0-9.]+)(?::[0-9]{1,5})?$');
  if bare is not null then
    if bare ~ '^(?:(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])(?:\.(?!$)|$)){4}$' then
      return bare;
    end if;
    return whole;
  end if;
  bare := coalesce(substring(whole from '^\[([^]]*)\](?::[0-9]{1,5})?$'), whole);
  bare := split_part(bare, '%', 1);
  if bare !~ '^[0-9a-fA-F:.]+$' or position(':' in bare) = 0 then
    return whole;
  end if;
  begin
    read := host(bare::inet);
  exception when others then
    return whole;
  end;
  if starts_with(read, '::ffff:') and position('.' in read) > 0 then
    return substr(read, 8);
  end if;
  if read ~ '^::[0-9]+\.' then
    -- The last two groups, which the server writes as an IPv4 address.
    tail := string_to_array(substr(read, 3), '.')::integer[];
    return '::' || case when tail[1] * 256 + tail[2] = 0 then '' else to_hex(tail[1] * 256 + tail[2]) || ':' end
      || to_hex(tail[3] * 256 + tail[4]);
  end if;
  if starts_with(read, '2002:') then
    -- 6to4 (RFC 3056) carries an IPv4 address.
    tail := array[get_byte(inet_send(bare::inet), 6), get_byte(inet_send(bare::inet), 7),
      get_byte(inet_send(bare::inet), 8), get_byte(inet_send(bare::inet), 9)];
    return array_to_string(tail, '.');
  end if;
  return read;
end
$clover$;

-- A count with one significant digit, halves up; null for what is none.
create or replace function clover.count(value text) returns numeric language plpgsql immutable strict parallel safe as $clover$
declare
  exact numeric;
  unit numeric;
  down numeric;
begin
  if value !~ '^\+?[0-9]+$' or length(value) > 1000 then
    return null;
  end if;
  exact := ltrim(value, '+')::numeric;
  if exact > 18446744073709551615 then
    return null;
  end if;
  unit := ('1' || repeat('0', length(exact::text) - 1))::numeric;
  down := div(exact, unit) * unit;
  if unit = 1 or (exact - down) * 2 < unit or down + unit > 18446744073709551615 then
    return down;
  end if;
  return down + unit;
end
$clover$;

-- The day that a date or time is written with; null for what is none.
create or replace function clover.day(value text) returns text language plpgsql immutable strict parallel safe as $clover$
declare
  year integer;
  month integer;
begin
  if value !~ '^[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])(?:$|[Tt ])' then
    return null;
  end if;
  year := substr(value, 1, 4)::integer;
  month := substr(value, 6, 2)::integer;
  if substr(value, 9, 2)::integer > (case
      when month = 2 and year % 4 = 0 and (year % 100 <> 0 or year % 400 = 0) then 29
      when month = 2 then 28
      when month in (4, 6, 9, 11) then 30
      else 31 end) then
    return null;
  end if;
  return left(value, 10);
end
$clover$;

-- One short word, as lists of states and countries have.
create or replace function clover.is_word(value text) returns boolean language plpgsql immutable strict parallel safe as $clover$
begin
  return value collate "C" ~ '^[A-Za-z0-9._-]{0,24}$';
end
$clover$;

revoke all on all routines in schema clover from public;

-- What PUBLIC may call goes to clover_services, and from PUBLIC.
do $clover$
declare
  line record;
begin
  for line in
    select string_agg(p.oid::regprocedure::text, ', ') as names from pg_proc p
    where p.pronamespace <> 'clover'::regnamespace
      and (p.proacl is null or exists (select from aclexplode(p.proacl) a where a.grantee = 0))
    group by p.pronamespace, p.oid::bigint / 200
  loop
    execute format('grant execute on routine %s to clover_services', line.names);
    execute format('revoke execute on routine %s from public', line.names);
  end loop;
  for line in select rolname from pg_roles where not rolsuper and rolname !~ '^(pg_|clover_g_[0-9a-f]{24}$)'
      and rolname not in ('clover_views', 'clover_reader', 'clover_services', 'clover_gateway') loop
    execute format('grant clover_services to %I', line.rolname);
  end loop;
  for line in select lanname from pg_language l where lanpltrusted
      and (lanacl is null or exists (select from aclexplode(lanacl) a where a.grantee = 0)) loop
    execute format('grant usage on language %I to clover_services', line.lanname);
    execute format('revoke usage on language %I from public', line.lanname);
  end loop;
  for line in select n.nspname, string_agg(a.privilege_type, ', ') as rights from pg_namespace n, aclexplode(n.nspacl) a
      where a.grantee = 0 and n.nspname not in ('pg_catalog', 'information_schema') group by 1 loop
    execute format('grant %s on schema %I to clover_services', line.rights, line.nspname);
    execute format('revoke all on schema %I from public', line.nspname);
  end loop;
  execute format('grant temp on database %I to clover_services', current_database());
  execute format('revoke temp, create on database %I from public', current_database());
  execute format('grant connect on database %I to clover_reader, clover_gateway', current_database());
  execute format('grant create on database %I to clover_gateway', current_database());
end
$clover$;

-- Catalogues that hold what views and policies say.
grant select on pg_rewrite, pg_views, pg_matviews, pg_rules, pg_policies, pg_policy to clover_services, clover_gateway;
revoke all on pg_rewrite, pg_views, pg_matviews, pg_rules, pg_policies, pg_policy from public;
do $clover$
begin
  execute format('alter role clover_gateway in database %I set search_path = pg_catalog, pg_temp', current_database());
  if current_setting('server_version_num')::integer >= 150000 then
    grant set on parameter temp_file_limit to clover_gateway;
  end if;
end
$clover$;

-- What a compiled grant may call: what depends on nothing but its arguments, and a list. Never what is volatile.
do $clover$
declare
  line record;
begin
  create temporary table clover_allowed on commit drop as
    select p.oid, p.proname, (
      p.pronamespace in ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
      and p.provolatile <> 'v'
      and p.proname !~ '^(pg_get_viewdef|query_to|table_to_xml|cursor_to|database_to|schema_to|lo_|binary_upgrade|brin_|gin_clean)'
      and not p.prosecdef
      and (p.provolatile = 'i' or p.prokind = 'a' or p.proname = any (string_to_array($names${names}$names$, ' '))
        or p.oid in (select oprcode from pg_operator where oprnamespace = 'pg_catalog'::regnamespace)
        or p.oid in (select castfunc from pg_cast) or p.oid in (select amproc from pg_amproc)
        -- Casts by way of text: a date in a text, a time printed.
        or p.oid in (select unnest(array[typinput, typoutput]) from pg_type where typnamespace = 'pg_catalog'::regnamespace))
      or p.pronamespace = 'clover'::regnamespace and p.provolatile = 'i' and not p.prosecdef
    ) as allowed
    from pg_proc p;
  for line in
    select string_agg(oid::regprocedure::text, ', ') as names from clover_allowed
    where allowed and not has_function_privilege('clover_reader', oid, 'execute') group by oid::bigint / 200
  loop
    execute format('grant execute on routine %s to clover_reader', line.names);
  end loop;
  for line in
    select oid::regprocedure::text as name from clover_allowed
    where not allowed and has_function_privilege('clover_reader', oid, 'execute')
  loop
    execute format('revoke execute on routine %s from clover_reader', line.name);
  end loop;
  -- For the gateway itself, which reads catalogues and ends connections.
  for line in
    select oid::regprocedure::text as name from clover_allowed
    where proname = any (array['pg_get_viewdef', 'pg_terminate_backend', 'pg_advisory_xact_lock', 'pg_stat_get_activity',
        'has_function_privilege', 'has_language_privilege', 'has_database_privilege', 'has_parameter_privilege', 'aclexplode'])
      and not has_function_privilege('clover_gateway', oid, 'execute')
  loop
    execute format('grant execute on routine %s to clover_gateway', line.name);
  end loop;
end
$clover$;
commit;
