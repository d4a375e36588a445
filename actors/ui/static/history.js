// One key: its value, its past, and how to change it.

const PAST_AT_ONCE = 20;
const VALUE_BYTES_SHOWN = 65536;
const PREVIEW_BYTES = 160;
const TOMBSTONES_MAX = 1000;

const detail = { key: null, past: null, entries: [], chosen: 0, form: null, all: false, revision: -1, end: "", busy: null };

/** A pair of the gateway with numbers for its numbers. */
function pairOf(kv) {
  return {
    key: bytesOf(kv.key),
    value: bytesOf(kv.value),
    created: Number(kv.create_revision),
    revision: Number(kv.mod_revision),
    version: Number(kv.version),
    lease: kv.lease ?? null,
  };
}

async function pairAt(key, revision = 0) {
  const answer = await range(key, revision ? { revision: String(revision) } : {});
  return answer.kvs ? pairOf(answer.kvs[0]) : null;
}

/** The revisions at which a key was deleted, as far as they are not compacted; the latest first. */
async function deletions(key, from = Math.max(1, server.node.store.compact_revision)) {
  const ending = new AbortController();
  const timer = setTimeout(() => ending.abort(), CALL_MS_MAX);
  const watch = { key: base64Of(key), start_revision: String(from), filters: ["NOPUT"] };
  const found = [];
  try {
    for await (const message of stream("watch", [{ create_request: watch }, { progress_request: {} }], ending.signal)) {
      for (const event of message.events ?? []) found.push(Number(event.kv.mod_revision));
      if (message.canceled && message.compact_revision) return await deletions(key, Number(message.compact_revision));
      const progress = !message.created && !message.events;
      if (progress || found.length >= TOMBSTONES_MAX) break;
    }
  } catch (error) {
    if (!ending.signal.aborted) throw error;
  } finally {
    clearTimeout(timer);
    ending.abort();
  }
  return found.reverse();
}

/** The past of a key, the latest first, from one mod revision to the one before it; ends with why it ends. */
async function* pastOf(key) {
  let deleted = null;
  let pair = await pairAt(key);
  try {
    for (;;) {
      if (pair === null) {
        deleted ??= await deletions(key);
        const gone = deleted.shift();
        if (gone === undefined) return server.node.store.compact_revision > 0 ? "Nothing older is left: it was compacted." : "Nothing older.";
        yield { revision: gone, deleted: true };
        pair = await pairAt(key, gone - 1);
        if (pair === null) continue;
      }
      yield pair;
      const { created, revision, version } = pair;
      pair = version > 1 ? await pairAt(key, revision - 1) : null;
      if (deleted) deleted = deleted.filter((one) => one < created);
      else if (version === 1) deleted = (await deletions(key)).filter((one) => one < created);
    }
  } catch (error) {
    if (error instanceof Refused && error.message.includes("compacted")) return "What is older was compacted.";
    throw error;
  }
}

// --- opening and reading ---------------------------------------------------------------------------

function openDetail(key) {
  $("panes").classList.toggle("open", key !== null);
  if (key === null && detail.key === null && $("detail").childElementCount) return;
  if (key !== null && detail.key !== null && same(key, detail.key)) return;
  Object.assign(detail, { key, past: null, entries: [], chosen: 0, form: null, all: false, end: "", revision: -1 });
  if (key === null) $("detail").replaceChildren(h("p", { class: "pick" }, "Choose a key to see its value and its past."));
  else {
    readDetail();
    if (matchMedia("(max-width: 1000px)").matches) scrollTo(0, 0);
  }
}

/** Read the key anew, from the present back. */
async function readDetail() {
  const { key } = detail;
  const past = pastOf(key);
  const entries = [];
  const reading = (detail.busy = {});
  detail.revision = server.node?.store.revision ?? -1;
  try {
    const end = await more(past, entries, PAST_AT_ONCE);
    if (detail.busy !== reading) return;
    const chosen = detail.chosen && detail.entries[detail.chosen];
    const again = chosen ? entries.findIndex((entry) => entry.revision === chosen.revision) : 0;
    Object.assign(detail, { past, entries, end, chosen: Math.max(0, again) });
    showDetail();
  } catch (error) {
    if (detail.busy === reading && !(error instanceof Lost)) {
      $("detail").replaceChildren(backLink(), h("p", { class: "title" }, shown(key)), h("p", { class: "problem" }, error.message));
    }
  } finally {
    if (detail.busy === reading) detail.busy = null;
  }
}

/** Take some of the past; returns why it ends, or nothing if there is more. */
async function more(past, entries, count) {
  for (let left = count; left > 0; left -= 1) {
    const { value, done } = await past.next();
    if (done) return value;
    entries.push(value);
  }
  return "";
}

/** The store has changed: look whether this key has. */
async function refreshDetail(node) {
  if (detail.key === null || detail.busy || node.store.revision === detail.revision) return;
  const { key } = detail;
  try {
    detail.revision = node.store.revision;
    const pair = await pairAt(key);
    const newest = detail.entries[0];
    const before = newest && !newest.deleted ? newest.revision : -1;
    if (detail.key === key && (pair?.revision ?? -1) !== before) await readDetail();
  } catch {
    detail.revision = -1; // again with the next state
  }
}

// --- showing ----------------------------------------------------------------------------------------

function backLink() {
  return h("button", { type: "button", class: "back small", onclick: () => go(placeOf({})) }, "‹ Keys");
}

