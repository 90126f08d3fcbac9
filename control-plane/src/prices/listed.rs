//! What one data set says of one model, and the price book's names of the providers that data sets know.

use purser_core::pricing::Rates;

/// Whence a price came.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Set {
    pub(super) name: &'static str,
    pub(super) version: String,
}

/// A model as a data set lists it.
#[derive(Debug, Clone)]
pub(super) struct Listed {
    pub(super) provider: &'static str,
    /// The first is what it is called; the others are names and patterns of it.
    pub(super) names: Vec<String>,
    /// Ascending by day.
    pub(super) rates: Vec<Rates>,
    pub(super) url: String,
    pub(super) sets: Vec<Set>,
    pub(super) notes: Vec<String>,
}

impl Listed {
    pub(super) fn new(provider: &'static str, names: Vec<String>, rates: Vec<Rates>, url: &str, set: Set) -> Self {
        let mut unique: Vec<String> = Vec::new();
        for name in names {
            if !unique.contains(&name) {
                unique.push(name);
            }
        }
        Self { provider, names: unique, rates, url: url.to_owned(), sets: vec![set], notes: Vec::new() }
    }

    pub(super) fn model(&self) -> &str {
        self.names.first().map(String::as_str).unwrap_or_default()
    }
}

/// Names of providers in the price book and in genai-prices.
const GENAI: [(&str, &str); 42] = [
    ("anthropic", "anthropic"),
    ("arcee", "arcee"),
    ("avian", "avian"),
    ("azure", "azure"),
    ("baseten", "baseten"),
    ("bedrock", "aws"),
    ("cerebras", "cerebras"),
    ("cloudflare", "cloudflare"),
    ("cohere", "cohere"),
    ("databricks", "databricks"),
    ("doubleword", "doubleword"),
    ("elevenlabs", "elevenlabs"),
    ("fireworks", "fireworks"),
    ("google", "google"),
    ("groq", "groq"),
    ("huggingface_cerebras", "huggingface_cerebras"),
    ("huggingface_fireworks-ai", "huggingface_fireworks-ai"),
    ("huggingface_groq", "huggingface_groq"),
    ("huggingface_hyperbolic", "huggingface_hyperbolic"),
    ("huggingface_nebius", "huggingface_nebius"),
    ("huggingface_novita", "huggingface_novita"),
    ("huggingface_nscale", "huggingface_nscale"),
    ("huggingface_ovhcloud", "huggingface_ovhcloud"),
    ("huggingface_publicai", "huggingface_publicai"),
    ("huggingface_sambanova", "huggingface_sambanova"),
    ("huggingface_together", "huggingface_together"),
    ("meta", "meta"),
    ("minimax", "minimax"),
    ("mistral", "mistral"),
    ("modal", "modal"),
    ("moonshot", "moonshotai"),
    ("novita", "novita"),
    ("openai", "openai"),
    ("openrouter", "openrouter"),
    ("ovhcloud", "ovhcloud"),
    ("perplexity", "perplexity"),
    ("together", "together"),
    ("typesafe", "typesafe"),
    ("voyage", "voyageai"),
    ("xai", "x-ai"),
    ("zai", "zai"),
    ("zhipuai", "zhipuai"),
];

/// Names in the price book, in litellm, and what begins the keys of those models; without that they are left out where
/// `true`: they stand for classes of models.
const LITELLM: [(&str, &str, &str, bool); 41] = [
    ("ai21", "ai21", "ai21/", false),
    ("alibaba", "dashscope", "dashscope/", false),
    ("anthropic", "anthropic", "anthropic/", false),
    ("azure", "azure", "azure/", false),
    ("azure", "azure_ai", "azure_ai/", false),
    ("azure", "azure_text", "azure/", false),
    ("baseten", "baseten", "baseten/", false),
    ("bedrock", "bedrock", "bedrock/", false),
    ("bedrock", "bedrock_converse", "bedrock/", false),
    ("bedrock", "bedrock_mantle", "bedrock_mantle/", false),
    ("cerebras", "cerebras", "cerebras/", false),
    ("cloudflare", "cloudflare", "cloudflare/", false),
    ("cohere", "cohere", "cohere/", false),
    ("cohere", "cohere_chat", "cohere_chat/", false),
    ("databricks", "databricks", "databricks/", false),
    ("deepgram", "deepgram", "deepgram/", false),
    ("deepinfra", "deepinfra", "deepinfra/", false),
    ("elevenlabs", "elevenlabs", "elevenlabs/", false),
    ("fireworks", "fireworks_ai", "fireworks_ai/", true),
    ("fireworks", "fireworks_ai-embedding-models", "fireworks_ai/", true),
    ("google", "gemini", "gemini/", false),
    ("groq", "groq", "groq/", false),
    ("hyperbolic", "hyperbolic", "hyperbolic/", false),
    ("minimax", "minimax", "minimax/", false),
    ("mistral", "mistral", "mistral/", false),
    ("moonshot", "moonshot", "moonshot/", false),
    ("nebius", "nebius", "nebius/", false),
    ("novita", "novita", "novita/", false),
    ("nscale", "nscale", "nscale/", false),
    ("openai", "openai", "openai/", false),
    ("openai", "text-completion-openai", "openai/", false),
    ("ovhcloud", "ovhcloud", "ovhcloud/", false),
    ("perplexity", "perplexity", "perplexity/", false),
    ("sambanova", "sambanova", "sambanova/", false),
    ("stability", "stability", "stability/", false),
    ("together", "together_ai", "together_ai/", true),
    ("vercel", "vercel_ai_gateway", "vercel_ai_gateway/", false),
    ("voyage", "voyage", "voyage/", false),
    ("watsonx", "watsonx", "watsonx/", false),
    ("xai", "xai", "xai/", false),
    ("zai", "zai", "zai/", false),
];

pub(super) fn provider_of_genai(id: &str) -> Option<&'static str> {
    GENAI.into_iter().find(|(_, theirs)| *theirs == id).map(|(ours, _)| ours)
}

/// Provider and name of a model.
pub(super) fn provider_of_litellm(said: &str, key: &str) -> Option<(&'static str, String)> {
    if said.starts_with("vertex_ai") {
        return Some(("vertex", key.strip_prefix("vertex_ai/").unwrap_or(key).to_owned()));
    }
    let (ours, _, begin, only) = LITELLM.into_iter().find(|(_, theirs, ..)| *theirs == said)?;
    match key.strip_prefix(begin) {
        Some(name) => Some((ours, name.to_owned())),
        None if only => None,
        // Sizes of pictures stand before the provider.
        None => Some((ours, key.replacen(&format!("/{begin}"), "/", 1))),
    }
}
