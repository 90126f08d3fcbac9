//! What is not the same for every API, through a real Envoy: where keys stand, models in paths, what costs nothing, and
//! answers that are worked on in the background.

#![allow(clippy::unwrap_used, reason = "a test fails by it")]

use axum::Json;
use axum::extract::{Request, State};
use purser_tests::{World, until};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// What came to the provider: method, path and headers.
type Seen = Arc<Mutex<Vec<(String, BTreeMap<String, String>)>>>;

/// A provider that answers every path with what its API would.
async fn answer(State(seen): State<Seen>, request: Request) -> Json<Value> {
    let path = request.uri().path_and_query().unwrap().to_string();
    let headers = request.headers().iter();
    let headers = headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    let polls = {
        let mut seen = seen.lock().unwrap();
        seen.push((format!("{} {path}", request.method()), headers));
        seen.iter().filter(|(line, _)| line.starts_with("GET /v1/responses/resp_1")).count()
    };
    let usage = json!({"input_tokens": 1_000, "output_tokens": 2_000, "total_tokens": 3_000});
    let usage_of_chat = json!({"prompt_tokens": 1_000, "completion_tokens": 2_000, "total_tokens": 3_000});
    let response = |status: &str, usage: Value| {
        json!({"id": "resp_1", "object": "response", "background": true, "status": status, "model": "gpt-5-mini",
            "output": [], "usage": usage})
    };
    Json(match request.method().as_str() {
        "GET" if path.starts_with("/v1/responses/") => match polls {
            1 => response("in_progress", Value::Null),
            _ => response("completed", usage),
        },
        "GET" if path.starts_with("/v1/batches/") => {
            json!({"id": "batch_1", "object": "batch", "status": "completed", "output_file_id": "file-1"})
        }
        "GET" if path.ends_with("/content") => {
            // Without the end of a line it is one value as well as one line.
            let body = json!({"model": "gpt-5-mini", "choices": [], "usage": usage_of_chat});
            json!({"custom_id": "a", "response": {"status_code": 200, "body": body}, "error": null})
        }
        "GET" => json!({"object": "list", "data": []}),
        _ if path == "/v1/batches" => json!({"id": "batch_1", "object": "batch", "status": "validating"}),
        _ if path.starts_with("/v1/responses") => response("queued", Value::Null),
        _ if path.contains("/converse") => json!({"output": {"message": {"role": "assistant", "content": []}},
            "stopReason": "end_turn", "usage": {"inputTokens": 10, "outputTokens": 20, "totalTokens": 30}}),
        _ if path.contains(":countTokens") => json!({"totalTokens": 3}),
        _ if path.contains("/v1beta/") => json!({"candidates": [{"finishReason": "STOP", "index": 0}],
            "usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 20, "totalTokenCount": 30}}),
        _ => json!({"id": "1", "object": "chat.completion", "model": "gpt-5-mini",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": ""}}],
            "usage": {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30}}),
    })
}

const POLICY: &str = r#"
apiVersion: purser.dev/v1alpha1
kind: Identity
metadata: { name: callers }
spec: { trust: [key], unidentified: deny }
---
apiVersion: purser.dev/v1alpha1
kind: Budget
metadata: { name: teams }
spec: { per: [team], amount: "5.00", period: month, unpriced: allow }
---
apiVersion: purser.dev/v1alpha1
kind: Model
metadata: { name: house }
spec: { match: [house], provider: azure, upstreamModel: "gpt 5" }
"#;

/// The world, what comes to its provider, and the file with that one's key.
async fn world() -> (World, Seen, tempfile::TempPath) {
    world_letting("models, countTokens, moderation").await
}

/// The same, where such paths are let through.
async fn world_letting(free: &str) -> (World, Seen, tempfile::TempPath) {
    let seen = Seen::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let app = axum::Router::new().fallback(answer).with_state(seen.clone());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let secret = tempfile::NamedTempFile::new().unwrap().into_temp_path();
    std::fs::write(&secret, "provider-secret").unwrap();
    let document = |(name, apis): &(&str, &str)| {
        format!(
            "apiVersion: purser.dev/v1alpha1\nkind: Provider\nmetadata: {{ name: {name} }}\nspec:\n  \
             endpoint: http://127.0.0.1:{port}\n  apis: [{apis}]\n  freePaths: [{free}]\n  credential: {{ file: {} }}\n",
            secret.display()
        )
    };
    let providers = [("openai", "openai.*"), ("gemini", "gemini.*"), ("azure", "openai.*"), ("bedrock", "bedrock.*")]
        .map(|it| document(&it));
    (World::start_serving(Some(&providers.join("---\n")), POLICY, 1, 2).await.unwrap(), seen, secret)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_works_where_each_sdk_sends_it_and_the_provider_gets_its_own_where_it_wants_it() {
    let (world, seen, _secret) = world().await;
    let key = world.keys(&["create", "--label", "team=ml", "--name", "test"]).unwrap();
    let signature = format!("AWS4-HMAC-SHA256 Credential={key}/20261123/us-east-1/bedrock/aws4_request, Signature=0");
    let bearer = format!("Bearer {key}");
    let google = format!("/v1beta/models/gemini-2.5-flash:generateContent?alt=json&key={key}");
    let counted = format!("/v1beta/models/gemini-2.5-flash:countTokens?key={key}");
    let gemini = "/v1beta/models/gemini-2.5-flash:generateContent";
    let azure = "/openai/deployments/house/chat/completions?api-version=1";
    // The path, the key's header and its value; then the path and the header at the provider, and its value.
    let cases = [
        (
            "/v1/chat/completions",
            "authorization",
            bearer.as_str(),
            "/v1/chat/completions",
            "authorization",
            "Bearer provider-secret",
        ),
        (
            azure,
            "api-key",
            &key,
            "/openai/deployments/gpt%205/chat/completions?api-version=1",
            "api-key",
            "provider-secret",
        ),
        (gemini, "x-goog-api-key", &key, gemini, "x-goog-api-key", "provider-secret"),
        (
            &google,
            "x-none",
            "",
            "/v1beta/models/gemini-2.5-flash:generateContent?alt=json",
            "x-goog-api-key",
            "provider-secret",
        ),
        (
            "/model/m%3A0/converse",
            "authorization",
            &signature,
            "/model/m%3A0/converse",
            "authorization",
            "Bearer provider-secret",
        ),
        (&counted, "x-none", "", "/v1beta/models/gemini-2.5-flash:countTokens", "x-goog-api-key", "provider-secret"),
    ];
    let ask = |path: &str, header: &str, value: &str| {
        world.post(path, &json!({"model": "gpt-5-mini", "messages": []})).header(header, value).send()
    };
    until("the key is known", || async {
        (ask(cases[0].0, "authorization", &bearer).await.ok()?.status() == 200).then_some(())
    })
    .await
    .unwrap();
    for (path, header, value, want, sent_in, sent) in cases {
        let answer = ask(path, header, value).await.unwrap();
        assert_eq!(answer.status(), 200, "{path}\n{}", world.logs());
        let (line, headers) = seen.lock().unwrap().last().cloned().unwrap();
        assert_eq!(line, format!("POST {want}"));
        assert_eq!(headers.get(sent_in).map(String::as_str), Some(sent), "{headers:?}");
        assert!(!format!("{line} {headers:?}").contains("pk-"), "{line} {headers:?}");
    }
    let models = world.client.get(format!("{}/v1/models", world.gateway()));
    assert_eq!(models.try_clone().unwrap().send().await.unwrap().status(), 401, "a key is needed here too");
    assert_eq!(models.bearer_auth(&key).send().await.unwrap().status(), 200);
    let files = world.client.get(format!("{}/v1/files", world.gateway())).bearer_auth(&key).send().await.unwrap();
    assert_eq!(files.status(), 404, "no policy lets it through");
    let unknown = ask(gemini, "x-goog-api-key", "pk-nonsense").await.unwrap();
    assert_eq!(unknown.status(), 401);
    assert_eq!(unknown.json::<Value>().await.unwrap()["error"]["status"], "UNAUTHENTICATED");
    // What costs nothing left no record; what was refused did.
    let asked = ["gpt-5-mini", "house", "m:0", "gemini-2.5-flash"];
    let rows = until("all records", || async {
        let rows = world.records(1).await.ok()?;
        let has = |model: &&str| rows.iter().any(|row| row["request_model"] == **model && row["status"] == 200);
        asked.iter().all(has).then_some(rows)
    });
    let rows = rows.await.unwrap();
    let free = |row: &&Value| row["status"] == 200 && row["request_model"] == "";
    assert_eq!(rows.iter().filter(free).count(), 0, "{rows:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_in_the_background_is_charged_once() {
    let (world, seen, _secret) = world().await;
    let key = world.keys(&["create", "--label", "team=ml", "--name", "asks"]).unwrap();
    let other = world.keys(&["create", "--label", "team=ops", "--name", "polls"]).unwrap();
    let post = || {
        let body = json!({"model": "gpt-5-mini", "input": "Count the coins", "background": true});
        world.post("/v1/responses", &body).bearer_auth(&key).send()
    };
    until("the keys are known", || async {
        let models =
            world.client.get(format!("{}/v1/models", world.gateway())).bearer_auth(&other).send().await.ok()?;
        models.status().is_success().then_some(())
    })
    .await
    .unwrap();
    assert_eq!(post().await.unwrap().json::<Value>().await.unwrap()["status"], "queued");
    for want in ["in_progress", "completed", "completed", "completed"] {
        let poll = world.client.get(format!("{}/v1/responses/resp_1", world.gateway())).bearer_auth(&other).send();
        assert_eq!(poll.await.unwrap().json::<Value>().await.unwrap()["status"], want, "{}", world.logs());
    }
    let rows = until("both records", || async {
        let rows = world.records(2).await.ok()?;
        rows.iter().any(|row| row["cost_status"] == "priced").then_some(rows)
    });
    let rows = rows.await.unwrap();
    let of = |status: &str| rows.iter().filter(|row| row["cost_status"] == status).collect::<Vec<_>>();
    let answered = rows.iter().filter(|row| row["status"] == 200).count();
    assert_eq!((answered, of("pending").len(), of("priced").len()), (2, 1, 1), "{rows:#?}");
    let priced = of("priced")[0];
    // 0.25 and 2.00 USD per 10⁶ tokens.
    assert_eq!((&priced["nano_usd"], &priced["labels"]["team"]), (&json!(1_000 * 250 + 2_000 * 2_000), &json!("ml")));
    let budgets = until("it is charged", || async {
        let budgets = world.api("budgets").await.ok()?;
        let ml = budgets["budgets"].as_array()?.iter().find(|row| row["group"][0]["value"] == "ml")?.clone();
        (ml["spent_nano_usd"] == priced["nano_usd"]).then_some(budgets)
    });
    budgets.await.unwrap();
    assert_eq!(seen.lock().unwrap().iter().filter(|(line, _)| line.contains("/v1/responses/resp_1")).count(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_charged_once_to_whoever_started_it() {
    let (world, _, _secret) = world_letting("models, read, batch").await;
    let key = world.keys(&["create", "--label", "team=ml", "--name", "starts"]).unwrap();
    let other = world.keys(&["create", "--label", "team=ops", "--name", "reads"]).unwrap();
    until("the keys are known", || async {
        let models =
            world.client.get(format!("{}/v1/models", world.gateway())).bearer_auth(&other).send().await.ok()?;
        models.status().is_success().then_some(())
    })
    .await
    .unwrap();
    let body = json!({"input_file_id": "file-0", "endpoint": "/v1/chat/completions", "completion_window": "24h"});
    let started = world.post("/v1/batches", &body).bearer_auth(&key).send().await.unwrap();
    assert_eq!(started.json::<Value>().await.unwrap()["id"], "batch_1", "{}", world.logs());
    for path in ["/v1/batches/batch_1", "/v1/files/file-1/content", "/v1/files/file-1/content"] {
        let read = world.client.get(format!("{}{path}", world.gateway())).bearer_auth(&other).send().await.unwrap();
        assert_eq!(read.status(), 200, "{path}\n{}", world.logs());
        read.bytes().await.unwrap();
    }
    let rows = until("its record", || async {
        let mut rows = world.records(1).await.ok()?;
        // Not those that were refused before the keys were known.
        rows.retain(|row| row["status"] == 200);
        (!rows.is_empty()).then_some(rows)
    });
    let rows = rows.await.unwrap();
    let [row] = &rows[..] else { panic!("{rows:#?}") };
    // Half of 0.25 and 2.00 USD per 10⁶ tokens.
    let cost = (1_000 * 250 + 2_000 * 2_000) / 2;
    assert_eq!((&row["nano_usd"], &row["labels"]["team"]), (&json!(cost), &json!("ml")), "{row:#?}");
    assert_eq!((&row["api"], &row["cost_status"]), (&json!("openai.batch"), &json!("priced")));
}

/// A session of frames: what is sent comes back.
async fn echo(listener: tokio::net::TcpListener) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    while let Ok((mut socket, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let Ok(byte) = socket.read_u8().await else { return };
                head.push(byte);
            }
            assert!(!String::from_utf8_lossy(&head).contains("pk-"), "no key of ours goes on");
            let switch = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n";
            socket.write_all(switch.as_bytes()).await.unwrap();
            let mut piece = [0; 1_024];
            while let Ok(length @ 1..) = socket.read(&mut piece).await {
                socket.write_all(&piece[..length]).await.unwrap();
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_frames_is_metered_by_what_its_answers_report() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(echo(listener));
    let providers = format!(
        "apiVersion: purser.dev/v1alpha1\nkind: Provider\nmetadata: {{ name: openai }}\nspec:\n  \
         endpoint: http://127.0.0.1:{port}\n  apis: [openai.*]\n"
    );
    let world = World::start_serving(Some(&providers), "", 1, 2).await.unwrap();
    let mut socket = tokio::net::TcpStream::connect(world.gateway().trim_start_matches("http://")).await.unwrap();
    let head = "GET /v1/realtime?model=gpt-realtime HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
                sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        answer.push(socket.read_u8().await.unwrap());
    }
    assert!(answer.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&answer));
    for output in [30, 12] {
        let done = json!({"type": "response.done", "response": {"status": "completed", "usage": {"total_tokens": 60,
            "input_tokens": 20, "output_tokens": output, "input_token_details": {"audio_tokens": 5}}}});
        let text = done.to_string();
        // As a client sends it: masked, here by zeros.
        let head = [&[0x81, 0xFE][..], &u16::try_from(text.len()).unwrap().to_be_bytes(), &[0; 4]].concat();
        let frame = [&head, text.as_bytes()].concat();
        socket.write_all(&frame).await.unwrap();
        let mut back = vec![0; frame.len()];
        socket.read_exact(&mut back).await.unwrap();
        assert_eq!(back, frame);
    }
    drop(socket);
    let rows = world.records(1).await.unwrap();
    let row = &rows[0];
    assert_eq!((&row["api"], &row["outcome"]), (&json!("openai.realtime"), &json!("complete")), "{row:#}");
    assert_eq!((&row["request_model"], &row["status"]), (&json!("gpt-realtime"), &json!(101)), "{row:#}");
    let record = world.record(row).await.unwrap();
    assert_eq!(record["usage"]["units"], json!({"input": 30, "input_audio": 10, "output": 42}), "{record:#}");
}
