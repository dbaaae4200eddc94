/**
 * What directives of nginx mean for access. Those in no list may guard something (modules of others, Lua, ModSecurity),
 * so what they stand in is closed.
 */

/** Their meaning is carried, or looked at where they stand. */
const CARRIED = [
  'add_header allow client_max_body_size deny include internal limit_req limit_req_zone limit_req_status',
  'limit_req_log_level listen location map proxy_connect_timeout proxy_hide_header proxy_pass proxy_read_timeout',
  'proxy_send_timeout proxy_set_header real_ip_header real_ip_recursive return root server server_name',
  'set_real_ip_from ssl ssl_certificate ssl_certificate_key ssl_client_certificate ssl_verify_client upstream alias',
  'try_files index',
].join(' ');

/** They change nothing of what a client may do or gets, or are about the process. */
const HARMLESS = [
  'access_log charset client_body_buffer_size client_body_in_file_only client_body_temp_path client_body_timeout',
  'client_header_buffer_size client_header_timeout daemon default_type directio disable_symlinks error_log etag events',
  'fastcgi_temp_path gzip gzip_buffers gzip_comp_level gzip_disable gzip_http_version gzip_min_length gzip_proxied',
  'gzip_static gzip_types gzip_vary http2 http2_max_concurrent_streams http2_push_preload http3 if_modified_since',
  'ignore_invalid_headers keepalive_disable keepalive_requests keepalive_time keepalive_timeout',
  'large_client_header_buffers lingering_close lingering_time lingering_timeout load_module log_format log_not_found',
  'log_subrequest map_hash_bucket_size map_hash_max_size merge_slashes open_file_cache open_file_cache_errors',
  'open_file_cache_min_uses open_file_cache_valid open_log_file_cache output_buffers pid port_in_redirect',
  'postpone_output proxy_buffer_size proxy_buffering proxy_buffers proxy_busy_buffers_size proxy_headers_hash_bucket_size',
  'proxy_headers_hash_max_size proxy_http_version proxy_max_temp_file_size proxy_request_buffering proxy_redirect',
  'proxy_socket_keepalive proxy_temp_file_write_size proxy_temp_path quic_gso quic_retry recursive_error_pages',
  'request_pool_size reset_timedout_connection resolver resolver_timeout scgi_temp_path send_lowat send_timeout',
  'sendfile sendfile_max_chunk server_name_in_redirect server_names_hash_bucket_size server_names_hash_max_size',
  'server_tokens ssl_buffer_size ssl_ciphers ssl_conf_command ssl_dhparam ssl_early_data ssl_ecdh_curve',
  'ssl_password_file ssl_prefer_server_ciphers ssl_protocols ssl_reject_handshake ssl_session_cache',
  'ssl_session_ticket_key ssl_session_tickets ssl_session_timeout ssl_stapling ssl_stapling_file',
  'ssl_stapling_responder ssl_stapling_verify ssl_trusted_certificate ssl_verify_depth tcp_nodelay tcp_nopush types',
  'types_hash_bucket_size types_hash_max_size underscores_in_headers user uwsgi_temp_path variables_hash_bucket_size',
  'variables_hash_max_size worker_connections worker_cpu_affinity worker_priority worker_processes',
  'worker_rlimit_nofile worker_shutdown_timeout brotli brotli_comp_level brotli_static brotli_types autoindex',
  'autoindex_exact_size autoindex_format autoindex_localtime auth_basic_user_file auth_request_set gunzip',
  'geoip2 geoip_city geoip_country geoip_org init_by_lua_block init_worker_by_lua_block js_import js_path keyval',
  'keyval_zone limit_conn_log_level limit_conn_status limit_conn_zone limit_req_dry_run lua_package_cpath',
  'lua_package_path lua_shared_dict lua_ssl_trusted_certificate lua_ssl_verify_depth match perl_modules',
  'proxy_cache_path thread_pool vhost_traffic_status_zone',
].join(' ');

/** They do something that is missing here, and guard nothing: the route stays, the report names them. */
const MISSING = [
  'add_trailer aio chunked_transfer_encoding error_page expires geo http2_push limit_rate limit_rate_after mirror',
  'mirror_request_body more_clear_headers more_set_headers proxy_bind proxy_cache proxy_cache_background_update',
  'proxy_cache_bypass proxy_cache_convert_head proxy_cache_key proxy_cache_lock proxy_cache_lock_timeout',
  'proxy_cache_methods proxy_cache_min_uses proxy_cache_revalidate proxy_cache_use_stale',
  'proxy_cache_valid proxy_cookie_domain proxy_cookie_flags proxy_cookie_path proxy_force_ranges',
  'proxy_ignore_client_abort proxy_ignore_headers proxy_intercept_errors proxy_next_upstream',
  'proxy_next_upstream_timeout proxy_next_upstream_tries proxy_no_cache proxy_pass_header proxy_ssl_certificate',
  'proxy_ssl_certificate_key proxy_ssl_ciphers proxy_ssl_name proxy_ssl_protocols proxy_ssl_server_name',
  'proxy_ssl_session_reuse proxy_ssl_trusted_certificate proxy_ssl_verify proxy_ssl_verify_depth proxy_store',
  'proxy_store_access set slice split_clients ssi stub_status sub_filter sub_filter_last_modified sub_filter_once',
  'sub_filter_types userid userid_name fastcgi_buffers fastcgi_buffer_size fastcgi_read_timeout gzip_bind',
  'opentelemetry otel_trace otel_trace_context otel_service_name otel_exporter',
].join(' ');

const words = (text: string): ReadonlySet<string> => new Set(text.split(' '));
const [CARRIED_NAMES, HARMLESS_NAMES, MISSING_NAMES] = [words(CARRIED), words(HARMLESS), words(MISSING)];

export type Meaning = 'carried' | 'harmless' | 'missing' | 'guard';

export function meaningOf(name: string): Meaning {
  if (CARRIED_NAMES.has(name)) return 'carried';
  // Without `proxy_pass` nothing is open.
  if (/^(?:fastcgi|uwsgi|scgi|grpc|memcached)_/.test(name)) return 'missing';
  if (HARMLESS_NAMES.has(name)) return 'harmless';
  return MISSING_NAMES.has(name) ? 'missing' : 'guard';
}
