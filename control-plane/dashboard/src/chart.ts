/** Spend over time, stacked. */

import uPlot from "uplot";
import type { Spend } from "./api";
import { usd } from "./format";

/** Okabe and Ito's colours, which the colour-blind tell apart, and two more. */
export const COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#b8a900", "#7f7f7f", "#8c564b", "#332288", "#88ccee", "#aaaaaa"];

export function stacked(element: HTMLElement, spend: Spend): uPlot {
  const times = spend.starts_ms.map((ms) => ms / 1000);
  const sums = times.map(() => 0);
  // The first lies at the bottom; drawn from the largest sum down, so that each covers what is under it.
  const layers = spend.series.map((one) => one.nano_usd.map((nano, at) => (sums[at]! += nano) / 1e9));
  const order = layers.map((_, at) => at).reverse();
  const style = getComputedStyle(document.documentElement);
  const ink = style.getPropertyValue("--muted");
  const grid = { stroke: style.getPropertyValue("--line"), width: 1 };
  const bars = uPlot.paths.bars!({ size: [0.8, 40], align: 1 });
  return new uPlot({
    width: element.clientWidth, height: 260, legend: { show: false }, cursor: { y: false },
    // The last column ends where its time does.
    scales: { x: { range: (_, first, last) => [first, last + spend.bucket_ms / 1000] }, y: { range: (_, __, max) => [0, max > 0 ? max * 1.05 : 1] } },
    axes: [{ stroke: ink, grid: { show: false }, ticks: grid }, { stroke: ink, grid, ticks: grid, size: 84, values: (_, all) => all.map((it) => usd(it * 1e9)) }],
    series: [{}, ...order.map((at) => ({ label: spend.series[at]!.key || "(none)", fill: COLOURS[at % COLOURS.length]!, stroke: COLOURS[at % COLOURS.length]!, width: 0, paths: bars, points: { show: false } }))],
  }, [times, ...order.map((at) => layers[at]!)] as uPlot.AlignedData, element);
}
