//! What the engine costs. The benches are in `benches/`; here is what they work on.

use std::fmt::Write;

/// A chat request of about this many bytes.
pub fn request(bytes: usize) -> String {
    let text = "The purser keeps the ship's money and counts every coin aboard. ".repeat(bytes / 64 + 1);
    let text = text.get(..bytes).unwrap_or(&text);
    format!(
        r#"{{"model":"gpt-5-mini","stream":true,"messages":[{{"role":"user","content":"{text}"}}],"max_completion_tokens":100}}"#
    )
}

/// A streamed answer of this many chunks, with its usage event.
pub fn stream(chunks: usize) -> Vec<String> {
    let head = r#"data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-5-mini","#;
    let mut pieces: Vec<String> = Vec::new();
    for index in 0..chunks {
        let mut piece = String::new();
        let _ = write!(
            piece,
            r#"{head}"choices":[{{"index":0,"delta":{{"content":"word{index} "}},"finish_reason":null}}],"usage":null}}"#
        );
        piece.push_str("\n\n");
        pieces.push(piece);
    }
    pieces.push(format!("{head}\"choices\":[],\"usage\":{{\"prompt_tokens\":100,\"completion_tokens\":60}}}}\n\n"));
    pieces.push("data: [DONE]\n\n".to_owned());
    pieces
}

/// A filter configuration with a priced model and a budget for each team.
pub fn config() -> serde_json::Value {
    serde_json::json!({
        "version": "bench", "price_book": "bench",
        "sync": {"cluster": "purser", "interval_ms": 1000, "cold_deadline_ms": 1500, "rewrite_max_bytes": 1048576},
        "providers": [{"name": "openai", "apis": ["openai.chat"], "catalog": "openai"}], "models": [],
        "prices": [{"provider": "openai", "model": "gpt-5-mini", "rates": [{"from": "2020-01-01", "input": "0.25", "output": "2.00"}]}],
        "identity": {"trust": ["key", "header"], "headers": {"x-purser-team": "team"}, "workload": {}, "required": [], "key_required": false},
        "keys": [], "access": [],
        "rate_limits": [{"name": "pace", "selector": {}, "per": ["team"], "requests": 1000000000, "window_ms": 60000}],
        "budgets": [{"name": "teams", "selector": {}, "per": ["team"], "limit": 9000000000000000u64, "hard": true, "clamp": false,
            "on_unavailable": "closed", "on_unpriced": "deny", "periods_ms": [0, 9000000000000u64]}],
    })
}
