/** The overview: what was spent, by whom, what is left, and whether the figures can be trusted. */

import "uplot/dist/uPlot.min.css";
import "./style.css";
import { get, OUTPUT, PROMPT, type Budget, type By, type Policy, type Proxy, type Record_, type Row, type Spend, type Summary, type Top } from "./api";
import { COLOURS, stacked } from "./chart";
import { h, table } from "./dom";
import { ago, count, exactUsd, percent, usd } from "./format";

const RANGES = { "1h": [3_600_000, "minute"], "24h": [86_400_000, "hour"], "7d": [604_800_000, "hour"], "30d": [2_592_000_000, "day"] } as const;
const BY: By[] = ["team", "model", "provider", "user", "feature"];
const REFRESH_MS = 4_000;
type Range = keyof typeof RANGES;

const page = document.querySelector<HTMLElement>("#page")!;
const drawer = document.querySelector<HTMLDialogElement>("#record")!;
const named = (key: string) => key || "(none)";

function view(): { range: Range; by: By; outcome: string } {
  const query = new URLSearchParams(location.search);
  const range = query.get("range") as Range, by = query.get("by") as By;
  return { range: range in RANGES ? range : "24h", by: BY.includes(by) ? by : "team", outcome: query.get("outcome") ?? "" };
}

function go(change: Partial<ReturnType<typeof view>>): void {
  const next = new URLSearchParams(Object.entries({ ...view(), ...change }).filter(([, value]) => value !== ""));
  history.pushState(null, "", `?${next}${location.hash}`);
  void refresh();
}

function choices(label: string, all: readonly string[], chosen: string, choose: (it: string) => void): HTMLElement {
  return h("div", { class: "choices", role: "group", "aria-label": label }, ...all.map((it) => {
    const button = h("button", { type: "button", "aria-pressed": String(it === chosen) }, it || "all");
    button.addEventListener("click", () => choose(it));
    return button;
  }));
}

function card(label: string, value: string, note = "", tone = ""): HTMLElement {
  return h("div", { class: `card ${tone}` }, h("div", { class: "label" }, label), h("div", { class: "value" }, value), h("div", { class: "note" }, note));
}

function cards(it: Summary): HTMLElement {
  const sum = (kinds: string[]) => kinds.reduce((all, kind) => all + (it.units[kind] ?? 0), 0);
  const [prompt, output] = [sum(PROMPT), sum(OUTPUT)];
  const unknown = it.unpriced + it.unmetered;
  return h("section", { class: "cards", "aria-label": "Summary" },
    card("Spend", usd(it.spend_nano_usd), it.estimated ? `${percent(it.estimated, it.requests)} of requests rest on estimates` : "every request exact"),
    card("Requests", count(it.requests), it.failed ? `${count(it.failed)} failed` : "none failed"),
    card("Refused", count(it.refused), percent(it.refused, it.requests), it.refused ? "warn" : ""),
    card("Cost unknown", count(unknown), unknown ? `${it.unpriced} without a price, ${it.unmetered} unreadable` : "all priced and metered", unknown ? "bad" : ""),
    card("Tokens", count(prompt + output), `${count(prompt)} in, ${count(output)} out, ${count(sum(["cache_read", "cache_read_audio", "cache_read_image", "cache_read_video"]))} from cache`));
}

function chart(spend: Spend, by: By): HTMLElement {
  const plot = h("div", { class: "plot", role: "img", "aria-label": `Spend over time by ${by}; the figures are in the table below` });
  const legend = h("ul", { class: "legend" }, ...spend.series.map((one, at) => {
    const swatch = h("span", { class: "swatch" });
    swatch.style.background = COLOURS[at % COLOURS.length]!;
    return h("li", {}, swatch, named(one.key), " ", h("b", {}, usd(one.nano_usd.reduce((a, b) => a + b, 0))));
  }));
  const rows = spend.starts_ms.map((ms, at) => [new Date(ms).toLocaleString(), ...spend.series.map((one) => usd(one.nano_usd[at] ?? 0))])
    .filter((_, at) => spend.series.some((one) => (one.nano_usd[at] ?? 0) > 0));
  requestAnimationFrame(() => plot.isConnected && stacked(plot, spend));
  return h("div", {}, plot, legend, h("details", {}, h("summary", {}, "The figures"),
    table("Spend over time", ["from", ...spend.series.map((one) => named(one.key))], rows, spend.series.map((_, at) => at + 1))));
}

