//! What may be written: YAML documents, Kubernetes style. The JSON Schema is made from these types.

use purser_core::api::Api;
use purser_core::budget::period::Period;
use purser_core::config::{OnUnavailable, OnUnpriced};
use purser_core::free::Free;
use purser_core::labels::Source;
use purser_core::pricing::Rates;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The `apiVersion` of all documents.
pub const API_VERSION: &str = "purser.dev/v1alpha1";

/// The kinds of documents.
pub const KINDS: [&str; 7] = ["AccessPolicy", "Budget", "Identity", "Model", "PriceOverride", "Provider", "RateLimit"];

/// A policy document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Document<S> {
    /// Always `purser.dev/v1alpha1`.
    #[schemars(regex(pattern = r"^purser\.dev/v1alpha1$"))]
    pub api_version: String,
    /// What the document is about.
    pub kind: String,
    /// Its name.
    pub metadata: Metadata,
    /// What it says.
    pub spec: S,
}

/// What every document has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Metadata {
    /// Unique among documents of its kind. Lower-case letters, digits, `-`, `.`.
    #[schemars(regex(pattern = r"^[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?$"))]
    pub name: String,
}

/// A provider: where requests go, and with which credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Provider {
    /// Scheme, host, port if it is not the scheme's, and a path that goes before the API's.
    #[schemars(regex(pattern = r"^https?://[^/?#\s]+(/[^?#\s]*)?$"))]
    pub endpoint: String,
    /// Wire formats that it serves, by name or pattern: `openai.*`.
    #[schemars(length(min = 1))]
    pub apis: Vec<ApiPattern>,
    /// The price book's name of it. Absent: that of the endpoint's host where it is known, else the document's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catalog: Option<String>,
    /// The API key. Absent: none is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<CredentialSource>,
    /// What of its API is let through that costs nothing there and then. Absent: `[models, countTokens, moderation]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_paths: Option<Vec<Free>>,
    /// It speaks HTTP/2 without TLS. With TLS that is agreed on by itself.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub http2: bool,
    /// The longest time without a byte of an answer. Absent: 10m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[1-9][0-9]*(ms|s|m|h|d)$"))]
    pub timeout: Option<String>,
}

/// A wire format's name, or a pattern of names (`*` is any run of characters).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ApiPattern(pub String);

impl JsonSchema for ApiPattern {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ApiPattern".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        // The names are for editors: what fits none is told with the nearest when it is compiled.
        let names: Vec<&str> = Api::ALL.iter().map(|api| api.name()).collect();
        schemars::json_schema!({
            "description": "A wire format's name, or a pattern of names (`*` is any run of characters).",
            "anyOf": [{"enum": names}, {"type": "string"}],
        })
    }
}

/// Where a credential is read from, by `env` or `file`, and how it is sent. It goes to Envoy over SDS and nowhere else.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct CredentialSource {
    /// An environment variable of the control plane.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<String>,
    /// A file; white space around the key is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The header that it is sent in. Absent: the provider's own, `authorization` where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[A-Za-z0-9-]+$"))]
    pub header: Option<String>,
    /// What stands before it, with its space. Absent: `"Bearer "` in `authorization`, else nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
}

/// A model and where it goes. Models without a document go to the provider whose prices know them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Model {
    /// Request models, as patterns (`*` is any run of characters). Absent: the document's name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub r#match: Vec<String>,
    /// The provider's name.
    pub provider: String,
    /// What the provider calls it, when that is not what the caller asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_model: Option<String>,
    /// The most it can put out: what a budget holds when a request does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_output_tokens: Option<u64>,
}

/// Which requests a rule is about. Empty parts match everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Selector {
    /// Label to patterns, one of which must match.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, Vec<String>>,
    /// Providers, as patterns.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub providers: Vec<String>,
    /// Request models, as patterns.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
    /// Wire formats, by name or pattern.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub apis: Vec<ApiPattern>,
}

/// Who may use what. All access policies about a request must pass; in one, `deny` wins over `allow`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct AccessPolicy {
    /// Whom it is about. Absent: everyone.
    #[serde(default)]
    pub subject: Selector,
    /// What they may use: with any entry, a request must match one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<Selector>,
    /// What they may not use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<Selector>,
}

/// A pace, for each group of labels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RateLimit {
    /// Which requests it is about. Absent: all.
    #[serde(default)]
    pub selector: Selector,
    /// Labels whose values make a group, each with the whole pace. Absent: all share it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub per: Vec<String>,
    /// Requests in a window. Absent: unlimited. 0: none pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    /// Tokens in a window, prompt and output. Absent: unlimited. 0: none pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// The window, such as `1m`.
    #[schemars(regex(pattern = r"^[1-9][0-9]*(ms|s|m|h|d)$"))]
    pub window: String,
}

/// Whether a budget refuses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Enforcement {
    /// It does, before money is spent.
    #[default]
    Hard,
    /// It counts and reports.
    Soft,
}

