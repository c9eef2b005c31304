//! What is asked of a server: each query gives facts of one kind, its columns joined to a text.

/// A query, and the kind of fact that each of its rows is.
pub(super) struct Query {
    pub(super) kind: &'static str,
    pub(super) sql: &'static str,
}

/// Settings that say where data or code goes, by value.
pub(super) const SETTINGS: &[&str] = &[
    "archive_library",
    "archive_mode",
    "config_file",
    "cluster_name",
    "data_directory",
    "dynamic_library_path",
    "external_pid_file",
    "hba_file",
    "ident_file",
    "listen_addresses",
    "local_preload_libraries",
    "log_connections",
    "log_destination",
    "log_directory",
    "log_replication_commands",
    "logging_collector",
    "max_replication_slots",
    "max_wal_senders",
    "port",
    "primary_slot_name",
    "recovery_target_timeline",
    "session_preload_libraries",
    "shared_preload_libraries",
    "ssl",
    "ssl_ca_file",
    "ssl_cert_file",
    "ssl_crl_file",
    "ssl_min_protocol_version",
    "synchronous_standby_names",
    "temp_tablespaces",
    "unix_socket_directories",
    "wal_level",
];

/// Settings that may hold secrets or whole programs, by digest.
pub(super) const HASHED: &[&str] = &[
    "archive_cleanup_command",
    "archive_command",
    "primary_conninfo",
    "recovery_end_command",
    "restore_command",
    "ssl_passphrase_command",
];

/// Of a server as a whole.
pub(super) const SERVER: &[Query] = &[
    Query {
        kind: "slot",
        sql: "select concat_ws(' ', slot_name, slot_type, plugin, database) from pg_replication_slots where not temporary",
    },
    Query {
        kind: "temporary-slot",
        sql: "select concat_ws(' ', slot_name, slot_type, plugin, database) from pg_replication_slots where temporary",
    },
    Query { kind: "inactive-slot", sql: "select slot_name from pg_replication_slots where not active" },
    Query {
        kind: "base-backup",
        sql: "select concat_ws(' ', 'to', coalesce(a.application_name, '?'), 'as', coalesce(a.usename, '?')) \
              from pg_stat_progress_basebackup b left join pg_stat_activity a using (pid)",
    },
    Query {
        kind: "upstream",
        sql: "select concat_ws(' ', sender_host, sender_port, slot_name) from pg_stat_wal_receiver",
    },
    Query {
        kind: "database",
        sql: "select concat_ws(' ', datname, case when not datallowconn then 'no connections' end) from pg_database",
    },
    Query {
        kind: "tablespace",
        sql: "select concat_ws(' ', spcname, nullif(pg_tablespace_location(oid), '')) from pg_tablespace",
    },
    Query {
        kind: "role",
        sql: "select r.rolname || ': ' || concat_ws(', ', case when rolsuper then 'superuser' end, \
              case when rolreplication then 'replication' end, case when rolbypassrls then 'bypassrls' end, \
              case when rolcreaterole then 'createrole' end, case when rolcreatedb then 'createdb' end, \
              (select string_agg(distinct m.rolname, ', ' order by m.rolname) from pg_roles m where m.rolname in \
              ('pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files', 'pg_read_all_data', \
               'pg_write_all_data', 'pg_create_subscription', 'pg_maintain') \
              and m.oid <> r.oid and not r.rolsuper and pg_has_role(r.oid, m.oid, 'member'))) \
              from pg_roles r where rolsuper or rolreplication or rolbypassrls or rolcreaterole or rolcreatedb or exists \
              (select from pg_roles m where m.rolname in ('pg_execute_server_program', 'pg_read_server_files', \
              'pg_write_server_files', 'pg_read_all_data', 'pg_write_all_data', 'pg_create_subscription', 'pg_maintain') \
              and m.oid <> r.oid and pg_has_role(r.oid, m.oid, 'member'))",
    },
    Query {
        kind: "role-setting",
        sql: "select concat_ws(' ', coalesce(r.rolname, 'every role'), 'in', coalesce(d.datname, 'every database'), s.set) \
              from (select setrole, setdatabase, unnest(setconfig) as set from pg_db_role_setting) s \
              left join pg_roles r on r.oid = setrole left join pg_database d on d.oid = setdatabase",
    },
    Query {
        kind: "hba",
        sql: "select 'sha256:' || encode(sha256(convert_to(coalesce(string_agg(concat_ws('|', line_number, type, \
              database::text, user_name::text, address, netmask, auth_method, options::text, error), E'\\n' \
              order by line_number), ''), 'UTF8')), 'hex') from pg_hba_file_rules",
    },
    // Also what is set and not in force: a command is shown as disabled while nothing is archived.
    Query {
        kind: "file-settings",
        sql: "select 'sha256:' || encode(sha256(convert_to(coalesce(string_agg(concat_ws('|', sourcefile, name, setting, applied, \
              error), E'\\n' order by seqno), ''), 'UTF8')), 'hex') from pg_file_settings",
    },
    Query {
        kind: "ident",
        sql: "select 'sha256:' || encode(sha256(convert_to(coalesce(string_agg(concat_ws('|', line_number, map_name, sys_name, \
              pg_username, error), E'\\n' order by line_number), ''), 'UTF8')), 'hex') from pg_ident_file_mappings",
    },
    Query {
        kind: "copy",
        sql: "select concat_ws(' ', p.command, p.type, 'by', coalesce(a.usename, '?'), 'from', coalesce(host(a.client_addr), 'local')) \
              from pg_stat_progress_copy p left join pg_stat_activity a using (pid) \
              where p.type in ('PROGRAM', 'FILE') or p.command = 'COPY TO' and a.pid <> pg_backend_pid()",
    },
    Query {
        kind: "subscription-worker",
        sql: "select subname from pg_stat_subscription where pid is not null",
    },
];

