use super::*;
use crate::record::Problem;
use crate::usage::Kind;
use crate::wire::response::{Head, ResponseFacts, ResponseMeter};
use serde_json::{Value, json};

fn read(api: Api, body: &str, size: usize) -> ResponseFacts {
    let head = Head { status: 200, content_type: "application/octet-stream", content_encoding: "" };
    let mut meter = ResponseMeter::new(Some(api), head, false).lines();
    body.as_bytes().chunks(size).for_each(|piece| drop(meter.push(piece, false)));
    meter.push(&[], true);
    meter.finish(true)
}

fn lines(lines: &[Value]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// A line of OpenAI's.
fn line(status: u16, body: Value) -> Value {
    json!({"id": "batch_req_1", "custom_id": "a", "response": {"status_code": status, "request_id": "r", "body": body},
        "error": null})
}

fn chat(model: &str, prompt: u64, output: u64) -> Value {
    let text = "a text with a \n line and {\"usage\":{\"prompt_tokens\":9}}";
    json!({"id": "chatcmpl-1", "object": "chat.completion", "model": model,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output,
            "prompt_tokens_details": {"cached_tokens": 10}, "completion_tokens_details": {"reasoning_tokens": 5}},
        "service_tier": "default"})
}

fn batch_terms() -> Terms {
    Terms::from([(Term::ServiceTier, "batch".to_owned())])
}

#[test]
fn a_batch_is_known_by_its_path() {
    let (openai, anthropic) = (Api::OpenAiBatch, Api::AnthropicBatch);
    let cases = [
        ("POST", "/v1/batches", Some((openai, Step::Start, ""))),
        ("POST", "/openai/batches?api-version=1", Some((openai, Step::Start, ""))),
        ("GET", "/v1/batches/batch_aB1", Some((openai, Step::Look, "batch_aB1"))),
        ("GET", "/v1/files/file-aB1/content", Some((openai, Step::Results, "file-aB1"))),
        ("POST", "/v1/messages/batches", Some((anthropic, Step::Start, ""))),
        ("GET", "/v1/messages/batches/msgbatch_A/results", Some((anthropic, Step::Results, "msgbatch_A"))),
        ("GET", "/v1/messages/batches/msgbatch_A", None),
        ("GET", "/v1/batches", None),
        ("POST", "/v1/batches/batch_1/cancel", None),
        ("GET", "/v1/vector_stores/vs_1/files/file-1/content", None),
        ("DELETE", "/v1/files/file-1", None),
    ];
    for (method, path, want) in cases {
        let got = request(method, path);
        let got = got.as_ref().map(|it| (it.api, it.step, it.id.as_str()));
        assert_eq!(got, want, "{method} {path}");
    }
}

#[test]
fn lines_are_summed_however_they_are_cut_and_what_failed_costs_nothing() {
    let response = json!({"id": "resp_1", "model": "m", "status": "completed", "output": [{"type": "web_search_call"}],
        "usage": {"input_tokens": 50, "input_tokens_details": {"cached_tokens": 20}, "output_tokens": 30,
            "output_tokens_details": {"reasoning_tokens": 1}, "total_tokens": 80}});
    let embedding = json!({"object": "list", "model": "m", "data": [{"object": "embedding", "embedding": [0.1, 0.2]}],
        "usage": {"prompt_tokens": 7, "total_tokens": 7}});
    let failed =
        json!({"id": "b", "custom_id": "f", "response": null, "error": {"code": "batch_expired", "message": "x"}});
    let moderation = json!({"id": "modr-1", "model": "omni-moderation-latest", "results": [{"flagged": false}]});
    let all = [
        line(200, chat("m", 100, 40)),
        line(400, json!({"error": {"message": "no"}, "usage": {"prompt_tokens": 1_000}})),
        failed,
        line(200, response),
        line(200, embedding),
        line(200, moderation),
    ];
    let body = lines(&all);
    for size in [1, 7, 100, body.len()] {
        for body in [body.clone(), body.trim_end().to_owned(), body.replace('\n', "\r\n\n")] {
            let facts = read(Api::OpenAiBatch, &body, size);
            let usage = facts.usage.unwrap();
            let want = [(Kind::Input, 90 + 30 + 7), (Kind::CacheRead, 30), (Kind::Output, 70), (Kind::WebSearches, 1)];
            assert_eq!(usage.units, Units::of(&want), "in pieces of {size}");
            assert_eq!((usage.reasoning, usage.quality, &usage.terms), (6, Quality::Exact, &batch_terms()));
            assert_eq!((facts.model.as_deref(), facts.problems, facts.finished), (Some("m"), vec![], true));
            assert!(usage.passes.is_empty() && facts.id.is_empty() && facts.status.is_empty());
        }
    }
}

