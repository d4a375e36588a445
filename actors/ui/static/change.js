// Putting and deleting keys. Nothing is sent before a person has confirmed it.

const VALUE_BYTES_EDITED = 262144;

function hexOf(bytes) {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
}

function bytesOfHex(text) {
  const digits = text.replace(/\s+/g, "");
  if (!/^([0-9a-fA-F]{2})*$/.test(digits)) throw new Error("Hexadecimal bytes are pairs of the digits 0–9 and a–f.");
  return Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));
}

/** What the form of a pair holds, read. Throws if it cannot be. */
function readForm(fields, entry) {
  const key = entry ? entry.key : parse(fields.key.value);
  if (!key.length) throw new Error("A key has at least one byte.");
  const hex = fields.kind.value === "hex";
  const value = hex ? bytesOfHex(fields.value.value) : new TextEncoder().encode(fields.value.value);
  const lease = entry ? "" : fields.lease.value.trim().replace(/^0x/, "");
  if (lease && !/^[0-9a-fA-F]{1,16}$/.test(lease)) throw new Error("The ID of a lease is a hexadecimal number.");
  return { key, value, lease, typed: fields.value.value, hex };
}

function formFor(entry, draft) {
  const text = entry ? utf8(entry.value) : "";
  const hex = draft ? draft.hex : text === null || text.includes("\r");
  const typed = draft ? draft.typed : hex ? hexOf(entry.value) : text;
  const area = h("textarea", { name: "value", spellcheck: "false", autocapitalize: "off" });
  area.value = typed;
  const key = h("input", { type: "text", class: "mono", name: "key", required: !entry, readonly: Boolean(entry), autocomplete: "off", autocapitalize: "off", spellcheck: "false" });
  key.value = entry ? shown(entry.key) : draft ? shown(draft.key) : shown(keys.prefix);
  const lease = h("input", { type: "text", class: "mono", name: "lease", autocomplete: "off", spellcheck: "false" });
  lease.value = draft?.lease ?? "";
  const change = () => rewrite(area, key.form.elements.kind);
  const kind = (name, title) => h("label", {}, h("input", { type: "radio", name: "kind", value: name, checked: (name === "hex") === hex, onchange: change }), h("span", {}, title));
  return [
    h("label", { class: "field" }, h("span", {}, "Key"), key),
    h("label", { class: "field" }, h("span", {}, "Value"), area),
    h("div", { class: "choice small", role: "radiogroup", "aria-label": "The value is written as" }, kind("text", "Text"), kind("hex", "Hex")),
    entry ? h("p", { class: "hint" }, "The key keeps its lease, if it has one.") : h("label", { class: "field" }, h("span", {}, "Lease (optional, hexadecimal)"), lease),
  ];
}

/** What is typed as text, as hexadecimal bytes, or the other way around; bytes that are no text stay as they are. */
function rewrite(area, kind) {
  try {
    if (kind.value === "hex") area.value = hexOf(new TextEncoder().encode(area.value));
    else {
      const text = utf8(bytesOfHex(area.value));
      if (text === null) throw new Error("These bytes are no UTF-8.");
      area.value = text;
    }
  } catch {
    kind.value = "hex";
  }
}

/** Put a new pair, or another value for a key: if it is not any more at `newest`, nothing is put. */
async function put({ key, value, lease }, newest) {
  const name = base64Of(key);
  const compare = newest && !newest.deleted
    ? { key: name, target: "MOD", result: "EQUAL", mod_revision: String(newest.revision) }
    : { key: name, target: "VERSION", result: "EQUAL", version: "0" };
  const request = { key: name, value: base64Of(value) };
  if (newest && !newest.deleted) request.ignore_lease = true;
  else if (lease) request.lease = BigInt.asIntN(64, BigInt("0x" + lease)).toString();
  const answer = await call("kv/txn", { compare: [compare], success: [{ request_put: request }] });
  if (!answer.succeeded) {
    throw new Error(newest ? "The key has changed since it was opened here. Nothing was put." : "There is such a key already; open it to change it. Nothing was put.");
  }
  return answer;
}

/** Ask for a pair, show what will happen, do it. `entry` is the shown revision of a key, or null for a new one. */
async function edit(entry) {
  if (entry && entry.value.length > VALUE_BYTES_EDITED) {
    toast(`A value of ${size(entry.value.length)} is too large to be edited here.`, "bad");
    return;
  }
  const newest = entry ? detail.entries[0] : null; // whatever comes while the dialog is open
  let draft = null;
  for (;;) {
    draft = await ask({
      title: entry ? "Edit the value" : "New key",
      content: formFor(entry, draft),
      verb: "Continue…",
      submit: (fields) => readForm(fields, entry),
    });
    if (!draft) return;
    const pair = draft;
    const now = entry ? ` in place of ${size(newest.value?.length ?? 0)} that are there now.` : ", a new key.";
    const done = await ask({
      title: "Put this value?",
      content: [sentence("This puts ", size(pair.value.length), " under ", shown(pair.key), now), h("pre", { class: "value card" }, pair.hex ? hexDump(pair.value.subarray(0, 1024)) : preview(pair.value))],
      verb: "Put",
      submit: () => put(pair, newest),
    });
    if (done) {
      toast(`Put ${shown(pair.key)} at revision ${number.format(Number(done.header.revision))}.`);
      go(placeOf({ key: pair.key }));
      return;
    }
  }
}

async function remove(entry) {
  const lease = entry.lease ? " It is taken off its lease." : "";
  const done = await ask({
    title: "Delete the key?",
    content: [sentence("This deletes ", shown(entry.key), ` and its ${size(entry.value.length)}.${lease} Its past stays readable until it is compacted.`)],
    verb: "Delete",
    danger: true,
    submit: () => call("kv/deleterange", { key: base64Of(entry.key) }),
  });
  if (!done) return;
  toast(done.deleted ? `Deleted ${shown(entry.key)}.` : "The key was gone already.");
}
