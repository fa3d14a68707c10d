// Pictures of a cell's counts. They need only the numbers; without a useful picture, null.

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 300; // fits a phone of 320 pixels, so words keep their size there
const MOST = 16; // listeners with a bar of their own
const FAIR = 3; // standard deviations of a fair draw that the band shows

// Fates of a connection by the grades of the words: nothing lost, or clients notice; others are
// facts. Every errno name (`ECONNRESET`) is noticed.
const GOOD = new Set(["served", "inherited", "completed", "kept"]);
const BAD = new Set(["reset", "dropped", "refused", "lost", "closed", "eof", "timeout", "never_served", "stranded", "open", "delayed", "failed"]);
const PLAIN = new Set(["copied"]);

function befell(fate) {
  if (GOOD.has(fate)) return "good";
  if (BAD.has(fate) || /^E[A-Z0-9]+$/.test(fate)) return "bad";
  return PLAIN.has(fate) ? "other" : null;
}

function draw(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

const word = (x, y, said, style = "") => draw("text", { x, y, class: `c-text ${style}` }, said);

// A count that can be drawn. A file may contain anything, so all else becomes 0.
const count = (value) => (Number.isFinite(value) && value > 0 ? value : 0);

const listener = (place, value) => ({ place, name: `listener ${place + 1}`, value: count(value), style: `c-m${place % 8}`, sign: String(place + 1) });

const sum = (parts) => parts.reduce((total, part) => total + part.value, 0);

const fate = (name, value) => ({ name: name.replace("_", " "), value: count(value), style: `c-${befell(name)}` });

// Group the counts by the prefix of `flows`, `member_0`, `member_1`, …: each prefix is a phase. Add
// the fates of flows that were not served in it. The failed member's counts have their own bar.
function phases(counts) {
  const found = new Map();
  for (const [name, value] of Object.entries(counts)) {
    const [, phase = "", place] = /^(?:(.*)_)?(?:member_(\d{1,5})|flows)$/.exec(name) ?? [];
    if (name === "flows" || phase === "victim" || !(place || name.endsWith("_flows"))) continue;
    if (!found.has(phase)) found.set(phase, []);
    if (place) found.get(phase).push(listener(Number(place), value));
  }
  for (const [phase, parts] of found) {
    parts.sort((one, other) => one.place - other.place);
    if (phase) parts.push(...unserved(counts, `${phase}_`));
  }
  return found;
}

// The fates with a count and this prefix, such as `victim_reset`, `left_1_ECONNREFUSED`.
function unserved(counts, prefix) {
  return Object.entries(counts)
    .filter(([name, value]) => name.startsWith(prefix) && befell(name.slice(prefix.length)) && count(value))
    .map(([name, value]) => fate(name.slice(prefix.length), value));
}

// The fates of `total` flows from the counts with this prefix. `rest` names the flows that no count
// covers.
function fates(counts, prefix, total, rest) {
  const elsewhere = Object.keys(counts).filter((name) => name.startsWith(`${prefix}member_`));
  const taken = elsewhere.reduce((all, name) => all + count(counts[name]), 0);
  let parts = unserved(counts, prefix);
  // If the kinds of `dropped` have their own counts, `dropped` is their sum.
  if (parts.length > 1) parts = parts.filter((part) => part.name !== "dropped");
  if (taken) parts.push({ name: "served by others", value: taken, style: "c-good" });
  const left = count(total) - sum(parts);
  return left > 0 ? [...parts, { ...rest, value: left }] : parts;
}

const UNAFFECTED = { name: "unaffected", style: "c-good" };
const OTHER = { name: "other", style: "c-other" };

// A bar or its swatch. Parts that clients notice are also hatched, for colour-blind readers.
function bar(svg, x, y, width, height, part, ...children) {
  const shape = { x, y, width: Math.max(width, 0.5), height };
  svg.append(draw("rect", { ...shape, class: `c-bar ${part.style}` }, ...children));
  const path = part.style === "c-bad" ? hatch(shape) : "";
  if (path) svg.append(draw("path", { d: path, class: "c-hatch" }));
}

function hatch({ x, y, width, height }) {
  let path = "";
  for (let at = x + 1; at + height / 2 <= x + width; at += 6) path += `M${at} ${y + height}l${height / 2} ${-height}`;
  return path;
}

const titled = (part) => draw("title", {}, `${part.name} ${part.value}`);

// One bar of several parts with its words below; returns the y where it ends.
function stacked(svg, y, label, parts) {
  const total = sum(parts);
  svg.append(word(0, y + 12, `${label}: ${total}`, "c-strong"));
  let x = 0;
  for (const part of parts) {
    const width = total ? (part.value / total) * WIDTH : 0;
    bar(svg, x, y + 18, width - 1, 16, part, titled(part));
    if (part.sign && width > 9 * part.sign.length + 4) svg.append(word(x + width / 2, y + 30.5, part.sign, `c-in ${part.style}`));
    x += width;
  }
  return legend(svg, y + 50, parts) + 8;
}

// The parts in words, as many as fit on each line.
function legend(svg, y, parts) {
  let x = 0;
  for (const part of parts) {
    const words = `${part.name} ${part.value}`;
    const width = 14 + words.length * 7.2;
    if (x && x + width > WIDTH) [x, y] = [0, y + 18];
    bar(svg, x, y - 9, 10, 10, part);
    svg.append(word(x + 14, y, words));
    x += width + 8;
  }
  return y + 8;
}

// A bar for each listener. The line is an even share; the band is the range of a fair draw. If the
// sender decides the listener, a draw is a sender, because its datagrams stay together.
function shares(svg, y, { parts, size, draws }) {
  const [flows, fair] = [Math.max(sum(parts), 1), 1 / size];
  const spread = FAIR * Math.sqrt((fair * (1 - fair)) / Math.max(draws, 1));
  const [left, room] = [76, WIDTH - 76 - 92];
  const most = Math.max(fair + spread, ...parts.map((part) => part.value / flows));
  const at = (share) => left + (share / most) * room;
  const height = parts.length * 22;
  const low = at(Math.max(0, fair - spread));
  svg.append(draw("rect", { x: low, y, width: at(fair + spread) - low, height, class: "c-band" }));
  for (const [index, part] of parts.entries()) {
    const top = y + index * 22;
    const share = part.value / flows;
    svg.append(word(0, top + 15, part.name));
    bar(svg, left, top + 3, at(share) - left, 15, part, titled(part));
    svg.append(word(at(most) + 6, top + 15, `${part.value} (${(100 * share).toFixed(share && share < 0.1 ? 1 : 0)}%)`));
  }
  svg.append(draw("line", { x1: at(fair), x2: at(fair), y1: y, y2: y + height, class: "c-line" }));
  svg.append(word(0, y + height + 14, `dashed: even share; shaded: ${FAIR} σ of ${draws} draws`, "c-faint"));
  return y + height + 22;
}

// Where flows went: blocks before and after, joined by ribbons as thick as the number of flows.
function ribbons(svg, y, blocks) {
  const total = Math.max(sum(blocks), 1);
  const [left, right, height] = [84, WIDTH - 128, 120];
  let before = y;
  let after = y;
  for (const block of blocks) {
    const thick = (block.value / total) * height;
    const middle = (left + right) / 2;
    const path = `M${left} ${before}C${middle} ${before} ${middle} ${after} ${right} ${after}v${thick}C${middle} ${after + thick} ${middle} ${before + thick} ${left} ${before + thick}Z`;
    svg.append(draw("path", { d: path, class: `c-ribbon ${block.style}` }, draw("title", {}, `${block.from}: ${block.name} ${block.value}`)));
    const low = Math.max(thick / 2, 0) + 4;
    if (block.value) {
      if (block.from) svg.append(word(0, before + low, block.from));
      svg.append(word(right + 6, after + low, `${block.name} ${block.value}`));
    }
    before += thick;
    after += thick + (thick ? 14 : 0);
  }
  return after + 6;
}

function flows({ axes, counts, statistics }) {
  const [all, survivors, moved, newcomer] = ["flows", "survivors_total", "survivors_moved", "newcomer"].map((name) => count(counts[name]));
  const stayed = Math.max(survivors - moved, 0);
  const rest = Math.max(all - survivors, 0);
  const [joins, restarts] = [axes.change === "join", axes.change === "restart"];
  // From the share of all flows that moved follows how many came back to the restarted member.
  const gone = restarts ? Math.min(rest, Math.max(0, Math.round(count(statistics?.moved_of_all) * all) - moved)) : rest;
  const [others, own] = [joins ? "all flows" : "survivors'", restarts ? "restarted's" : "the leaver's"];
  return [
    { from: others, name: "stay", value: stayed, style: "c-good" },
    { from: stayed ? "" : others, name: joins ? "to newcomer" : "move", value: joins ? Math.min(newcomer, moved) : moved, style: joins ? "c-other" : "c-bad" },
    { from: "", name: "elsewhere", value: joins ? Math.max(moved - newcomer, 0) : 0, style: "c-bad" },
    { from: own, name: "come back", value: rest - gone, style: "c-m4" },
    { from: rest > gone ? "" : own, name: "find another", value: gone, style: "c-other" },
  ];
}

const PHASES = {
  all: "all listen", plain: "bound and listening in one order", crossed: "listening in the other",
  after: "3. after it joined: both listen", survivors: "the other workers'",
};

const phaseName = (name) => PHASES[name] ?? name.replace(/^left_(\d+)$/, "after $1 left").replace("_", " ");

// Scenarios whose counts have special names, and the function that draws them.
const OWN = {
  backlog, takeover, drain, restart: restarted, "failure-arrivals": arrivals, "group-limit": group,
  "failure-flows": (svg, cell) => ribbons(svg, 6, flows(cell)),
  "server-port": (svg, { counts }) => stacked(svg, 0, "flows at both ports", split(counts.compared, counts.same, "same listener", "another")),
};

// Draw all that can be drawn of a cell, from the top down; returns the height.
function picture(svg, cell) {
  const { counts, scenario } = cell;
  if (Object.hasOwn(OWN, scenario)) return OWN[scenario](svg, cell);
  const pairs = Object.entries(counts).filter(([name]) => name.startsWith("served_by_"));
  if (pairs.length) return stacked(svg, 0, "flows", pairs.map(([name, value], at) => ({ name: name.slice("served_by_".length), value: count(value), style: `c-m${at % 8}` })));
  const found = phases(counts);
  if (found.has("") && found.size === 1) return shares(svg, 0, even(cell, found.get("")));
  if (count(counts.copied)) return stacked(svg, 0, "datagrams", split(counts.flows, counts.copied, "reached several", "did not"));
  let y = 0;
  const rest = scenario === "failure-established" ? UNAFFECTED : OTHER;
  for (const [prefix, label] of [["victim_", "the failed worker's"], ["survivors_", "the other workers'"]]) {
    const total = counts[`${prefix}total`] ?? (prefix === "victim_" ? counts.victim_flows : undefined);
    if (count(total)) y = stacked(svg, y, label, fates(counts, prefix, total, rest));
  }
  for (const [name, parts] of found) y = stacked(svg, y, phaseName(name), parts);
  for (const [prefix, label] of [["inherited_by_", "who inherited them"], ["completed_by_", "who completed them"]]) {
    const heirs = Object.entries(counts).filter(([name]) => name.startsWith(prefix) && /^\d{1,5}$/.test(name.slice(prefix.length)));
    if (heirs.length) y = stacked(svg, y, label, heirs.map(([name, value]) => listener(Number(name.slice(prefix.length)), value)));
  }
  if (count(counts.queued) && !("victim_total" in counts)) {
    y = stacked(svg, y, "in the queue", fates(counts, "queue_", counts.queued, OTHER));
    const fresh = unserved(counts, "new_");
    if (fresh.length) y = stacked(svg, y, "new connections", fresh);
  }
  return y;
}

function split(all, part, name, other) {
  const parts = [{ name, value: count(part), style: "c-m0" }, { name: other, value: Math.max(count(all) - count(part), 0), style: "c-m1" }];
  return parts.filter((one) => one.value);
}

// The phases of a takeover, from top to bottom in time.
function takeover(svg, { counts }) {
  const some = (parts) => parts.filter((part) => part.value);
  svg.append(word(0, 12, "1. listener 1 is alone", "c-faint"));
  let y = 20;
  const meanwhile = count(counts.during);
  const astray = Math.min(count(counts.lost_during), meanwhile);
  if (meanwhile) y = stacked(svg, y, "2. while listener 2 joins", some([fate("served", meanwhile - astray), fate("lost", astray)]));
  const after = phases(counts).get("after");
  if (after) y = stacked(svg, y, phaseName("after"), after);
  const last = some([listener(1, counts.retired_newcomer), fate("lost", counts.lost_retired)]);
  if (last.length) y = stacked(svg, y, "4. after listener 1 left", last);
  const [kept, dropped] = [count(counts.established), count(counts.alive_lost)];
  if (kept) y = stacked(svg, y, "connections of listener 1", some([{ ...UNAFFECTED, value: Math.max(kept - dropped, 0) }, fate("lost", dropped)]));
  return svg.childElementCount > 1 ? y : svg.replaceChildren();
}

// Add bars for listeners without a count, which served nothing. The largest index gives the size.
function even({ scenario, counts }, parts) {
  const size = Math.max(...parts.map((part) => part.place + 1), scenario === "precedence" ? 1 : 2);
  const shown = [...Array(Math.min(size, MOST)).keys()].map((place) => parts.find((part) => part.place === place) ?? listener(place, 0));
  const more = sum(parts) - sum(shown);
  if (more > 0) shown.push({ name: "the rest", value: more, style: "c-other" });
  return { parts: shown, size, draws: count(counts.senders) || sum(parts) };
}

// The connections that had not ended when the worker failed. `delayed` and `lost` include `unserved`.
function arrivals(svg, { counts }) {
  const names = ["served", "delayed", "reset", "refused", "lost"];
  const parts = names.map((name) => fate(name, counts[name])).filter((part) => part.value);
  if (!parts.length) return 0;
  const y = stacked(svg, 0, "connections since the failure", parts);
  svg.append(word(0, y + 6, `the last one affected began after ${count(counts.recovery_ms)} ms`, "c-faint"));
  return y + 14;
}

// All flows without a bad fate were served.
function drain(svg, { counts }) {
  const parts = unserved(counts, "");
  const rest = count(counts.flows) - sum(parts);
  if (rest > 0) parts.unshift(fate("served", rest));
  return parts.length ? stacked(svg, 0, "new connections", parts) : 0;
}

// How many of the flows fitted into the queue before and after the second listen().
function backlog(svg, { counts }) {
  const part = (name) => split(counts.flows, counts[name], "in the queue", "left out");
  const y = stacked(svg, 0, "before", part("queued_before"));
  return stacked(svg, y, "after", part("queued_after"));
}

function group(svg, { counts }) {
  const [asked, stood, served] = ["asked", "stood", "ever_served"].map((name) => count(counts[name]));
  const parts = [{ name: "served", value: served, style: "c-m1" }, { name: "never served", value: Math.max(stood - served, 0), style: "c-m4" }, { name: "could not join", value: Math.max(asked - stood, 0), style: "c-other" }];
  return asked ? stacked(svg, 0, "sockets", parts.filter((part) => part.value)) : 0;
}

// The picture of a cell, with its numbers as a label for screen readers.
function chart(cell) {
  const svg = draw("svg", { class: "chart", role: "img" });
  const height = picture(svg, cell);
  if (!svg.childElementCount) return null;
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${Math.ceil(height)}`);
  const numbers = Object.entries(cell.counts).map(([name, value]) => `${name} ${value}`).join(", ");
  svg.setAttribute("aria-label", `${cell.scenario} on ${cell.guest}: ${cell.verdict ?? cell.state}; ${numbers}`);
  return svg;
}
