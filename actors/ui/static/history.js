// One key: its value, its past, and how to change it.

const PAST_AT_ONCE = 20;
const VALUES_AT_ONCE = 4;
const VALUES_BYTES_MAX = 1 << 20; // of the history, read ahead
const VALUE_BYTES_SHOWN = 65536;
const PREVIEW_BYTES = 160;

const detail = { key: null, entries: [], total: 0, chosen: 0, form: null, all: false, revision: -1, end: "", busy: null };

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

/** Some of a key's past, the latest first: `total` changes are remembered, these are those before a revision. */
async function pastOf(key, before = 0) {
  const name = base64Of(key).replaceAll("+", "-").replaceAll("/", "_");
  return look(`key?key=${name}&limit=${PAST_AT_ONCE}` + (before ? `&before=${before}` : ""));
}

/**
 * Fill in what was put at revisions, until it becomes much; the rest is read when it is chosen. `done` is called after
 * each. What is compacted by now has no value.
 */
async function readValues(key, entries, compacted, done) {
  const waiting = entries.filter((entry) => !entry.deleted);
  let read = 0;
  const work = async () => {
    for (let entry = waiting.shift(); entry && read < VALUES_BYTES_MAX; entry = waiting.shift()) {
      try {
        // of what lies before a compaction its last state is left, and is read at the compaction
        const answer = await range(key, { revision: String(Math.max(entry.revision, compacted)) });
        if (answer.kvs) Object.assign(entry, pairOf(answer.kvs[0]));
        read += entry.value?.length ?? 0;
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        entry.problem = error.message;
      }
      done();
    }
  };
  await Promise.all(Array.from({ length: VALUES_AT_ONCE }, work));
}

// --- opening and reading ---------------------------------------------------------------------------

function openDetail(key) {
  $("panes").classList.toggle("open", key !== null);
  if (key === null && detail.key === null && $("detail").childElementCount) return;
  if (key !== null && detail.key !== null && same(key, detail.key)) return;
  const narrow = matchMedia("(max-width: 1000px)").matches;
  if (narrow && key === null && detail.key !== null) $("key-rows").kept?.get(idOf(detail.key))?.firstElementChild.focus();
  Object.assign(detail, { key, entries: [], total: 0, chosen: 0, form: null, all: false, revision: -1, busy: null });
  if (key === null) $("detail").replaceChildren(h("p", { class: "pick" }, "Choose a key to see its value and its past."));
  else {
    $("detail").replaceChildren(...headOf(key), h("p", { class: "soft" }, "Reading…"));
    readDetail();
    if (narrow) {
      scrollTo(0, 0);
      $("detail").focus();
    }
  }
}

/** Read the key anew, from the present back. */
async function readDetail() {
  const { key } = detail;
  const reading = (detail.busy = {});
  const current = () => detail.busy === reading;
  try {
    const past = await pastOf(key);
    const entries = past.revisions;
    let shownOnce = false;
    const first = () => {
      if (shownOnce || !current() || (entries[0] && !entries[0].deleted && !entries[0].value)) return;
      shownOnce = true;
      adopt(past);
    };
    first();
    await readValues(key, entries, past.compact_revision, first);
    if (!current()) return;
    if (shownOnce) showDetail();
    else adopt(past);
  } catch (error) {
    if (current() && !(error instanceof Lost)) {
      $("detail").replaceChildren(...headOf(key), h("p", { class: "problem" }, error.message));
    }
  } finally {
    if (current()) detail.busy = null;
  }
}

/** Show another past; the chosen revision stays chosen, if it is not the newest. */
function adopt(past) {
  const chosen = detail.chosen && detail.entries[detail.chosen];
  const again = chosen ? past.revisions.findIndex((entry) => entry.revision === chosen.revision) : 0;
  Object.assign(detail, { entries: past.revisions, total: past.total, compacted: past.compact_revision, revision: past.revision, chosen: Math.max(0, again) });
  showDetail();
}

/** The store has changed: look whether this key has. */
async function refreshDetail(node) {
  if (detail.key === null || detail.busy || node.store.revision === detail.revision) return;
  const { key, entries, total } = detail;
  try {
    const past = await pastOf(key);
    if (detail.key !== key || detail.busy) return;
    detail.revision = past.revision;
    if (past.total !== total || past.revisions[0]?.revision !== entries[0]?.revision) await readDetail();
  } catch {
    detail.revision = -1; // again with the next state
  }
}

// --- showing ----------------------------------------------------------------------------------------

function backLink() {
  return h("button", { type: "button", class: "back small", onclick: () => go(placeOf({})) }, "‹ Keys");
}

function headOf(key) {
  return [backLink(), h("p", { class: "title" }, h("bdi", {}, shown(key)))];
}

function showDetail() {
  const { key, entries, chosen } = detail;
  const entry = entries[chosen];
  const box = $("detail");
  const focused = document.activeElement?.dataset?.focus;
  if (!entry) {
    box.replaceChildren(...headOf(key), h("p", { class: "soft" }, "There is no such key, and nothing is left of its past."));
    return;
  }
  box.replaceChildren(...headOf(key), h("p", { class: "soft" }, aboutEntry(entry, chosen)), ...(entry.value ? valueOf(entry) : []), h("h2", {}, "History"), pastList());
  if (focused) box.querySelector(`[data-focus="${focused}"]`)?.focus();
}

