"""The price engine against two independent open implementations, over random usages.

Where genai-prices and litellm agree, or only one of them knows the model, our cost must be theirs. Where they differ, it
must be one of the two. What is neither is looked up in explained.json; what is not there fails.

    make test-prices [SEED=…] [RECORDS=…]
"""

import datetime
import fnmatch
import json
import os
import pathlib
import random
import subprocess
import sys
import types
import warnings

warnings.filterwarnings("ignore")
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
sys.modules.setdefault("httpx2", types.ModuleType("httpx2"))

import genai_prices  # noqa: E402
import litellm  # noqa: E402
from litellm.cost_calculator import batch_cost_calculator, cost_per_token  # noqa: E402
from litellm.types.utils import (  # noqa: E402
    CacheCreationTokenDetails,
    CompletionTokensDetailsWrapper,
    PromptTokensDetailsWrapper,
    Usage,
)

litellm.suppress_debug_info = True
HERE = pathlib.Path(__file__).parent
# A Tuesday noon: no provider's dear hour.
AT = datetime.datetime(2026, 11, 24, 12, tzinfo=datetime.timezone.utc)
# The price book's names of providers, genai-prices', and litellm's with what begins its keys.
PROVIDERS = [
    ("openai", "openai", ["openai"], [""]),
    ("azure", "azure", ["azure"], ["azure/"]),
    ("anthropic", "anthropic", ["anthropic"], [""]),
    ("google", "google", ["gemini"], ["gemini/"]),
    ("vertex", "google", ["vertex_ai", "vertex_ai-language-models", "vertex_ai-anthropic_models"], ["vertex_ai/", ""]),
    ("bedrock", "aws", ["bedrock", "bedrock_converse"], ["bedrock/", ""]),
    ("mistral", "mistral", ["mistral"], ["mistral/"]),
    ("cohere", "cohere", ["cohere_chat", "cohere"], [""]),
    ("groq", "groq", ["groq"], ["groq/"]),
    ("deepseek", "deepseek", ["deepseek"], ["deepseek/", ""]),
    ("xai", "x-ai", ["xai"], ["xai/"]),
    ("together", "together", ["together_ai"], ["together_ai/"]),
    ("fireworks", "fireworks", ["fireworks_ai"], ["fireworks_ai/"]),
    ("perplexity", "perplexity", ["perplexity"], ["perplexity/"]),
    ("moonshot", "moonshotai", ["moonshot"], ["moonshot/"]),
    ("zai", "zai", ["zai"], ["zai/"]),
    ("cerebras", "cerebras", ["cerebras"], ["cerebras/"]),
    ("openrouter", "openrouter", [], []),
    ("novita", "novita", ["novita"], ["novita/"]),
    ("databricks", "databricks", ["databricks"], ["databricks/"]),
    ("voyage", "voyageai", ["voyage"], ["voyage/"]),
]
MODES = {"chat", "completion", "responses", "embedding", "image_generation"}


def models():
    """Provider, name, genai-prices' provider, and litellm's key and provider where it has the model."""
    known = {}
    for ours, theirs, said, begins in PROVIDERS:
        for key, entry in litellm.model_cost.items():
            if entry.get("litellm_provider") not in said or entry.get("mode") not in MODES or "*" in key:
                continue
            if not entry.get("input_cost_per_token"):
                continue
            begin = next((begin for begin in begins if key.startswith(begin)), None)
            if begin is not None:
                known.setdefault((ours, key[len(begin) :]), (theirs, key, entry["litellm_provider"]))
        for provider in genai_prices.data_snapshot.get_snapshot().providers:
            if provider.id == theirs:
                for model in provider.models:
                    known.setdefault((ours, model.id), (theirs, None, None))
    return [(ours, name, *rest) for (ours, name), rest in sorted(known.items())]


def usage(rng):
    prompt = int(10 ** rng.uniform(0, 5.7))
    read = int(prompt * rng.choice([0, 0, rng.random()]))
    writes = rng.choice([0, 0, 0, int((prompt - read) * rng.random())])
    hour = rng.choice([0, int(writes * rng.random())])
    output = int(10 ** rng.uniform(0, 4.5))
    return {
        "input": prompt - read - writes,
        "cache_read": read,
        "cache_write_5m": writes - hour,
        "cache_write_1h": hour,
        "output": output,
        "reasoning": rng.choice([0, int(output * rng.random())]),
    }


def by_genai(provider, name, it, tier):
    prompt = it["input"] + it["cache_read"] + it["cache_write_5m"] + it["cache_write_1h"]
    counts = genai_prices.Usage(
        input_tokens=prompt,
        cache_read_tokens=it["cache_read"],
        cache_write_tokens=it["cache_write_5m"] + it["cache_write_1h"],
        cache_write_1h_tokens=it["cache_write_1h"],
        output_tokens=it["output"],
        output_reasoning_tokens=it["reasoning"],
    )
    context = {"processing": "batch"} if tier == "batch" else {"service_tier": tier} if tier else None
    try:
        found = genai_prices.calc_price(
            counts, name, provider_id=provider, genai_request_timestamp=AT, price_context=context
        )
    except Exception:  # it has no price, or none for one of the kinds
        return None
    return float(found.total_price)


