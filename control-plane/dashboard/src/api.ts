/** What the control plane answers: see /api/openapi.json. */

export type By = "team" | "model" | "provider" | "user" | "feature";
/** Counts by kind; a kind that was not used is left out. */
export type Units = Record<string, number>;
export const PROMPT = ["input", "cache_read", "cache_write_5m", "cache_write_1h", "input_audio", "input_image", "input_video", "cache_read_audio", "cache_read_image", "cache_read_video"];
export const OUTPUT = ["output", "output_audio", "output_image", "output_video"];

export interface Summary {
  spend_nano_usd: number; requests: number; refused: number; failed: number;
  unpriced: number; unmetered: number; estimated: number; units: Units;
}
export interface Series { key: string; folded: boolean; nano_usd: number[]; requests: number[] }
export interface Spend { bucket_ms: number; starts_ms: number[]; series: Series[] }
export interface Top { key: string; nano_usd: number; requests: number; refused: number; prompt_tokens: number; output_tokens: number }
export interface Budget {
  budget: string; group: { label: string; value: string }[] | null; period: { start_ms: number; end_ms: number };
  limit_nano_usd: number; spent_nano_usd: number; reserved_nano_usd: number; left_nano_usd: number;
  hard: boolean; refused: number; crossed_percent: number | null;
}
export interface Proxy {
  proxy: string; connected: boolean; envoy_version: string; policy: string; last_report_ms: number; records: number;
  missing: number; duplicates: number; open: number; memory_bytes: number; cold_waits: number;
  config: { type: string; version: string; status: string; error: string | null }[];
}
export interface Row {
  id: string; started_ms: number; duration_ms: number; stream: boolean; request_model: string; status: number;
  outcome: string; labels: Record<string, string>; prompt_tokens: number; output_tokens: number;
  quality: string | null; cost_status: string; nano_usd: number | null; denied: { by: string; reason: string } | null;
}
export interface Policy {
  version: string; price_book: string; good: boolean; directory: string; gateway: string; stand_in: string[]; unpriced_models: string[];
  problems: { file: string; line: number; path: string; message: string; fix: string; severity: string }[];
  rollout: { state: string; acked: number; total: number; nacks: { proxy: string; type: string; error: string }[] };
}
export interface Record_ {
  record: {
    labels: Record<string, { value: string; source: string }>; usage?: { units: Units; quality: string; reasoning?: number };
    cost: { status: string; nano_usd?: number; femto_usd_by_kind?: Record<string, number>; entry?: string };
    denied?: { by: string; reason: string }; estimate: { input: number; output: number; reserved_nano_usd: number };
    problems?: string[]; charges?: { budget: string; nano_usd: number }[]; policy: string; price_book: string;
    request_model: string; response_model?: string; status: number; outcome: string; key?: string; [more: string]: unknown;
  };
  price: { entry: string; source_url: string | null; checked: string | null; rates: Record<string, string> } | null;
}

export async function get<T>(path: string): Promise<T> {
  const answer = await fetch(`/api/v1/${path}`);
  if (!answer.ok) {
    const body = await answer.json().catch(() => null);
    throw new Error(body?.error?.message ?? `the control plane answered ${answer.status}`);
  }
  return answer.json();
}
