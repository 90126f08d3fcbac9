//! Answers in the providers' wire formats.

use crate::ledger::Entry;
use serde_json::{Value, json};

/// A word of the answer. Each is one output token.
pub(crate) fn word(index: u64) -> &'static str {
    const WORDS: [&str; 12] = [
        "The ", "purser ", "keeps ", "the ", "ship's ", "money ", "and ", "counts ", "every ", "coin ", "aboard", ". ",
    ];
    usize::try_from(index).ok().and_then(|index| WORDS.get(index % WORDS.len())).copied().unwrap_or("the ")
}

pub(crate) fn text(words: u64) -> String {
    (0..words).map(word).collect()
}

/// Whose wire format it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    Chat,
    Embeddings,
    Messages,
    Responses,
}

impl Shape {
    pub(crate) fn of(path: &str) -> Self {
        match path.rsplit('/').next() {
            Some("messages") => Self::Messages,
            Some("responses") => Self::Responses,
            Some("embeddings") => Self::Embeddings,
            _ => Self::Chat,
        }
    }
}

/// The models that it lists.
pub(crate) fn models() -> Value {
    json!({"object": "list", "data": [{"id": "gpt-5-mini", "object": "model", "created": 1_700_000_000, "owned_by": "stand-in"}]})
}

/// What was asked for.
pub(crate) struct Asked {
    pub(crate) shape: Shape,
    pub(crate) model: String,
    pub(crate) stream: bool,
    pub(crate) include_usage: bool,
    pub(crate) max_tokens: Option<u64>,
    pub(crate) prompt: u64,
}

impl Asked {
    pub(crate) fn read(path: &str, body: &Value) -> Option<Self> {
        let length = |name: &str| body.get(name).map_or(0, |value| value.to_string().len() as u64);
        let number = |name: &str| body.get(name).and_then(Value::as_u64);
        Some(Self {
            shape: Shape::of(path),
            model: body.get("model")?.as_str()?.to_owned(),
            stream: body.get("stream").and_then(Value::as_bool).unwrap_or(false),
            include_usage: body.pointer("/stream_options/include_usage").and_then(Value::as_bool).unwrap_or(false),
            max_tokens: match Shape::of(path) {
                Shape::Embeddings => Some(0),
                _ => number("max_completion_tokens").or(number("max_output_tokens")).or(number("max_tokens")),
            },
            prompt: ["messages", "system", "input", "instructions"].map(length).iter().sum::<u64>().div_ceil(4),
        })
    }
}

pub(crate) fn usage(asked: &Asked, entry: &Entry, output: u64) -> Value {
    match asked.shape {
        Shape::Messages => json!({
            "input_tokens": entry.prompt.saturating_sub(entry.cached + entry.write_5m + entry.write_1h),
            "cache_read_input_tokens": entry.cached,
            "cache_creation_input_tokens": entry.write_5m + entry.write_1h,
            "cache_creation": {"ephemeral_5m_input_tokens": entry.write_5m, "ephemeral_1h_input_tokens": entry.write_1h},
            "output_tokens": output, "service_tier": "standard",
        }),
        Shape::Responses => json!({
            "input_tokens": entry.prompt, "output_tokens": output, "total_tokens": entry.prompt + output,
            "input_tokens_details": {"cached_tokens": entry.cached}, "output_tokens_details": {"reasoning_tokens": 0},
        }),
        Shape::Embeddings => json!({"prompt_tokens": entry.prompt, "total_tokens": entry.prompt}),
        Shape::Chat => json!({
            "prompt_tokens": entry.prompt, "completion_tokens": output, "total_tokens": entry.prompt + output,
            "prompt_tokens_details": {"cached_tokens": entry.cached, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        }),
    }
}

/// An answer of OpenAI's responses.
fn response(asked: &Asked, status: &str, words: u64, usage: Value) -> Value {
    let output = json!([{"id": "msg_stand_in", "type": "message", "role": "assistant", "status": status,
        "content": [{"type": "output_text", "text": text(words), "annotations": []}]}]);
    json!({"id": "resp_stand_in", "object": "response", "created_at": 1_700_000_000, "status": status,
        "model": asked.model, "output": if words > 0 { output } else { json!([]) }, "parallel_tool_calls": true,
        "tool_choice": "auto", "tools": [], "service_tier": "default", "usage": usage})
}

/// The whole answer.
pub(crate) fn whole(asked: &Asked, entry: &Entry, words: u64, cut_off: bool, with_usage: bool) -> Value {
    let usage = usage(asked, entry, words);
    let mut answer = match asked.shape {
        Shape::Messages => json!({"id": "msg_stand_in", "type": "message", "role": "assistant", "model": asked.model,
            "content": [{"type": "text", "text": text(words)}],
            "stop_reason": if cut_off { "max_tokens" } else { "end_turn" }, "stop_sequence": null, "usage": usage}),
        Shape::Responses => response(asked, if cut_off { "incomplete" } else { "completed" }, words, usage),
        Shape::Embeddings => json!({"object": "list", "model": asked.model, "usage": usage,
            "data": [{"object": "embedding", "index": 0, "embedding": [0.25, -0.5, 0.125]}]}),
        Shape::Chat => {
            json!({"id": "chatcmpl-stand-in", "object": "chat.completion", "created": 1_700_000_000, "model": asked.model,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text(words), "refusal": null},
                "logprobs": null, "finish_reason": if cut_off { "length" } else { "stop" }}],
            "usage": usage, "service_tier": "default"})
        }
    };
    if let (false, Some(object)) = (with_usage, answer.as_object_mut()) {
        object.remove("usage");
    }
    answer
}

