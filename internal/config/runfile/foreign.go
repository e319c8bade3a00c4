package runfile

import (
	"slices"
	"strings"

	"github.com/spillway/spillway/internal/config/setting"
)

// foreign are names that options have in other programs, as somebody writes them who comes
// from there: each option, and its other names in small letters. They are told, not taken:
// a value may mean something else there.
type foreign []struct{ ours, theirs string }

// ofOthers says what has the place of a foreign name.
func (f foreign) ofOthers(name string) (of, expected string, ok bool) {
	for _, one := range f {
		if hasWord(one.theirs, strings.ToLower(name)) {
			return "other programs", inItsPlace(one.ours), true
		}
	}
	return "", "", false
}

// inItsPlace names options that are to be written for another.
func inItsPlace(ours string) string {
	return `"` + strings.ReplaceAll(ours, " ", `" and "`) + `" in its place`
}

// The names are those of fluentd's plugins, of Fluent Bit, of Vector, and, for Kafka, of its
// clients; for CloudWatch those of Docker's driver as well.
var (
	clusterForeign = foreign{
		{"brokers", "bootstrap.servers bootstrap_servers bootstrap-servers metadata.broker.list broker servers hosts"},
		{"client-id", "client.id client_id"},
		{"tls", "security.protocol ssl ssl_enable"},
		{"tls-ca-file", "ssl.ca.location ssl_ca_cert ssl_ca_certs ssl.truststore.location ca_file"},
		{"tls-cert-file", "ssl.certificate.location ssl_client_cert ssl.keystore.location crt_file"},
		{"tls-key-file", "ssl.key.location ssl_client_cert_key key_file"},
		{"tls-insecure-skip-verify", "enable.ssl.certificate.verification ssl_verify_hostname verify_certificate"},
		{"sasl", "sasl.mechanism sasl.mechanisms sasl_mechanism mechanism scram_mechanism"},
		{"username", "sasl.username sasl_username user"},
		{"password", "sasl.password sasl_password"},
		{"sasl username password", "sasl.jaas.config"},
	}
	sourceForeign = map[string]foreign{
		"forward": {
			{"listen", "address bind port host unix_path"},
			{"socket-mode", "unix_perm"},
			{"add-tag-prefix", "tag_prefix"},
			{"max-message-size", "chunk_size_limit buffer_max_size buffer_chunk_size"},
			{"max-decompressed-size", "decompression_size_limit"},
			{"max-connections", "connection_limit"},
			{"tls-cert-file", "cert_path tls.crt_file crt_file tls_cert_path"},
			{"tls-key-file", "private_key_path tls.key_file key_file tls_private_key_path"},
			{"tls-client-ca-file", "ca_path client_cert_auth tls.ca_file ca_file"},
			{"users", "user user_auth security.users"},
			{"listen tls-cert-file tls-key-file", "tls transport"},
			{"allow", "client clients permit_origin"},
		},
		"kafka": append(foreign{
			{"topics", "topic subscribe"},
			{"topics-regexp", "topics_regexp topic_regex"},
			{"group", "group.id group_id consumer_group consumer-group"},
			{"instance-id", "group.instance.id group_instance_id"},
			{"start", "auto.offset.reset auto_offset_reset start_from_beginning offset from-beginning"},
			{"session-timeout", "session.timeout.ms session_timeout_ms"},
			{"commit-interval", "auto.commit.interval.ms commit_interval_ms offset_commit_interval"},
			{"isolation", "isolation.level"},
			{"format", "codec decoding message_format"},
			{"fields", "headers_key key_field topic_key partition_key offset_key"},
			{"time", "use_event_time time_source timestamp_key"},
			{"max-record-size", "max.partition.fetch.bytes fetch.max.bytes fetch_message_max_bytes"},
		}, clusterForeign...),
	}
	sinkForeign = map[string]foreign{
		"forward": {
			{"servers", "server host hosts port address endpoint upstream"},
			{"ack", "require_ack_response"},
			{"ack-timeout", "ack_response_timeout"},
			{"max-chunk-size", "chunk_limit_size"},
			{"connections", "workers"},
			{"max-connection-age", "keepalive_timeout"},
			{"compress", "compression"},
			{"username", "user user_name"},
			{"servers", "tls transport"},
			{"tls-ca-file", "tls.ca_file tls_cert_path ca_file"},
			{"tls-cert-file", "tls.crt_file tls_client_cert_path crt_file"},
			{"tls-key-file", "tls.key_file tls_client_private_key_path key_file"},
			{"tls-insecure-skip-verify", "tls.verify tls_insecure_mode tls_allow_self_signed_cert verify_certificate"},
		},
		"file": {
			{"path", "file filename log_path"},
			{"compress", "compression"},
			{"format", "encoding template"},
			{"max-size", "limit_size rotate_size"},
			{"max-file", "rotate_count"},
			{"rotate-every", "timekey"},
		},
		"cloudwatch": {
			{"group", "awslogs-group log_group_name log-group group_name"},
			{"stream", "awslogs-stream awslogs-stream-prefix log_stream_name log_stream_prefix log-stream stream_name"},
			{"region", "awslogs-region"},
			{"endpoint", "awslogs-endpoint"},
			{"credentials-endpoint", "awslogs-credentials-endpoint"},
			{"create-group", "awslogs-create-group auto_create_group create_missing_group"},
			{"create-stream", "awslogs-create-stream auto_create_stream create_missing_stream"},
			{"format", "awslogs-format log_format encoding"},
			{"log-key", "log_key message_keys"},
			{"force-flush-interval-seconds", "awslogs-force-flush-interval-seconds flush-interval"},
		},
		"kafka": append(foreign{
			{"topic", "topics default_topic topic_key"},
			{"message-key", "message_key default_message_key"},
			{"message-key-field", "key_field message_key_field message_key_key"},
			{"acks", "required_acks request.required.acks"},
			{"compression", "compress compression_codec compression.type compression.codec"},
			{"max-message-size", "max.message.bytes message.max.bytes max.request.size max_send_limit_bytes"},
			{"linger", "linger.ms queue.buffering.max.ms"},
			{"in-flight", "max.in.flight.requests.per.connection"},
		}, clusterForeign...),
	}
	// searchForeign are what Fluent Bit and Vector call options of the search sink otherwise
	// than fluentd's plugin does.
	searchForeign = foreign{
		{"hosts", "endpoint endpoints"},
		{"index", "bulk bulk.index logstash_prefix_key index-name"},
		{"operation", "bulk.action action"},
		{"data-stream", "mode data_stream"},
		{"username", "http_user auth.user auth"},
		{"password", "http_passwd auth.password"},
		{"aws-service", "aws_auth aws_service_name aws"},
		{"region", "aws_region"},
		{"id", "generate_id"},
		{"compress", "compression"},
		{"tls-insecure-skip-verify", "tls.verify tls.verify_certificate verify_certificate"},
		{"tls-ca-file", "tls.ca_file"},
		{"tls-cert-file", "tls.crt_file"},
		{"tls-key-file", "tls.key_file"},
		{"request-size", "batch.max_bytes buffer_size"},
		{"in-flight", "workers"},
	}
)

