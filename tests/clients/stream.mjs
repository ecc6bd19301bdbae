// The EventSource of browsers, for Node: `node stream.mjs URL TOKEN`. Tells what it hears, a line of JSON each. Ends
// with its input.
import { EventSource } from "eventsource";

const [url, token] = process.argv.slice(2);
const tell = (line) => console.log(JSON.stringify(line));

const source = new EventSource(`${url}/api/sse/events?token=${encodeURIComponent(token)}`);
for (const event of ["connected", "device-update", "device-heartbeat"]) {
  source.addEventListener(event, ({ data, lastEventId }) => tell({ event, payload: JSON.parse(data), id: lastEventId }));
}
source.onerror = ({ code, message }) => tell({ event: "error", payload: { code, message } });

process.stdin.on("end", () => source.close()).resume();