/// A chunk of a stream, and how many words it carries.
pub(crate) struct Chunk {
    pub(crate) bytes: String,
    pub(crate) words: u64,
}

fn event(name: Option<&str>, data: &Value) -> Chunk {
    let name = name.map(|name| format!("event: {name}\n")).unwrap_or_default();
    Chunk { bytes: format!("{name}data: {data}\n\n"), words: 0 }
}

/// The answer as a stream.
pub(crate) fn chunks(asked: &Asked, entry: &Entry, words: u64, cut_off: bool, with_usage: bool) -> Vec<Chunk> {
    match asked.shape {
        Shape::Messages => anthropic(asked, entry, words, cut_off, with_usage),
        Shape::Responses => responses(asked, entry, words, cut_off, with_usage),
        _ => openai(asked, entry, words, cut_off, with_usage),
    }
}

fn responses(asked: &Asked, entry: &Entry, words: u64, cut_off: bool, with_usage: bool) -> Vec<Chunk> {
    let named = |name: &str, data: Value| event(Some(name), &data);
    let created = response(asked, "in_progress", 0, Value::Null);
    let mut out = vec![named("response.created", json!({"type": "response.created", "response": created}))];
    for index in 0..words {
        let data = json!({"type": "response.output_text.delta", "item_id": "msg_stand_in", "output_index": 0,
            "content_index": 0, "delta": word(index)});
        out.push(Chunk { words: 1, ..named("response.output_text.delta", data) });
    }
    let (status, last) =
        if cut_off { ("incomplete", "response.incomplete") } else { ("completed", "response.completed") };
    let usage = if with_usage { usage(asked, entry, words) } else { Value::Null };
    out.push(named(last, json!({"type": last, "response": response(asked, status, words, usage)})));
    out
}

fn openai(asked: &Asked, entry: &Entry, words: u64, cut_off: bool, with_usage: bool) -> Vec<Chunk> {
    let reports = asked.include_usage && with_usage;
    let chunk = |choices: Value, usage: Value| {
        let mut data = json!({"id": "chatcmpl-stand-in", "object": "chat.completion.chunk", "created": 1_700_000_000,
            "model": asked.model, "service_tier": "default", "choices": choices});
        if let (true, Some(object)) = (reports, data.as_object_mut()) {
            object.insert("usage".to_owned(), usage);
        }
        event(None, &data)
    };
    let delta =
        |delta: Value, finish: Value| json!([{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}]);
    let mut out = vec![chunk(delta(json!({"role": "assistant", "content": ""}), Value::Null), Value::Null)];
    for index in 0..words {
        let mut piece = chunk(delta(json!({"content": word(index)}), Value::Null), Value::Null);
        piece.words = 1;
        out.push(piece);
    }
    out.push(chunk(delta(json!({}), json!(if cut_off { "length" } else { "stop" })), Value::Null));
    if reports {
        out.push(chunk(json!([]), usage(asked, entry, words)));
    }
    out.push(Chunk { bytes: "data: [DONE]\n\n".to_owned(), words: 0 });
    out
}

fn anthropic(asked: &Asked, entry: &Entry, words: u64, cut_off: bool, with_usage: bool) -> Vec<Chunk> {
    let mut start = json!({"type": "message_start", "message": {"id": "msg_stand_in", "type": "message",
        "role": "assistant", "model": asked.model, "content": [], "stop_reason": null, "stop_sequence": null,
        "usage": usage(asked, entry, 1)}});
    let stop = if cut_off { "max_tokens" } else { "end_turn" };
    let mut delta = json!({"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": null},
        "usage": {"output_tokens": words}});
    if !with_usage {
        start.pointer_mut("/message").and_then(Value::as_object_mut).map(|message| message.remove("usage"));
        delta.as_object_mut().map(|delta| delta.remove("usage"));
    }
    let mut out = vec![
        event(Some("message_start"), &start),
        event(
            Some("content_block_start"),
            &json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        ),
        event(Some("ping"), &json!({"type": "ping"})),
    ];
    for index in 0..words {
        let data =
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word(index)}});
        out.push(Chunk { words: 1, ..event(Some("content_block_delta"), &data) });
    }
    out.push(event(Some("content_block_stop"), &json!({"type": "content_block_stop", "index": 0})));
    out.push(event(Some("message_delta"), &delta));
    out.push(event(Some("message_stop"), &json!({"type": "message_stop"})));
    out
}

/// An error in the dialect of the path.
pub(crate) fn error(anthropic: bool, status: u16, message: &str) -> Value {
    let kind = match status {
        401 => "authentication_error",
        429 => "rate_limit_error",
        400..=499 => "invalid_request_error",
        _ => "api_error",
    };
    if anthropic {
        json!({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_stand_in"})
    } else {
        json!({"error": {"message": message, "type": kind, "param": null, "code": null}})
    }
}
