//! Which wire format an exchange speaks.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A wire format: the shape of a request, its answer and its errors. Several providers may speak one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "authoring", derive(schemars::JsonSchema))]
pub enum Api {
    /// `POST …/chat/completions`. <https://platform.openai.com/docs/api-reference/chat> (read 2026-11-23)
    #[serde(rename = "openai.chat")]
    OpenAiChat,
    /// `POST …/messages`. <https://docs.anthropic.com/en/api/messages> (read 2026-11-23)
    #[serde(rename = "anthropic.messages")]
    AnthropicMessages,
}

impl Api {
    /// Every wire format, in the order of their names.
    pub const ALL: [Self; 2] = [Self::AnthropicMessages, Self::OpenAiChat];

    /// The name used in policy, records and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OpenAiChat => "openai.chat",
            Self::AnthropicMessages => "anthropic.messages",
        }
    }
}

impl fmt::Display for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