function budgets(all: Budget[]): HTMLElement {
  if (!all.length) return h("p", { class: "empty" }, "No budget yet. Write a Budget into the policy folder: docs/policy.md has an example.");
  const part = (name: string, share: number) => {
    const bar = h("span", { class: name });
    bar.style.width = `${Math.min(100, share * 100)}%`;
    return bar;
  };
  return table("Budgets", ["budget", "for", "spent · reserved · left", "spent", "reserved", "left", "of", "refused", "ends"], all.map((it) => {
    const crossed = it.crossed_percent !== null && h("span", { class: `tag ${it.crossed_percent >= 100 ? "bad" : "warn"}` }, `${it.crossed_percent} % reached`);
    return [
      [it.budget, " ", h("span", { class: "tag" }, it.hard ? "hard" : "soft"), crossed],
      it.group === null ? "nobody yet" : it.group.map((one) => one.value).join(", ") || "all",
      h("span", { class: "bar", role: "img", "aria-label": `${percent(it.spent_nano_usd, it.limit_nano_usd)} spent` },
        part("spent", it.spent_nano_usd / it.limit_nano_usd), part("reserved", it.reserved_nano_usd / it.limit_nano_usd)),
      usd(it.spent_nano_usd), usd(it.reserved_nano_usd), usd(it.left_nano_usd), usd(it.limit_nano_usd),
      it.refused ? h("span", { class: "tag warn" }, count(it.refused)) : "0",
      it.period.end_ms ? new Date(it.period.end_ms).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" }) : "",
    ];
  }), [3, 4, 5, 6, 7]);
}

function proxies(all: Proxy[], policy: Policy, now: number): HTMLElement {
  if (!all.length) return h("p", { class: "empty" }, "No proxy yet. `purser bootstrap --node NAME` prints what Envoy starts with.");
  return table("Proxies", ["proxy", "state", "policy", "configuration", "last report", "records", "missing", "duplicate", "waited", "memory"], all.map((it) => {
    const nacked = it.config.filter((one) => one.status === "nacked");
    return [
      [it.proxy, " ", h("span", { class: "note" }, it.envoy_version)],
      h("span", { class: `tag ${it.connected ? "good" : "bad"}` }, it.connected ? "connected" : "away"),
      [it.policy, it.policy !== "" && it.policy !== policy.version && h("span", { class: "tag warn" }, "behind")],
      nacked.length ? h("span", { class: "tag bad", title: nacked.map((one) => one.error).join("; ") }, `refused: ${nacked.map((one) => one.type).join(", ")}`)
        : h("span", { class: "tag good" }, `${it.config.length} acked`),
      it.last_report_ms ? ago(it.last_report_ms, now) : "never", count(it.records),
      h("span", { class: it.missing ? "tag bad" : "" }, it.missing), it.duplicates, count(it.cold_waits), it.memory_bytes ? `${(it.memory_bytes / 1_048_576).toFixed(1)} MiB` : "-",
    ];
  }), [5, 6, 7, 8, 9]);
}

