// How facts are said to people. Times are in the reader's own zone and language.

export const PRESENCES = ["online", "late", "offline", "never_seen"];
const SAID = { all: "All", online: "Online", late: "Late", offline: "Offline", never_seen: "Never seen", inactive: "Inactive" };

const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const figure = new Intl.NumberFormat(undefined, { maximumFractionDigits: 2 });

export const presence = (name) => SAID[name] ?? name;
export const number = (value) => figure.format(value);
export const time = (text) => (text ? moment.format(new Date(text)) : "never");

export function ago(text, now) {
  if (!text) return "never";
  const s = Math.max(0, Math.round((now - Date.parse(text)) / 1000));
  if (s < 60) return `${s} s ago`;
  if (s < 3600) return `${Math.floor(s / 60)} min ago`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h ago`;
  return `${Math.floor(s / 86_400)} d ago`;
}

export const metrics = (values) => Object.entries(values).map(([name, value]) => `${name} ${number(value)}`).join(" · ");

/** What GET /api/devices/{id}/presence answered, as pairs of a question and its answer. */
export function explained(found) {
  const { lastSignal: signal, nextTransition: next } = found;
  const by = signal && (signal.keyId ? `with key ${signal.keyId}` : `with a token of user ${signal.by}`);
  return [
    ["Presence", `${presence(found.presence)}${found.since ? ` since ${time(found.since)}` : ""}`],
    ["Last signal", signal ? `${signal.kind} at ${time(signal.at)}, ${by}` : "none yet"],
    ["Reason given", signal?.reason],
    ["Expected", `every ${number(found.heartbeatInterval)} s, ${found.intervalSetBy === "person" ? "as somebody set it" : "the default"}`],
    ["Late from", found.lateAt && time(found.lateAt)],
    ["Offline from", found.offlineAt && time(found.offlineAt)],
    ["Next", next ? `${presence(next.to)} at ${time(next.at)}, if nothing is heard` : "nothing, until it is heard"],
    ["Its clock", found.clockOffsetMs == null ? null : offset(found.clockOffsetMs)],
  ].filter(([, answer]) => answer);
}

function offset(ms) {
  if (Math.abs(ms) < 1000) return "agrees with ours to a second";
  return `${number(Math.abs(ms) / 1000)} s ${ms > 0 ? "ahead of" : "behind"} ours`;
}
