/** Elements from plain values. Text is always text: names come from callers, who may be hostile. */

type Child = Node | string | number | null | undefined | false;

export function h<K extends keyof HTMLElementTagNameMap>(
  tag: K, attributes: Record<string, string> = {}, ...children: Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children.filter((it) => it !== null && it !== undefined && it !== false).map((it) => (it instanceof Node ? it : String(it))));
  return element;
}

export function table(caption: string, head: string[], rows: (Child | Child[])[][], numeric: number[] = []): HTMLElement {
  const cell = (tag: "th" | "td", it: Child | Child[], at: number) =>
    h(tag, numeric.includes(at) ? { class: "number" } : {}, ...(Array.isArray(it) ? it : [it]));
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    h("table", {}, h("caption", { class: "hidden" }, caption),
      h("thead", {}, h("tr", {}, ...head.map((it, at) => cell("th", it, at)))),
      h("tbody", {}, ...rows.map((row) => h("tr", {}, ...row.map((it, at) => cell("td", it, at)))))));
}
