// Node's socket.io with its Redis adapter, as its documentation sets it up: `node fanout.mjs PORT REDIS_URL`. Every
// client is put into one room; what is told to that comes over Redis, from whoever publishes there.
import { createServer } from "node:http";
import { createAdapter } from "@socket.io/redis-adapter";
import { createClient } from "redis";
import { Server } from "socket.io";

const [port, url] = process.argv.slice(2);
const [publisher, subscriber] = [createClient({ url }), createClient({ url })];
await Promise.all([publisher.connect(), subscriber.connect()]);

const http = createServer();
const io = new Server(http, { adapter: createAdapter(publisher, subscriber) });
io.on("connection", (socket) => {
  socket.join("room");
  socket.emit("connected", {});
});
http.listen(Number(port), "127.0.0.1");
