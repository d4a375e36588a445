// The tree of actors: what lives, how full its mailbox is, how often it was restarted.

const MANY_CHILDREN = 8; // supervisors with more are folded at first

const actors = { folded: new Map(), before: new Map(), readAt: 0, reading: false, tree: null };

async function readActors() {
  if (actors.reading || !server.live) return;
  actors.reading = true;
  try {
    actors.tree = (await look("actors")).actors;
    showActors();
  } catch (error) {
    if (!(error instanceof Lost)) setText($("actors-note"), error.message);
  } finally {
    actors.reading = false;
  }
}

/** Rows from the root down, without what is folded. */
function actorRows(actor, path = "", depth = 0) {
  const place = `${path}/${actor.name}`;
  const row = { ...actor, place, depth };
  if (!actors.folded.has(place)) actors.folded.set(place, depth > 0 && actor.children.length > MANY_CHILDREN);
  const left = actor.children_left_out;
  if (actors.folded.get(place)) return [row];
  const rest = left ? [{ place: place + "/…", depth: depth + 1, left }] : [];
  return [row, ...actor.children.flatMap((child) => actorRows(child, place, depth + 1)), ...rest];
}

function everyActor(actor) {
  return [actor, ...actor.children.flatMap(everyActor)];
}

function showActors() {
  const now = performance.now();
  const seconds = (now - actors.readAt) / 1000;
  const all = everyActor(actors.tree);
  const left = all.reduce((sum, actor) => sum + actor.children_left_out, 0);
  const restarts = all.reduce((sum, actor) => sum + actor.restarts, 0);
  const waiting = all.reduce((sum, actor) => sum + actor.mailbox_depth, 0);
  setText($("actors-note"), `${plural(all.length + left, "actor")}, ${plural(waiting, "message")} waiting, ${plural(restarts, "restart")}.`);
  const handled = new Map();
  sync($("actor-rows").tBodies[0], actorRows(actors.tree), (row) => row.place, makeActor, (element, row) => {
    handled.set(row.place, row.messages_handled);
    const before = actors.before.get(row.place);
    updateActor(element, row, before === undefined || !seconds ? null : (row.messages_handled - before) / seconds);
  });
  actors.before = handled;
  actors.readAt = now;
}

function makeActor(row) {
  if (row.left) return h("tr", {}, h("td", { colspan: "6", class: "soft" }));
  return h("tr", {},
    h("td", {}, h("span", { class: "name" },
      h("button", { type: "button", class: "fold", onclick: () => fold(row.place) }), h("span", { class: "mono cut" })), h("p", { class: "error" })),
    h("td", {}, h("span", { class: "state" }, h("i", { class: "dot", "aria-hidden": "true" }), h("span"))),
    h("td", {}, h("span", { class: "box nowrap" }, h("span"), bar())),
    h("td", { class: "right roomy" }), h("td", { class: "right roomy" }), h("td", { class: "right" }));
}

const STATES = { running: "good", starting: "warn", waiting: "bad", stopping: "warn", stopped: "", new: "" };

function updateActor(element, row, rate) {
  if (row.left) {
    setText(element.firstElementChild, `… and ${plural(row.left, "more", "more")}`);
    return;
  }
  const [name, state, mailbox, handled, perSecond, restarts] = element.children;
  const [fold, label] = name.firstElementChild.children;
  name.firstElementChild.style.setProperty("--depth", row.depth);
  const folded = actors.folded.get(row.place);
  fold.style.visibility = row.children.length ? "visible" : "hidden";
  setText(fold, folded ? "▸" : "▾");
  fold.setAttribute("aria-expanded", String(!folded));
  fold.setAttribute("aria-label", `${row.name}: ${plural(row.children.length + row.children_left_out, "child", "children")}`);
  label.title = row.name;
  setText(label, row.name + (folded ? ` (${number.format(row.children.length + row.children_left_out)})` : ""));
  setText(name.lastElementChild, row.last_error ? `last error: ${row.last_error}` : "");
  state.firstElementChild.firstElementChild.className = `dot ${STATES[row.state] ?? ""}`;
  setText(state.firstElementChild.lastElementChild, row.state);
  state.title = row.state_seconds === null ? "" : `${row.state} for ${duration(row.state_seconds)}`;
  const share = row.mailbox_depth / row.mailbox_messages_max;
  const [depth, fill] = mailbox.firstElementChild.children;
  setText(depth, number.format(row.mailbox_depth) + (row.mailbox_depth_max ? ` / ${number.format(row.mailbox_depth_max)}` : ""));
  mailbox.title = `now ${number.format(row.mailbox_depth)}, at most so far ${number.format(row.mailbox_depth_max)}, bound ${number.format(row.mailbox_messages_max)}`;
  fill.style.visibility = row.mailbox_depth ? "visible" : "hidden";
  setBar(fill, share, share > 0.8 ? "bad" : share > 0.4 ? "warn" : "");
  setCount(handled, row.messages_handled);
  setCount(perSecond, rate);
  setCount(restarts, row.restarts);
  restarts.classList.toggle("delete", row.restarts > 0);
}

/** A number; zeros stand back. */
function setCount(cell, count) {
  setText(cell, count === null ? "" : number.format(Math.round(count)));
  cell.classList.toggle("none", !Math.round(count ?? 0));
}

function fold(place) {
  actors.folded.set(place, !actors.folded.get(place));
  showActors();
}

onNode(() => {
  if (!$("view-actors").hidden) readActors();
});