function aboutEntry(entry, at) {
  if (entry.deleted) return `Deleted at revision ${number.format(entry.revision)}.`;
  if (!entry.value) return entry.problem ?? "Reading…";
  const past = at > 0 ? "As it was: " : "";
  const lease = entry.lease ? ` · lease ${leaseHex(entry.lease)}` : "";
  return `${past}version ${number.format(entry.version)} · revision ${number.format(entry.revision)} · created at ${number.format(entry.created)}${lease}`;
}

/** How a value is best shown: what the person chose, if it can be. */
function formOf(entry) {
  const text = utf8(entry.value);
  if (entry.pretty === undefined) entry.pretty = text === null ? null : prettyJson(text);
  const can = { text: true, json: entry.pretty !== null, hex: true };
  if (detail.form && can[detail.form]) return [detail.form, can];
  const structured = can.json && /^\s*[[{]/.test(text);
  return [structured ? "json" : text === null ? "hex" : "text", can];
}

function valueOf(entry) {
  const whole = entry.value;
  const [form, can] = formOf(entry);
  const long = whole.length > VALUE_BYTES_SHOWN && !detail.all;
  const value = long && form !== "json" ? whole.subarray(0, VALUE_BYTES_SHOWN) : whole;
  const pick = (name, title) => h("label", {},
    h("input", { type: "radio", name: "form", value: name, "data-focus": name, checked: form === name, disabled: !can[name], onchange: () => { detail.form = name; showDetail(); } }),
    h("span", {}, title));
  const acts = h("div", { class: server.writes ? "acts many" : "acts" },
    h("div", { class: "choice small", role: "radiogroup", "aria-label": "Show the value as" }, pick("text", "Text"), can.json ? pick("json", "JSON") : null, pick("hex", "Hex")),
    h("span", { class: "note" }, size(whole.length)),
    h("span", { class: "gap" }),
    h("button", { type: "button", class: "small", "data-focus": "copy", onclick: () => copy(utf8(whole) ?? shown(whole)) }, "Copy"),
    server.writes ? h("button", { type: "button", class: "small", "data-focus": "edit", onclick: () => edit(entry) }, "Edit…") : null,
    server.writes && detail.chosen === 0 ? h("button", { type: "button", class: "small danger", "data-focus": "delete", onclick: () => remove(entry) }, "Delete…") : null);
  const text = form === "json" ? entry.pretty.replace(unseen, keepLines) : written(value, form);
  const cut = text.length > VALUE_BYTES_SHOWN * 6 && !detail.all;
  return [acts, h("div", { class: "card" },
    h("pre", { class: `value ${form}`, tabindex: "0", "aria-label": "Value" }, cut ? text.slice(0, VALUE_BYTES_SHOWN) : text),
    long || cut ? h("p", { class: "cardline" }, `The first ${size(VALUE_BYTES_SHOWN)}. `, h("button", { type: "button", class: "plain", onclick: () => { detail.all = true; showDetail(); } }, `Show all ${size(whole.length)}`)) : null)];
}

function written(value, form) {
  if (form === "hex") return hexDump(value);
  const text = utf8(value);
  return text === null ? shown(value) : text.replace(unseen, keepLines);
}

function keepLines(letter) {
  return letter === "\n" || letter === "\t" ? letter : escaped(letter);
}

function preview(value) {
  const start = shown(value.subarray(0, PREVIEW_BYTES));
  return value.length > PREVIEW_BYTES ? start + "…" : start;
}

function pastList() {
  const { entries, total, chosen } = detail;
  const list = h("ul", { class: "history", "aria-label": "Revisions of this key" });
  for (const [at, entry] of entries.entries()) {
    const choose = async () => {
      Object.assign(detail, { chosen: at, all: false });
      showDetail();
      if (!entry.value) await attempt(() => readValues(detail.key, [entry], detail.compacted, () => detail.entries === entries && showDetail()));
    };
    const { value } = entry;
    const what = entry.deleted ? h("span", { class: "delete" }, "deleted") : h("span", { class: "mono cut" }, value ? preview(value) : entry.problem ?? "…");
    list.append(h("li", {}, h("button", { type: "button", "data-focus": `at-${entry.revision}`, "aria-pressed": String(at === chosen), onclick: choose },
      h("span", {}, number.format(entry.revision)),
      h("span", { class: "version soft" }, value ? `version ${number.format(entry.version)}` : ""),
      what, h("span", { class: "soft nowrap" }, value ? size(value.length) : ""))));
  }
  const more = total - entries.length;
  list.append(h("li", { class: "end" }, more > 0
    ? h("button", { type: "button", class: "plain", "data-focus": "older", onclick: older }, `${plural(more, "older revision")}…`)
    : endOfPast()));
  return h("div", { class: "card" }, list);
}

function endOfPast() {
  const last = detail.entries.at(-1);
  if (!last.deleted && last.version === 1) return `Created at revision ${number.format(last.revision)}.`;
  return `What was before revision ${number.format(Math.max(last.revision, detail.compacted))} is compacted.`;
}

async function older() {
  const { entries, key } = detail;
  await attempt(async () => {
    const past = await pastOf(key, entries.at(-1).revision);
    await readValues(key, past.revisions, past.compact_revision, () => {});
    if (detail.key !== key || detail.entries !== entries) return;
    entries.push(...past.revisions);
    showDetail();
  });
}
