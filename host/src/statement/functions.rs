//! The functions that a statement may call, by class. A list of what is allowed: `READ ONLY` does not stop a function from
//! signalling a backend, reading a file or running SQL from its argument, so what is not here is refused.
//!
//! What is here has no effect outside the statement, in none of its overloads, in PostgreSQL 13 to 18. Left out on
//! purpose: whatever runs SQL from text (`query_to_xml`, `ts_stat`), reads files (`pg_read_file`, `pg_ls_dir`,
//! `pg_stat_file`), moves WAL or slots, takes advisory locks, assigns a transaction id (`txid_current`), writes to the log,
//! resets statistics, sets parameters, or looks objects up by an unquoted name (`to_regclass`).

use std::{collections::HashSet, sync::LazyLock};

/// What the prover says of a function of `pg_catalog`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Allowed {
    /// In any statement.
    Read,
    /// In a `SELECT` of mode `act`.
    Signal,
    /// Nowhere.
    No,
}

/// The functions that act on other backends.
const SIGNAL: &[&str] = &["pg_cancel_backend", "pg_terminate_backend"];

/// Every function of this prefix reads one cumulative statistic.
const STATISTICS_PREFIX: &str = "pg_stat_get_";

const READ: &[&str] = &[
    // Aggregates and window functions.
    "any_value array_agg avg bit_and bit_or bit_xor bool_and bool_or corr count covar_pop covar_samp cume_dist dense_rank
     every first_value json_agg json_object_agg jsonb_agg jsonb_object_agg lag last_value lead max min mode nth_value ntile
     percent_rank percentile_cont percentile_disc range_agg rank regr_count regr_r2 regr_slope row_number stddev stddev_pop
     stddev_samp string_agg sum var_pop var_samp variance",
    // Numbers.
    "abs cbrt ceil ceiling degrees div exp factorial floor gcd lcm ln log log10 min_scale mod
     power radians random round scale sign sqrt trim_scale trunc width_bucket",
    // Text and bytes.
    "ascii bit_count bit_length btrim char_length character_length chr concat concat_ws convert_from convert_to decode
     encode format get_bit get_byte initcap left length like_escape lower lpad ltrim md5 normalize is_normalized
     octet_length overlay parse_ident pg_client_encoding position quote_ident quote_literal quote_nullable regexp_count
     regexp_instr regexp_like regexp_match regexp_matches regexp_replace regexp_split_to_array regexp_split_to_table
     regexp_substr repeat replace reverse right rpad rtrim sha224 sha256 sha384 sha512 similar_escape similar_to_escape
     split_part starts_with string_to_array string_to_table strpos substr substring to_ascii to_bin to_hex to_oct translate
     upper hashtext hashtextextended",
    // Dates and times.
    "age clock_timestamp date_add date_bin date_part date_subtract date_trunc extract isfinite justify_days justify_hours
     justify_interval make_date make_interval make_time make_timestamp make_timestamptz now overlaps statement_timestamp
     timeofday timezone to_char to_date to_number to_timestamp transaction_timestamp",
    // Arrays, ranges and sets.
    "array_append array_cat array_dims array_fill array_length array_lower array_ndims array_position array_positions
     array_prepend array_remove array_replace array_reverse array_sample array_shuffle array_sort array_to_string
     array_upper cardinality generate_series generate_subscripts isempty lower_inc lower_inf num_nonnulls num_nulls
     range_merge trim_array unnest upper_inc upper_inf",
    // JSON.
    "array_to_json json_array_elements json_array_elements_text json_array_length json_build_array json_build_object
     json_each json_each_text json_extract_path json_extract_path_text json_object json_object_keys json_strip_nulls
     json_to_record json_to_recordset json_typeof jsonb_array_elements jsonb_array_elements_text jsonb_array_length
     jsonb_build_array jsonb_build_object jsonb_each jsonb_each_text jsonb_extract_path jsonb_extract_path_text
     jsonb_object jsonb_object_keys jsonb_path_exists jsonb_path_match jsonb_path_query jsonb_path_query_array
     jsonb_path_query_first jsonb_pretty jsonb_set jsonb_strip_nulls jsonb_to_record jsonb_to_recordset jsonb_typeof
     row_to_json to_json to_jsonb",
    // Network addresses and identifiers.
    "abbrev broadcast family gen_random_uuid host hostmask inet_client_addr inet_client_port inet_merge inet_same_family
     inet_server_addr inet_server_port masklen netmask network set_masklen",
    // The session and the server.
    "current_database current_schema current_schemas current_setting getdatabaseencoding
     pg_available_extension_versions pg_available_extensions pg_backend_pid pg_char_to_encoding pg_conf_load_time
     pg_control_checkpoint pg_control_init pg_control_recovery pg_control_system pg_encoding_to_char
     pg_encoding_max_length pg_get_keywords pg_jit_available pg_is_in_backup pg_is_in_recovery pg_listening_channels
     pg_my_temp_schema pg_is_other_temp_schema pg_notification_queue_usage pg_postmaster_start_time pg_show_all_settings
     pg_timezone_abbrevs pg_timezone_names version row_security_active pg_backup_start_time",
    // Transactions, locks and the backends that wait for them.
    "mxid_age pg_blocking_pids pg_current_snapshot pg_current_xact_id_if_assigned pg_get_multixact_members
     pg_last_committed_xact pg_lock_status pg_prepared_xact pg_safe_snapshot_blocking_pids pg_snapshot_xip pg_snapshot_xmax
     pg_snapshot_xmin pg_visible_in_snapshot pg_xact_commit_timestamp pg_xact_status txid_current_if_assigned
     txid_current_snapshot txid_snapshot_xip txid_snapshot_xmax txid_snapshot_xmin txid_status txid_visible_in_snapshot",
    // WAL and replication, reading only.
    "pg_current_wal_flush_lsn pg_current_wal_insert_lsn pg_current_wal_lsn pg_get_replication_slots
     pg_get_wal_replay_pause_state pg_is_wal_replay_paused pg_last_wal_receive_lsn pg_last_wal_replay_lsn
     pg_last_xact_replay_timestamp pg_show_replication_origin_status pg_split_walfile_name pg_wal_lsn_diff
     pg_walfile_name pg_walfile_name_offset",
    // Sizes and places.
    "pg_column_compression pg_column_size pg_database_size pg_filenode_relation pg_indexes_size pg_relation_filenode
     pg_relation_filepath pg_relation_size pg_size_bytes pg_size_pretty pg_table_size pg_tablespace_location
     pg_tablespace_size pg_total_relation_size",
    // Definitions and descriptions out of the catalogs.
    "acldefault aclexplode col_description format_type obj_description pg_collation_actual_version
     pg_collation_for pg_collation_is_visible pg_conversion_is_visible pg_database_collation_actual_version
     pg_describe_object pg_function_is_visible pg_get_constraintdef pg_get_expr pg_get_function_arg_default
     pg_get_function_arguments pg_get_function_identity_arguments pg_get_function_result pg_get_functiondef
     pg_get_indexdef pg_get_object_address pg_get_partition_constraintdef pg_get_partkeydef
     pg_get_replica_identity_index pg_get_ruledef pg_get_serial_sequence pg_get_statisticsobjdef
     pg_get_statisticsobjdef_columns pg_get_statisticsobjdef_expressions pg_get_triggerdef pg_get_userbyid pg_get_viewdef
     pg_identify_object pg_identify_object_as_address pg_index_column_has_property pg_index_has_property
     pg_indexam_has_property pg_indexam_progress_phasename pg_opclass_is_visible pg_operator_is_visible pg_options_to_table
     pg_partition_ancestors pg_partition_root pg_partition_tree pg_relation_is_publishable pg_relation_is_updatable
     pg_sequence_last_value pg_sequence_parameters pg_stat_have_stats pg_table_is_visible pg_type_is_visible pg_typeof
     shobj_description",
    // Privileges.
    "has_any_column_privilege has_column_privilege has_database_privilege has_foreign_data_wrapper_privilege
     has_function_privilege has_language_privilege has_parameter_privilege has_schema_privilege has_sequence_privilege
     has_server_privilege has_table_privilege has_tablespace_privilege has_type_privilege pg_has_role",
];

