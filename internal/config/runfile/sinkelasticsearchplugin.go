package runfile

import "strings"

// pluginNames are the options of fluent-plugin-elasticsearch that have a counterpart: the
// options that have their place, and their names there. docs/elasticsearch-options.md says
// more of each.
var pluginNames = []struct{ ours, theirs string }{
	{"hosts", "host port hosts path scheme"},
	{"username", "user"},
	{"password", "password"},
	{"cloud-id", "cloud_id"},
	{"username password", "cloud_auth"},
	{"api-key", "api_key"},
	{"headers", "custom_headers"},
	{"tls-insecure-skip-verify", "ssl_verify"},
	{"tls-ca-file", "ca_file"},
	{"tls-cert-file", "client_cert"},
	{"tls-key-file", "client_key"},
	{"request-timeout", "request_timeout"},
	{"compress", "compression_level"},
	{"index", "index_name logstash_format logstash_prefix logstash_prefix_separator index_prefix logstash_dateformat application_name data_stream_name"},
	{"index-time-zone", "utc_index"},
	{"index-field", "target_index_key"},
	{"pipeline", "pipeline"},
	{"time-key", "include_timestamp time_key"},
	{"time-key-format", "time_precision"},
	{"remove-keys", "time_key_exclude_timestamp remove_keys"},
	{"id-field", "id_key"},
	{"routing-field", "routing_key"},
	{"operation", "write_operation"},
	{"tag-key", "include_tag_key tag_key"},
	{"templates", "template_name template_file templates data_stream_template_name data_stream_template_use_index_patterns_wildcard"},
	{"overwrite-templates", "template_overwrite ilm_policy_overwrite data_stream_ilm_policy_overwrite"},
	{"legacy-templates", "use_legacy_template"},
	{"rollover-alias", "rollover_index deflector_alias"},
	{"policies", "enable_ilm ilm_policy_id ilm_policy ilm_policies data_stream_ilm_name data_stream_ilm_policy"},
	{"request-size", "bulk_message_request_threshold"},
	{"id", "hash_id_key"},
	{"hash-fields", "record_keys use_record_as_seed use_entire_record"},
	{"hash-tag", "include_tag_in_seed"},
	{"hash-time", "include_time_in_seed"},
}

// pluginNamesWithout are those that have none.
const pluginNamesWithout = `
client_key_pass ssl_version ssl_min_version ssl_max_version reload_connections reload_on_failure reload_after
sniffer_class_name selector_class_name resurrect_after reconnect_on_error http_backend
http_backend_excon_nonblock with_transporter_log target_index_affinity target_type_key type_name
suppress_type_name include_index_in_url time_key_format time_parse_error_tag parent_key
emit_error_for_missing_id remove_keys_on_update remove_keys_on_update_key suppress_doc_wrap flatten_hashes
flatten_hashes_separator include_chunk_id chunk_id_key customize_template index_date_pattern index_separator
max_retry_putting_template fail_on_putting_template_retry_exceed truncate_caches_interval
unrecoverable_error_types retry_tag log_es_400_reason ignore_exceptions exception_backup
catch_transport_exception_on_retry verify_es_version_at_startup default_elasticsearch_version
max_retry_get_es_version fail_on_detecting_es_version_retry_exceed validate_client_version content_type
prefer_oj_serializer hash_type separator
`

// ofPlugin says what has the place of an option of fluent-plugin-elasticsearch, and
// whether the name is one.
func ofPlugin(name string) (expected string, ok bool) {
	for _, one := range pluginNames {
		if hasWord(one.theirs, name) {
			return inItsPlace(one.ours), true
		}
	}
	return "none like it; docs/elasticsearch-options.md says why", hasWord(pluginNamesWithout, name)
}

func hasWord(words, word string) bool {
	for one := range strings.FieldsSeq(words) {
		if one == word {
			return true
		}
	}
	return false
}
