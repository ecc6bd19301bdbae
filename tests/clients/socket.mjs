// The official Socket.IO client: `node socket.mjs URL TOKEN [TRANSPORT...]`, with its own default transports if none
// are named. Tells what it hears, a line of JSON each; sends what it reads, [EVENT, ...PAYLOAD] a line, and tells the
// acknowledgement. Ends with its input.
import { createInterface } from "node:readline";
import { io } from "socket.io-client";

const [url, token, ...transports] = process.argv.slice(2);
const tell = (line) => console.log(JSON.stringify(line));

const socket = io(url, { auth: { token }, reconnection: false, ...(transports.length && { transports }) });
socket.onAny((event, payload) => tell({ event, payload }));
socket.on("connect_error", ({ message, data }) => tell({ event: "connect_error", payload: { message, data } }));
socket.io.engine.on("upgrade", ({ name }) => tell({ event: "upgrade", payload: { name } }));

for await (const line of createInterface({ input: process.stdin })) {
  const payload = await socket.timeout(10_000).emitWithAck(...JSON.parse(line));
  tell({ event: "acknowledgement", payload });
}
socket.disconnect();