static READ_SET: LazyLock<HashSet<&'static str>> =
    LazyLock::new(|| READ.iter().flat_map(|group| group.split_ascii_whitespace()).collect());

/// What the prover says of `pg_catalog.name`. Names compare as PostgreSQL stores them: case matters.
pub(super) fn catalog_function(name: &str) -> Allowed {
    if SIGNAL.contains(&name) {
        Allowed::Signal
    } else if READ_SET.contains(name) || name.starts_with(STATISTICS_PREFIX) {
        Allowed::Read
    } else {
        Allowed::No
    }
}

/// Whether a statement may call `name` of an extension.
pub(super) fn extension_function(extension: &str, name: &str) -> bool {
    matches!(
        (extension, name),
        ("pg_stat_statements", "pg_stat_statements" | "pg_stat_statements_info")
            | ("pg_buffercache", "pg_buffercache_summary" | "pg_buffercache_usage_counts")
    )
}

/// Whether a statement of class `read` may read the relation `name` of an extension.
pub(super) fn extension_relation(extension: &str, name: &str) -> bool {
    matches!(
        (extension, name),
        ("pg_stat_statements", "pg_stat_statements" | "pg_stat_statements_info") | ("pg_buffercache", "pg_buffercache")
    )
}

/// Relations of `pg_catalog` that hold secrets (password hashes, connection strings with passwords) or samples of users'
/// rows (most common values, large objects). `pg_file_settings` shows raw lines of `postgresql.conf`.
const SECRET_RELATIONS: &[&str] = &[
    "pg_authid",
    "pg_file_settings",
    "pg_largeobject",
    "pg_shadow",
    "pg_statistic",
    "pg_statistic_ext_data",
    "pg_stats",
    "pg_stats_ext",
    "pg_stats_ext_exprs",
    "pg_subscription",
    "pg_user_mapping",
    "pg_user_mappings",
];

