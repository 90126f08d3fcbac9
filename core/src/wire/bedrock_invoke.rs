//! Bedrock's `InvokeModel`: the makers' own bodies, with counts in headers, or in the metrics of a stream's last event.
//!
//! - <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_InvokeModel.html>
//! - Bodies: <https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters.html>: Anthropic,
//!   Nova, Titan, Llama, Mistral, Cohere, AI21.
//! - Event stream: JSON with the maker's event in base64, and last `amazon-bedrock-invocationMetrics`.
//!
//! What the maker's body reports goes before metrics and headers: it tells lifetimes of caches apart.

use super::dialect::{Ask, Dialect, Figure, Figures, Reading, Said, Word};
use super::json::Key;
use super::{anthropic_messages, bedrock_converse, cohere, openai_chat, openai_completions};

pub(super) static DIALECT: Dialect =
    Dialect { ask, said, reading, overhead: anthropic_messages::OVERHEAD, generates: false, tells_end: false };

/// Headers that count.
pub(super) const HEADERS: [(&str, Figure); 4] = [
    ("x-amzn-bedrock-input-token-count", Figure::MetricsInput),
    ("x-amzn-bedrock-output-token-count", Figure::MetricsOutput),
    ("x-amzn-bedrock-cache-read-input-token-count", Figure::MetricsCacheRead),
    ("x-amzn-bedrock-cache-write-input-token-count", Figure::MetricsCacheWrite),
];

pub(super) fn ask(path: &[Key]) -> Ask {
    match path {
        [Key::MaxTokensToSample | Key::MaxGenLen] => Ask::Cap,
        [Key::TextGenerationConfig | Key::InferenceConfig] => Ask::CapParent,
        [Key::TextGenerationConfig, Key::MaxTokenCount]
        | [Key::InferenceConfig, Key::MaxTokensCamel | Key::MaxNewTokens] => Ask::Cap,
        [Key::Prompt | Key::Message | Key::Query | Key::InputText] => Ask::Text,
        [Key::ChatHistory | Key::Documents | Key::Texts, ..] => cohere::ask(path),
        // The model is the path's.
        [Key::Model | Key::Stream] => Ask::Skip,
        _ => match anthropic_messages::ask(path) {
            Ask::Skip => bedrock_converse::ask(path),
            ask => ask,
        },
    }
}

pub(super) fn said(path: &[Key]) -> Said {
    Said::Figure(match path {
        [Key::Bytes] => return Said::Inner,
        [Key::InvocationMetrics, metric] => match metric {
            Key::InputTokenCountCamel => Figure::MetricsInput,
            Key::OutputTokenCountCamel => Figure::MetricsOutput,
            Key::CacheReadInputTokenCount => Figure::MetricsCacheRead,
            Key::CacheWriteInputTokenCount => Figure::MetricsCacheWrite,
            _ => return Said::Nothing,
        },
        // Titan.
        [Key::InputTextTokenCount] => Figure::Input,
        [Key::Results, Key::Item, Key::TokenCountCamel] => return Said::Each(Figure::Output),
        [Key::TotalOutputTextTokenCount] => Figure::Output,
        // Llama.
        [Key::PromptTokenCountSnake] => Figure::Input,
        [Key::GenerationTokenCount] => Figure::Output,
        [Key::Generation | Key::OutputTextCamel] | [Key::Results, Key::Item, Key::OutputTextCamel] => {
            return Said::Text;
        }
        // Cohere Command, AI21, Mistral before it spoke chat.
        [Key::Generations | Key::Outputs, Key::Item, Key::Text] => return Said::Text,
        [Key::Meta, ..] => return cohere::said(path),
        [Key::ServiceTierCamel | Key::Output, ..] => return bedrock_converse::said(path),
        [Key::Usage, rest @ ..] => {
            return match bedrock_converse::usage(rest) {
                Said::Nothing => match anthropic_messages::said(path) {
                    Said::Nothing => openai_chat::usage(rest),
                    said => said,
                },
                said => said,
            };
        }
        [Key::Choices, ..] => return openai_completions::said(path),
        [Key::Model] => return Said::Word(Word::Model),
        _ => return anthropic_messages::said(path),
    })
}

fn reading(figures: &Figures) -> Reading {
    let mut figures = *figures;
    for (figure, metric) in [
        (Figure::Input, Figure::MetricsInput),
        (Figure::Output, Figure::MetricsOutput),
        (Figure::CacheRead, Figure::MetricsCacheRead),
        (Figure::CacheWrite, Figure::MetricsCacheWrite),
    ] {
        let counted = figures.get(metric);
        figures.fill(figure, counted);
    }
    Reading::exclusive(&figures)
}
