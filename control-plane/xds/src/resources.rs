//! From a plain description of the gateway to the Envoy resources of it.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use envoy_types::{
    pb::{
        envoy::{
            config::{
                accesslog::v3 as log, cluster::v3 as cluster, core::v3 as core, endpoint::v3 as endpoint,
                listener::v3 as listener, route::v3 as route,
            },
            extensions::{
                access_loggers::{file::v3 as file_log, filters::cel::v3::ExpressionFilter, stream::v3 as stream_log},
                filters::{
                    http::{
                        credential_injector::v3::CredentialInjector, router::v3::Router,
                        upstream_codec::v3::UpstreamCodec, wasm::v3::Wasm,
                    },
                    network::http_connection_manager::v3 as hcm,
                },
                http::injected_credentials::generic::v3::Generic,
                transport_sockets::tls::v3 as tls,
                upstreams::http::v3 as upstream,
                wasm::v3 as wasm,
            },
            r#type::matcher::v3::{StringMatcher, string_matcher::MatchPattern},
        },
        google::protobuf::{self, Any, BoolValue, StringValue, UInt32Value, UInt64Value},
    },
    util::pack_any,
};

use crate::snapshot::{Kind, Snapshot};
use serde_json::json;

/// Name of the listener, of the route configuration, of the filter and of its VM.
pub const NAME: &str = "purser";
/// The header in which the filter says which provider the request goes to.
pub const ROUTE_HEADER: &str = "x-purser-route";
/// The default of [`Gateway::body_limit_bytes`]: 64 MiB.
pub const BODY_LIMIT_BYTES: u32 = 64 << 20;
/// Where Debian, Alpine, the distroless images and Envoy's own image keep the certificates they trust.
const SYSTEM_CA: &str = "/etc/ssl/certs/ca-certificates.crt";
/// How long a stream may be silent before Envoy ends it: a reasoning model may think for minutes.
const STREAM_IDLE: Duration = Duration::from_secs(600);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Envoy's own default of 1024 is too low for calls that each take a minute.
const MAX_IN_FLIGHT: u32 = 65_536;

/// The gateway a proxy is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gateway {
    /// What people call this configuration: the policy's version.
    pub label: String,
    /// Where the proxy listens; port 0 lets the system choose.
    pub listen: SocketAddr,
    /// Where requests may go.
    pub providers: Vec<ProviderEndpoint>,
    /// The filter and its policy.
    pub filter: FilterSource,
    /// Where the records are written.
    pub access_log: AccessLog,
    /// The most of a request or response Envoy holds for the filter; a longer request gets 413.
    pub body_limit_bytes: u32,
}

/// One provider, as Envoy reaches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderEndpoint {
    /// The name which the filter puts into [`ROUTE_HEADER`].
    pub name: String,
    /// Whether Envoy speaks TLS to it.
    pub tls: bool,
    /// Whether Envoy speaks HTTP/2 to it where there is no TLS to agree on that by.
    pub http2: bool,
    /// Host name or IP address.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Put before the path of each request, such as `/api`; empty or `/` for nothing.
    pub path_prefix: String,
    /// The key Envoy puts into each request, if any.
    pub credential: Option<Credential>,
    /// Why requests to it are answered with 503 instead of being sent.
    pub blocked: Option<String>,
    /// How long a stream may be silent. Zero is no limit.
    pub timeout: Duration,
}

/// A header with a secret value.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// `authorization` or `x-api-key`.
    pub header: String,
    /// The whole value, with its `Bearer ` where the provider wants one.
    pub value: String,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential").field("header", &self.header).finish_non_exhaustive()
    }
}

/// The filter and the policy it runs by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterSource {
    /// The module's path on the proxy's machine.
    pub wasm_path: String,
    /// The filter's configuration, JSON.
    pub configuration_json: String,
}

/// Where the records go, one JSON object a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLog {
    /// Envoy's standard output.
    Stdout,
    /// A file on the proxy's machine.
    File(PathBuf),
}

