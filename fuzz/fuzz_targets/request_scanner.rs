//! The request scanner: cuts do not matter, and what it reads is what a tree of the body says.
#![no_main]

use libfuzzer_sys::fuzz_target;
use purser_core::api::Api;
use purser_core::estimate::family;
use purser_core::wire::request::{RequestError, RequestFacts, RequestScanner};
use purser_fuzz::cut;
use serde_json::Value;

fn scan(api: Api, pieces: &[&[u8]]) -> Result<RequestFacts, RequestError> {
    let mut scanner = RequestScanner::new(api);
    pieces.iter().for_each(|piece| scanner.push(piece));
    scanner.finish()
}

fuzz_target!(|input: &[u8]| {
    let (body, pieces) = cut(input);
    for api in Api::ALL {
        let got = scan(*api, &[body]);
        assert_eq!(scan(*api, &pieces), got);
        if !matches!(api, Api::OpenAiChat | Api::AnthropicMessages) {
            continue;
        }
        let (Ok(facts), Ok(tree)) = (got, serde_json::from_slice::<Value>(body)) else { continue };
        assert_eq!(Some(facts.model.as_str()), tree["model"].as_str());
        assert_eq!(facts.stream, tree["stream"] == true);
        let caps = match api {
            Api::OpenAiChat => tree["max_tokens"].as_u64().max(tree["max_completion_tokens"].as_u64()),
            _ => tree["max_tokens"].as_u64(),
        };
        assert_eq!(facts.max_tokens, caps);
        // No vocabulary of ours needs more than this for a byte of the body, apart from media and what is fixed.
        let tokens = facts.input_tokens(family(&facts.model));
        assert!(tokens <= facts.fixed_tokens + 4 * facts.body_bytes, "{tokens} tokens");
    }
});
