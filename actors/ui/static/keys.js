// Keys by prefix, as a tree or as a list, page by page.

const ROWS_PER_PAGE = 50;
const READ_AHEAD_KEYS = 200; // of one request; in a tree most of them may lie in one folder
const COUNTS_AT_ONCE = 4;
const SLASH = 47;

const keys = {
  prefix: new Uint8Array(),
  shape: "tree",
  pages: [], // where each page up to the shown one begins
  next: null,
  revision: -1, // at which the page was read
  reading: null,
  counts: new Map(),
};

const idOf = (bytes) => base64Of(bytes);

/** The address within this page of a prefix, or of a key. */
function placeOf({ prefix = keys.prefix, shape = keys.shape, key = null }) {
  const query = new URLSearchParams();
  if (prefix.length) query.set("prefix", shown(prefix));
  if (shape !== "tree") query.set("as", shape);
  if (key !== null) query.set("key", shown(key));
  const text = query.toString();
  return "#keys" + (text && "?" + text);
}

/** The folder that a key lies in, seen from a prefix; null: it lies in the prefix itself. */
function folderOf(key, prefix) {
  const slash = key.indexOf(SLASH, prefix.length);
  return slash < 0 ? null : key.slice(0, slash + 1);
}

/** Rows from `start` on, one more than a page if there are more. */
async function readRows(start, signal) {
  const { prefix, shape } = keys;
  const end = base64Of(prefix.length ? endOf(prefix) : Uint8Array.of(0));
  const rows = [];
  let from = start;
  let remaining = null;
  for (;;) {
    const options = { range_end: end, limit: READ_AHEAD_KEYS, keys_only: true };
    const answer = await call("kv/range", { key: base64Of(from.length ? from : Uint8Array.of(0)), serializable: true, ...options }, signal);
    remaining ??= Number(answer.count ?? 0);
    let folder = null;
    for (const kv of answer.kvs ?? []) {
      const key = bytesOf(kv.key);
      if (folder && startsWith(key, folder)) continue;
      folder = shape === "tree" ? folderOf(key, prefix) : null;
      rows.push(folder ? { id: "folder " + idOf(folder), folder } : { id: idOf(key), key, kv });
      if (rows.length > ROWS_PER_PAGE) return { rows, remaining };
      from = folder ? endOf(folder) : after(key);
    }
    if (!answer.more) return { rows, remaining };
  }
}

/** Read the shown page again. What is asked for later wins. */
async function readKeys({ counts = true } = {}) {
  keys.reading?.abort();
  const reading = (keys.reading = new AbortController());
  const start = keys.pages.at(-1) ?? keys.prefix;
  const revision = server.node?.store.revision ?? -1;
  try {
    const { rows, remaining } = await readRows(start, reading.signal);
    if (reading.signal.aborted) return;
    keys.revision = revision;
    const extra = rows.length > ROWS_PER_PAGE ? rows.pop() : null;
    keys.next = extra && (extra.folder ?? extra.key);
    showKeys(rows, remaining);
    if (counts) countFolders(rows, reading.signal);
  } catch (error) {
    if (!reading.signal.aborted && !(error instanceof Lost)) showKeysProblem(error.message);
  } finally {
    if (keys.reading === reading) keys.reading = null;
  }
}

function showKeysProblem(text) {
  sync($("key-rows"), [], (row) => row.id);
  $("keys-empty").hidden = false;
  setText($("keys-empty"), text);
}

function makeRow(row) {
  return h("li", {}, h("a", { class: row.folder ? "folder" : "" }, h("bdi", { class: "name" }), h("span", { class: "side" })));
}

function updateRow(element, row) {
  const link = element.firstElementChild;
  const [name, side] = link.children;
  const bytes = row.folder ?? row.key;
  const rest = bytes.subarray(keys.prefix.length);
  setText(name, rest.length ? shown(rest) : "(this key itself)");
  name.title = shown(bytes);
  link.href = row.folder ? placeOf({ prefix: row.folder }) : placeOf({ key: row.key });
  if (row.folder) setText(side, keys.counts.get(row.id) ?? "");
  else setText(side, (row.kv.lease ? "lease · " : "") + `rev ${number.format(Number(row.kv.mod_revision))}`);
  link.classList.toggle("holds", Boolean(row.folder && detail.key && startsWith(detail.key, row.folder)));
  if (row.key && detail.key && same(row.key, detail.key)) link.setAttribute("aria-current", "true");
  else link.removeAttribute("aria-current");
}