impl Gateway {
    /// The resources of this gateway.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let extension = core::TypedExtensionConfig {
            name: NAME.into(),
            typed_config: Some(self.filter.filter(&self.filter.configuration_json)),
        };
        let mut resources = vec![
            (Kind::Listener, NAME.to_owned(), pack_any(self.listener())),
            (Kind::Route, NAME.to_owned(), pack_any(self.routes())),
            (Kind::Extension, NAME.to_owned(), pack_any(extension)),
        ];
        for provider in &self.providers {
            let cluster = pack_any(provider.cluster(self.body_limit_bytes));
            resources.push((Kind::Cluster, provider.cluster_name(), cluster));
            if let Some(credential) = &provider.credential {
                let name = provider.secret_name();
                resources.push((Kind::Secret, name.clone(), pack_any(credential.secret(name))));
            }
        }
        Snapshot::new(self.label.clone(), resources)
    }

    fn listener(&self) -> listener::Listener {
        let manager = hcm::HttpConnectionManager {
            codec_type: hcm::http_connection_manager::CodecType::Auto.into(),
            stat_prefix: NAME.into(),
            route_specifier: Some(hcm::http_connection_manager::RouteSpecifier::Rds(hcm::Rds {
                config_source: Some(ads()),
                route_config_name: NAME.into(),
            })),
            stream_idle_timeout: Some(duration(STREAM_IDLE)),
            request_timeout: Some(duration(Duration::ZERO)),
            generate_request_id: Some(BoolValue { value: true }),
            preserve_external_request_id: true,
            always_set_request_id_in_response: true,
            // Sessions of frames; the filter lets through those that policy has a provider for.
            upgrade_configs: vec![hcm::http_connection_manager::UpgradeConfig {
                upgrade_type: "websocket".into(),
                ..Default::default()
            }],
            access_log: vec![self.access_log.access_log()],
            http_filters: vec![
                hcm::HttpFilter {
                    name: NAME.into(),
                    config_type: Some(hcm::http_filter::ConfigType::ConfigDiscovery(core::ExtensionConfigSource {
                        // No limit: the listener waits for the policy, and takes no request before.
                        config_source: Some(core::ConfigSource {
                            initial_fetch_timeout: Some(duration(Duration::ZERO)),
                            ..ads()
                        }),
                        // Without any configuration, the filter refuses each call: what a proxy does whose policy was refused.
                        default_config: Some(self.filter.filter("{}")),
                        apply_default_config_without_warming: false,
                        type_urls: vec![<Wasm as prost::Name>::type_url()],
                    })),
                    ..Default::default()
                },
                http_filter("envoy.filters.http.router", pack_any(Router::default())),
            ],
            ..Default::default()
        };
        listener::Listener {
            name: NAME.into(),
            address: Some(address(&self.listen.ip().to_string(), self.listen.port())),
            per_connection_buffer_limit_bytes: Some(UInt32Value { value: self.body_limit_bytes }),
            filter_chains: vec![listener::FilterChain {
                filters: vec![listener::Filter {
                    name: "envoy.filters.network.http_connection_manager".into(),
                    config_type: Some(listener::filter::ConfigType::TypedConfig(pack_any(manager))),
                }],
                ..Default::default()
            }],
            ..Default::default()
        }
    }

    fn routes(&self) -> route::RouteConfiguration {
        let mut routes = vec![healthz()];
        routes.extend(self.providers.iter().map(ProviderEndpoint::route));
        routes.push(not_found());
        route::RouteConfiguration {
            name: NAME.into(),
            virtual_hosts: vec![route::VirtualHost {
                name: NAME.into(),
                domains: vec!["*".into()],
                routes,
                request_body_buffer_limit: Some(UInt64Value { value: u64::from(self.body_limit_bytes) }),
                ..Default::default()
            }],
            // A route may come before its cluster is there; it then answers 503, and no update is refused.
            validate_clusters: Some(BoolValue { value: false }),
            ..Default::default()
        }
    }
}

