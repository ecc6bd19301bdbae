// The page: who watches, what is shown of the fleet, and what happens to it.

import { Chart } from "./chart.js";
import { Feed } from "./feed.js";
import { Fleet } from "./fleet.js";
import { Refused, Session, SignedOut } from "./session.js";
import { Table } from "./table.js";
import * as words from "./words.js";

const STATES = { off: "Not connected", trying: "Connecting …", on: "Live" };
const by = (id) => document.getElementById(id);

const session = new Session();
const feed = new Feed(session);
const fleet = new Fleet(session);
const chart = new Chart();
const table = new Table({ onOpen: explain });
const shown = { presence: "all", text: "" };
let isStale = true;

const counters = ["all", ...words.PRESENCES].map((name) => {
  const button = Object.assign(document.createElement("button"), { type: "button", className: "counter" });
  button.dataset.presence = name;
  const label = Object.assign(document.createElement("span"), { className: "dot", textContent: words.presence(name) });
  label.dataset.presence = name;
  button.append(document.createElement("b"), label);
  button.addEventListener("click", () => {
    shown.presence = shown.presence === name ? "all" : name;
    by("scroll").scrollTop = 0;
    draw();
  });
  return button;
});
by("counters").append(...counters);

function draw() {
  isStale = false;
  const counts = fleet.counts();
  for (const button of counters) {
    const { presence } = button.dataset;
    button.firstChild.textContent = words.number(counts[presence]);
    button.ariaPressed = String(shown.presence === presence);
  }
  const devices = fleet.devices.filter(isShown);
  table.show(devices);
  by("empty").hidden = devices.length > 0;
  by("empty").textContent = fleet.total !== null ? "Reading the fleet …" : counts.all ? "No device is like that." : "There is no device yet. Register one, or let devicehub simulate do it.";
  by("shown").textContent =
    fleet.total !== null && counts.all < fleet.total
      ? `Reading ${words.number(counts.all)} of ${words.number(fleet.total)} devices …`
      : `${words.number(devices.length)} of ${words.number(counts.all)} devices`;
}

function isShown(device) {
  if (shown.presence !== "all" && device.presence !== shown.presence) return false;
  if (!shown.text) return true;
  const { name, type, serialNumber, location, tags } = device;
  return [name, type, serialNumber, location, ...(tags ?? [])].some((text) => text?.toLowerCase().includes(shown.text));
}

const trouble = (text = "") => (by("trouble").textContent = text);
const said = (error) => (error instanceof TypeError ? "The server cannot be reached. Try again shortly." : error.message);

async function load() {
  trouble();
  try {
    await fleet.load({ onWait: (seconds) => trouble(`The server asked to wait ${seconds} s before reading on.`) });
    trouble();
  } catch (error) {
    if (error instanceof SignedOut) leave("You were signed out.");
    else trouble(`The fleet could not be read. ${said(error)}`);
  }
}

async function enter() {
  by("door").hidden = true;
  by("fleet").hidden = by("account").hidden = false;
  by("who").textContent = session.user?.email ?? "";
  chart.clear();
  fleet.clear();
  feed.open();
  await listOrganizations();
}

async function listOrganizations() {
  try {
    const { items } = await session.read("api/organizations?limit=100");
    by("organization").replaceChildren(...items.map(({ id, name }) => new Option(name, id, false, id === session.organization?.id)));
  } catch (error) {
    if (error instanceof SignedOut) leave("You were signed out.");
    else trouble(said(error));
  }
}

function leave(reason = "") {
  feed.close();
  fleet.clear();
  draw();
  by("why").close();
  by("fleet").hidden = by("account").hidden = true;
  by("door").hidden = false;
  by("refusal").textContent = reason;
  by("sign-in").elements.email.focus();
}

async function explain(device) {
  by("why-title").textContent = device.name;
  by("why-facts").replaceChildren();
  by("why").showModal();
  try {
    const found = await session.read(`api/devices/${device.id}/presence`);
    const facts = words.explained(found).flatMap(([question, answer]) => [element("dt", question), element("dd", answer)]);
    by("why-facts").replaceChildren(...facts);
  } catch (error) {
    by("why-facts").replaceChildren(element("dd", said(error)));
  }
}

const element = (name, text) => Object.assign(document.createElement(name), { textContent: text });

by("sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  const { email, password } = event.target.elements;
  const button = event.target.querySelector("button");
  button.disabled = true;
  by("refusal").textContent = "";
  try {
    await session.signIn(email.value, password.value);
    event.target.reset();
    await enter();
  } catch (error) {
    by("refusal").textContent = said(error);
  } finally {
    button.disabled = false;
  }
});

by("sign-out").addEventListener("click", async () => {
  leave();
  try {
    await session.signOut();
  } catch (error) {
    by("refusal").textContent = `You are signed out here, but the server was not told. ${said(error)}`;
  }
});

by("organization").addEventListener("change", async ({ target }) => {
  try {
    await session.switchTo(target.value);
    await enter();
  } catch (error) {
    trouble(said(error));
    target.value = session.organization?.id;
  }
});

by("find").addEventListener("input", ({ target }) => {
  shown.text = target.value.trim().toLowerCase();
  by("scroll").scrollTop = 0;
  draw();
});

feed.addEventListener("state", ({ detail }) => {
  by("connection").dataset.state = detail;
  by("connection").textContent = STATES[detail];
});
feed.addEventListener("began", load);
feed.addEventListener("resync", load);
feed.addEventListener("ended", () => leave("Your session ended. Sign in again."));
feed.addEventListener("heard", ({ detail }) => {
  if (detail.event === "device-heartbeat") chart.beat();
  fleet.hear(detail);
});
fleet.addEventListener("changed", () => (isStale = true));
session.addEventListener("ended", () => leave("Your session ended. Sign in again."));

// However much is heard, the page is drawn a few times a second, and its ages once a second.
setInterval(() => isStale && draw(), 250);
setInterval(() => {
  if (by("fleet").hidden) return;
  by("rate").textContent = words.number(chart.draw());
  isStale = true;
}, 1000);

try {
  await session.renew();
  await enter();
} catch (error) {
  leave(error instanceof SignedOut || error instanceof Refused ? "" : said(error));
}
