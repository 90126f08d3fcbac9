import { expect, test } from "vitest";
import { ago, count, exactUsd, percent, usd } from "./format";

test("amounts keep what matters", () => {
  expect([0, 1, 12_345, 1_234_567, 600_000, 12_345_678, 1_234_567_890, 1_234_567_890_123].map(usd)).toEqual([
    "$0", "$0.000000001", "$0.0000123", "$0.00123", "$0.0006", "$0.0123", "$1.23", "$1,235",
  ]);
  expect(exactUsd(1_230_000_000)).toBe("$1.23");
  expect(exactUsd(5)).toBe("$0.000000005");
});

test("counts, ages and shares", () => {
  expect([999, 12_345, 1_200_000, 3_000_000_000].map(count)).toEqual(["999", "12.3k", "1.2M", "3B"]);
  expect([ago(0, 5_000), ago(0, 120_000), ago(0, 7_200_000)]).toEqual(["5 s ago", "2 min ago", "2 h ago"]);
  expect([percent(0, 10), percent(1, 1000), percent(5, 10)]).toEqual(["0 %", "< 1 %", "50 %"]);
});