impl FilterSource {
    /// The filter with this configuration. One VM serves every configuration, so an update keeps its memory.
    fn filter(&self, configuration_json: &str) -> Any {
        pack_any(Wasm {
            config: Some(wasm::PluginConfig {
                name: NAME.into(),
                root_id: NAME.into(),
                // A `StringValue` reaches the filter byte for byte; a `Struct` would turn integers into doubles.
                configuration: Some(pack_any(StringValue { value: configuration_json.into() })),
                failure_policy: wasm::FailurePolicy::FailReload.into(),
                allow_on_headers_stop_iteration: Some(BoolValue { value: true }),
                vm: Some(wasm::plugin_config::Vm::VmConfig(wasm::VmConfig {
                    vm_id: NAME.into(),
                    runtime: "envoy.wasm.runtime.v8".into(),
                    code: Some(core::AsyncDataSource {
                        specifier: Some(core::async_data_source::Specifier::Local(core::DataSource {
                            specifier: Some(core::data_source::Specifier::Filename(self.wasm_path.clone())),
                            ..Default::default()
                        })),
                    }),
                    ..Default::default()
                })),
                ..Default::default()
            }),
        })
    }
}

impl AccessLog {
    fn access_log(&self) -> log::AccessLog {
        let line = core::SubstitutionFormatString {
            format: Some(core::substitution_format_string::Format::TextFormatSource(inline(
                "%FILTER_STATE(wasm.purser.record:PLAIN)%\n",
            ))),
            ..Default::default()
        };
        let (name, config) = match self {
            Self::Stdout => (
                "envoy.access_loggers.stdout",
                pack_any(stream_log::StdoutAccessLog {
                    access_log_format: Some(stream_log::stdout_access_log::AccessLogFormat::LogFormat(line)),
                }),
            ),
            Self::File(path) => (
                "envoy.access_loggers.file",
                pack_any(file_log::FileAccessLog {
                    path: path.to_string_lossy().into_owned(),
                    access_log_format: Some(file_log::file_access_log::AccessLogFormat::LogFormat(line)),
                }),
            ),
        };
        log::AccessLog {
            name: name.into(),
            // A request without a record, such as a health check, writes no line.
            filter: Some(log::AccessLogFilter {
                filter_specifier: Some(log::access_log_filter::FilterSpecifier::ExtensionFilter(
                    log::ExtensionFilter {
                        name: "envoy.access_loggers.extension_filters.cel".into(),
                        config_type: Some(log::extension_filter::ConfigType::TypedConfig(pack_any(ExpressionFilter {
                            expression: "'wasm.purser.record' in filter_state".into(),
                            ..Default::default()
                        }))),
                    },
                )),
            }),
            config_type: Some(log::access_log::ConfigType::TypedConfig(config)),
        }
    }
}

impl ProviderEndpoint {
    fn cluster_name(&self) -> String {
        format!("provider-{}", self.name)
    }

    fn secret_name(&self) -> String {
        format!("provider-{}-credential", self.name)
    }

