"""Calls a gateway with the official SDKs as applications do, and prints what came of each call as a line of JSON.

    python calls.py GATEWAY

Every call carries its name as the label `feature`: the gateway's records tell how many requests it took.
"""

import json
import sys

import anthropic
import openai

GATEWAY = sys.argv[1]
QUESTION = [{"role": "user", "content": "How much is in the chest?"}]


def headers(call, team):
    return {"x-purser-team": team, "x-purser-feature": call}


def from_openai(call, team, key="unused", **changes):
    """A client with everything as it comes, its retries too."""
    client = openai.OpenAI(base_url=f"{GATEWAY}/v1", api_key=key, default_headers=headers(call, team))
    body = {"model": "gpt-5-mini", "messages": QUESTION, "max_completion_tokens": 40, **changes}
    answer = client.chat.completions.create(**body)
    if not body.get("stream"):
        return {"text": answer.choices[0].message.content, "output": answer.usage.completion_tokens}
    chunks = list(answer)
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    usage = [chunk.usage.completion_tokens for chunk in chunks if chunk.usage]
    return {"text": text, "output": usage[0] if usage else None, "empty": sum(not chunk.choices for chunk in chunks)}


def from_anthropic(call, team, key="unused", stream=False, **changes):
    client = anthropic.Anthropic(base_url=GATEWAY, api_key=key, default_headers=headers(call, team))
    body = {"model": "claude-sonnet-4-5", "messages": QUESTION, "max_tokens": 30, **changes}
    if stream:
        with client.messages.stream(**body) as events:
            text = "".join(events.text_stream)
            answer = events.get_final_message()
    else:
        answer = client.messages.create(**body)
        text = "".join(block.text for block in answer.content)
    return {"text": text, "output": answer.usage.output_tokens}


def outcome(client, call, team, **changes):
    try:
        return {"raised": None, **client(call, team, **changes)}
    except (openai.APIStatusError, anthropic.APIStatusError) as error:
        body = error.body if isinstance(error, openai.APIStatusError) else error.body["error"]
        return {
            "raised": type(error).__name__,
            "status": error.status_code,
            "type": body["type"],
            "code": body.get("code"),
            "message": body["message"],
            "by": error.response.headers.get("x-purser-denied-by"),
        }


for name, client, opus in [
    ("openai", from_openai, {"model": "gpt-5-pro"}),
    ("anthropic", from_anthropic, {"model": "claude-opus-4-5"}),
]:
    calls = {
        "plain": {},
        "streamed": {"stream": True},
        "budget": {"team": "broke"},
        "budget-streamed": {"team": "broke", "stream": True},
        "access": opus,
        "key": {"key": "pk-nonsense"},
        "model": {"model": ""},
        "limit-long": {"team": "slow"},
        "limit-short": {"team": "quick"},
    }
    if name == "openai":
        calls["usage"] = {"stream": True, "stream_options": {"include_usage": True}}
    for call, changes in calls.items():
        team = changes.pop("team", "ml")
        if call.startswith("limit"):
            outcome(client, f"{name}-first-{call}", team)
        result = outcome(client, f"{name}-{call}", team, **changes)
        print(json.dumps({"call": f"{name}-{call}", **result}), flush=True)
