// The document. Text goes in as text and as nothing else: there is no way here to make HTML of it.

const $ = (id) => document.getElementById(id);

const ROLES = { tr: "row", td: "cell" }; // said aloud, because on a phone they are laid out as no table

/** A new element; `on…` are listeners, true is an empty attribute, false and null are none. */
function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  if (tag in ROLES) element.setAttribute("role", ROLES[tag]);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Make the children of `box` those of `items`, in this order. A row that is there already is kept, with its
 * focus and its place, and only brought up to date.
 */
function sync(box, items, keyOf, make, update) {
  const before = box.kept ?? new Map();
  const rows = new Map();
  let at = box.firstElementChild;
  for (const item of items) {
    const key = keyOf(item);
    const row = before.get(key) ?? make(item);
    update(row, item);
    rows.set(key, row);
    if (row === at) at = at.nextElementSibling;
    else box.insertBefore(row, at);
  }
  for (const [key, row] of before) if (!rows.has(key)) row.remove();
  box.kept = rows;
}

/** A thin bar; `setBar` fills it. */
function bar() {
  return h("div", { class: "bar-out", "aria-hidden": "true" }, h("div", { class: "bar-in" }));
}

function setBar(element, share, kind = "") {
  const inner = element.firstElementChild;
  inner.className = `bar-in ${kind}`;
  inner.style.width = `${Math.round(1000 * Math.min(1, Math.max(0, share))) / 10}%`;
}

const TOASTS_MAX = 4;

/** Say something for a while; what went wrong stays longer, and can be put away. */
function toast(text, kind = "good") {
  const box = $("toasts");
  const one = h("div", { class: `toast ${kind}`, role: kind === "bad" ? "alert" : "status" });
  const away = h("button", { type: "button", "aria-label": "Dismiss", onclick: () => one.remove() }, "✕");
  one.append(h("p", {}, text), away);
  while (box.childElementCount >= TOASTS_MAX) box.firstElementChild.remove();
  box.append(one);
  setTimeout(() => one.remove(), kind === "bad" ? 12000 : 4000);
}

/** Run what a button does; an error becomes a toast with the server's words. */
async function attempt(work) {
  try {
    return await work();
  } catch (error) {
    toast(error.message, "bad");
    return undefined;
  }
}

/**
 * Show a form in a dialog. `submit` is called with the form's fields; if it throws, its message is shown and the
 * dialog stays. Resolves with what it returned, or with undefined when the dialog was given up.
 */
function ask({ title, content, verb, danger = false, submit }) {
  const dialog = $("dialog");
  const form = $("dialog-form");
  return new Promise((resolve) => {
    let result;
    const problem = h("p", { class: "problem", role: "alert" });
    const go = h("button", { type: "submit", class: danger ? "main danger" : "main", value: "go" }, verb);
    const give = h("button", { type: "button", onclick: () => dialog.close() }, "Cancel");
    form.replaceChildren(h("h2", { id: "dialog-title" }, title), ...content, h("div", { class: "end" }, problem, give, go));
    form.onsubmit = async (event) => {
      event.preventDefault();
      go.disabled = true;
      problem.textContent = "";
      try {
        result = await submit(form.elements);
        dialog.close();
      } catch (error) {
        problem.textContent = error.message;
      } finally {
        go.disabled = false;
      }
    };
    const opener = document.activeElement?.dataset?.focus;
    // The event comes later: by then the dialog may be open again, for another question.
    dialog.onclose = () => {
      if (dialog.open) return;
      // What it was opened with may have been drawn anew meanwhile: then the browser has nowhere to return to.
      const at = document.activeElement;
      if (opener && (at === document.body || dialog.contains(at))) document.querySelector(`[data-focus="${opener}"]`)?.focus();
      resolve(result);
    };
    dialog.showModal();
    const first = form.querySelector("input:not([readonly]), textarea");
    (first ?? give).focus();
  });
}

/** A sentence with names in it: every second part is set as code. */
function sentence(...parts) {
  return h("p", { class: "text" }, ...parts.map((part, at) => (at % 2 ? h("code", {}, part) : part)));
}

/** Put a text on the clipboard; browsers offer that to trustworthy addresses only, elsewhere the old way is left. */
async function copy(text) {
  await attempt(async () => {
    if (navigator.clipboard) await navigator.clipboard.writeText(text);
    else copySelected(text);
    toast("Copied.");
  });
}

function copySelected(text) {
  const area = h("textarea", { class: "unseen", "aria-hidden": "true" });
  const before = document.activeElement;
  area.value = text;
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  before?.focus();
  if (!copied) throw new Error("The browser does not let this page copy.");
}