    /// Every request to it carries the header which the filter set.
    fn route(&self) -> route::Route {
        let prefix = self.path_prefix.trim_matches('/');
        let default_port = if self.tls { 443 } else { 80 };
        let host = if self.port == default_port { self.host.clone() } else { format!("{}:{}", self.host, self.port) };
        let r#match = route::RouteMatch {
            path_specifier: Some(route::route_match::PathSpecifier::Prefix("/".into())),
            headers: vec![header_is(ROUTE_HEADER, &self.name)],
            ..Default::default()
        };
        if let Some(why) = &self.blocked {
            let body = json!({"error": {"message": why, "type": "server_error", "param": null, "code": null}});
            return route::Route {
                name: self.name.clone(),
                r#match: Some(r#match),
                action: Some(route::route::Action::DirectResponse(route::DirectResponseAction {
                    status: 503,
                    body: Some(inline(&body.to_string())),
                    ..Default::default()
                })),
                ..Default::default()
            };
        }
        route::Route {
            name: self.name.clone(),
            r#match: Some(r#match),
            request_headers_to_remove: vec![ROUTE_HEADER.into()],
            action: Some(route::route::Action::Route(route::RouteAction {
                cluster_specifier: Some(route::route_action::ClusterSpecifier::Cluster(self.cluster_name())),
                host_rewrite_specifier: Some(route::route_action::HostRewriteSpecifier::HostRewriteLiteral(host)),
                prefix_rewrite: if prefix.is_empty() { String::new() } else { format!("/{prefix}/") },
                timeout: Some(duration(Duration::ZERO)),
                idle_timeout: Some(duration(self.timeout)),
                ..Default::default()
            })),
            ..Default::default()
        }
    }

    fn cluster(&self, body_limit_bytes: u32) -> cluster::Cluster {
        let discovery = if self.host.parse::<IpAddr>().is_ok() {
            cluster::cluster::DiscoveryType::Static
        } else {
            cluster::cluster::DiscoveryType::StrictDns
        };
        let name = self.cluster_name();
        cluster::Cluster {
            name: name.clone(),
            cluster_discovery_type: Some(cluster::cluster::ClusterDiscoveryType::Type(discovery.into())),
            connect_timeout: Some(duration(CONNECT_TIMEOUT)),
            per_connection_buffer_limit_bytes: Some(UInt32Value { value: body_limit_bytes }),
            load_assignment: Some(endpoint::ClusterLoadAssignment {
                cluster_name: name,
                endpoints: vec![endpoint::LocalityLbEndpoints {
                    lb_endpoints: vec![endpoint::LbEndpoint {
                        host_identifier: Some(endpoint::lb_endpoint::HostIdentifier::Endpoint(endpoint::Endpoint {
                            address: Some(address(&self.host, self.port)),
                            ..Default::default()
                        })),
                        ..Default::default()
                    }],
                    ..Default::default()
                }],
                ..Default::default()
            }),
            circuit_breakers: Some(cluster::CircuitBreakers {
                thresholds: vec![cluster::circuit_breakers::Thresholds {
                    max_connections: Some(UInt32Value { value: MAX_IN_FLIGHT }),
                    max_pending_requests: Some(UInt32Value { value: MAX_IN_FLIGHT }),
                    max_requests: Some(UInt32Value { value: MAX_IN_FLIGHT }),
                    ..Default::default()
                }],
                ..Default::default()
            }),
            transport_socket: self.tls.then(|| self.transport_socket()),
            typed_extension_protocol_options: HashMap::from([(
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions".into(),
                pack_any(self.http_options()),
            )]),
            ..Default::default()
        }
    }

    fn http_options(&self) -> upstream::HttpProtocolOptions {
        use upstream::http_protocol_options::{
            AutoHttpConfig, ExplicitHttpConfig, UpstreamProtocolOptions, explicit_http_config::ProtocolConfig,
        };
        let filters = self.credential.as_ref().map(|credential| {
            vec![
                http_filter(
                    "envoy.filters.http.credential_injector",
                    pack_any(credential.injector(self.secret_name())),
                ),
                http_filter("envoy.filters.http.upstream_codec", pack_any(UpstreamCodec::default())),
            ]
        });
        // HTTP/2 is agreed on in the TLS handshake; without TLS there is nothing to agree by.
        let explicit = |protocol| {
            UpstreamProtocolOptions::ExplicitHttpConfig(ExplicitHttpConfig { protocol_config: Some(protocol) })
        };
        let protocol = match (self.tls, self.http2) {
            (true, _) => UpstreamProtocolOptions::AutoConfig(AutoHttpConfig::default()),
            (false, true) => explicit(ProtocolConfig::Http2ProtocolOptions(core::Http2ProtocolOptions::default())),
            (false, false) => explicit(ProtocolConfig::HttpProtocolOptions(core::Http1ProtocolOptions::default())),
        };
        upstream::HttpProtocolOptions {
            http_filters: filters.unwrap_or_default(),
            upstream_protocol_options: Some(protocol),
            ..Default::default()
        }
    }

    fn transport_socket(&self) -> core::TransportSocket {
        let ip = self.host.parse::<IpAddr>().is_ok();
        let san_type = if ip {
            tls::subject_alt_name_matcher::SanType::IpAddress
        } else {
            tls::subject_alt_name_matcher::SanType::Dns
        };
        let validation = tls::CertificateValidationContext {
            trusted_ca: Some(core::DataSource {
                specifier: Some(core::data_source::Specifier::Filename(SYSTEM_CA.into())),
                ..Default::default()
            }),
            match_typed_subject_alt_names: vec![tls::SubjectAltNameMatcher {
                san_type: san_type.into(),
                matcher: Some(exact(&self.host)),
                ..Default::default()
            }],
            ..Default::default()
        };
        core::TransportSocket {
            name: "envoy.transport_sockets.tls".into(),
            config_type: Some(core::transport_socket::ConfigType::TypedConfig(pack_any(tls::UpstreamTlsContext {
                sni: if ip { String::new() } else { self.host.clone() },
                common_tls_context: Some(tls::CommonTlsContext {
                    validation_context_type: Some(tls::common_tls_context::ValidationContextType::ValidationContext(
                        validation,
                    )),
                    ..Default::default()
                }),
                ..Default::default()
            }))),
        }
    }
}

