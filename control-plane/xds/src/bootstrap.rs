//! The bootstrap a proxy starts from: where its control plane is, and nothing else; all other configuration comes over ADS.

use std::net::{IpAddr, SocketAddr};

use serde_json::{Value, json};

/// Counters of the filter are named `name.label.=.value;.;`; Envoy makes labels of these.
const LABELS: [&str; 8] = ["outcome", "reason", "kind", "problem", "what", "model", "team", "provider"];

/// What a proxy's bootstrap is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bootstrap {
    /// The proxy's name. Each proxy has its own.
    pub node_id: String,
    /// The group of proxies it belongs to.
    pub cluster: String,
    /// Free metadata; an object.
    pub metadata: Value,
    /// Host and port of the control plane's listener for proxies.
    pub control_plane: (String, u16),
    /// Where Envoy's admin interface listens; port 0 lets the system choose.
    pub admin: SocketAddr,
    /// Delta xDS instead of state of the world.
    pub delta: bool,
}

impl Bootstrap {
    /// The bootstrap as JSON, which Envoy reads from a file named `*.json` or `*.yaml`.
    #[must_use]
    pub fn render(&self) -> String {
        let (host, port) = &self.control_plane;
        let discovery = if host.parse::<IpAddr>().is_ok() { "STATIC" } else { "STRICT_DNS" };
        let tags: Vec<Value> = LABELS
            .iter()
            .map(|label| json!({ "tag_name": label, "regex": format!(r"(\.{label}\.=\.(.*?);\.;)") }))
            .collect();
        let ads = json!({ "ads": {}, "resource_api_version": "V3" });
        let bootstrap = json!({
            "node": { "id": self.node_id, "cluster": self.cluster, "metadata": self.metadata },
            "admin": { "address": address(&self.admin.ip().to_string(), self.admin.port()) },
            "dynamic_resources": {
                "ads_config": {
                    "api_type": if self.delta { "DELTA_GRPC" } else { "GRPC" },
                    "transport_api_version": "V3",
                    "set_node_on_first_message_only": true,
                    "grpc_services": [{ "envoy_grpc": { "cluster_name": "purser" } }],
                },
                "cds_config": ads.clone(),
                "lds_config": ads,
            },
            "static_resources": {
                "clusters": [{
                    "name": "purser",
                    "type": discovery,
                    "connect_timeout": "5s",
                    "typed_extension_protocol_options": {
                        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                            "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                            "explicit_http_config": {
                                "http2_protocol_options": {
                                    "connection_keepalive": { "interval": "30s", "timeout": "5s" },
                                },
                            },
                        },
                    },
                    "load_assignment": {
                        "cluster_name": "purser",
                        "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": address(host, *port) } }] }],
                    },
                }],
            },
            "stats_config": { "stats_tags": tags },
        });
        format!("{bootstrap:#}\n")
    }
}

fn address(host: &str, port: u16) -> Value {
    json!({ "socket_address": { "address": host, "port_value": port } })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `UPDATE_EXAMPLES=1` writes the example anew.
    #[test]
    fn the_example_is_what_the_code_renders() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../envoy/standalone/bootstrap.json");
        let rendered = Bootstrap {
            node_id: "gateway-1".into(),
            cluster: "gateway".into(),
            metadata: json!({}),
            control_plane: ("127.0.0.1".into(), 9601),
            admin: SocketAddr::from(([127, 0, 0, 1], 9901)),
            delta: false,
        }
        .render();
        if std::env::var_os("UPDATE_EXAMPLES").is_some() {
            std::fs::write(path, &rendered).expect("the example can be written");
        }
        let committed = std::fs::read_to_string(path).expect("envoy/standalone/bootstrap.json is committed");
        assert_eq!(committed, rendered, "run again with UPDATE_EXAMPLES=1 and commit the file");
    }
}
