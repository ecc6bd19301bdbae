// Who is signed in. The refresh token is in a cookie that no script can read; the access token is only in memory.

const EARLY_MS = 60_000; // how long before its end a token is renewed

export class SignedOut extends Error {}

export class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail ?? problem.title ?? `The server answered ${status}.`);
    this.status = status;
    this.code = problem.code;
  }
}

export class Session extends EventTarget {
  #token = null;
  #timer = 0;
  #renewing = null;
  user = null;
  organization = null;

  get token() {
    return this.#token;
  }

  signIn = (email, password) => this.#grant("api/auth/login", { email, password });
  switchTo = (organizationId) => this.#grant("api/auth/switch-organization", { organizationId });

  /** Exchange the cookie for a new access token; whoever asks meanwhile gets the same answer. */
  renew() {
    this.#renewing ??= this.#exchange().finally(() => (this.#renewing = null));
    return this.#renewing;
  }

  async signOut() {
    const token = this.#token;
    this.#forget();
    await ask("api/auth/logout", { method: "POST", token });
  }

  /** What GET `path` answers; waits when asked to, renews once when the token has ended. */
  async read(path, { onWait = () => {} } = {}) {
    for (let renewed = false; ; ) {
      const answer = await ask(path, { token: this.#token });
      if (answer.ok) return answer.json();
      if (answer.status === 401 && !renewed) {
        renewed = true;
        await this.renew();
      } else if (answer.status === 429 || answer.status === 503) {
        const seconds = Number(answer.headers.get("Retry-After")) || 5;
        onWait(seconds);
        await new Promise((done) => setTimeout(done, seconds * 1000));
      } else {
        throw await refusal(answer);
      }
    }
  }

  async #exchange() {
    try {
      // Two tabs share one cookie: one after the other, or one would present a token that the other has used.
      await locked("devicehub-refresh", () => this.#grant("api/auth/refresh", {}));
    } catch (error) {
      if (!(error instanceof Refused) || error.status !== 401) throw error;
      this.#forget();
      throw new SignedOut(error.message);
    }
  }

  async #grant(path, body) {
    const answer = await ask(path, { method: "POST", body, token: this.#token });
    if (!answer.ok) throw await refusal(answer);
    const granted = await answer.json();
    this.#token = granted.accessToken;
    this.user = granted.user ?? this.user;
    this.organization = granted.organization ?? this.organization;
    this.#renewIn(granted.expiresIn * 1000 - EARLY_MS);
    this.dispatchEvent(new Event("renewed"));
  }

  #renewIn(ms) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.renew().catch((error) => this.#retry(error)), Math.max(ms, 5_000));
  }

  #retry(error) {
    if (error instanceof SignedOut) this.dispatchEvent(new Event("ended"));
    else this.#renewIn(5_000);
  }

  #forget() {
    clearTimeout(this.#timer);
    this.#token = this.user = this.organization = null;
  }
}

const locked = (name, work) => (navigator.locks ? navigator.locks.request(name, work) : work());

function ask(path, { method = "GET", body, token }) {
  const headers = { Accept: "application/json" };
  if (method === "POST") headers["X-Token-Transport"] = "cookie";
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (token) headers.Authorization = `Bearer ${token}`;
  return fetch(path, { method, headers, body: body && JSON.stringify(body), cache: "no-store" });
}

const refusal = async (answer) => new Refused(answer.status, await answer.json().catch(() => ({})));