def by_litellm(key, provider, it, tier):
    if key is None:
        return None
    prompt = it["input"] + it["cache_read"] + it["cache_write_5m"] + it["cache_write_1h"]
    writes = it["cache_write_5m"] + it["cache_write_1h"]
    counts = Usage(
        prompt_tokens=prompt,
        completion_tokens=it["output"],
        total_tokens=prompt + it["output"],
        prompt_tokens_details=PromptTokensDetailsWrapper(
            cached_tokens=it["cache_read"],
            cache_creation_tokens=writes,
            cache_creation_token_details=CacheCreationTokenDetails(
                ephemeral_5m_input_tokens=it["cache_write_5m"], ephemeral_1h_input_tokens=it["cache_write_1h"]
            ),
        ),
        completion_tokens_details=CompletionTokensDetailsWrapper(reasoning_tokens=it["reasoning"]),
        cache_read_input_tokens=it["cache_read"],
        cache_creation_input_tokens=writes,
    )
    provider = "vertex_ai" if provider.startswith("vertex_ai") else provider
    try:
        if tier == "batch":
            return sum(batch_cost_calculator(counts, key, provider))
        parts = cost_per_token(
            model=key,
            custom_llm_provider=provider,
            prompt_tokens=prompt,
            completion_tokens=it["output"],
            usage_object=counts,
            service_tier=tier,
        )
    except Exception:  # it has no price
        return None
    return sum(parts)


def ours(binary, records):
    lines = "\n".join(json.dumps(record) for record in records)
    answer = subprocess.run([binary, "price", "-"], input=lines, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in answer.stdout.splitlines()]


def equal(a, b):
    return abs(a - b) <= 1e-9 + 1e-6 * max(a, b)


def main():
    binary, seed, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    explained = json.loads((HERE / "explained.json").read_text())
    rng = random.Random(seed)
    listed = models()
    priced = ours(binary, [{"provider": m[0], "model": m[1], "at": AT.isoformat(), "usage": {"input": 1}} for m in listed])
    listed = [model for model, answer in zip(listed, priced) if answer["cost_nano_usd"] is not None]
    drawn = []
    for _ in range(count):
        provider, name, genai, key, said = rng.choice(listed)
        tier = rng.choice([None, None, None, "batch", "flex", "priority"])
        drawn.append((provider, name, genai, key, said, usage(rng), tier))
    answers = ours(
        binary,
        [
            {"provider": provider, "model": name, "at": AT.isoformat(), "usage": it, "tier": tier}
            for provider, name, _, _, _, it, tier in drawn
        ],
    )
    tally, reasons, wrong = {}, {}, []

    def add(to, what):
        to[what] = to.get(what, 0) + 1

    for (provider, name, genai, key, said, it, tier), answer in zip(drawn, answers):
        a, b = by_genai(genai, name, it, tier), by_litellm(key, said, it, tier)
        if answer["cost_nano_usd"] is None or (a is None and b is None):
            add(tally, "nobody else has a price" if answer["cost_nano_usd"] is not None else "no price of ours")
            continue
        mine = answer["cost_nano_usd"] / 1e9
        agree = a is not None and b is not None and equal(a, b)
        if any(other is not None and equal(mine, other) for other in (a, b)):
            add(tally, "equal, and they agree" if agree else "equal to one of them")
            continue
        terms_unpriced = any("the usual rates were taken" in problem for problem in answer["problems"])
        case = {"provider": provider, "model": name, "tier": tier or "", "terms": "unpriced" if terms_unpriced else "",
                "they": "agree" if agree else "differ" if None not in (a, b) else "one",
                "writes": "some" if it["cache_write_5m"] or it["cache_write_1h"] else "none",
                "reasoning": "some" if it["reasoning"] else "none"}
        known = next((row for row in explained if all(fnmatch.fnmatch(case[part], row[part]) for part in case if part in row)), None)
        if known:
            add(tally, "explained")
            add(reasons, known["why"])
        else:
            wrong.append((case, it, mine, a, b, answer["price_entry"]))
    print(f"seed {seed}: {count} usages of {len(listed)} models")
    for what, n in sorted(tally.items()):
        print(f"  {n:6} {what}")
    for why, n in sorted(reasons.items()):
        print(f"         {n:6} {why}")
    for case, it, mine, a, b, entry in wrong[: int(os.environ.get("SHOW", 40))]:
        print(f"NOT EXPLAINED {case} {it}: ours {mine} ({entry}), genai-prices {a}, litellm {b}")
    if wrong:
        by_model = {}
        for case, *_ in wrong:
            add(by_model, (case["provider"], case["model"], case["tier"]))
        print(f"{len(wrong)} not explained: {sorted(by_model.items(), key=lambda it: -it[1])[:80]}")
    sys.exit(1 if wrong else 0)


main()