impl Credential {
    /// Puts the credential in, over what the caller sent. Without a secret the request is refused, not let through bare.
    fn injector(&self, secret_name: String) -> CredentialInjector {
        CredentialInjector {
            overwrite: true,
            allow_request_without_credential: false,
            credential: Some(core::TypedExtensionConfig {
                name: "envoy.http.injected_credentials.generic".into(),
                typed_config: Some(pack_any(Generic {
                    credential: Some(tls::SdsSecretConfig { name: secret_name, sds_config: Some(ads()) }),
                    header: self.header.clone(),
                    ..Default::default()
                })),
            }),
        }
    }

    fn secret(&self, name: String) -> tls::Secret {
        tls::Secret {
            name,
            r#type: Some(tls::secret::Type::GenericSecret(tls::GenericSecret {
                secret: Some(inline(&self.value)),
                ..Default::default()
            })),
        }
    }
}

fn healthz() -> route::Route {
    direct(
        "healthz",
        route::RouteMatch {
            path_specifier: Some(route::route_match::PathSpecifier::Path("/healthz".into())),
            headers: vec![header_is(":method", "GET")],
            ..Default::default()
        },
        200,
        "ok\n",
    )
}

fn not_found() -> route::Route {
    let mut route = direct(
        "not-found",
        route::RouteMatch {
            path_specifier: Some(route::route_match::PathSpecifier::Prefix("/".into())),
            ..Default::default()
        },
        404,
        concat!(
            r#"{"error":{"type":"not_found","message":"nothing is served at this path: it is no API of the providers "#,
            r#"in the policy, or one that `freePaths` does not let through"}}"#,
            "\n"
        ),
    );
    route.response_headers_to_add = vec![core::HeaderValueOption {
        header: Some(core::HeaderValue {
            key: "content-type".into(),
            value: "application/json".into(),
            ..Default::default()
        }),
        append_action: core::header_value_option::HeaderAppendAction::OverwriteIfExistsOrAdd.into(),
        ..Default::default()
    }];
    route
}

fn direct(name: &str, matched: route::RouteMatch, status: u32, body: &str) -> route::Route {
    route::Route {
        name: name.into(),
        r#match: Some(matched),
        action: Some(route::route::Action::DirectResponse(route::DirectResponseAction {
            status,
            body: Some(inline(body)),
            ..Default::default()
        })),
        ..Default::default()
    }
}

fn header_is(name: &str, value: &str) -> route::HeaderMatcher {
    route::HeaderMatcher {
        name: name.into(),
        header_match_specifier: Some(route::header_matcher::HeaderMatchSpecifier::StringMatch(exact(value))),
        ..Default::default()
    }
}

fn exact(value: &str) -> StringMatcher {
    StringMatcher { match_pattern: Some(MatchPattern::Exact(value.into())), ..Default::default() }
}

fn http_filter(name: &str, config: Any) -> hcm::HttpFilter {
    hcm::HttpFilter {
        name: name.into(),
        config_type: Some(hcm::http_filter::ConfigType::TypedConfig(config)),
        ..Default::default()
    }
}

fn inline(text: &str) -> core::DataSource {
    core::DataSource { specifier: Some(core::data_source::Specifier::InlineString(text.into())), ..Default::default() }
}

fn ads() -> core::ConfigSource {
    core::ConfigSource {
        resource_api_version: core::ApiVersion::V3.into(),
        config_source_specifier: Some(core::config_source::ConfigSourceSpecifier::Ads(core::AggregatedConfigSource {})),
        ..Default::default()
    }
}

fn address(host: &str, port: u16) -> core::Address {
    core::Address {
        address: Some(core::address::Address::SocketAddress(core::SocketAddress {
            address: host.into(),
            port_specifier: Some(core::socket_address::PortSpecifier::PortValue(port.into())),
            ..Default::default()
        })),
    }
}

fn duration(of: Duration) -> protobuf::Duration {
    protobuf::Duration {
        seconds: i64::try_from(of.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(of.subsec_nanos()).unwrap_or_default(),
    }
}
