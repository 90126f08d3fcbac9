//! Provider bytes to facts, whatever pieces they come in.
//!
//! ```text
//! method, path ─► recognise ─► the API, and what of it the path says
//! request body ─► json (or form) ─► request  ─► model, stream, cap, estimate of the prompt, spans to rewrite
//! answer ─► (inflate) ─► (sse, event_stream) ─► json ─► answer ─► usage, model, estimate of what was put out
//! ```
//!
//! One incremental JSON reader ([`json`]) tells where in a value each piece of text stands; the file of each API says
//! what stands there ([`dialect`]). Nothing here keeps a body, recurses, or can panic; whatever is kept has a cap.
//!
//! A page that is cited with a day was read then. One without was not: what is said is what recorded traffic of 2023 to
//! 2026 shows, and the page is where to look it up.

mod aleph_alpha;
mod answer;
mod anthropic_batch;
mod anthropic_complete;
mod anthropic_messages;
pub mod base64;
pub mod batch;
mod bedrock_converse;
mod bedrock_invoke;
mod cohere;
mod dialect;
pub mod event_stream;
pub mod form;
mod gemini_embed;
mod gemini_generate;
mod gemini_interactions;
pub mod inflate;
pub mod json;
mod llama_cpp;
mod mistral_ocr;
mod ollama;
mod openai_batch;
mod openai_chat;
mod openai_completions;
mod openai_embeddings;
mod openai_images;
mod openai_realtime;
mod openai_responses;
mod openai_speech;
mod openai_transcription;
pub mod path;
pub mod recognise;
mod replicate;
pub mod request;
pub mod response;
pub mod rewrite;
mod shape;
pub mod sse;
mod tgi;
mod vertex_predict;
mod watsonx;
mod websocket;

/// What a provider adds to a prompt that has no messages: nothing.
const PLAIN: dialect::Overhead =
    dialect::Overhead { message: 0, priming: 0, tools: 0, name: 0, schema_percent: 100, image: 1_120 };
