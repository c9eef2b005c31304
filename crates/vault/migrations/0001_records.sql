-- People and their records: sealed cells (docs/formats/records.md). Each table is spread by `part`, which stands in every
-- key and every condition; no table refers to another.
create table clover_vault_subjects (
  part bytea not null, key bytea not null, version bigint not null check (version > 0), value bytea not null,
  primary key (part, key));
create table clover_vault_keys (like clover_vault_subjects including all);
create table clover_vault_records (like clover_vault_subjects including all);
create table clover_vault_lookups (like clover_vault_subjects including all);
create table clover_vault_pending (like clover_vault_subjects including all);

-- Sealed bytes do not get shorter.
alter table clover_vault_subjects alter column value set storage external;
alter table clover_vault_keys alter column value set storage external;
alter table clover_vault_records alter column value set storage external;
