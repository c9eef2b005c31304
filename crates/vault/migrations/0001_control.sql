-- The control store: sealed rows under keyed names, and one sealed head (docs/formats/control.md).
create table clover_control_head (
  one boolean primary key default true check (one),
  sealed bytea not null);

create table clover_control_row (
  name bytea primary key check (length(name) = 32),
  version bigint not null check (version > 0),
  sequence bigint not null unique check (sequence > 0),
  sealed bytea not null);

-- Sealed bytes do not get shorter.
alter table clover_control_row alter column sealed set storage external;
