// The head of the page, alarms, and the overview: members, figures, the store.

function roleOf(node, member) {
  if (member.leader) return ["Leader", "accent"];
  return member.learner ? ["Learner", "warn"] : ["Follower", ""];
}

function nameOf(node, id) {
  return node.members.find((member) => member.id === id)?.name || id;
}

function showHead(node) {
  document.title = `${node.name} · Triode`;
  setText($("who-name"), node.name);
  const role = $("who-role");
  const leads = node.raft.leader === node.member_id;
  setText(role, leads ? "leader" : node.raft.leader ? `follows ${nameOf(node, node.raft.leader)}` : "no leader");
  role.className = `tag ${leads ? "accent" : node.raft.leader ? "roomy" : "bad"}`;
  const mode = $("who-mode");
  setText(mode, node.ui);
  mode.className = node.ui === "read-write" ? "tag warn" : "tag roomy";
}

const ALARMS = {
  NOSPACE: "its quota is used up; writes are refused until space is freed and the alarm is disarmed",
  CORRUPT: "its data differs from the others'; the cluster serves no reads or writes until that is mended",
};

function showAlarms(node) {
  sync($("alarms"), node.alarms, (alarm) => alarm.alarm + alarm.member_id, (alarm) => h("p", { class: "notice bad" },
    h("span", {}, h("span", { class: "strong" }, alarm.alarm), ` at ${nameOf(node, alarm.member_id)}: ${ALARMS[alarm.alarm] ?? "unknown alarm"}.`),
    h("button", { type: "button", class: "small writes", hidden: !server.writes, onclick: () => disarm(alarm) }, "Disarm…"),
  ), () => {});
}

async function disarm(alarm) {
  const name = nameOf(server.node, alarm.member_id);
  const done = await ask({
    title: "Disarm the alarm?",
    content: [sentence("This tells the cluster that ", alarm.alarm, ` at ${name} is over. If its cause is still there, it may be raised again.`)],
    verb: "Disarm",
    danger: true,
    submit: () => call("maintenance/alarm", { action: "DEACTIVATE", memberID: BigInt("0x" + alarm.member_id).toString(), alarm: alarm.alarm }),
  });
  if (done) toast(`Disarmed ${alarm.alarm} at ${name}.`);
}

// --- figures ------------------------------------------------------------------------------------

function figures(node) {
  const { raft, store } = node;
  const behind = raft.commit_index - raft.applied_index;
  const quota = store.quota_bytes > 0 ? `in use of ${size(store.quota_bytes)}` : "in use, no limit";
  return [
    ["Revision", number.format(store.revision), store.compact_revision > 0 ? `compacted up to ${number.format(store.compact_revision)}` : "never compacted"],
    ["Keys", number.format(store.keys), `${number.format(node.leases.keys)} with a lease`],
    ["Raft index", number.format(raft.commit_index), behind > 0 ? `${number.format(behind)} to apply` : "all applied"],
    ["Raft term", number.format(raft.term), raft.leader ? `led by ${nameOf(node, raft.leader)}` : "no leader"],
    ["Leases", number.format(node.leases.count), plural(node.watches.watchers, "watcher")],
    ["Database", size(store.in_use_bytes), quota],
  ];
}

function showFigures(node) {
  sync($("figures"), figures(node), ([title]) => title,
    ([title]) => h("div", {}, h("dt", {}, title), h("dd"), h("dd")),
    (row, [, value, note]) => {
      setText(row.children[1], value);
      setText(row.children[2], note);
      row.children[2].title = note;
    });
}

// --- members ------------------------------------------------------------------------------------

/** The address of a member's own page, or null: a URL that is not HTTP is shown but not linked. */
function pageOf(member) {
  for (const text of member.client_urls) {
    try {
      const url = new URL(text);
      if (url.protocol === "http:" || url.protocol === "https:") return new URL("/ui", url).href;
    } catch {
      // shown as text only
    }
  }
  return null;
}

