/** Amounts, counts and times as people read them. */

export function usd(nano: number): string {
  const dollars = nano / 1e9;
  if (nano === 0) return "$0";
  if (dollars >= 1000) return `$${Math.round(dollars).toLocaleString("en-US")}`;
  if (dollars >= 1) return `$${dollars.toFixed(2)}`;
  if (dollars >= 0.01) return `$${dollars.toFixed(4)}`;
  // Three digits that matter, down to the nano-dollar.
  const places = Math.min(9, 2 - Math.floor(Math.log10(dollars)));
  return `$${dollars.toFixed(places).replace(/0+$/, "")}`;
}

/** An amount to the nano-dollar. */
export function exactUsd(nano: number): string {
  const text = Math.floor(nano).toString().padStart(10, "0");
  return `$${text.slice(0, -9)}.${text.slice(-9).replace(/0{1,7}$/, "")}`;
}

export function count(n: number): string {
  for (const [size, letter] of [[1e9, "B"], [1e6, "M"], [1e4, "k"]] as const) {
    if (n >= size) return `${(n / (letter === "k" ? 1e3 : size)).toFixed(1).replace(/\.0$/, "")}${letter}`;
  }
  return n.toLocaleString("en-US");
}

export function ago(ms: number, now: number): string {
  const seconds = Math.max(0, Math.round((now - ms) / 1000));
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h ago`;
  return `${Math.round(seconds / 86_400)} days ago`;
}

/** A share in per cent; what is not nothing never shows as nothing. */
export function percent(part: number, whole: number): string {
  if (whole <= 0 || part <= 0) return "0 %";
  const value = (part / whole) * 100;
  return value < 1 ? "< 1 %" : `${Math.round(value)} %`;
}
