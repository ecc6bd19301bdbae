// The fleet as this page knows it: read once in pages, then kept by events.

import { PRESENCES } from "./words.js";

const PAGE = 100;

/** Tells `changed` whenever something of it is another than before. */
export class Fleet extends EventTarget {
  #session;
  #devices = new Map();
  #heard = null; // device id -> what events said while the pages were being read
  #reading = 0;
  total = null; // how many there are to read; null when all are read

  constructor(session) {
    super();
    this.#session = session;
  }

  get devices() {
    return [...this.#devices.values()];
  }

  counts() {
    const found = Object.fromEntries(PRESENCES.map((name) => [name, 0]));
    for (const { presence } of this.#devices.values()) found[presence] += 1;
    return { all: this.#devices.size, ...found };
  }

  clear() {
    this.#reading += 1;
    this.#devices.clear();
    this.total = this.#heard = null;
    this.#changed();
  }

  /** Read all devices; what is heard meanwhile is newer than any page, and so counts more. */
  async load({ onWait }) {
    const reading = ++this.#reading;
    this.#heard = new Map();
    const found = new Map();
    for (let page = 1, pages = 1; page <= pages; page += 1) {
      const path = `api/devices?sort=createdAt&limit=${PAGE}&page=${page}`;
      const { items, pagination } = await this.#session.read(path, { onWait });
      if (reading !== this.#reading) return;
      for (const device of items) {
        found.set(device.id, device);
        this.#devices.set(device.id, { ...device, ...this.#heard.get(device.id) });
      }
      pages = pagination.pages;
      this.total = pagination.total;
      this.#changed();
    }
    for (const id of this.#devices.keys()) if (!found.has(id) && !this.#heard.has(id)) this.#devices.delete(id);
    for (const [id, news] of this.#heard) if (news.deleted) this.#devices.delete(id);
    this.total = this.#heard = null;
    this.#changed();
  }

  hear({ event, payload }) {
    const { deviceId: id, status, presence, changes = {} } = payload;
    if (event === "notification" || !id) return;
    const news = { status, presence, ...changes };
    if (event === "device-heartbeat") Object.assign(news, { lastActiveAt: payload.lastActiveAt, metrics: payload.metrics });
    this.#heard?.set(id, { ...this.#heard.get(id), ...news });
    const known = this.#devices.get(id);
    if (news.deleted) this.#devices.delete(id);
    else if (known) this.#devices.set(id, { ...known, ...news });
    else this.#meet(id);
    this.#changed();
  }

  /** Somebody new: what an event says of it is not all there is to show. */
  async #meet(id) {
    const reading = this.#reading;
    const device = await this.#session.read(`api/devices/${id}`).catch(() => null); // gone again, or not ours
    if (!device || reading !== this.#reading || this.#devices.has(id)) return;
    this.#devices.set(id, { ...device, ...this.#heard?.get(id) });
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("changed"));
  }
}
