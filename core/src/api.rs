//! Which wire format an exchange speaks.

use serde::{Deserialize, Serialize};
use std::fmt;

macro_rules! apis {
    ($($api:ident = $name:literal: $about:literal,)*) => {
        /// A wire format: the shape of a request, its answer and its errors. Several providers may speak one.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "authoring", derive(schemars::JsonSchema))]
        pub enum Api {
            $(#[doc = $about] #[serde(rename = $name)] $api,)*
        }

        impl Api {
            /// Every wire format, in the order of their names.
            pub const ALL: &[Self] = &[$(Self::$api,)*];

            /// The name used in policy, records and metrics: vendor, full stop, what it does.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$api => $name,)* }
            }
        }
    };
}

apis! {
    AlephAlphaComplete = "alephalpha.complete": "Aleph Alpha: `POST /complete`.",
    AnthropicBatch = "anthropic.batch": "`GET …/messages/batches/{id}/results`: what many messages used, line by line.",
    AnthropicComplete = "anthropic.complete": "`POST …/v1/complete`, before messages.",
    AnthropicMessages = "anthropic.messages": "`POST …/messages`; on Vertex `:rawPredict` and `:streamRawPredict`.",
    BedrockConverse = "bedrock.converse": "`POST /model/{id}/converse` and `…/converse-stream`.",
    BedrockInvoke = "bedrock.invoke": "`POST /model/{id}/invoke` and `…/invoke-with-response-stream`: the vendor's own body.",
    CohereChat = "cohere.chat": "`POST /v1/chat` and `/v2/chat`; `/v1/generate` before.",
    CohereEmbed = "cohere.embed": "`POST /v1/embed` and `/v2/embed`.",
    CohereRerank = "cohere.rerank": "`POST …/rerank`, also of Voyage, Jina, Together and llama.cpp.",
    GeminiEmbed = "gemini.embed": "`:embedContent` and `:batchEmbedContents`.",
    GeminiGenerate = "gemini.generate": "`:generateContent` and `:streamGenerateContent`, of Gemini and of Vertex.",
    GeminiInteractions = "gemini.interactions": "`POST …/interactions`.",
    LlamaCppCompletion = "llamacpp.completion": "llama.cpp's own `POST /completion` and `/infill`.",
    MistralOcr = "mistral.ocr": "`POST /v1/ocr`.",
    OllamaChat = "ollama.chat": "`POST /api/chat`.",
    OllamaEmbed = "ollama.embed": "`POST /api/embed` and `/api/embeddings`.",
    OllamaGenerate = "ollama.generate": "`POST /api/generate`.",
    OpenAiBatch = "openai.batch": "`GET …/files/{id}/content` of a batch: what many requests used, line by line.",
    OpenAiChat = "openai.chat": "`POST …/chat/completions`, and Mistral's `…/fim/completions`.",
    OpenAiCompletions = "openai.completions": "`POST …/completions`, before chat.",
    OpenAiEmbeddings = "openai.embeddings": "`POST …/embeddings`.",
    OpenAiImages = "openai.images": "`POST …/images/generations`, `…/edits`, `…/variations`.",
    OpenAiRealtime = "openai.realtime": "`GET …/realtime`, a session of WebSocket frames.",
    OpenAiResponses = "openai.responses": "`POST …/responses`, and `GET …/responses/{id}` of one that runs in the background.",
    OpenAiSpeech = "openai.speech": "`POST …/audio/speech`.",
    OpenAiTranscription = "openai.transcription": "`POST …/audio/transcriptions` and `…/audio/translations`.",
    ReplicatePredictions = "replicate.predictions": "`POST …/predictions`.",
    SageMakerInvoke = "sagemaker.invoke": "`POST /endpoints/{name}/invocations` and `…-response-stream`.",
    TgiGenerate = "tgi.generate": "Text Generation Inference's `POST /generate`, `/generate_stream` and `/`.",
    VertexPredict = "vertex.predict": "`:predict` of Google's own embedding and image models.",
    WatsonxGenerate = "watsonx.generate": "`POST …/text/generation`, `…/text/chat` and their streams.",
}

impl Api {
    /// Whether it is of many requests at once.
    #[must_use]
    pub fn is_batch(self) -> bool {
        matches!(self, Self::OpenAiBatch | Self::AnthropicBatch)
    }

    /// The wire format of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|api| api.name() == name)
    }
}

impl fmt::Display for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_word_of_the_json_and_leads_back() {
        for api in Api::ALL {
            assert_eq!(serde_json::to_value(api).unwrap(), api.name());
            assert_eq!(Api::named(api.name()), Some(*api));
        }
        assert!(Api::ALL.is_sorted_by_key(|api| api.name()));
    }
}
