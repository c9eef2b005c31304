-- How far behind another site is that serves reads: each process that has reads served there writes a number here now and
-- then, and a copy of this table that has the number has all that was confirmed before it (docs/sites.md).
create table clover_vault_beats (
  process bytea primary key, number bigint not null check (number > 0), at timestamptz not null);
