//! One HTTP stream: callbacks in, effects out.

use crate::host;
use crate::vm::Vm;
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;
use purser_core::config::ROUTE_HEADER;
use purser_core::exchange::{Begun, End, Exchange, Forward, Verdict};
use purser_core::identity::CREDENTIALS;
use purser_core::record::Reason;
use purser_core::refusal::{Cause, Refusal};
use purser_core::wire::recognise::{Recognised, recognise};
use purser_core::wire::response::{Head, Passed};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// How much of a request's body is taken over at once.
const PIECE: usize = 64 << 10;

/// Headers that say who calls, for the proxy alone.
const CLAIMS: &str = "x-purser-";

/// The part of a stream that another stream's callback may resume.
pub(crate) struct Held {
    exchange: RefCell<Option<Exchange>>,
    /// Bytes of the request's body that were read.
    read: Cell<usize>,
}

/// A stream.
pub(crate) struct Stream {
    context_id: u32,
    vm: Rc<Vm>,
    held: Rc<Held>,
    /// What comes back is our own refusal or none of our business.
    ignore_response: bool,
    response_ended: bool,
    /// The answer's head came from the provider or from Envoy in its place.
    status: u16,
}

impl Stream {
    pub(crate) fn new(context_id: u32, vm: Rc<Vm>) -> Self {
        let held = Rc::new(Held { exchange: RefCell::new(None), read: Cell::new(0) });
        Self { context_id, vm, held, ignore_response: true, response_ended: false, status: 0 }
    }

    fn decide(&mut self) -> Action {
        let verdict = self.held.with(|exchange| self.vm.with_host(|host| exchange.decide(host)));
        verdict.map_or(Action::Continue, |verdict| self.held.enact(&self.vm, self.context_id, verdict))
    }

    /// How the answer ended, from what Envoy says of it where that is needed.
    fn end(&self) -> End {
        if self.response_ended && self.status < 500 {
            return End::Whole;
        }
        let details = host::property(&["response", "code_details"]).unwrap_or_default();
        if details == "via_upstream" {
            return if self.response_ended { End::Whole } else { End::Cut };
        }
        const NOT_SENT: [&str; 7] = [
            "connection_failure",
            "no_healthy_upstream",
            "cluster_not_found",
            "route_not_found",
            "direct_response",
            "overflow",
            "payload_too_large",
        ];
        match () {
            () if NOT_SENT.iter().any(|word| details.contains(word)) => End::NotSent,
            () if self.response_ended => End::NoAnswer,
            () => End::Cut,
        }
    }
}

impl Held {
    fn with<T>(&self, call: impl FnOnce(&mut Exchange) -> T) -> Option<T> {
        self.exchange.borrow_mut().as_mut().map(call)
    }

    /// Goes on after a wait. The stream is the effective context.
    pub(crate) fn resume(self: &Rc<Self>, vm: &Vm, context_id: u32, answered: bool) {
        let verdict = self.with(|exchange| vm.with_host(|host| exchange.resume(host, answered)));
        let action = verdict.map(|verdict| self.enact(vm, context_id, verdict));
        if action == Some(Action::Continue) {
            host::resume_request();
        }
    }

    fn enact(self: &Rc<Self>, vm: &Vm, context_id: u32, verdict: Verdict) -> Action {
        match verdict {
            Verdict::Forward(forward) => {
                vm.opened(self.with(|exchange| exchange.seq()).flatten());
                self.forward(vm, forward);
                Action::Continue
            }
            Verdict::Refuse(refusal) => {
                refuse(&refusal);
                Action::Pause
            }
            Verdict::Wait(instances) => {
                vm.wait(context_id, Rc::clone(self), instances);
                Action::Pause
            }
            Verdict::Count => {
                let again = self.with(|exchange| {
                    read_body(exchange, 0, self.read.get());
                    vm.with_host(|host| exchange.decide(host))
                });
                // It comes once, so this ends.
                again.map_or(Action::Continue, |verdict| self.enact(vm, context_id, verdict))
            }
        }
    }

    fn forward(&self, vm: &Vm, forward: Forward) {
        send_to(&forward.route, forward.path.as_deref());
        if forward.edits.is_some() {
            let body = host::request_body(0, self.read.get());
            let next = body.and_then(|body| self.with(|exchange| exchange.rewrite(&body)).flatten());
            if let Some(next) = next
                && host::replace_request_body(&next)
            {
                host::set_request_header("content-length", &next.len().to_string());
            }
        }
        vm.refresh(forward.low);
    }
}

/// Has the exchange read the request's body from `read` up to `size`. Returns how far it came.
fn read_body(exchange: &mut Exchange, mut read: usize, size: usize) -> usize {
    while read < size {
        let Some(piece) = host::request_body(read, PIECE.min(size.saturating_sub(read))) else { break };
        if piece.is_empty() {
            break;
        }
        exchange.push_request(&piece);
        read = read.saturating_add(piece.len());
    }
    read
}

/// Chooses the provider, and changes the path where that has to be.
fn send_to(route: &str, path: Option<&str>) {
    if let Some(path) = path {
        host::set_request_header(":path", path);
    }
    host::set_request_header(ROUTE_HEADER, route);
}

/// Takes out what must not reach a provider: credentials are Envoy's to put in.
fn strip(headers: &[(String, String)]) {
    for (name, _) in headers {
        if CREDENTIALS.contains(&name.as_str()) || name.starts_with(CLAIMS) {
            host::remove_request_header(name);
        }
    }
}

