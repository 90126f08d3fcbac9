// The dashboard in a real Chromium, against a control plane with records: `PURSER_URL=http://127.0.0.1:9600 npm run test:browser`.
// With SHOTS=folder it leaves screenshots there.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const url = process.env.PURSER_URL;
if (!url) throw new Error("PURSER_URL is not set: name a running control plane");
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const flags = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: flags });
const failures = [];
const check = (holds, what) => { console.log(`${holds ? "ok  " : "FAIL"} ${what}`); if (!holds) failures.push(what); };

for (const [name, options] of Object.entries({
  light: { viewport: { width: 1280, height: 900 } },
  dark: { viewport: { width: 1280, height: 900 }, colorScheme: "dark" },
  phone: { viewport: { width: 390, height: 844 } },
})) {
  // axe is brought in by the test, past the page's own policy; violations of that are still reported.
  const page = await (await browser.newContext({ ...options, bypassCSP: name === "light" })).newPage();
  const complaints = [];
  page.on("console", (message) => { if (message.type() === "error") complaints.push(message.text()); });
  page.on("pageerror", (error) => complaints.push(String(error)));
  await page.goto(url);
  await page.waitForSelector("section.cards .value");
  await page.waitForSelector(".plot canvas");
  check(complaints.length === 0, `${name}: no error, no violation of the policy ${complaints.join("; ")}`);
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  check(overflow <= 0, `${name}: nothing sticks out of the page (${overflow} px)`);
  if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/${name}.png`, fullPage: true });
  if (name === "light") {
    await page.addScriptTag({ content: axe });
    const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
    const serious = violations.filter((one) => ["serious", "critical"].includes(one.impact));
    check(serious.length === 0, `accessibility ${serious.map((one) => `${one.id}: ${one.nodes.map((node) => node.html).slice(0, 2)}`).join("; ")}`);
    const refusing = page.locator("tr", { hasText: "team-daily" }).filter({ has: page.locator(".number .tag.warn") });
    check((await refusing.count()) > 0, "a budget that refused stands out");
    await page.getByRole("group", { name: "Stacked by" }).getByRole("button", { name: "model" }).click();
    await page.waitForURL(/by=model/);
    await page.locator('a[href^="#/records/"]').first().click();
    await page.waitForSelector("dialog[open] table");
    const link = page.url();
    if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/record.png` });
    await page.goto("about:blank");
    await page.goto(link);
    await page.waitForSelector("dialog[open] table");
    check(true, "a record's link leads to it");
    check((await page.locator("img").count()) === 0, "hostile names are text");
  }
  await page.close();
}
await browser.close();
if (failures.length) process.exit(1);