/// Of one database: the kind's text begins with the database's name.
pub(super) const DATABASE: &[Query] = &[
    Query {
        kind: "publication",
        sql: "select concat_ws(' ', p.pubname, case when puballtables then 'all tables' else (select string_agg(schemaname || \
              '.' || tablename, ', ' order by schemaname, tablename) from pg_publication_tables t where t.pubname = p.pubname) end) \
              from pg_publication p",
    },
    Query {
        kind: "foreign-server",
        sql: "select concat_ws(' ', srvname, fdwname, array_to_string(srvoptions, ', ')) from pg_foreign_server s \
              join pg_foreign_data_wrapper w on w.oid = srvfdw",
    },
    Query {
        kind: "user-mapping",
        sql: "select concat_ws(' ', srvname, coalesce(usename, 'public')) from pg_user_mappings",
    },
    Query {
        kind: "foreign-table",
        sql: "select format('%I.%I %s', nspname, relname, srvname) from pg_foreign_table t join pg_class c on c.oid = ftrelid \
              join pg_namespace n on n.oid = relnamespace join pg_foreign_server s on s.oid = ftserver",
    },
    Query { kind: "extension", sql: "select concat_ws(' ', extname, extversion) from pg_extension" },
    Query {
        kind: "language",
        sql: "select lanname from pg_language where not lanpltrusted and lanname not in ('internal', 'c')",
    },
    Query {
        kind: "library",
        sql: "select distinct concat_ws(' ', p.oid::regprocedure::text, probin) from pg_proc p join pg_language l on l.oid = prolang \
              where lanname = 'c' and pronamespace <> 'pg_catalog'::regnamespace \
              and not exists (select from pg_depend d where d.classid = 'pg_proc'::regclass and d.objid = p.oid and d.deptype = 'e')",
    },
    Query {
        kind: "event-trigger",
        sql: "select concat_ws(' ', evtname, evtevent, evtfoid::regproc::text, 'enabled:' || evtenabled::text) from pg_event_trigger",
    },
];

/// For subscriptions, of which not everybody may see where they lead.
pub(super) const SUBSCRIPTIONS: &str = "select concat_ws(' ', subname, case when subenabled then 'enabled' else 'disabled' end, \
    'sha256:' || encode(sha256(convert_to(subconninfo, 'UTF8')), 'hex')) from pg_subscription \
    where subdbid = (select oid from pg_database where datname = current_database())";

/// Who takes changes.
pub(super) const WALSENDERS: &str = "select coalesce(a.application_name, ''), coalesce(a.usename, ''), \
    case when a.client_addr is null then 'local' else host(a.client_addr) end, coalesce(s.ssl, false), coalesce(s.client_dn, ''), \
    coalesce(l.slot_name, ''), coalesce(r.state = 'backup', false) or b.pid is not null \
    from pg_stat_activity a left join pg_stat_replication r on r.pid = a.pid left join pg_stat_ssl s on s.pid = a.pid \
    left join pg_replication_slots l on l.active_pid = a.pid and not l.temporary \
    left join pg_stat_progress_basebackup b on b.pid = a.pid where a.backend_type = 'walsender'";