#[test]
fn messages_of_several_models_are_told_apart_and_only_what_succeeded_counts() {
    let message = |model: &str, input: u64| {
        json!({"custom_id": "a", "result": {"type": "succeeded", "message": {"id": "msg_1", "type": "message",
            "role": "assistant", "model": model, "content": [{"type": "text", "text": "hi"}], "stop_reason": "end_turn",
            "usage": {"input_tokens": input, "cache_read_input_tokens": 3, "output_tokens": 4, "service_tier": "batch"}}}})
    };
    let other = |what: &str| json!({"custom_id": "b", "result": {"type": what, "error": {"type": "error"}}});
    let all = [message("haiku", 10), other("errored"), message("opus", 20), other("expired"), message("haiku", 30)];
    let facts = read(Api::AnthropicBatch, &lines(&all), 11);
    let usage = facts.usage.unwrap();
    assert_eq!(usage.units, Units::of(&[(Kind::Input, 60), (Kind::CacheRead, 9), (Kind::Output, 12)]));
    let passes: Vec<_> = usage.passes.iter().map(|it| (it.model.as_deref(), it.units.prompt(), it.longest)).collect();
    assert_eq!(passes, [(Some("haiku"), 46, Some(33)), (Some("opus"), 23, Some(23))]);
    assert_eq!((usage.terms, usage.quality, facts.problems), (batch_terms(), Quality::Exact, vec![]));
    let nothing = read(Api::AnthropicBatch, &lines(&[other("canceled")]), 11);
    assert_eq!((nothing.usage, nothing.problems, nothing.finished), (None, vec![], true));
}

#[test]
fn many_short_prompts_are_not_one_long_one() {
    let short: Vec<Value> = (0..300).map(|_| line(200, chat("m", 1_000, 1))).collect();
    let usage = read(Api::OpenAiBatch, &lines(&short), 1_000).usage.unwrap();
    let [pass] = &usage.passes[..] else { panic!("{:?}", usage.passes) };
    assert_eq!((pass.units, pass.longest), (usage.units, Some(1_000)));
    let mixed = [line(200, chat("m", 272_001, 1)), line(200, chat("m", 272_000, 1)), line(200, chat("m", 300_000, 1))];
    let usage = read(Api::OpenAiBatch, &lines(&mixed), 1_000).usage.unwrap();
    let longest: Vec<_> = usage.passes.iter().map(|pass| (pass.units.prompt(), pass.longest)).collect();
    assert_eq!(longest, [(272_000, Some(272_000)), (572_001, Some(300_000))]);
}

#[test]
fn however_many_models_there_are_they_take_bounded_room() {
    let many: Vec<Value> = (0..200).map(|at| line(200, chat(&format!("m{at}"), 20, 1))).collect();
    let usage = read(Api::OpenAiBatch, &lines(&many), 1_000).usage.unwrap();
    assert_eq!((usage.passes.len(), usage.quality), (GROUPS_MAX, Quality::Partial));
    assert_eq!((usage.units.prompt(), usage.units.output()), (4_000, 200));
}

#[test]
fn what_cannot_be_read_is_said_and_a_cut_file_is_not_finished() {
    let good = lines(&[line(200, chat("m", 100, 40))]);
    let facts = read(Api::OpenAiBatch, &format!("{{\"custom_id\": nonsense}}\n{good}"), 9);
    let usage = facts.usage.unwrap();
    assert_eq!((usage.units.tokens(), usage.quality), (140, Quality::Partial));
    assert_eq!((facts.problems, facts.finished), (vec![Problem::EventUnreadable], true));
    let cut = read(Api::OpenAiBatch, &format!("{good}{}", &good[..good.len() / 2]), 9);
    assert!(!cut.finished);
    let silent = read(Api::OpenAiBatch, &lines(&[line(200, json!({"model": "m", "choices": []}))]), 9);
    assert_eq!((silent.usage, silent.problems), (None, vec![Problem::UsageMissing]));
    for other in
        ["\u{89}PNG\r\n\u{1a}\nnot json", "{\"custom_id\":\"a\",\"body\":{\"usage\":{\"prompt_tokens\":5}}}\n", ""]
    {
        let facts = read(Api::OpenAiBatch, other, 3);
        assert_eq!(facts.usage, None, "{other}");
        assert!(!facts.problems.contains(&Problem::UsageMissing), "{other}");
    }
}
