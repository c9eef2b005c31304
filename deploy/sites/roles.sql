-- Run once, by the site that makes the cluster. Nobody has a password: a certificate is what logs in.
create role clover login connection limit 40;
create role rewinder login;
create database clover owner clover;
revoke all on database clover, postgres, template1 from public;
grant connect on database postgres to rewinder;