function showDetail() {
  const { key, entries, chosen } = detail;
  const entry = entries[chosen];
  const box = $("detail");
  const focused = document.activeElement?.dataset?.focus;
  if (!entry) {
    box.replaceChildren(backLink(), h("p", { class: "title" }, h("bdi", {}, shown(key))),
      h("p", { class: "soft" }, "There is no such key, and nothing is left of its past."));
    return;
  }
  box.replaceChildren(backLink(), h("p", { class: "title" }, h("bdi", {}, shown(key))), h("p", { class: "soft" }, aboutEntry(entry, chosen)),
    ...(entry.deleted ? [] : valueOf(entry)), h("h2", {}, "History"), pastList());
  if (focused) box.querySelector(`[data-focus="${focused}"]`)?.focus();
}

function aboutEntry(entry, at) {
  if (entry.deleted) return `Deleted at revision ${number.format(entry.revision)}.`;
  const past = at > 0 ? "As it was: " : "";
  const lease = entry.lease ? ` · lease ${leaseHex(entry.lease)}` : "";
  return `${past}version ${number.format(entry.version)} · revision ${number.format(entry.revision)} · created at ${number.format(entry.created)}${lease}`;
}

/** How a value is best shown: what the person chose, if it can be. */
function formOf(value) {
  const text = utf8(value);
  const structured = text !== null && /^\s*[[{]/.test(text) && prettyJson(text) !== null;
  const can = { text: true, json: text !== null && prettyJson(text) !== null, hex: true };
  if (detail.form && can[detail.form]) return [detail.form, can];
  return [structured ? "json" : text === null ? "hex" : "text", can];
}

function valueOf(entry) {
  const whole = entry.value;
  const [form, can] = formOf(whole);
  const long = whole.length > VALUE_BYTES_SHOWN && !detail.all;
  const value = long && form !== "json" ? whole.subarray(0, VALUE_BYTES_SHOWN) : whole;
  const pick = (name, title) => h("label", {},
    h("input", { type: "radio", name: "form", value: name, "data-focus": name, checked: form === name, disabled: !can[name], onchange: () => { detail.form = name; showDetail(); } }),
    h("span", {}, title));
  const acts = h("div", { class: "acts" },
    h("div", { class: "choice small", role: "radiogroup", "aria-label": "Show the value as" }, pick("text", "Text"), can.json ? pick("json", "JSON") : null, pick("hex", "Hex")),
    h("span", { class: "note" }, size(whole.length)),
    h("span", { class: "gap" }),
    h("button", { type: "button", class: "small", "data-focus": "copy", onclick: () => copy(utf8(whole) ?? shown(whole)) }, "Copy"),
    server.writes ? h("button", { type: "button", class: "small", "data-focus": "edit", onclick: () => edit(entry) }, "Edit…") : null,
    server.writes && detail.chosen === 0 ? h("button", { type: "button", class: "small danger", "data-focus": "delete", onclick: () => remove(entry) }, "Delete…") : null);
  const text = written(value, form);
  const cut = text.length > VALUE_BYTES_SHOWN * 6 && !detail.all;
  return [acts, h("div", { class: "card" },
    h("pre", { class: `value ${form}`, tabindex: "0", "aria-label": "Value" }, cut ? text.slice(0, VALUE_BYTES_SHOWN) : text),
    long || cut ? h("p", { class: "cardline" }, `The first ${size(VALUE_BYTES_SHOWN)}. `, h("button", { type: "button", class: "plain", onclick: () => { detail.all = true; showDetail(); } }, `Show all ${size(whole.length)}`)) : null)];
}

function written(value, form) {
  if (form === "hex") return hexDump(value);
  const text = utf8(value);
  if (form === "json") return prettyJson(text).replace(unseen, (letter) => (letter === "\n" ? letter : escaped(letter)));
  return text === null ? shown(value) : text.replace(unseen, (letter) => (letter === "\n" || letter === "\t" ? letter : escaped(letter)));
}

function preview(value) {
  const start = shown(value.subarray(0, PREVIEW_BYTES));
  return value.length > PREVIEW_BYTES ? start + "…" : start;
}

function pastList() {
  const list = h("ul", { class: "history", "aria-label": "Revisions of this key" });
  for (const [at, entry] of detail.entries.entries()) {
    const row = h("button", { type: "button", "data-focus": `at-${entry.revision}`, "aria-pressed": String(at === detail.chosen), onclick: () => { detail.chosen = at; detail.all = false; showDetail(); } },
      h("span", {}, number.format(entry.revision)),
      h("span", { class: "version soft" }, entry.deleted ? "" : `version ${number.format(entry.version)}`),
      entry.deleted ? h("span", { class: "delete" }, "deleted") : h("span", { class: "mono cut" }, preview(entry.value)),
      h("span", { class: "soft nowrap" }, entry.deleted ? "" : size(entry.value.length)));
    list.append(h("li", {}, row));
  }
  list.append(h("li", { class: "end" }, detail.end || h("button", { type: "button", class: "plain", "data-focus": "older", onclick: older }, "Older revisions")));
  return h("div", { class: "card" }, list);
}

async function older() {
  const { past, entries, key } = detail;
  await attempt(async () => {
    const end = await more(past, entries, PAST_AT_ONCE);
    if (detail.key !== key) return;
    detail.end = end;
    showDetail();
  });
}