function records(all: Row[], now: number): HTMLElement {
  if (!all.length) return h("p", { class: "empty" }, "No record. `make demo` sends a few hundred requests.");
  return table("Records", ["when", "team", "user", "model", "outcome", "tokens", "cost", "took"], all.map((it) => [
    h("a", { href: `#/records/${it.id.split("/").map(encodeURIComponent).join("/")}` }, ago(it.started_ms, now)),
    it.labels.team ?? "", it.labels.user ?? "", [it.request_model, it.stream && h("span", { class: "tag" }, "stream")],
    it.denied ? h("span", { class: "tag warn" }, `refused by ${it.denied.by}`)
      : h("span", { class: `tag ${it.outcome === "complete" && it.status < 400 ? "good" : "bad"}` }, `${it.outcome} ${it.status || ""}`),
    [`${count(it.prompt_tokens)} → ${count(it.output_tokens)}`, it.quality !== null && it.quality !== "exact" && h("span", { class: "tag warn" }, it.quality)],
    it.nano_usd === null ? h("span", { class: "tag bad" }, it.cost_status) : usd(it.nano_usd), `${count(it.duration_ms)} ms`,
  ]), [5, 6, 7]);
}

function policyNotes(it: Policy): HTMLElement[] {
  const notes: HTMLElement[] = [];
  if (it.rollout.state !== "idle") {
    notes.push(h("p", { class: `banner ${it.rollout.state === "stopped" ? "bad" : "warn"}` }, `Roll-out ${it.rollout.state}: ${it.rollout.acked} of ${it.rollout.total} proxies.`,
      ...it.rollout.nacks.map((one) => h("div", {}, `${one.proxy} refused ${one.type}: ${one.error}`))));
  }
  const errors = it.problems.filter((one) => one.severity === "error");
  if (errors.length) {
    notes.push(h("div", { class: "banner bad" }, h("b", {}, "The policy folder has errors; the last good policy is in force."),
      h("ul", {}, ...errors.map((one) => h("li", {}, `${one.file}:${one.line}: ${one.path && `${one.path}: `}${one.message}. Fix: ${one.fix}`)))));
  }
  if (it.stand_in.length) notes.push(h("p", { class: "banner" }, `Answers of ${it.stand_in.join(" and ")} are made up by the stand-in provider: no credential is set.`));
  if (it.unpriced_models.length) notes.push(h("p", { class: "banner warn" }, `Without a price: ${it.unpriced_models.join(", ")}. Give them one with a PriceOverride.`));
  return notes;
}

function section(title: string, content: Node, ...aside: Node[]): HTMLElement {
  return h("section", { "aria-label": title }, h("div", { class: "head" }, h("h2", {}, title), ...aside), content);
}

async function refresh(): Promise<void> {
  const { range, by, outcome } = view();
  const [length, bucket] = RANGES[range];
  const now = Date.now();
  const time = `from_ms=${now - length}&to_ms=${now + 60_000}`;
  document.querySelector("#ranges")!.replaceChildren(choices("Time", Object.keys(RANGES), range, (it) => go({ range: it as Range })));
  try {
    const [summary, spend, top, budget, proxy, list, policy] = await Promise.all([
      get<Summary>(`summary?${time}`), get<Spend>(`spend?${time}&by=${by}&bucket=${bucket}`), get<{ rows: Top[] }>(`top?${time}&by=${by}&limit=10`),
      get<{ budgets: Budget[] }>("budgets"), get<{ proxies: Proxy[] }>("proxies"),
      get<{ records: Row[] }>(`records?limit=25${outcome ? `&outcome=${outcome}` : ""}`), get<Policy>("policy"),
    ]);
    const focus = document.activeElement?.textContent;
    const open = page.querySelector("details")?.open ?? false;
    page.replaceChildren(
      ...policyNotes(policy), cards(summary),
      section("Spend over time", summary.requests ? chart(spend, by) : h("div", { class: "empty" }, h("p", {}, "Nothing yet. Send a first request:"),
        h("pre", {}, `curl http://${policy.gateway}/v1/chat/completions -H 'x-purser-team: search' \\\n  -d '{"model":"gpt-5-mini","messages":[{"role":"user","content":"Hello"}]}'`)),
        choices("Stacked by", BY, by, (it) => go({ by: it as By }))),
      section(`Top spenders by ${by}`, !top.rows.length ? h("p", { class: "empty" }, "Nobody yet.") : table("Top spenders", [by, "spend", "requests", "refused", "prompt", "output"],
        top.rows.map((it) => [named(it.key), usd(it.nano_usd), count(it.requests), count(it.refused), count(it.prompt_tokens), count(it.output_tokens)]), [1, 2, 3, 4, 5])),
      section("Budgets", budgets(budget.budgets)),
      section("Last records", records(list.records, now), choices("Outcome", ["", "complete", "denied", "aborted", "failed"], outcome, (it) => go({ outcome: it }))),
      section("Proxies", proxies(proxy.proxies, policy, now), h("span", { class: "note" }, `policy ${policy.version}, prices ${policy.price_book}`)));
    const details = page.querySelector("details");
    if (details) details.open = open;
    if (focus) [...page.querySelectorAll<HTMLElement>("button, a")].find((it) => it.textContent === focus)?.focus({ preventScroll: true });
  } catch (error) {
    page.prepend(h("p", { class: "banner bad", role: "alert" }, `The control plane cannot be read: ${error instanceof Error ? error.message : error}`));
    while (page.querySelectorAll("[role=alert]").length > 1) page.querySelectorAll("[role=alert]")[1]!.remove();
  }
}