/// Money for a calendar period, for each group of labels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Budget {
    /// Which requests it is about. Absent: all.
    #[serde(default)]
    pub selector: Selector,
    /// Labels whose values make a group, each with the whole amount. Absent: all share it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub per: Vec<String>,
    /// USD, as a text: "250.00".
    #[schemars(regex(pattern = r"^[0-9]+(\.[0-9]{1,9})?$"))]
    pub amount: String,
    /// How often it starts anew.
    pub period: Period,
    /// IANA time zone of the calendar. Absent: UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Whether it refuses.
    #[serde(default)]
    pub enforcement: Enforcement,
    /// Per cent of the amount at which it is shown as crossed. Absent: 50, 80, 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub thresholds: Vec<u32>,
    /// Cap `max_tokens` to what is held, so that no answer costs more.
    #[serde(default)]
    pub clamp: bool,
    /// `max_tokens` for a request that says none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub default_max_tokens: Option<u64>,
    /// The control plane is away and the lease is spent.
    #[serde(default)]
    pub on_unavailable: OnUnavailable,
    /// The model has no price.
    #[serde(default)]
    pub unpriced: OnUnpriced,
}

/// What a caller without a virtual key may do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Unidentified {
    /// Call: other rules see the labels that are known.
    #[default]
    Allow,
    /// Nothing: a virtual key is needed.
    Deny,
}

/// How callers are recognised. At most one document; without it `trust: [key, workload, header]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Identity {
    /// Sources in order of trust, the most trusted first. One that is not listed is not read.
    pub trust: Vec<Source>,
    /// Header to label. Absent: `x-purser-<label>` for every label.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Node metadata to label: `NAMESPACE`, `LABELS.app`. Absent: `WORKLOAD_NAME` is `workload`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub workload: BTreeMap<String, String>,
    /// Labels that every request must have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub required: Vec<String>,
    /// What a caller without a virtual key may do.
    pub unidentified: Unidentified,
}

/// A price of your own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PriceOverride {
    /// The provider's name.
    pub provider: String,
    /// Whose price it is: label to patterns, one of which must match. Absent: everyone's.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, Vec<String>>,
    /// Models, as patterns.
    #[schemars(length(min = 1))]
    pub models: Vec<String>,
    /// USD per 10⁶ units, dated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rates: Vec<Rates>,
    /// A factor on the listed price, as a text: "0.85".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub multiplier: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// The schema of one kind, for checking.
#[must_use]
pub fn schema_of(kind: &str) -> Option<serde_json::Value> {
    let schema = match kind {
        "Provider" => schemars::schema_for!(Document<Provider>),
        "Model" => schemars::schema_for!(Document<Model>),
        "AccessPolicy" => schemars::schema_for!(Document<AccessPolicy>),
        "RateLimit" => schemars::schema_for!(Document<RateLimit>),
        "Budget" => schemars::schema_for!(Document<Budget>),
        "Identity" => schemars::schema_for!(Document<Identity>),
        "PriceOverride" => schemars::schema_for!(Document<PriceOverride>),
        _ => return None,
    };
    Some(schema.to_value())
}

/// The schema of any document, for editors: one file, a branch for each kind.
#[must_use]
pub fn schema() -> serde_json::Value {
    use serde_json::{Map, Value, json};
    let mut definitions = Map::new();
    let mut branches = Vec::new();
    for kind in KINDS {
        let Some(Value::Object(mut schema)) = schema_of(kind) else { continue };
        if let Some(Value::Object(parts)) = schema.remove("$defs") {
            definitions.extend(parts);
        }
        schema.remove("$schema");
        if let Some(property) = schema.get_mut("properties").and_then(|all| all.get_mut("kind")) {
            *property = json!({"const": kind});
        }
        definitions.insert(format!("{kind}Document"), Value::Object(schema));
        branches.push(json!({
            "if": {"properties": {"kind": {"const": kind}}, "required": ["kind"]},
            "then": {"$ref": format!("#/$defs/{kind}Document")},
        }));
    }
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Purser policy document",
        "type": "object",
        "required": ["apiVersion", "kind", "metadata", "spec"],
        "properties": {"kind": {"enum": KINDS}},
        "allOf": branches,
        "$defs": definitions,
    })
}

#[cfg(test)]
mod tests {
    /// `UPDATE=1 cargo test -p purser-policy` writes it anew.
    #[test]
    fn the_published_schema_is_that_of_the_types() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/schema/policy.schema.json");
        let now = format!("{}\n", serde_json::to_string_pretty(&super::schema()).unwrap());
        if std::env::var_os("UPDATE").is_some() {
            std::fs::create_dir_all(std::path::Path::new(path).parent().unwrap()).unwrap();
            std::fs::write(path, &now).unwrap();
        }
        let published = std::fs::read_to_string(path).unwrap_or_default();
        assert!(published == now, "docs/schema/policy.schema.json is not that of the types: run with UPDATE=1");
    }
}
