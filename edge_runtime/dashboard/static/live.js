// The live side: the state of all rooms, kept current over server-sent events, connected again when lost.
//
//   live.addEventListener("change", ({ detail: keys }) => …)   devices that changed
//   live.addEventListener("server", () => …)                    broker or server came or went
//
// A page in the background closes its connection: browsers allow six to one server, and nobody looks.

const RETRY_MS = 2000;
const HIDDEN_MS = 30_000; // so long a page in the background stays connected

class Live extends EventTarget {
  devices = new Map(); // "site/room/device" → record
  rooms = new Map(); // "site/room" → its devices' keys
  server = null; // what the server last said of itself; null before the first answer
  isConnected = false;
  heardAt = 0; // unix time by the server's clock
  #clockOffset = 0; // the server's clock minus ours, s
  #id = "";
  #source = null;
  #timer = 0;

  /** Unix time by the server's clock: ages are told by the clock that took the messages in. */
  now() {
    return Date.now() / 1000 + this.#clockOffset;
  }

  start() {
    document.addEventListener("visibilitychange", () => {
      clearTimeout(this.#timer);
      if (document.hidden) this.#timer = setTimeout(() => this.#stop(), HIDDEN_MS);
      else if (!this.#source) this.#connect();
    });
    window.addEventListener("pagehide", () => this.#stop());
    window.addEventListener("pageshow", (event) => event.persisted && this.#connect());
    this.#connect();
  }

  async #connect() {
    clearTimeout(this.#timer);
    try {
      if (!this.#id) await this.#fetchAll();
      this.#listen();
    } catch {
      this.#lost();
    }
  }

  async #fetchAll() {
    const answer = await fetch("/api/state", { cache: "no-store" });
    if (answer.status === 401) {
      location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
      return;
    }
    if (!answer.ok) throw new Error(answer.statusText);
    const state = await answer.json();
    this.#id = state.id;
    const gone = [...this.devices.keys()];
    this.devices.clear();
    this.rooms.clear();
    this.#server(state.server);
    this.#take(state.devices, gone);
  }

  #listen() {
    this.#source?.close();
    const source = (this.#source = new EventSource(`/api/live?since=${this.#id}`));
    source.addEventListener("changes", (event) => {
      this.#id = event.lastEventId;
      this.#take(JSON.parse(event.data).devices);
    });
    source.addEventListener("server", (event) => this.#server(JSON.parse(event.data)));
    source.addEventListener("anew", () => {
      this.#id = "";
      source.close();
      this.#connect();
    });
    source.addEventListener("error", () => this.#lost());
  }

  #lost() {
    this.#stop();
    if (!document.hidden) this.#timer = setTimeout(() => this.#check(), RETRY_MS);
    if (this.isConnected || !this.server) {
      this.isConnected = false;
      this.dispatchEvent(new Event("server"));
    }
  }

  /** An EventSource does not say why it failed; a plain request does, and a login may be needed again. */
  async #check() {
    try {
      const answer = await fetch("/api/state", { method: "HEAD", cache: "no-store" });
      if (answer.status === 401) this.#id = "";
    } catch {
      // still away
    }
    this.#connect();
  }

  #stop() {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = null;
  }

  #server(state) {
    // A page on a wall is open for months; after an update of the server it must not go on with its old self.
    if (this.server && this.server.version !== state.version) location.reload();
    this.#clockOffset = state.now - Date.now() / 1000;
    this.heardAt = state.now;
    this.server = { ...this.server, ...state };
    this.isConnected = true;
    this.dispatchEvent(new Event("server"));
  }

  #take(records, alsoChanged = []) {
    const changed = new Set(alsoChanged);
    for (const record of records) {
      changed.add(record.key);
      if (record.gone) this.#forget(record.key);
      else {
        const known = this.devices.get(record.key);
        if (known) Object.assign(known, record);
        else this.#meet(record);
      }
    }
    if (changed.size) this.dispatchEvent(new CustomEvent("change", { detail: changed }));
  }

  #meet(record) {
    this.devices.set(record.key, record);
    const room = roomOf(record.key);
    this.rooms.set(room, [...(this.rooms.get(room) ?? []), record.key].sort());
  }

  #forget(key) {
    this.devices.delete(key);
    const room = roomOf(key);
    const left = (this.rooms.get(room) ?? []).filter((other) => other !== key);
    if (left.length) this.rooms.set(room, left);
    else this.rooms.delete(room);
  }
}

/** "site/room/device" → "site/room" */
export const roomOf = (key) => key.slice(0, key.lastIndexOf("/"));

export const live = new Live();