// ofSearch knows the options of all that the search sink replaces.
func ofSearch(name string) (of, expected string, ok bool) {
	if expected, ok := ofPlugin(strings.ToLower(name)); ok {
		return "fluent-plugin-elasticsearch", expected, true
	}
	return searchForeign.ofOthers(name)
}

// otherTypes are what other programs call a type.
var otherTypes = []struct{ ours, theirs string }{
	{"forward", "fluentd fluent fluentbit fluent-bit in_forward out_forward firelens"},
	{"elasticsearch", "es elastic elasticsearch_data_stream elasticsearch_dynamic"},
	{"opensearch", "os opensearch_data_stream"},
	{"cloudwatch", "awslogs aws_cloudwatch_logs cloudwatch_logs cloudwatch-logs"},
	{"kafka", "kafka2 rdkafka rdkafka2 kafka_group msk"},
	{"file", "out_file files"},
	{"stdin", "pipe"},
}

// alikeType names the type that was surely meant, for the end of a list of types; else it is
// nothing.
func alikeType(name string, present []string) string {
	for _, one := range otherTypes {
		if slices.Contains(present, one.ours) && hasWord(one.theirs, strings.ToLower(name)) {
			return `, the nearest is "` + one.ours + `"`
		}
	}
	return setting.Alike(name, present)
}