/// Whether a statement may read `pg_catalog.name`.
pub(super) fn catalog_relation(name: &str) -> bool {
    name.starts_with("pg_") && !SECRET_RELATIONS.contains(&name)
}

/// Whether a statement may read `information_schema.name`: its views, but neither helper views nor user mappings.
pub(super) fn information_relation(name: &str) -> bool {
    !name.starts_with('_') && name != "user_mapping_options"
}

/// Functions that only certain roles may call and that the prover's views call for them: a statement reads the view, and its
/// role needs EXECUTE on these (`system_views.sql` and `system_functions.sql` of PostgreSQL 13 to 18). None of them takes
/// an argument.
const BEHIND_VIEWS: &[&str] = &[
    "pg_config",
    "pg_get_aios",
    "pg_get_backend_memory_contexts",
    "pg_get_shmem_allocations",
    "pg_get_shmem_allocations_numa",
    "pg_hba_file_rules",
    "pg_ident_file_mappings",
    "pg_show_replication_origin_status",
];

/// Whether a pack may ask for EXECUTE on `pg_catalog.name`: nothing that the prover would not let it call anyway.
pub(super) fn grantable_function(name: &str) -> bool {
    BEHIND_VIEWS.contains(&name) || catalog_function(name) == Allowed::Read
}

/// Types that values may be cast to; all of them built in. None has an input function with effects or outside lookups;
/// those that look names up are in [`is_lookup_type`].
const TYPES: &[&str] = &[
    "aclitem",
    "bit",
    "bool",
    "bpchar",
    "bytea",
    "char",
    "cid",
    "cidr",
    "date",
    "float4",
    "float8",
    "inet",
    "int2",
    "int2vector",
    "int4",
    "int8",
    "interval",
    "json",
    "jsonb",
    "jsonpath",
    "macaddr",
    "macaddr8",
    "money",
    "name",
    "numeric",
    "oid",
    "oidvector",
    "pg_lsn",
    "pg_snapshot",
    "text",
    "tid",
    "time",
    "timestamp",
    "timestamptz",
    "timetz",
    "txid_snapshot",
    "uuid",
    "varbit",
    "varchar",
    "xid",
    "xid8",
];

