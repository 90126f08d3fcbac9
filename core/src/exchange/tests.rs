use super::*;
use crate::budget::lease;
use crate::config::FilterConfig;
use crate::record::{Cost, Outcome};
use crate::store::MemoryStore;
use crate::sync::LeaseGrant;
use crate::usage::Quality;
use serde_json::{Value, json};

/// A model of 1 USD per 10⁶ prompt tokens and 10 USD per 10⁶ output tokens.
fn config(budget: Value) -> Rc<Policy> {
    let mut config = FilterConfig {
        providers: vec![crate::config::ProviderConfig {
            name: "openai".into(),
            apis: vec![Api::OpenAiChat],
            catalog: "openai".into(),
            free: Vec::new(),
        }],
        ..FilterConfig::default()
    };
    config.prices = vec![
        serde_json::from_value(json!({
            "provider": "openai", "model": "m", "match": ["m"],
            "rates": [{"from": "1970-01-01", "input": "1", "output": "10"}],
        }))
        .unwrap(),
    ];
    config.identity.trust = vec![crate::labels::Source::Header];
    config.identity.headers = BTreeMap::from([("x-purser-team".into(), "team".into())]);
    if budget.is_object() {
        let mut whole = json!({
            "name": "b", "selector": {}, "per": ["team"], "limit": 1_000_000_000, "hard": true, "clamp": false,
            "on_unavailable": "closed", "on_unpriced": "deny", "periods_ms": [0, 1_000_000],
        });
        for (key, value) in budget.as_object().unwrap() {
            whole[key] = value.clone();
        }
        config.budgets = vec![serde_json::from_value(whole).unwrap()];
    }
    Rc::new(Policy::compile(config).unwrap())
}

struct World {
    store: MemoryStore,
    proxy: Proxy,
    policy: Rc<Policy>,
    calibration: Calibration,
    now_ms: u64,
}

impl World {
    fn new(budget: Value) -> Self {
        let proxy = Proxy { id: "p".into(), epoch: 7, workload: BTreeMap::new() };
        Self {
            store: MemoryStore::default(),
            proxy,
            policy: config(budget),
            calibration: Calibration::default(),
            now_ms: 1_000,
        }
    }

    fn host(&self) -> Host<'_> {
        Host { now_ms: self.now_ms, store: &self.store, proxy: &self.proxy, calibration: &self.calibration }
    }

    fn begin(&self, body: &Value) -> Exchange {
        let pairs = [(":method", "POST"), (":path", "/v1/chat/completions"), ("x-purser-team", "ml")];
        let headers: Vec<_> = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let Some(Begun::Read(mut exchange)) = Exchange::begin(self.host(), Rc::clone(&self.policy), &headers) else {
            panic!("not begun")
        };
        exchange.push_request(body.to_string().as_bytes());
        exchange
    }

    fn instance(&self) -> Instance {
        Instance { budget: "b".into(), period_ms: 0, group: vec!["ml".into()] }
    }

    fn grant(&self, granted: u64, exhausted: bool) {
        lease::grant(&self.store, &LeaseGrant { instance: self.instance(), granted, exhausted }, self.now_ms);
    }

    fn answer(&self, exchange: &mut Exchange, body: &Value) {
        exchange.response_head(Head { status: 200, content_type: "application/json", content_encoding: "" });
        exchange.response_body(body.to_string().as_bytes(), true);
    }
}

fn ask(max_tokens: u64) -> Value {
    json!({"model": "m", "max_tokens": max_tokens, "messages": [{"role": "user", "content": "hello there"}]})
}

fn reply(prompt: u64, output: u64) -> Value {
    json!({"model": "m", "choices": [{"index": 0, "finish_reason": "stop", "message": {"content": "hi"}}],
        "usage": {"prompt_tokens": prompt, "completion_tokens": output, "total_tokens": prompt + output}})
}

fn forwarded(verdict: Verdict) -> Forward {
    match verdict {
        Verdict::Forward(forward) => forward,
        other => panic!("not forwarded: {other:?}"),
    }
}

