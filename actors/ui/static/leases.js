// Leases, and how long each has to live. The time is asked for now and then and counted down in between.

const LEASES_PER_PAGE = 50;
const LEASES_AT_ONCE = 4;
const LEASES_AGAIN_MS = 3000;
const KEYS_NAMED_MAX = 6;

const leases = { ids: [], page: 0, rows: [], reading: false, readAt: 0 };

async function readLeases() {
  if (leases.reading || !server.live) return;
  leases.reading = true;
  try {
    const answer = await call("lease/leases", {});
    leases.ids = (answer.leases ?? []).map((lease) => lease.ID);
    leases.page = Math.min(leases.page, Math.max(0, Math.ceil(leases.ids.length / LEASES_PER_PAGE) - 1));
    const from = leases.page * LEASES_PER_PAGE;
    leases.rows = (await timesLeft(leases.ids.slice(from, from + LEASES_PER_PAGE))).filter((lease) => lease.ttl >= 0);
    showLeases("");
  } catch (error) {
    if (!(error instanceof Lost)) showLeases(error.message);
  } finally {
    leases.reading = false;
    leases.readAt = Date.now();
  }
}

async function timesLeft(ids) {
  const found = new Array(ids.length);
  const waiting = [...ids.entries()];
  const work = async () => {
    for (let next = waiting.shift(); next; next = waiting.shift()) {
      const [at, id] = next;
      const asked = performance.now();
      const answer = await call("lease/timetolive", { ID: id, keys: true });
      found[at] = {
        id,
        ttl: Number(answer.TTL ?? 0),
        granted: Number(answer.grantedTTL ?? 0),
        keys: (answer.keys ?? []).map(bytesOf),
        until: asked + 1000 * Number(answer.TTL ?? 0),
      };
    }
  };
  await Promise.all(Array.from({ length: LEASES_AT_ONCE }, work));
  return found;
}

function showLeases(problem) {
  const { ids, page, rows } = leases;
  sync($("lease-rows").tBodies[0], problem ? [] : rows, (lease) => lease.id, makeLease, updateLease);
  const empty = $("leases-empty");
  empty.hidden = !problem && rows.length > 0;
  setText(empty, problem || "No leases. A key that is put with one goes away when its time is over.");
  const first = page * LEASES_PER_PAGE + 1;
  setText($("leases-count"), rows.length ? `${plural(ids.length, "lease")} · ${number.format(first)}–${number.format(first + rows.length - 1)}` : "");
  $("leases-back").disabled = page === 0;
  $("leases-on").disabled = (page + 1) * LEASES_PER_PAGE >= ids.length;
  countDown();
}

function makeLease(lease) {
  return h("tr", {},
    h("td", {}, h("span", { class: "mono any" }, leaseHex(lease.id)), h("span", { class: "sub" })),
    h("td", {}, h("span", { class: "left" }), bar()),
    h("td", { class: "any" }),
    h("td", { class: "right" }, h("button", { type: "button", class: "small danger writes", hidden: !server.writes, onclick: () => revoke(lease.id) }, "Revoke…")));
}

function updateLease(row, lease) {
  const [id, left, names] = row.children;
  row.lease = lease;
  setText(id.lastElementChild, `granted for ${duration(lease.granted)}`);
  const text = lease.keys.map(shown).join("\n");
  if (names.listed !== text) {
    names.listed = text;
    const links = lease.keys.slice(0, KEYS_NAMED_MAX).flatMap((key, at) => [at ? ", " : "", h("a", { class: "mono", href: placeOf({ key }) }, h("bdi", {}, shown(key)))]);
    const others = lease.keys.length - KEYS_NAMED_MAX;
    names.replaceChildren(...(links.length ? links : [h("span", { class: "soft" }, "no keys")]), others > 0 ? ` and ${number.format(others)} more` : "");
  }
  drawLeft(left, lease);
}

function drawLeft(cell, lease) {
  const seconds = (lease.until - performance.now()) / 1000;
  const share = lease.granted ? seconds / lease.granted : 0;
  setText(cell.firstElementChild, seconds <= 0 ? "expiring" : duration(Math.ceil(seconds)));
  setBar(cell.lastElementChild, share, share < 0.15 ? "bad" : share < 0.35 ? "warn" : "");
}

function countDown() {
  for (const row of $("lease-rows").tBodies[0].rows) if (row.lease) drawLeft(row.children[1], row.lease);
}

async function revoke(id) {
  const lease = leases.rows.find((one) => one.id === id);
  const count = lease?.keys.length ?? 0;
  const done = await ask({
    title: "Revoke the lease?",
    content: [sentence("This ends lease ", leaseHex(id), ` at once${count ? ` and deletes ${plural(count, "key")} with it` : ""}. This cannot be undone.`)],
    verb: "Revoke",
    danger: true,
    submit: () => call("lease/revoke", { ID: id }),
  });
  if (!done) return;
  toast(`Revoked lease ${leaseHex(id)}.`);
  await readLeases();
}

function turnLeases(by) {
  leases.page += by;
  readLeases();
}

$("leases-back").addEventListener("click", () => turnLeases(-1));
$("leases-on").addEventListener("click", () => turnLeases(1));
setInterval(() => {
  if (!$("view-leases").hidden && !document.hidden) countDown();
}, 250);
let leasesBefore = -1;
onNode((node) => {
  if ($("view-leases").hidden) return;
  const changed = node.leases.count !== leasesBefore;
  leasesBefore = node.leases.count;
  if (changed || Date.now() - leases.readAt > LEASES_AGAIN_MS) readLeases();
});
