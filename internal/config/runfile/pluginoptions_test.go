package runfile

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// pluginOptions are all of fluent-plugin-elasticsearch 6.0.0, its output for data
// streams and its filter elasticsearch_genid.
const pluginOptions = `
host port hosts path scheme user password cloud_id cloud_auth api_key custom_headers ssl_verify ca_file
client_cert client_key client_key_pass ssl_version ssl_min_version ssl_max_version request_timeout
reload_connections reload_on_failure reload_after sniffer_class_name selector_class_name resurrect_after
reconnect_on_error http_backend http_backend_excon_nonblock compression_level with_transporter_log index_name
logstash_format logstash_prefix index_prefix logstash_prefix_separator logstash_dateformat utc_index target_index_key
target_index_affinity target_type_key type_name suppress_type_name include_index_in_url pipeline
include_timestamp time_key time_key_format time_precision time_key_exclude_timestamp time_parse_error_tag
id_key parent_key routing_key write_operation emit_error_for_missing_id remove_keys remove_keys_on_update
remove_keys_on_update_key suppress_doc_wrap include_tag_key tag_key flatten_hashes flatten_hashes_separator
include_chunk_id chunk_id_key template_name template_file templates template_overwrite customize_template
use_legacy_template rollover_index deflector_alias index_date_pattern index_separator application_name
max_retry_putting_template fail_on_putting_template_retry_exceed truncate_caches_interval enable_ilm
ilm_policy_id ilm_policy ilm_policies ilm_policy_overwrite unrecoverable_error_types retry_tag
log_es_400_reason ignore_exceptions exception_backup catch_transport_exception_on_retry
verify_es_version_at_startup default_elasticsearch_version max_retry_get_es_version
fail_on_detecting_es_version_retry_exceed validate_client_version bulk_message_request_threshold content_type
prefer_oj_serializer data_stream_name data_stream_template_name
data_stream_template_use_index_patterns_wildcard data_stream_ilm_name data_stream_ilm_policy
data_stream_ilm_policy_overwrite hash_id_key hash_type record_keys use_record_as_seed use_entire_record
include_tag_in_seed include_time_in_seed separator
`

var pluginRow = regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)` \\| (.*?) \\| (.*?) \\|$")

// The page of the plugin's options has each of them once, and names an option that
// there is, or a reason.
func TestPluginOptions(t *testing.T) {
	page, err := os.ReadFile("../../../docs/elasticsearch-options.md")
	if err != nil {
		t.Fatal(err)
	}
	var ours []string
	for _, k := range SinkTypes() {
		if k.Name == "elasticsearch" {
			for _, o := range k.Options {
				ours = append(ours, o.Name)
			}
		}
	}
	wanted := strings.Fields(pluginOptions)
	word := regexp.MustCompile("`([^`]+)`")
	for _, row := range pluginRow.FindAllStringSubmatch(string(page), -1) {
		at := slices.Index(wanted, row[1])
		if at < 0 {
			t.Errorf("%s is no option of the plugin, or stands there twice", row[1])
			continue
		}
		wanted = slices.Delete(wanted, at, at+1)
		names := word.FindAllStringSubmatch(row[2], -1)
		if len(names) == 0 && (row[2] != "–" || row[3] == "") {
			t.Errorf("%s has neither an option nor a reason", row[1])
		}
		expected, ok := ofPlugin(row[1])
		for _, name := range names {
			ok = ok && strings.Contains(expected, `"`+name[1]+`"`)
		}
		if !ok || len(names) == 0 && !strings.HasPrefix(expected, "none like it") || strings.Count(expected, `"`) != 2*len(names) {
			t.Errorf("%s is answered by %q, but the page says %s", row[1], expected, row[2])
		}
		for _, name := range names {
			if !slices.Contains(ours, name[1]) {
				t.Errorf("%s is said to be %s, which is no option", row[1], name[1])
			}
		}
	}
	if len(wanted) > 0 {
		t.Errorf("not on the page: %s", strings.Join(wanted, ", "))
	}
}