fn refuse(refusal: &Refusal) {
    host::respond(refusal.status, &refusal.headers, &refusal.body);
}

impl Context for Stream {
    fn on_http_call_response(&mut self, _token: u32, _headers: usize, body_size: usize, _trailers: usize) {
        self.vm.cold_answered(self.context_id, body_size);
    }
}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _count: usize, end_of_stream: bool) -> Action {
        let headers = host::request_headers();
        let begun = match self.vm.policy() {
            Some(policy) => self.vm.with_host(|host| Exchange::begin(host, policy, &headers)),
            None => return without_policy(&headers),
        };
        match begun {
            None => {
                // Only the engine chooses a provider: a caller that names one itself would go unmetered.
                host::remove_request_header(ROUTE_HEADER);
                Action::Continue
            }
            Some(Begun::Refuse(exchange, refusal)) => {
                self.vm.opened(exchange.seq());
                *self.held.exchange.borrow_mut() = Some(exchange);
                refuse(&refusal);
                Action::Pause
            }
            Some(Begun::Pass(pass)) => {
                strip(&headers);
                send_to(&pass.route, pass.path.as_deref());
                self.vm.passed(pass.what);
                Action::Continue
            }
            Some(Begun::Read(exchange)) => {
                self.ignore_response = false;
                let reads_body = exchange.reads_body();
                *self.held.exchange.borrow_mut() = Some(exchange);
                strip(&headers);
                // Answers come uncompressed, so that they can be changed as they pass.
                host::set_request_header("accept-encoding", "identity");
                // The same for frames of a session.
                host::remove_request_header("sec-websocket-extensions");
                if end_of_stream || !reads_body { self.decide() } else { Action::Pause }
            }
        }
    }

    fn on_http_request_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        // While the request is held, `size` counts from its start.
        let mut read = self.held.read.get();
        let reading = self.held.with(|exchange| {
            read = read_body(exchange, read, size);
            !exchange.is_forwarded()
        });
        self.held.read.set(read);
        match reading {
            Some(true) if end_of_stream => self.decide(),
            Some(true) => Action::Pause,
            _ => Action::Continue,
        }
    }

    fn on_http_request_trailers(&mut self, _count: usize) -> Action {
        let reading = self.held.with(|exchange| !exchange.is_forwarded());
        if reading == Some(true) { self.decide() } else { Action::Continue }
    }

    fn on_http_response_headers(&mut self, _count: usize, end_of_stream: bool) -> Action {
        let forwarded = self.held.with(|exchange| exchange.is_forwarded()) == Some(true);
        self.ignore_response |= !forwarded;
        if self.ignore_response {
            return Action::Continue;
        }
        self.response_ended = end_of_stream;
        self.status = host::response_header(":status").and_then(|status| status.parse().ok()).unwrap_or(0);
        let content_type = host::response_header("content-type").unwrap_or_default();
        let encoding = host::response_header("content-encoding").unwrap_or_default();
        let rewritten = self.held.with(|exchange| {
            let head = Head { status: self.status, content_type: &content_type, content_encoding: &encoding };
            exchange.response_head(head);
            for name in exchange.wanted_headers() {
                if let Some(value) = host::response_header(name) {
                    exchange.response_header(name, &value);
                }
            }
            exchange.rewrites_response()
        });
        if rewritten == Some(true) {
            host::remove_response_header("content-length");
        }
        Action::Continue
    }

    fn on_http_response_body(&mut self, size: usize, end_of_stream: bool) -> Action {
        if self.ignore_response {
            return Action::Continue;
        }
        self.response_ended |= end_of_stream;
        let piece = if size == 0 { Vec::new() } else { host::response_body(size).unwrap_or_default() };
        let passed = self.held.with(|exchange| {
            if exchange.awaits_first_byte() {
                exchange.first_byte(host::now_ms());
            }
            exchange.response_body(&piece, end_of_stream)
        });
        if let Some(Passed::Replaced(next)) = passed {
            host::replace_response_body(&next);
        }
        Action::Continue
    }

    fn on_http_response_trailers(&mut self, _count: usize) -> Action {
        self.response_ended = true;
        Action::Continue
    }

    fn on_log(&mut self) {
        self.vm.ended(self.context_id);
        let Some(exchange) = self.held.exchange.borrow_mut().take() else { return };
        let end = self.end();
        let what = exchange.passes_as();
        let Some(finished) = self.vm.with_host(|host| exchange.finish(host, end)) else {
            self.vm.passed(what);
            return;
        };
        if let Some(line) = self.vm.finished(finished) {
            host::publish("purser.record", &line);
        }
    }
}

/// Before the first policy came nothing is let through to a provider: nobody could say what it costs.
fn without_policy(headers: &[(String, String)]) -> Action {
    let header = |name: &str| headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
    let Recognised::Exchange(target) = recognise(header(":method"), header(":path")) else {
        host::remove_request_header(ROUTE_HEADER);
        return Action::Continue;
    };
    let cause = Cause {
        by: "Purser",
        reason: Reason::Unavailable,
        message: "this proxy has no policy yet: try again in a moment",
        retry_ms: Some(1_000),
    };
    refuse(&Refusal::new(target.api, cause, header("x-request-id")));
    Action::Pause
}
