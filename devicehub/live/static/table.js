// The table: as many rows as can be seen and no more, however large the fleet is.

import * as words from "./words.js";

const ROW = 40; // px, as in live.css
const MARGIN = 8; // rows above and below what can be seen
const ORDER = { offline: 0, late: 1, online: 2, never_seen: 3 };
const collator = new Intl.Collator(undefined, { numeric: true });

const COMPARE = {
  presence: (a, b) => ORDER[a.presence] - ORDER[b.presence],
  name: (a, b) => collator.compare(a.name, b.name),
  type: (a, b) => collator.compare(a.type, b.type),
  location: (a, b) => collator.compare(a.location ?? "", b.location ?? ""),
  lastActiveAt: (a, b) => (a.lastActiveAt ?? "").localeCompare(b.lastActiveAt ?? ""),
};

export class Table {
  #scroll = document.getElementById("scroll");
  #body = document.getElementById("rows");
  #heads = [...document.querySelectorAll("th[data-sort]")];
  #rows = new Map(); // device id -> its row, of those drawn
  #above = space();
  #below = space();
  #devices = [];
  #sort = { by: "name", sign: 1 };

  /** `onOpen(device)` when somebody wants to know more of it. */
  constructor({ onOpen }) {
    this.#scroll.addEventListener("scroll", () => this.#draw(), { passive: true });
    new ResizeObserver(() => this.#draw()).observe(this.#scroll);
    this.#body.addEventListener("click", ({ target }) => {
      const id = target.closest("button")?.dataset.id;
      const device = this.#devices.find((one) => one.id === id);
      if (device) onOpen(device);
    });
    this.#body.addEventListener("keydown", (event) => this.#step(event));
    for (const head of this.#heads) head.querySelector("button").addEventListener("click", () => this.#sortBy(head.dataset.sort));
    this.#mark();
  }

  show(devices) {
    const { by, sign } = this.#sort;
    const compare = COMPARE[by];
    this.#devices = devices.sort((a, b) => sign * compare(a, b) || collator.compare(a.name, b.name) || (a.id < b.id ? -1 : 1));
    this.#draw();
  }

  #sortBy(by) {
    this.#sort = { by, sign: this.#sort.by === by ? -this.#sort.sign : by === "lastActiveAt" ? -1 : 1 };
    this.#mark();
    this.show(this.#devices);
  }

  #mark() {
    const { by, sign } = this.#sort;
    for (const head of this.#heads) {
      if (head.dataset.sort === by) head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    }
  }

  /** Arrow keys go from name to name, also to rows that were not drawn yet. */
  #step(event) {
    const by = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, Home: -Infinity, End: Infinity }[event.key];
    const at = this.#devices.findIndex((one) => one.id === event.target.dataset?.id);
    if (by === undefined || at < 0) return;
    event.preventDefault();
    const to = Math.min(Math.max(at + by, 0), this.#devices.length - 1);
    const [top, seen] = [to * ROW, this.#scroll.clientHeight - ROW];
    if (top < this.#scroll.scrollTop) this.#scroll.scrollTop = top;
    else if (top + ROW > this.#scroll.scrollTop + seen) this.#scroll.scrollTop = top + ROW - seen;
    this.#draw();
    this.#rows.get(this.#devices[to].id)?.querySelector("button").focus({ preventScroll: true });
  }

  #draw() {
    const first = Math.max(0, Math.floor(this.#scroll.scrollTop / ROW) - MARGIN);
    const count = Math.ceil(this.#scroll.clientHeight / ROW) + 2 * MARGIN;
    const seen = this.#devices.slice(first, first + count);
    const now = Date.now();
    const rows = new Map(seen.map((device) => [device.id, filled(this.#rows.get(device.id) ?? row(device.id), device, now)]));
    this.#above.firstChild.style.height = `${first * ROW}px`;
    this.#below.firstChild.style.height = `${Math.max(0, this.#devices.length - first - count) * ROW}px`;
    this.#rows = rows;
    arrange(this.#body, [this.#above, ...rows.values(), this.#below]);
  }
}

/** Put `wanted` in this order, moving no node that stands right: one that is moved loses the focus. */
function arrange(parent, wanted) {
  const kept = new Set(wanted);
  for (const node of [...parent.children]) if (!kept.has(node)) node.remove();
  let next = parent.firstChild;
  for (const node of wanted) {
    if (node === next) next = next.nextSibling;
    else parent.insertBefore(node, next);
  }
}

function space() {
  const made = document.createElement("tr");
  made.className = "space";
  made.ariaHidden = "true";
  made.append(document.createElement("td"));
  return made;
}

function row(id) {
  const made = document.createElement("tr");
  made.className = "device";
  made.dataset.id = id;
  for (const name of ["dot", "", "", "", "time", "metrics"]) made.append(Object.assign(document.createElement("td"), { className: name }));
  const button = document.createElement("button");
  Object.assign(button, { type: "button" }).dataset.id = id;
  made.children[1].append(button);
  return made;
}

function filled(made, device, now) {
  const [dot, name, type, location, time, metrics] = made.children;
  dot.dataset.presence = device.presence;
  put(dot, words.presence(device.presence));
  put(name.firstChild, device.name);
  name.title = device.name;
  put(type, device.type);
  put(location, device.location ?? "");
  put(time, words.ago(device.lastActiveAt, now));
  if (time.title !== device.lastActiveAt) time.title = device.lastActiveAt ?? "";
  put(metrics, words.metrics(device.metrics ?? {}));
  return made;
}

function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}
