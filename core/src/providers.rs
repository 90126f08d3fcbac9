//! Providers by the hosts that they serve at, in the price book's names.
//!
//! A proxy knows a provider by policy; this is for recorded exchanges, and for a guess where policy says nothing.

/// Ends of host names, and the provider behind them.
const HOSTS: &[(&str, &str)] = &[
    ("api.openai.com", "openai"),
    ("chatgpt.com", "openai"),
    ("openai.azure.com", "azure"),
    ("cognitiveservices.azure.com", "azure"),
    ("services.ai.azure.com", "azure"),
    ("models.ai.azure.com", "azure"),
    ("api.anthropic.com", "anthropic"),
    ("generativelanguage.googleapis.com", "google"),
    ("aiplatform.googleapis.com", "vertex"),
    ("amazonaws.com", "bedrock"),
    ("api.aws", "bedrock"),
    ("api.mistral.ai", "mistral"),
    ("codestral.mistral.ai", "mistral"),
    ("api.cohere.com", "cohere"),
    ("api.cohere.ai", "cohere"),
    ("api.groq.com", "groq"),
    ("api.deepseek.com", "deepseek"),
    ("api.x.ai", "xai"),
    ("openrouter.ai", "openrouter"),
    ("api.together.xyz", "together"),
    ("api.together.ai", "together"),
    ("api.fireworks.ai", "fireworks"),
    ("api.perplexity.ai", "perplexity"),
    ("api.moonshot.ai", "moonshot"),
    ("api.moonshot.cn", "moonshot"),
    ("api.z.ai", "zai"),
    ("open.bigmodel.cn", "zai"),
    ("api.cerebras.ai", "cerebras"),
    ("ml.cloud.ibm.com", "watsonx"),
    ("ai-gateway.vercel.sh", "vercel"),
    ("api.venice.ai", "venice"),
    ("huggingface.co", "huggingface"),
    ("huggingface.cloud", "huggingface"),
    ("api.voyageai.com", "voyage"),
    ("api.jina.ai", "jina"),
    ("api.replicate.com", "replicate"),
    ("api.aleph-alpha.com", "alephalpha"),
    ("aliyuncs.com", "alibaba"),
    ("inference.baseten.co", "baseten"),
    ("api.deepinfra.com", "deepinfra"),
    ("api.novita.ai", "novita"),
    ("integrate.api.nvidia.com", "nvidia"),
    ("api.sambanova.ai", "sambanova"),
    ("api.hyperbolic.xyz", "hyperbolic"),
    ("api.studio.nebius.ai", "nebius"),
    ("api.studio.nebius.com", "nebius"),
    ("api.minimax.io", "minimax"),
    ("api.ai21.com", "ai21"),
    ("api.writer.com", "writer"),
    ("api.doubleword.ai", "doubleword"),
    ("githubcopilot.com", "github-copilot"),
    ("models.github.ai", "github"),
    ("inference.ai.azure.com", "azure"),
    ("cloudflare.com", "cloudflare"),
    ("databricks.com", "databricks"),
    ("azuredatabricks.net", "databricks"),
    ("snowflakecomputing.com", "snowflake"),
    ("heroku.com", "heroku"),
    ("api.avian.io", "avian"),
    ("crusoecloud.com", "crusoe"),
    ("ollama.com", "ollama"),
    ("llama.com", "meta"),
    ("ai.baidu.com", "baidu"),
    ("volces.com", "volcengine"),
    ("stepfun.com", "stepfun"),
    ("siliconflow.cn", "siliconflow"),
    ("siliconflow.com", "siliconflow"),
    ("ovh.net", "ovhcloud"),
    ("scaleway.ai", "scaleway"),
    ("wandb.ai", "wandb"),
    ("parasail.io", "parasail"),
    ("lambda.ai", "lambda"),
    ("friendli.ai", "friendli"),
    ("upstage.ai", "upstage"),
];

/// The provider that serves at `host`, with or without a port; `None` when nobody here knows.
#[must_use]
pub fn of_host(host: &str) -> Option<&'static str> {
    let host = host.split(':').next().unwrap_or_default().to_ascii_lowercase();
    let fits = |end: &str| {
        let before = host.strip_suffix(end);
        before.is_some_and(|before| before.is_empty() || before.ends_with('.') || before.ends_with('-'))
    };
    HOSTS.iter().find(|(end, _)| fits(end)).map(|(_, provider)| *provider)
}

/// Whether this is the price book's name of a provider that has a host of its own.
#[must_use]
pub fn is_known(name: &str) -> bool {
    HOSTS.iter().any(|(_, provider)| *provider == name)
}

/// Whether a provider refuses or does without OpenAI's `stream_options`: its streams report usage unasked.
///
/// Mistral: <https://docs.mistral.ai/api/#tag/chat> has no such field and takes none that it does not know (2026-11).
#[must_use]
pub fn reports_unasked(name: &str) -> bool {
    name == "mistral"
}

/// The price book's name of a provider that others call otherwise.
#[must_use]
pub fn canonical(name: &str) -> &str {
    match name {
        "gemini" | "google-ai" | "google_ai" | "google-gla" => "google",
        "google-vertex" | "vertex_ai" | "vertex-ai" | "google-vertex-anthropic" => "vertex",
        "azure-openai" | "azure_openai" | "azure_ai" | "az.ai.openai" => "azure",
        "aws" | "aws.bedrock" | "amazon-bedrock" | "bedrock-mantle" | "bedrock_converse" => "bedrock",
        "vercel-gateway" | "vercel_ai_gateway" => "vercel",
        "together_ai" | "togetherai" => "together",
        "fireworks_ai" => "fireworks",
        "mistral_ai" | "mistralai" => "mistral",
        "x-ai" | "x_ai" => "xai",
        "z-ai" | "z.ai" => "zai",
        "moonshotai" => "moonshot",
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_provider_is_known_by_the_end_of_its_host() {
        let cases = [
            ("api.openai.com", Some("openai")),
            ("API.OpenAI.com:443", Some("openai")),
            ("my-resource.openai.azure.com", Some("azure")),
            ("us-east5-aiplatform.googleapis.com", Some("vertex")),
            ("bedrock-runtime.us-east-1.amazonaws.com", Some("bedrock")),
            ("notapi.openai.com.evil.example", None),
            ("evilollama.com", None),
            ("localhost:11434", None),
            ("", None),
        ];
        for (host, want) in cases {
            assert_eq!(of_host(host), want, "{host}");
        }
    }
}
