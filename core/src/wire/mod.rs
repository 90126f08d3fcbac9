//! Provider bytes to facts, whatever pieces they come in.

pub mod anthropic_messages;
pub mod inflate;
pub mod json;
pub mod openai_chat;
pub mod request;
pub mod response;
pub mod sse;
