// Changes as they happen: one watch, as a stream of the gateway, that goes on where it was when the connection ends.

const EVENTS_SHOWN_MAX = 500;
const AGAIN_MS_MAX = 8000;
const DRAW_MS = 50;
const BURST_ROWS = 100; // more than these at once nobody reads one by one:
const BURST_DRAW_MS = 500; // they are drawn less often, so that the page stays at hand

const watch = { prefix: new Uint8Array(), next: 0, ending: null, seen: 0, waiting: [], timer: 0, pause: DRAW_MS };

function watchNote(text) {
  setText($("watch-note"), text);
}

function describeWatch() {
  const what = watch.prefix.length ? `keys that begin with ${shown(watch.prefix)}` : "all keys";
  const shownNow = watch.seen > EVENTS_SHOWN_MAX ? `, the last ${EVENTS_SHOWN_MAX} shown` : "";
  if (!watch.ending) return watchNote(`Stopped. ${plural(watch.seen, "event")}${shownNow}.`);
  watchNote(`Watching ${what}: ${plural(watch.seen, "event")}${shownNow}.`);
}

function startWatch(prefix, from = 0) {
  stopWatch();
  const ending = new AbortController();
  Object.assign(watch, { prefix, next: from, ending, seen: 0 });
  clearEvents();
  $("watch-stop").disabled = false;
  describeWatch();
  followWatch(ending.signal);
}

function stopWatch() {
  watch.ending?.abort();
  watch.ending = null;
  $("watch-stop").disabled = true;
  describeWatch();
}

/** Watch until it is stopped. What fails for good stops it. */
async function followWatch(signal) {
  let pause = 500;
  while (!signal.aborted) {
    try {
      for await (const message of stream("watch", [{ create_request: createRequest() }], signal)) {
        pause = 500;
        takeMessage(message);
        if (message.canceled) break;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof Refused && error.status >= 400 && error.status < 500) {
        stopWatch();
        toast(error.message, "bad");
        return;
      }
    }
    if (signal.aborted) return;
    if (!server.live) watchNote("The watch has lost its connection, and goes on when it is back.");
    await new Promise((resolve) => setTimeout(resolve, pause));
    pause = Math.min(AGAIN_MS_MAX, pause * 2);
  }
}

function createRequest() {
  const { prefix, next } = watch;
  const all = Uint8Array.of(0);
  return {
    key: base64Of(prefix.length ? prefix : all),
    range_end: base64Of(prefix.length ? endOf(prefix) : all),
    start_revision: String(next),
    progress_notify: true,
  };
}

function takeMessage(message) {
  const revision = Number(message.header.revision);
  if (message.canceled) {
    const compacted = Number(message.compact_revision ?? 0);
    addEvents([{ system: compacted ? `Revisions below ${number.format(compacted)} were compacted; the watch goes on from there.` : message.cancel_reason || "The watch was canceled." }]);
    watch.next = compacted || revision + 1;
    return;
  }
  const events = (message.events ?? []).map(eventOf);
  if (!message.created) watch.next = Math.max(watch.next, revision + 1);
  else if (!watch.next) watch.next = revision + 1;
  watch.seen += events.length;
  if (events.length) addEvents(events);
  else describeWatch();
}

/** What a row needs, and no more: a tab in the background is not drawn for minutes, and values may be large. */
function eventOf(event) {
  const pair = pairOf(event.kv);
  return { ...pair, value: pair.value.slice(0, PREVIEW_BYTES + 1), deleted: event.type === "DELETE", at: new Date() };
}

/** Show events soon: a burst is drawn once. */
function addEvents(events) {
  for (const event of events) watch.waiting.push(event);
  if (watch.waiting.length > 2 * EVENTS_SHOWN_MAX) watch.waiting.splice(0, watch.waiting.length - EVENTS_SHOWN_MAX);
  watch.timer ||= setTimeout(drawEvents, watch.pause);
}

function drawEvents() {
  watch.timer = 0;
  const body = $("event-rows").tBodies[0];
  const rows = watch.waiting.splice(0).slice(-EVENTS_SHOWN_MAX).reverse().map(eventRow);
  const burst = rows.length > BURST_ROWS;
  watch.pause = burst ? BURST_DRAW_MS : DRAW_MS;
  const settle = () => rows.forEach((row) => row.classList.remove("fresh"));
  if (burst) settle();
  else setTimeout(settle, 600);
  body.prepend(...rows);
  while (body.childElementCount > EVENTS_SHOWN_MAX) body.lastElementChild.remove();
  $("events-empty").hidden = body.childElementCount > 0;
  describeWatch();
}

function eventRow(event) {
  if (event.system) return h("tr", {}, h("td", { colspan: "5", class: "system" }, event.system));
  const key = shown(event.key);
  const kind = event.deleted ? ["delete", "Delete"] : event.version === 1 ? ["put", "Create"] : ["put", "Put"];
  return h("tr", { class: "fresh" },
    h("td", {}, number.format(event.revision)),
    h("td", { class: kind[0] }, kind[1]),
    h("td", { class: "mono", title: key }, h("a", { href: placeOf({ prefix: watch.prefix, key: event.key }) }, h("bdi", {}, key))),
    h("td", { class: "mono" }, event.deleted ? "" : preview(event.value)),
    h("td", { class: "right soft roomy" }, event.at.toLocaleTimeString("en-GB")));
}

function clearEvents() {
  watch.waiting.length = 0;
  $("event-rows").tBodies[0].replaceChildren();
  $("events-empty").hidden = false;
}

function openWatch() {
  if (!watch.ending && !watch.seen && !watch.stopped) startWatch(parse($("watch-prefix").value));
}

$("watch-form").addEventListener("submit", (event) => {
  event.preventDefault();
  startWatch(parse($("watch-prefix").value), Number($("watch-from").value || 0));
});
$("watch-stop").addEventListener("click", () => {
  watch.stopped = true;
  stopWatch();
});
$("watch-clear").addEventListener("click", () => {
  watch.seen = 0;
  clearEvents();
  describeWatch();
});
