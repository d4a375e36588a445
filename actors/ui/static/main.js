// Which view is shown: the address says it, so that it can be kept, sent, and gone back to.

const VIEWS = ["overview", "keys", "watch", "leases", "actors"];

function go(place, { quietly = false } = {}) {
  if (quietly) {
    window.history.replaceState(null, "", place);
    route();
  } else location.hash = place;
}

function route() {
  const [name, query] = location.hash.slice(1).split("?");
  const view = VIEWS.includes(name) ? name : "overview";
  const changed = $(`view-${view}`).hidden;
  for (const one of VIEWS) $(`view-${one}`).hidden = one !== view;
  for (const link of document.querySelectorAll(".bar nav a")) {
    if (link.hash === `#${view}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  if (changed) scrollTo(0, 0);
  if (view === "keys") openKeys(new URLSearchParams(query ?? ""));
  if (view === "watch") openWatch();
  if (server.node && changed) for (const listener of server.listeners) listener(server.node);
}

/** The head stays in sight: what is gone to, and what sticks below it, has to know how high it is. */
const head = document.querySelector(".top");
new ResizeObserver(() => document.documentElement.style.setProperty("--head", `${head.offsetHeight}px`)).observe(head);

window.addEventListener("hashchange", route);
route();
poll();