async function showRecord(): Promise<void> {
  const match = /^#\/records\/([^/]+)\/(\d+)\/(\d+)$/.exec(location.hash);
  if (!match) return drawer.close();
  const { record, price } = await get<Record_>(`records/${match.slice(1).join("/")}`);
  const kinds = Object.entries(record.usage?.units ?? {});
  const close = h("button", { type: "button", "aria-label": "Close" }, "✕");
  close.addEventListener("click", () => drawer.close());
  const fact = (name: string, value: string) => [h("dt", {}, name), h("dd", {}, value)];
  drawer.replaceChildren(
    h("div", { class: "head" }, h("h2", {}, record.request_model || "(no model)"), close),
    h("dl", {}, ...[
      fact("outcome", `${record.outcome} ${record.status || ""}`), fact("answered by", record.response_model ?? "-"),
      ...(record.denied ? [fact("refused by", `${record.denied.by} (${record.denied.reason})`)] : []),
      fact("usage", record.usage ? record.usage.quality : "unknown"), fact("cost", record.cost.nano_usd === undefined ? record.cost.status : exactUsd(record.cost.nano_usd)),
      fact("expected", `${count(record.estimate.input)} in, at most ${count(record.estimate.output)} out`), fact("held", exactUsd(record.estimate.reserved_nano_usd)),
      ...(record.problems?.length ? [fact("problems", record.problems.join(", "))] : []),
      fact("policy", record.policy), fact("prices", record.price_book),
    ].flat()),
    h("h3", {}, "Cost"),
    kinds.length ? table("Cost by kind", ["kind", "units", "USD per 10⁶", "cost"], kinds.map(([kind, n]) => [
      kind.replaceAll("_", " "), n.toLocaleString("en-US"), price?.rates[kind] ?? "-",
      record.cost.femto_usd_by_kind ? exactUsd((record.cost.femto_usd_by_kind[kind] ?? 0) / 1e6) : "-",
    ]), [1, 2, 3]) : h("p", { class: "empty" }, "Nothing was used."),
    price ? h("p", { class: "note" }, `${price.entry}, `, price.source_url ? h("a", { href: price.source_url, rel: "noreferrer" }, `read ${price.checked ?? ""}`) : "a price of your own") : "",
    h("h3", {}, "Who"),
    table("Labels", ["label", "value", "learned from"], Object.entries(record.labels).map(([name, label]) => [name, label.value, label.source])),
    h("details", {}, h("summary", {}, "The record"), h("pre", {}, JSON.stringify(record, null, 2))));
  if (!drawer.open) drawer.showModal();
}

drawer.addEventListener("close", () => { if (location.hash) history.pushState(null, "", location.pathname + location.search); });
addEventListener("hashchange", () => void showRecord());
addEventListener("popstate", () => { void refresh(); void showRecord(); });
addEventListener("resize", () => void refresh());
setInterval(() => { if (!document.hidden && !drawer.open) void refresh(); }, REFRESH_MS);
void refresh();
void showRecord();
