// The member that serves this page: calls, streams, and whether it is there.

const base = location.pathname.replace(/\/+$/, "");
const CALL_MS_MAX = 10000;
const POLL_MS = 1000;
const RETRY_MS_MAX = 8000;

/** The server's answer was an error; the message is etcd's. */
class Refused extends Error {
  constructor(message, code, status) {
    super(message);
    this.code = code;
    this.status = status;
  }
}

/** There was no answer. */
class Lost extends Error {}

async function request(path, options) {
  try {
    return await fetch(base + path, { cache: "no-store", credentials: "same-origin", ...options });
  } catch (error) {
    if (options.signal?.aborted && options.signal.reason?.name !== "TimeoutError") throw error;
    throw new Lost(`No answer from ${location.host}.`);
  }
}

async function refusal(response) {
  let message = `${response.status} ${response.statusText}`.trim();
  let code = 0;
  try {
    const body = JSON.parse(await response.text());
    const status = body.error ?? body;
    message = status.message || message;
    code = status.code ?? 0;
  } catch {
    // it is no JSON: the status says it
  }
  return new Refused(message, code, response.status);
}

/** One of this page's own endpoints. */
async function look(name) {
  const response = await request(`/api/${name}`, { signal: AbortSignal.timeout(CALL_MS_MAX) });
  if (!response.ok) throw await refusal(response);
  return response.json();
}

/** An RPC of the JSON gateway: `call("kv/range", {key: …})`. */
async function call(path, body, signal = AbortSignal.timeout(CALL_MS_MAX)) {
  const response = await request(`/v3/${path}`, post(body, signal));
  if (!response.ok) throw await refusal(response);
  return response.json();
}

function post(body, signal) {
  const text = Array.isArray(body) ? body.map((one) => JSON.stringify(one)).join("\n") : JSON.stringify(body);
  return { method: "POST", headers: { "Content-Type": "application/json" }, body: text, signal };
}

/** The messages of a streaming RPC, as they come. `requests` are sent at once. Ends with the stream. */
async function* stream(path, requests, signal) {
  const response = await request(`/v3/${path}`, post(requests, signal));
  if (!response.ok) throw await refusal(response);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const lines = value.split("\n");
      lines[0] = text + lines[0];
      text = lines.pop();
      for (const line of lines) {
        const message = JSON.parse(line);
        if (message.error) throw new Refused(message.error.message, message.error.code, 0);
        yield message.result;
      }
    }
  } catch (error) {
    if (error instanceof Refused || signal?.aborted) throw error;
    throw new Lost(`The stream from ${location.host} ended.`);
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** Keys and values of this member as it has them, leader or not. */
function range(key, options = {}) {
  return call("kv/range", { key: base64Of(key), serializable: true, ...options });
}

// --- is it there? -------------------------------------------------------------------------------

const server = { node: null, live: false, writes: false, listeners: new Set() };

/** Call something with each new state of the node, and now if there is one. */
function onNode(listener) {
  server.listeners.add(listener);
  if (server.node) listener(server.node);
}

let wake = () => {};

/** Wait; true if somebody did not want to wait any longer. */
function sleep(ms) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms, false);
    wake = () => {
      clearTimeout(timer);
      resolve(true);
    };
  });
}

/** Ask for the node's state, once a second while somebody looks; less often while there is no answer. */
async function poll() {
  let failures = 0;
  for (;;) {
    while (document.hidden) await new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));
    try {
      const node = await look("node");
      failures = 0;
      found(node);
      await sleep(POLL_MS);
    } catch (error) {
      failures += 1;
      await missed(error, Math.min(RETRY_MS_MAX, POLL_MS * 2 ** (failures - 1)));
    }
  }
}

function found(node) {
  if (server.node && server.node.cluster_id !== node.cluster_id) location.reload();
  server.node = node;
  server.live = true;
  server.writes = node.ui === "read-write";
  document.body.classList.remove("stale");
  $("lost").hidden = true;
  $("link").dataset.state = "live";
  setText($("link-text"), "Live");
  for (const element of document.querySelectorAll(".writes")) element.hidden = !server.writes;
  for (const listener of server.listeners) listener(node);
}

/** Say that there is no answer, and count down to the next attempt. */
async function missed(error, ms) {
  server.live = false;
  document.body.classList.add("stale");
  $("link").dataset.state = "lost";
  setText($("link-text"), "Offline");
  $("lost").hidden = false;
  const why = error instanceof Lost ? "Connection lost" : `No good answer (${error.message})`;
  for (let left = Math.round(ms / 1000); left > 0; left -= 1) {
    setText($("lost-text"), `${why}. Retrying in ${left} s…`);
    if (await sleep(1000)) break;
  }
  setText($("lost-text"), `${why}. Retrying…`);
}

window.addEventListener("online", () => wake());
$("lost-now").addEventListener("click", () => wake());