fn refused(verdict: Verdict) -> Refusal {
    match verdict {
        Verdict::Refuse(refusal) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn a_cold_lease_waits_once_then_the_request_is_held_settled_and_recorded() {
    let world = World::new(json!({}));
    let mut exchange = world.begin(&ask(100));
    assert_eq!(exchange.decide(world.host()), Verdict::Wait(vec![world.instance()]));
    world.grant(10_000_000, false);
    let forward = forwarded(exchange.resume(world.host(), true));
    assert_eq!((forward.route.as_str(), forward.edits), ("openai", None));
    let held = lease::read(&world.store, &world.instance()).reserved;
    assert!(held > 100 * 10_000, "100 output tokens at 10 µUSD and a prompt: {held}");

    world.answer(&mut exchange, &reply(20, 30));
    let Finished { record, touched } = exchange.finish(world.host(), End::Whole).unwrap();
    let cost = 20 * 1_000 + 30 * 10_000;
    assert!(matches!(&record.cost, Cost::Priced { nano_usd, .. } if *nano_usd == cost), "{:?}", record.cost);
    assert_eq!((record.outcome, record.seq, record.status), (Outcome::Complete, 1, 200));
    assert_eq!(record.usage.unwrap().quality, Quality::Exact);
    assert_eq!(record.estimate.reserved_nano_usd, held);
    assert_eq!(record.charges.first().map(|c| (c.budget.as_str(), c.nano_usd)), Some(("b/0/ml", cost)));
    assert_eq!(touched, [world.instance()]);
    let lease = lease::read(&world.store, &world.instance());
    assert_eq!((lease.reserved, lease.spent), (0, cost));
}

#[test]
fn a_warm_lease_never_waits() {
    let world = World::new(json!({}));
    world.grant(100_000_000, false);
    for _ in 0..20 {
        let mut exchange = world.begin(&ask(100));
        forwarded(exchange.decide(world.host()));
        world.answer(&mut exchange, &reply(5, 5));
        let _ = exchange.finish(world.host(), End::Whole).unwrap();
    }
    assert_eq!(lease::read(&world.store, &world.instance()).spent, 20 * (5 * 1_000 + 5 * 10_000));
}

#[test]
fn an_exhausted_budget_refuses_and_holds_nothing() {
    let world = World::new(json!({}));
    world.grant(10, true);
    let mut exchange = world.begin(&ask(100));
    let refusal = refused(exchange.decide(world.host()));
    assert_eq!((refusal.status, refusal.denied.by.as_str()), (429, "Budget/b"));
    assert!(refusal.body.contains("1.00 USD for team ml"), "{}", refusal.body);
    let record = exchange.finish(world.host(), End::Whole).unwrap().record;
    assert_eq!((record.outcome, record.cost, record.status), (Outcome::Denied, Cost::None, 429));
    assert_eq!(lease::read(&world.store, &world.instance()).reserved, 0);
}

#[test]
fn without_a_control_plane_the_policy_decides() {
    for (on_unavailable, passes) in [("closed", false), ("open", true)] {
        let world = World::new(json!({"on_unavailable": on_unavailable}));
        let mut exchange = world.begin(&ask(100));
        assert!(matches!(exchange.decide(world.host()), Verdict::Wait(_)));
        match exchange.resume(world.host(), false) {
            Verdict::Forward(_) if passes => {
                world.answer(&mut exchange, &reply(10, 10));
                let record = exchange.finish(world.host(), End::Whole).unwrap().record;
                assert_eq!(record.problems, [Problem::LeaseUnavailable]);
                assert_eq!(lease::read(&world.store, &world.instance()).spent, 110_000, "charged when it is back");
            }
            Verdict::Refuse(refusal) if !passes => assert_eq!(refusal.status, 503),
            other => panic!("{on_unavailable}: {other:?}"),
        }
    }
}

#[test]
fn clamp_caps_the_output_to_what_is_left() {
    let world = World::new(json!({"clamp": true}));
    world.grant(600_000, true);
    let mut exchange = world.begin(&ask(1_000));
    let forward = forwarded(exchange.decide(world.host()));
    let capped = forward.edits.and_then(|edits| edits.max_tokens).unwrap();
    assert!((16..=60).contains(&capped), "600,000 nano-USD buy at most 60 output tokens: {capped}");
    let lease = lease::read(&world.store, &world.instance());
    assert!(lease.reserved <= 600_000 && lease.available() < 10_000, "{lease:?}");
    let body = exchange.rewrite(ask(1_000).to_string().as_bytes()).unwrap();
    let sent: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(sent["max_tokens"], json!(capped));
}

#[test]
fn clamp_does_not_pass_an_answer_of_a_few_tokens() {
    let world = World::new(json!({"clamp": true}));
    world.grant(100_000, true);
    assert_eq!(refused(world.begin(&ask(1_000)).decide(world.host())).denied.reason, Reason::Budget);
}

#[test]
fn a_request_without_max_tokens_gets_the_policys() {
    let world = World::new(json!({"default_max_tokens": 50}));
    world.grant(100_000_000, false);
    let body = json!({"model": "m", "messages": []});
    let mut exchange = world.begin(&body);
    assert_eq!(forwarded(exchange.decide(world.host())).edits.and_then(|e| e.max_tokens), Some(50));
    let sent: Value = serde_json::from_slice(&exchange.rewrite(body.to_string().as_bytes()).unwrap()).unwrap();
    assert_eq!(sent, json!({"model": "m", "messages": [], "max_completion_tokens": 50}));
}

#[test]
fn an_unpriced_model_is_refused_by_a_hard_budget_and_never_free() {
    let world = World::new(json!({}));
    let unknown = json!({"model": "mystery", "max_tokens": 5, "messages": []});
    let refusal = refused(world.begin(&unknown).decide(world.host()));
    assert_eq!((refusal.status, refusal.denied.reason), (403, Reason::Unpriced));

    let world = World::new(json!({"on_unpriced": "allow"}));
    let mut exchange = world.begin(&unknown);
    forwarded(exchange.decide(world.host()));
    exchange.response_head(Head { status: 200, content_type: "application/json", content_encoding: "" });
    exchange.response_body(br#"{"model":"mystery","usage":{"prompt_tokens":3,"completion_tokens":4}}"#, true);
    let record = exchange.finish(world.host(), End::Whole).unwrap().record;
    assert_eq!(record.cost, Cost::Unpriced);
    assert_eq!(record.usage.unwrap().units.tokens(), 7);
}

#[test]
fn an_answer_that_cannot_be_read_is_charged_as_held() {
    let world = World::new(json!({}));
    world.grant(100_000_000, false);
    let mut exchange = world.begin(&ask(100));
    forwarded(exchange.decide(world.host()));
    exchange.response_head(Head { status: 200, content_type: "application/json", content_encoding: "br" });
    exchange.response_body(b"\x00\x01\x02", true);
    let record = exchange.finish(world.host(), End::Whole).unwrap().record;
    assert_eq!(record.cost, Cost::Unmetered);
    assert_eq!(record.charges.first().map(|c| c.nano_usd), Some(record.estimate.reserved_nano_usd));
}

#[test]
fn ends_that_cost_nothing_and_ends_that_may_have() {
    type Drive = fn(&World, &mut Exchange);
    let none: Drive = |_, _| {};
    let error: Drive = |_, exchange| {
        exchange.response_head(Head { status: 500, content_type: "application/json", content_encoding: "" });
        exchange.response_body(br#"{"error":{"message":"boom"}}"#, true);
    };
    let cases: [(&str, Drive, End, Outcome, bool); 4] = [
        ("provider error", error, End::Whole, Outcome::Complete, true),
        ("no connection", none, End::NotSent, Outcome::Failed, true),
        ("reset after the request was sent", none, End::NoAnswer, Outcome::Failed, false),
        ("client left before the answer", none, End::Cut, Outcome::Aborted, false),
    ];
    for (case, drive, end, outcome, free) in cases {
        let world = World::new(json!({}));
        world.grant(100_000_000, false);
        let mut exchange = world.begin(&ask(100));
        forwarded(exchange.decide(world.host()));
        drive(&world, &mut exchange);
        let record = exchange.finish(world.host(), end).unwrap().record;
        assert_eq!((record.outcome, record.cost == Cost::None), (outcome, free), "{case}");
        let lease = lease::read(&world.store, &world.instance());
        assert_eq!((lease.reserved, lease.spent == 0), (0, free), "{case}");
        assert_eq!(lease.spent, record.charges.iter().map(|c| c.nano_usd).sum::<u64>(), "{case}");
    }
}

#[test]
fn a_stream_cut_short_is_charged_for_what_was_seen() {
    let world = World::new(json!({}));
    world.grant(100_000_000, false);
    let mut body = ask(100);
    body["stream"] = json!(true);
    let mut exchange = world.begin(&body);
    let forward = forwarded(exchange.decide(world.host()));
    assert!(forward.edits.unwrap().include_usage);
    exchange.response_head(Head { status: 200, content_type: "text/event-stream", content_encoding: "" });
    exchange.response_body(
        b"data: {\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"one two three four\"}}],\"usage\":null}\n\n",
        false,
    );
    let record = exchange.finish(world.host(), End::Cut).unwrap().record;
    let usage = record.usage.unwrap();
    assert_eq!((record.outcome, usage.quality), (Outcome::Aborted, Quality::Partial));
    assert!(usage.units.output() >= 3 && usage.units.output() <= 8, "{usage:?}");
}

#[test]
fn a_body_that_is_not_what_the_api_takes_is_refused_in_its_dialect() {
    let world = World::new(json!({}));
    for body in [&b"{\"model\": 5}"[..], b"not json", b"{\"model\":\"m\",\"messages\":[", b""] {
        let pairs = [(":method", "POST"), (":path", "/v1/chat/completions")];
        let headers: Vec<_> = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let Some(Begun::Read(mut exchange)) = Exchange::begin(world.host(), Rc::clone(&world.policy), &headers) else {
            panic!("not begun")
        };
        exchange.push_request(body);
        assert_eq!(refused(exchange.decide(world.host())).status, 400, "{body:?}");
        let record = exchange.finish(world.host(), End::Whole).unwrap().record;
        assert_eq!(record.problems, [Problem::RequestUnreadable]);
    }
}

#[test]
fn a_rate_limit_refuses_with_the_time_to_come_back_and_costs_nothing() {
    let world = World::new(Value::Null);
    let mut config = world.policy.config.clone();
    config.rate_limits = vec![
        serde_json::from_value(
            json!({"name": "pace", "selector": {}, "per": ["team"], "requests": 2, "window_ms": 60_000}),
        )
        .unwrap(),
    ];
    let policy = Rc::new(Policy::compile(config).unwrap());
    let world = World { policy, ..world };
    for _ in 0..2 {
        assert!(matches!(world.begin(&ask(1)).decide(world.host()), Verdict::Forward(_)));
    }
    let refusal = refused(world.begin(&ask(1)).decide(world.host()));
    let retry = refusal.headers.iter().find(|(name, _)| *name == "retry-after").map(|(_, value)| value.as_str());
    assert_eq!((refusal.status, retry), (429, Some("30")));
}

fn begin_at(world: &World, headers: &[(&str, &str)]) -> Option<Begun> {
    let headers: Vec<_> = headers.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Exchange::begin(world.host(), Rc::clone(&world.policy), &headers)
}

/// A world whose providers serve these.
fn serving(budget: Value, providers: &[(&str, &[Api])], models: Value) -> World {
    let mut world = World::new(budget);
    let before = &world.policy.config;
    let mut config = FilterConfig { models: serde_json::from_value(models).unwrap(), ..before.clone() };
    config.prices = vec![
        serde_json::from_value(json!({
            "provider": "openai", "model": "m", "match": ["*"],
            "rates": [{"from": "1970-01-01", "input": "1", "output": "10"}],
        }))
        .unwrap(),
    ];
    let provider = |(name, apis): &(&str, &[Api])| crate::config::ProviderConfig {
        name: (*name).to_owned(),
        apis: apis.to_vec(),
        catalog: "openai".to_owned(),
        free: free::Free::USUAL.to_vec(),
    };
    config.providers = providers.iter().map(provider).collect();
    world.policy = Rc::new(Policy::compile(config).unwrap());
    world
}

fn read(begun: Option<Begun>, body: &Value) -> Exchange {
    let Some(Begun::Read(mut exchange)) = begun else { panic!("not begun: {begun:?}") };
    exchange.push_request(body.to_string().as_bytes());
    exchange
}

#[test]
fn a_model_in_the_path_is_what_is_asked_for_and_is_renamed_there() {
    let models = json!([{"name": "a", "match": ["alias"], "provider": "p", "upstream_model": "real:1"}]);
    let apis = [Api::GeminiGenerate, Api::BedrockConverse, Api::OpenAiChat];
    let world = serving(Value::Null, &[("p", &apis)], models);
    let cases = [
        ("/v1beta/models/alias:generateContent?alt=json&key=pk", "/v1beta/models/real%3A1:generateContent?alt=json"),
        ("/model/alias/converse-stream", "/model/real%3A1/converse-stream"),
        ("/openai/deployments/alias/chat/completions", "/openai/deployments/real%3A1/chat/completions"),
    ];
    for (path, want) in cases {
        let mut exchange = read(begin_at(&world, &[(":method", "POST"), (":path", path)]), &json!({"messages": []}));
        let forward = forwarded(exchange.decide(world.host()));
        assert_eq!((forward.path.as_deref(), forward.edits), (Some(want), None), "{path}");
        let record = exchange.finish(world.host(), End::Cut).unwrap().record;
        assert_eq!(record.request_model, "alias");
    }
    let mut exchange = read(
        begin_at(&world, &[(":method", "POST"), (":path", "/v1/chat/completions")]),
        &json!({"model": "alias", "messages": []}),
    );
    let forward = forwarded(exchange.decide(world.host()));
    assert_eq!((forward.path, forward.edits.unwrap().model.as_deref()), (None, Some("real:1")));
}

#[test]
fn what_has_no_output_tokens_holds_none_and_is_not_capped() {
    let apis = [Api::OpenAiEmbeddings, Api::CohereRerank, Api::OpenAiImages, Api::OpenAiSpeech];
    let world = serving(json!({"clamp": true, "default_max_tokens": 50}), &[("p", &apis)], json!([]));
    world.grant(500_000_000, false);
    let cases = [
        ("/v1/embeddings", json!({"model": "m", "input": "a text"}), 0),
        ("/v2/rerank", json!({"model": "m", "query": "q", "documents": ["a"]}), 0),
        ("/v1/images/generations", json!({"model": "m", "prompt": "a ship", "n": 2}), 12_600),
        ("/v1/audio/speech", json!({"model": "m", "input": "ahoy", "voice": "x"}), 8),
    ];
    for (path, body, output) in cases {
        let headers = [(":method", "POST"), (":path", path), ("x-purser-team", "ml")];
        let mut exchange = read(begin_at(&world, &headers), &body);
        assert_eq!(forwarded(exchange.decide(world.host())).edits, None, "{path}");
        let record = exchange.finish(world.host(), End::NotSent).unwrap().record;
        assert_eq!(record.estimate.output, output, "{path}");
        assert!(record.estimate.reserved_nano_usd > output * 10_000, "{path}");
    }
}

#[test]
fn an_answer_in_the_background_is_charged_once_by_the_poll_that_has_it() {
    let mut world = serving(json!({}), &[("other", &[Api::OpenAiChat]), ("p", &[Api::OpenAiResponses])], json!([]));
    world.grant(500_000_000, false);
    let post = [(":method", "POST"), (":path", "/v1/responses"), ("x-purser-team", "ml")];
    let mut exchange = read(begin_at(&world, &post), &json!({"model": "m", "input": "think", "background": true}));
    forwarded(exchange.decide(world.host()));
    world.answer(&mut exchange, &json!({"id": "resp_1", "object": "response", "status": "queued", "model": "m"}));
    let record = exchange.finish(world.host(), End::Whole).unwrap().record;
    assert_eq!((record.cost, record.usage, record.charges.len()), (Cost::Pending, None, 0));
    assert_eq!(lease::read(&world.store, &world.instance()).reserved, 0);

    let usage = json!({"input_tokens": 20, "output_tokens": 30, "total_tokens": 50});
    let done = json!({"id": "resp_1", "object": "response", "status": "completed", "model": "m", "output": [],
        "usage": usage});
    let working = json!({"id": "resp_1", "object": "response", "status": "in_progress", "model": "m"});
    let begin = |world: &World, path: &str| begin_at(world, &[(":method", "GET"), (":path", path)]);
    let poll = |world: &World| {
        let Some(Begun::Read(mut exchange)) = begin(world, "/v1/responses/resp_1?include=x") else { panic!("no poll") };
        assert!(!exchange.reads_body());
        assert_eq!(forwarded(exchange.decide(world.host())).route, "p");
        exchange
    };
    let mut early = poll(&world);
    world.answer(&mut early, &working);
    assert_eq!(early.finish(world.host(), End::Whole), None);
    let (mut first, mut second) = (poll(&world), poll(&world));
    world.answer(&mut first, &done);
    world.answer(&mut second, &done);
    world.now_ms += 5_000;
    let record = first.finish(world.host(), End::Whole).unwrap().record;
    let cost = 20 * 1_000 + 30 * 10_000;
    assert!(matches!(&record.cost, Cost::Priced { nano_usd, .. } if *nano_usd == cost), "{:?}", record.cost);
    assert_eq!((record.request_model.as_str(), record.labels["team"].value.as_str()), ("m", "ml"), "the same payer");
    assert_eq!((record.seq, record.provider.as_str()), (2, "p"));
    let lease = lease::read(&world.store, &world.instance());
    assert_eq!((lease.reserved, lease.spent), (0, cost));
    assert_eq!(second.finish(world.host(), End::Whole), None, "it was charged");
    for path in ["/v1/responses/resp_1", "/v1/responses/resp_unknown"] {
        let Some(Begun::Pass(pass)) = begin(&world, path) else { panic!("{path}") };
        assert_eq!((pass.what, pass.route.as_str()), ("poll", "p"), "{path}");
    }
}

#[test]
fn what_costs_nothing_passes_without_credentials_unless_the_caller_or_the_policy_says_no() {
    let apis = [Api::GeminiGenerate, Api::OpenAiChat];
    let mut world = serving(Value::Null, &[("p", &apis)], json!([]));
    let path = "/v1beta/models/m:countTokens?key=AIza&x=1";
    let Some(Begun::Pass(pass)) = begin_at(&world, &[(":method", "POST"), (":path", path)]) else { panic!() };
    let want = Pass { what: "count_tokens", route: "p".into(), path: Some("/v1beta/models/m:countTokens?x=1".into()) };
    assert_eq!(pass, want);
    assert!(begin_at(&world, &[(":method", "GET"), (":path", "/v1/files")]).is_none(), "not let through by default");
    assert!(begin_at(&world, &[(":method", "GET"), (":path", "/healthz")]).is_none());
    let mut config = world.policy.config.clone();
    config.identity.key_required = true;
    world.policy = Rc::new(Policy::compile(config).unwrap());
    let Some(Begun::Refuse(exchange, refusal)) = begin_at(&world, &[(":method", "GET"), (":path", "/v1/models")])
    else {
        panic!()
    };
    assert_eq!(refusal.status, 401);
    let record = exchange.finish(world.host(), End::Whole).unwrap().record;
    assert_eq!((record.outcome, record.api), (Outcome::Denied, Api::OpenAiChat));
}

#[test]
fn a_session_is_decided_at_its_head_and_holds_what_any_answer_may_cost() {
    let world = serving(json!({}), &[("p", &[Api::OpenAiRealtime])], json!([]));
    world.grant(500_000_000, false);
    let path = "/v1/realtime?model=m";
    let headers = [(":method", "GET"), (":path", path), ("upgrade", "websocket"), ("x-purser-team", "ml")];
    let Some(Begun::Read(mut exchange)) = begin_at(&world, &headers) else { panic!("no session") };
    assert!(!exchange.reads_body());
    assert_eq!(forwarded(exchange.decide(world.host())).route, "p");
    exchange.response_head(Head { status: 101, ..Head::default() });
    let record = exchange.finish(world.host(), End::Cut).unwrap().record;
    assert_eq!((record.cost, record.outcome), (Cost::None, Outcome::Complete), "nothing was asked in it");
    assert!(record.estimate.reserved_nano_usd > 4_096 * 10_000);
    assert!(begin_at(&world, &headers[..2]).is_none(), "a list of sessions is no session");
    // Too dear either way: there is no body to count.
    let world = serving(json!({}), &[("p", &[Api::OpenAiRealtime])], json!([]));
    world.grant(40_960_000, true);
    let Some(Begun::Read(mut exchange)) = begin_at(&world, &headers) else { panic!("no session") };
    refused(exchange.decide(world.host()));
}

/// A prompt whose words the estimate takes for twice as many tokens as there are.
fn overestimated() -> Value {
    let text = "internationalization ".repeat(2_000);
    json!({"model": "m", "max_tokens": 20, "messages": [{"role": "user", "content": text}]})
}

#[cfg(feature = "vocabulary")]
#[test]
fn a_prompt_that_only_the_estimate_finds_too_dear_is_counted_and_passes() {
    let world = World::new(json!({}));
    let body = overestimated();
    let mut exchange = world.begin(&body);
    let Verdict::Wait(_) = exchange.decide(world.host()) else { panic!("a cold lease") };
    // 2,000 words are some 6,000 tokens at most: 7 milli-USD hold them, and not what they are estimated at.
    world.grant(8_500_000, true);
    assert_eq!(exchange.resume(world.host(), true), Verdict::Count);
    exchange.push_request(body.to_string().as_bytes());
    forwarded(exchange.decide(world.host()));
    world.answer(&mut exchange, &reply(4_005, 5));
    let record = exchange.finish(world.host(), End::Whole).unwrap().record;
    assert!(record.estimate.input < 8_200, "{:?}", record.estimate);
}

#[test]
fn a_prompt_that_is_too_dear_either_way_is_refused() {
    let world = World::new(json!({}));
    world.grant(10_000, true);
    let body = overestimated();
    let mut exchange = world.begin(&body);
    let verdict = match exchange.decide(world.host()) {
        Verdict::Count => {
            exchange.push_request(body.to_string().as_bytes());
            exchange.decide(world.host())
        }
        verdict => verdict,
    };
    assert!(matches!(verdict, Verdict::Refuse(_)), "{verdict:?}");
}

/// A world where batches may be started and files read, and `m` costs half in a batch.
fn with_batches() -> World {
    let mut world = serving(json!({}), &[("p", &[Api::OpenAiChat, Api::AnthropicMessages])], json!([]));
    let mut config = world.policy.config.clone();
    config.prices = vec![
        serde_json::from_value(json!({
            "provider": "openai", "model": "m", "match": ["*"],
            "rates": [{"from": "1970-01-01", "input": "1", "output": "10",
                "tiers": [{"above": 200_000, "input": "2", "output": "20"}],
                "variants": [{"when": {"service_tier": "batch"}, "multiplier": "0.5"}]}],
        }))
        .unwrap(),
    ];
    config.providers[0].free = free::Free::ALL.to_vec();
    world.policy = Rc::new(Policy::compile(config).unwrap());
    world.grant(500_000_000, false);
    world
}

/// A request about a batch, up to the end of its answer.
fn about_batch(world: &World, team: &str, (method, path): (&str, &str), body: &str, end: End) -> Option<Record> {
    let headers = [(":method", method), (":path", path), ("x-purser-team", team)];
    let Some(Begun::Read(mut exchange)) = begin_at(world, &headers) else { panic!("{path}") };
    assert!(!exchange.reads_body());
    assert_eq!(forwarded(exchange.decide(world.host())).route, "p");
    exchange.response_head(Head { status: 200, content_type: "application/octet-stream", content_encoding: "" });
    exchange.response_body(body.as_bytes(), end == End::Whole);
    exchange.finish(world.host(), end).map(|finished| finished.record)
}

#[test]
fn results_of_a_batch_are_charged_once_to_whoever_started_it_at_the_price_of_a_batch() {
    let mut world = with_batches();
    let started = r#"{"id":"batch_1","object":"batch","status":"validating","output_file_id":null}"#;
    let done = r#"{
      "id": "batch_1", "object": "batch", "status": "completed", "output_file_id": "file-out", "error_file_id": "file-err"
    }"#;
    let lines = |count: usize| {
        let reply = reply(1_000, 10);
        format!("{}\n", json!({"custom_id": "a", "response": {"status_code": 200, "body": reply}})).repeat(count)
    };
    let (look, results) = (("GET", "/v1/batches/batch_1"), ("GET", "/v1/files/file-out/content"));
    assert_eq!(about_batch(&world, "ml", ("POST", "/v1/batches"), started, End::Whole), None);
    world.now_ms += 86_400_000 * 2;
    world.now_ms %= 1_000_000;
    assert_eq!(about_batch(&world, "ops", look, started, End::Whole), None);
    assert_eq!(about_batch(&world, "ops", look, done, End::Whole), None);
    assert_eq!(about_batch(&world, "ops", results, &lines(5), End::Cut), None, "a broken download");
    let record = about_batch(&world, "ops", results, &lines(300), End::Whole).unwrap();
    // Half the price below the tier, though all prompts together are above it.
    let cost = 300 * (1_000 * 500 + 10 * 5_000);
    assert!(matches!(&record.cost, Cost::Priced { nano_usd, .. } if *nano_usd == cost), "{:?}", record.cost);
    assert_eq!((record.api, record.labels["team"].value.as_str()), (Api::OpenAiBatch, "ml"));
    assert_eq!((record.request_model.as_str(), record.outcome), ("m", Outcome::Complete));
    assert_eq!(record.charges.first().map(|c| (c.budget.as_str(), c.nano_usd)), Some(("b/0/ml", cost)));
    let lease = lease::read(&world.store, &world.instance());
    assert_eq!((lease.reserved, lease.spent), (0, cost));
    assert_eq!(about_batch(&world, "ml", look, done, End::Whole), None);
    assert_eq!(about_batch(&world, "ml", results, &lines(300), End::Whole), None, "it was charged");
    let failed = r#"{"custom_id":"f","response":{"status_code":400,"body":{"error":{}}},"error":null}"#;
    assert_eq!(about_batch(&world, "ml", ("GET", "/v1/files/file-err/content"), failed, End::Whole), None);
}

#[test]
fn messages_of_a_batch_are_its_starters_and_unknown_results_are_whoevers_downloads_them_first() {
    let world = with_batches();
    let line = r#"{"custom_id":"a","result":{"type":"succeeded","message":{"model":"m","stop_reason":"end_turn",
        "usage":{"input_tokens":1000,"output_tokens":10,"service_tier":"batch"}}}}"#
        .replace('\n', "");
    let start = ("POST", "/v1/messages/batches");
    let started = r#"{"id":"msgbatch_1","type":"message_batch","processing_status":"in_progress"}"#;
    assert_eq!(about_batch(&world, "ml", start, started, End::Whole), None);
    for (id, payer) in [("msgbatch_1", "ml"), ("msgbatch_unknown", "ops")] {
        let path = format!("/v1/messages/batches/{id}/results");
        let record = about_batch(&world, "ops", ("GET", &path), &line, End::Whole).unwrap();
        assert_eq!((record.api, record.labels["team"].value.as_str()), (Api::AnthropicBatch, payer), "{id}");
        assert!(matches!(&record.cost, Cost::Priced { nano_usd: 550_000, .. }), "{:?}", record.cost);
        assert_eq!(about_batch(&world, "ops", ("GET", &path), &line, End::Whole), None, "{id}");
    }
    let other_file = about_batch(&world, "ops", ("GET", "/v1/files/file-1/content"), "%PDF-1.7\n...", End::Whole);
    assert_eq!(other_file, None);
}

#[test]
fn results_that_tell_nothing_are_unmetered_not_free() {
    let world = with_batches();
    let path = ("GET", "/v1/messages/batches/msgbatch_2/results");
    let record = about_batch(&world, "ml", path, "garbage\nmore\n{}", End::Whole).unwrap();
    assert_eq!((record.cost, record.usage), (Cost::Unmetered, None));
    assert!(record.problems.contains(&Problem::EventUnreadable), "{:?}", record.problems);
}