/// Types that print an oid as a name and read a name as an oid.
const LOOKUP_TYPES: &[&str] = &[
    "regclass",
    "regcollation",
    "regconfig",
    "regdictionary",
    "regnamespace",
    "regoper",
    "regoperator",
    "regproc",
    "regprocedure",
    "regrole",
    "regtype",
];

/// Whether values may be cast to the built-in type `name`.
pub(super) fn catalog_type(name: &str) -> bool {
    TYPES.contains(&name)
}

/// Whether the built-in type `name` looks names up in the catalogs.
pub(super) fn is_lookup_type(name: &str) -> bool {
    LOOKUP_TYPES.contains(&name)
}

/// Every name on the lists, for the test of the page that documents them.
#[cfg(test)]
pub(super) fn listed() -> impl Iterator<Item = &'static str> {
    let lists = [SIGNAL, TYPES, LOOKUP_TYPES, SECRET_RELATIONS].into_iter().flatten().copied();
    READ_SET.iter().copied().chain(lists)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_is_not_on_the_list() {
        for name in "pg_reload_conf pg_rotate_logfile pg_switch_wal pg_create_restore_point pg_promote pg_read_file \
            pg_read_binary_file pg_ls_dir pg_stat_file pg_ls_waldir lo_import lo_export lo_create lo_from_bytea lo_get \
            set_config nextval setval lastval pg_notify pg_advisory_lock pg_try_advisory_lock pg_advisory_unlock_all \
            pg_sleep pg_sleep_for pg_logical_emit_message pg_logical_slot_get_changes pg_create_physical_replication_slot \
            pg_drop_replication_slot pg_replication_slot_advance pg_stat_reset pg_stat_reset_shared \
            pg_stat_reset_single_table_counters pg_stat_clear_snapshot pg_import_system_collations query_to_xml \
            table_to_xml cursor_to_xml schema_to_xml database_to_xml query_to_xmlschema ts_stat ts_rewrite \
            pg_export_snapshot txid_current pg_current_xact_id currtid2 dblink dblink_exec pg_log_backend_memory_contexts \
            pg_wal_replay_pause pg_wal_replay_resume pg_start_backup pg_backup_start brin_summarize_new_values \
            gin_clean_pending_list pg_replication_origin_create pg_nextoid setseed pg_restore_relation_stats \
            pg_clear_relation_stats pg_stats_ext_mcvlist_items pg_mcv_list_items to_regclass regclass xmlparse \
            loread lowrite pg_stat_statements_reset pg_buffercache_evict binary_upgrade_set_next_pg_type_oid \
            pg_extension_config_dump plpgsql_call_handler pg_ddl_command_send postgresql_fdw_validator"
            .split_ascii_whitespace()
        {
            assert_eq!(catalog_function(name), Allowed::No, "{name}");
        }
        assert_eq!(catalog_function("pg_terminate_backend"), Allowed::Signal);
        assert_eq!(catalog_function("PG_TERMINATE_BACKEND"), Allowed::No);
        assert_eq!(catalog_function("pg_stat_get_activity"), Allowed::Read);
    }

    #[test]
    fn no_function_is_listed_twice() {
        let all = READ.iter().flat_map(|group| group.split_ascii_whitespace()).count();
        assert_eq!(all, READ_SET.len());
    }

    #[test]
    fn extensions_have_their_own_lists() {
        assert!(extension_function("pg_stat_statements", "pg_stat_statements"));
        assert!(!extension_function("pg_stat_statements", "pg_stat_statements_reset"));
        assert!(!extension_function("pg_buffercache", "pg_buffercache_evict"));
        assert!(!extension_relation("pg_stat_statements", "pg_class"));
    }
}
