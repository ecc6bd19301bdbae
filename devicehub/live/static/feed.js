// The live events of one organization, over Socket.IO. It says what it saw last whenever it comes back, so that
// nothing is missed and nothing is heard twice.

import { SignedOut } from "./session.js";
import { io } from "./vendor/socket.io.esm.min.js";

const AGAIN_MS = 2_000;

/** Tells `state` (off, trying, on), `heard` with {event, payload}, `resync` when events are lost, `ended`. */
export class Feed extends EventTarget {
  #session;
  #socket = null;
  #lastEventId;
  #timer = 0;

  constructor(session) {
    super();
    this.#session = session;
    session.addEventListener("renewed", () => this.#renew());
  }

  /** Begin to hear the session's organization, from now on. */
  open() {
    this.close();
    this.#lastEventId = undefined;
    const { pathname } = new URL("socket.io", document.baseURI);
    this.#socket = io(location.origin, {
      path: pathname,
      transports: ["websocket", "polling"],
      forceNew: true,
      auth: (send) => send({ token: this.#session.token, lastEventId: this.#lastEventId }),
    });
    this.#listen(this.#socket);
    this.#tell("state", "trying");
  }

  close() {
    clearTimeout(this.#timer);
    this.#socket?.removeAllListeners().disconnect();
    this.#socket = null;
    this.#tell("state", "off");
  }

  #listen(socket) {
    socket.on("connected", ({ lastEventId }) => {
      const begins = this.#lastEventId == null; // null where the server itself knew none
      if (begins) this.#lastEventId = lastEventId;
      this.#tell("state", "on");
      if (begins) this.#tell("began");
    });
    socket.on("resync-required", ({ lastEventId }) => {
      this.#lastEventId = lastEventId;
      this.#tell("resync");
    });
    socket.on("session-ended", () => this.#tell("ended"));
    socket.on("token-expired", () => this.#again(0, { fresh: true }));
    socket.on("server-draining", ({ retryInMs }) => this.#again(retryInMs));
    for (const event of ["device-update", "device-heartbeat", "notification"]) {
      socket.on(event, (payload) => {
        this.#lastEventId = payload.id ?? this.#lastEventId;
        this.#tell("heard", { event, payload });
      });
    }
    socket.on("disconnect", (reason) => {
      this.#tell("state", "trying");
      // The client library comes back by itself, unless it was the server who hung up.
      if (reason === "io server disconnect" && !this.#timer) this.#again(AGAIN_MS);
    });
    socket.on("connect_error", ({ data }) => {
      this.#tell("state", "trying");
      // A refusal names its reason; without one the server was not reached, and the library tries again.
      if (data?.code) this.#again(AGAIN_MS, { fresh: data.status === 401 || /TOKEN/.test(data.code) });
    });
  }

  #again(ms, { fresh = false } = {}) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(async () => {
      this.#timer = 0;
      try {
        if (fresh) await this.#session.renew();
        this.#socket?.disconnect().connect();
      } catch (error) {
        if (error instanceof SignedOut) this.#tell("ended");
        else this.#again(AGAIN_MS, { fresh });
      }
    }, ms);
  }

  /** A connection outlives the token it began with. */
  async #renew() {
    if (!this.#socket?.connected) return;
    try {
      const answer = await this.#socket.timeout(5_000).emitWithAck("authenticate", { token: this.#session.token });
      if (!answer.ok) this.#again(AGAIN_MS);
    } catch {
      this.#again(AGAIN_MS);
    }
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
