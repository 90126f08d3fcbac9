//! Provider bytes to facts, whatever pieces they come in.
//!
//! ```text
//! request body ─► json ─► request  ─► model, stream, max_tokens, estimate of the prompt, spans to rewrite
//! answer ─► (inflate) ─► (sse | event_stream) ─► json ─► response ─► usage, model, estimate of what was put out
//! ```
//!
//! One incremental JSON reader ([`json`]) tells where in a value each piece of text stands; the file of each API says
//! what stands there. Nothing here keeps a body, recurses, or can panic; whatever is kept has a cap.

pub mod anthropic_messages;
pub mod base64;
pub mod event_stream;
pub mod inflate;
pub mod json;
pub mod openai_chat;
pub mod request;
pub mod response;
pub mod sse;