function makeMember(member) {
  const page = member.self ? null : pageOf(member);
  const urls = member.client_urls.join(", ") || member.peer_urls.join(", ");
  const name = member.name || "not started";
  return h("tr", {},
    h("td", { class: "any" }, h("span", { class: "strong" }, name),
      member.self ? h("span", { class: "soft" }, " this one") : null,
      h("span", { class: "sub" }, h("span", { class: "mono" }, member.id), " · ", page ? h("a", { href: page, rel: "noreferrer" }, urls) : urls)),
    h("td", {}, h("span", { class: "tag" })),
    h("td", {}, h("span"), bar()),
    h("td", { class: "nowrap" }, h("i", { class: "dot", "aria-hidden": "true" }), " ", h("span")));
}

function updateMember(node, row, member) {
  const [, role, log, contact] = row.children;
  const [text, kind] = roleOf(node, member);
  setText(role.firstElementChild, text);
  role.firstElementChild.className = `tag ${kind}`;
  const leads = node.raft.leader === node.member_id;
  const last = node.raft.last_index;
  const known = leads ? member.match_index ?? 0 : member.self ? last : null;
  const behind = known === null ? 0 : last - known;
  setText(log.firstElementChild, known === null ? "–" : number.format(known) + (behind > 0 ? ` · ${number.format(behind)} behind` : ""));
  log.firstElementChild.title = known === null ? "Only the leader knows how far the others are." : "";
  log.lastElementChild.hidden = known === null;
  setBar(log.lastElementChild, last ? (known ?? 0) / last : 0, behind > 1000 ? "warn" : "");
  contact.firstElementChild.className = `dot ${member.reachable ? "good" : "bad"}`;
  const since = member.reachable_seconds;
  setText(contact.lastElementChild, member.self ? "here" : !member.reachable ? "no contact" : `for ${duration(since)}`);
}

function showMembers(node) {
  const voters = node.members.filter((member) => !member.learner);
  const reachable = voters.filter((member) => member.reachable).length;
  const quorum = Math.floor(voters.length / 2) + 1;
  setText($("members-note"), `${plural(voters.length, "voter")}, quorum ${quorum}, ${reachable} in contact`);
  $("members-note").classList.toggle("delete", reachable < quorum);
  const leads = node.raft.leader === node.member_id;
  const text = leads || !node.raft.leader ? "" : `How far the others are is known to ${nameOf(node, node.raft.leader)}, which leads.`;
  setText($("leader-note"), text);
  sync($("member-rows").tBodies[0], node.members, (member) => [member.id, member.name, ...member.client_urls].join(" "),
    makeMember, (row, member) => updateMember(node, row, member));
}

// --- the store ----------------------------------------------------------------------------------

function showFacts(node) {
  const { store, version } = node;
  const facts = [
    ["Cluster ID", node.cluster_id],
    ["Cluster version", version.cluster ?? "not decided"],
    ["Backend", store.backend],
    ["Server", `Triode ${version.triode}, etcd ${version.server}`],
    ["Size of the file", size(store.size_bytes)],
    ["Watch streams", number.format(node.watches.streams)],
  ];
  sync($("facts"), facts, ([title]) => title, ([title]) => h("div", {}, h("dt", {}, title), h("dd")), (row, [, value]) => setText(row.lastElementChild, value));
}

async function compact() {
  const present = server.node.store.revision;
  const field = h("input", { type: "text", name: "revision", inputmode: "numeric", pattern: "[0-9]+", required: true, value: String(present) });
  const done = await ask({
    title: "Compact the history?",
    content: [
      sentence("All revisions below the one that you give are forgotten, on every member. The keys as they are stay. This cannot be undone."),
      h("label", { class: "field" }, h("span", {}, `Revision (now ${number.format(present)})`), field),
    ],
    verb: "Compact",
    danger: true,
    submit: (fields) => call("kv/compaction", { revision: fields.revision.value }),
  });
  if (done) toast(`Compacted up to revision ${number.format(Number(field.value))}.`);
}

$("compact").addEventListener("click", compact);
onNode((node) => {
  showHead(node);
  showAlarms(node);
  if (!$("view-overview").hidden) {
    showFigures(node);
    showMembers(node);
    showFacts(node);
  }
});