function showKeys(rows, remaining) {
  keys.rows = rows;
  const inList = $("key-rows").contains(document.activeElement);
  sync($("key-rows"), rows, (row) => row.id, makeRow, updateRow);
  // who has gone into a folder by the keyboard goes on there
  if (inList && !$("key-rows").contains(document.activeElement)) $("key-rows").querySelector("a")?.focus();
  const first = (keys.pages.length - 1) * ROWS_PER_PAGE + 1;
  $("keys-empty").hidden = rows.length > 0;
  if (!rows.length) setText($("keys-empty"), emptyText());
  const what = keys.shape === "tree" ? "entries" : "keys";
  const all = keys.pages.length > 1 ? "" : `${plural(remaining, "key")} · `;
  setText($("keys-count"), rows.length ? `${all}${what} ${number.format(first)}–${number.format(first + rows.length - 1)}` : "");
  $("keys-back").disabled = keys.pages.length < 2;
  $("keys-on").disabled = keys.next === null;
}

function emptyText() {
  if (keys.prefix.length) return `No key begins with ${shown(keys.prefix)}`;
  return "The store is empty. " + (server.writes ? "Make the first key with “New key”." : "Keys appear here as soon as there are some.");
}

/** How many keys are in the folders of a page, a few requests at a time. */
async function countFolders(rows, signal) {
  const waiting = rows.filter((row) => row.folder);
  const work = async () => {
    for (let row = waiting.shift(); row; row = waiting.shift()) {
      const options = { range_end: base64Of(endOf(row.folder)), count_only: true };
      const answer = await call("kv/range", { key: base64Of(row.folder), serializable: true, ...options }, signal);
      keys.counts.set(row.id, plural(Number(answer.count ?? 0), "key"));
      const element = $("key-rows").kept.get(row.id);
      if (element) updateRow(element, row);
    }
  };
  try {
    await Promise.all(Array.from({ length: COUNTS_AT_ONCE }, work));
  } catch {
    // a count that does not come is not shown
  }
}

function showCrumbs() {
  const prefix = keys.prefix;
  const parts = [];
  for (let at = 0; at < prefix.length;) {
    const slash = prefix.indexOf(SLASH, at);
    const end = slash < 0 ? prefix.length : slash + 1;
    parts.push([prefix.slice(at, end), prefix.slice(0, end)]);
    at = end;
  }
  const whole = ["All keys", new Uint8Array()];
  const named = [whole, ...parts.map(([part, upTo]) => [shown(part), upTo])];
  $("crumbs").replaceChildren(...named.map(([text, upTo], at) => at === named.length - 1
    ? h("span", { "aria-current": "location" }, text)
    : h("button", { type: "button", class: "plain", onclick: () => go(placeOf({ prefix: upTo })) }, text)));
}

// --- moving about ---------------------------------------------------------------------------------

/** Show what an address says; true if the list is another one than before. */
function openKeys(query) {
  const prefix = parse(query.get("prefix") ?? "");
  const shape = query.get("as") === "list" ? "list" : "tree";
  const moved = !keys.pages.length || !same(prefix, keys.prefix) || shape !== keys.shape;
  if (moved) {
    Object.assign(keys, { prefix, shape, pages: [prefix], next: null });
    if (parse($("prefix").value).toString() !== prefix.toString()) $("prefix").value = shown(prefix);
    for (const radio of document.querySelectorAll("input[name=shape]")) radio.checked = radio.value === shape;
    showCrumbs();
  }
  openDetail(query.has("key") ? parse(query.get("key")) : null);
  for (const row of keys.rows ?? []) {
    const element = $("key-rows").kept?.get(row.id);
    if (element) updateRow(element, row);
  }
  if (moved || server.node?.store.revision !== keys.revision) readKeys();
}

function turn(pages) {
  keys.pages = pages;
  readKeys();
  $("view-keys").scrollIntoView({ block: "start" });
}

let typing = 0;
$("prefix").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => go(placeOf({ prefix: parse($("prefix").value) }), { quietly: true }), 200);
});
$("keys-form").addEventListener("submit", (event) => {
  event.preventDefault();
  go(placeOf({ prefix: parse($("prefix").value) }));
});
for (const radio of document.querySelectorAll("input[name=shape]")) {
  radio.addEventListener("change", () => go(placeOf({ shape: radio.value, key: detail.key })));
}
$("keys-on").addEventListener("click", () => keys.next && turn([...keys.pages, keys.next]));
$("keys-back").addEventListener("click", () => turn(keys.pages.slice(0, -1)));
$("new-key").addEventListener("click", () => edit(null));

let countedAt = 0;
onNode((node) => {
  if ($("view-keys").hidden) return;
  if (node.store.revision !== keys.revision && !keys.reading) {
    const counts = Date.now() - countedAt > 5000;
    if (counts) countedAt = Date.now();
    readKeys({ counts });
  }
  refreshDetail(node);
});
