// Pictures of a cell's counts, drawn from the numbers alone: null where a picture says nothing.

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 360;
const FAIR = 3; // standard deviations of a fair draw that the band shows

// What befell a connection, and the colour of that; what is not here is neither good nor bad.
const FATES = {
  served: "good", inherited: "good", completed: "good", kept: "good", open: "good",
  reset: "bad", dropped: "bad", refused: "bad", lost: "bad", closed: "bad", eof: "bad", unserved: "bad", never_served: "bad",
  stranded: "doubt", timeout: "doubt", delayed: "doubt",
};

function draw(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  element.append(...children);
  return element;
}

const word = (x, y, said, style = "") => draw("text", { x, y, class: `c-text ${style}` }, said);

// A count as it can be drawn: a file may hold anything.
const count = (value) => (Number.isFinite(value) && value > 0 ? value : 0);

// Counts that end in `member_0`, `member_1`, …, by what stands before: each a phase of the scenario.
function phases(counts) {
  const found = new Map();
  for (const [name, value] of Object.entries(counts)) {
    const member = /^(.*?)_?member_(\d+)$/.exec(name);
    if (!member) continue;
    const [, phase, place] = member;
    if (!found.has(phase)) found.set(phase, []);
    found.get(phase).push({ place: Number(place), name: `listener ${Number(place) + 1}`, value: count(value), style: `c-m${Number(place) % 8}` });
  }
  for (const parts of found.values()) parts.sort((one, other) => one.place - other.place);
  return found;
}

const sum = (parts) => parts.reduce((total, part) => total + part.value, 0);

// What befell those whose count's name begins so: `victim_reset`, `victim_total`.
function fates(counts, prefix, total) {
  const parts = [];
  for (const [name, value] of Object.entries(counts)) {
    const fate = name.startsWith(prefix) ? name.slice(prefix.length) : null;
    if (fate && fate in FATES && count(value)) parts.push({ name: fate.replace("_", " "), value: count(value), style: `c-${FATES[fate]}` });
  }
  // `dropped` is the sum where its kinds have counts of their own.
  if (sum(parts) > count(total)) parts.splice(0, parts.length, ...parts.filter((part) => part.name !== "dropped"));
  const rest = count(total) - sum(parts);
  if (rest > 0) parts.push({ name: parts.length ? "other" : "unaffected", value: rest, style: parts.length ? "c-other" : "c-good" });
  return parts;
}

// One bar of several parts, its words below it; returns how far down it reached.
function stacked(svg, y, label, parts) {
  const total = sum(parts);
  svg.append(word(0, y + 12, `${label}: ${total}`, "c-strong"));
  let x = 0;
  for (const part of parts) {
    const width = total ? (part.value / total) * WIDTH : 0;
    svg.append(draw("rect", { x, y: y + 18, width: Math.max(width - 1, 0.5), height: 16, class: part.style }, draw("title", {}, `${part.name} ${part.value}`)));
    x += width;
  }
  return legend(svg, y + 50, parts) + 8;
}

// The parts in words, as many to a line as fit.
function legend(svg, y, parts) {
  let x = 0;
  for (const part of parts) {
    const said = `${part.name} ${part.value}`;
    const width = 14 + said.length * 7.2;
    if (x && x + width > WIDTH) [x, y] = [0, y + 18];
    svg.append(draw("rect", { x, y: y - 9, width: 10, height: 10, class: part.style }), word(x + 14, y, said));
    x += width + 8;
  }
  return y + 8;
}

// A bar for each listener; the line is an even share, the band what chance makes of one.
function shares(svg, y, parts) {
  const [flows, fair] = [sum(parts), 1 / parts.length];
  const spread = FAIR * Math.sqrt((fair * (1 - fair)) / Math.max(flows, 1));
  const [left, room] = [76, WIDTH - 76 - 92];
  const most = Math.max(fair + spread, ...parts.map((part) => part.value / Math.max(flows, 1)));
  const at = (share) => left + (share / most) * room;
  const height = parts.length * 22;
  const band = draw("rect", { x: at(Math.max(0, fair - spread)), y, width: at(fair + spread) - at(Math.max(0, fair - spread)), height, class: "c-band" });
  svg.append(band);
  for (const [index, part] of parts.entries()) {
    const top = y + index * 22;
    const share = part.value / Math.max(flows, 1);
    svg.append(
      word(0, top + 15, part.name),
      draw("rect", { x: left, y: top + 3, width: Math.max(at(share) - left, 0.5), height: 15, class: part.style }, draw("title", {}, `${part.name} ${part.value}`)),
      word(at(most) + 6, top + 15, `${part.value} (${(100 * share).toFixed(share < 0.1 ? 1 : 0)}%)`));
  }
  svg.append(draw("line", { x1: at(fair), x2: at(fair), y1: y, y2: y + height, class: "c-line" }));
  svg.append(word(0, y + height + 14, `line: an even share; band: chance, ${FAIR} σ of a fair draw`, "c-faint"));
  return y + height + 22;
}

// Where flows went: blocks before and after, ribbons as thick as there are flows.
function ribbons(svg, y, blocks) {
  const total = Math.max(sum(blocks), 1);
  const [left, right, height] = [88, WIDTH - 124, 120];
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

function flows({ axes, counts }) {
  const [all, survivors, moved, newcomer] = ["flows", "survivors_total", "survivors_moved", "newcomer"].map((name) => count(counts[name]));
  const stayed = Math.max(survivors - moved, 0);
  const rest = Math.max(all - survivors, 0);
  const joins = axes.change === "join";
  return [
    { from: joins ? "all flows" : "the others'", name: "stay", value: stayed, style: "c-good" },
    { from: stayed ? "" : "the others'", name: joins ? "to newcomer" : "move", value: joins ? Math.min(newcomer, moved) : moved, style: joins ? "c-other" : "c-bad" },
    { from: "", name: "elsewhere", value: joins ? Math.max(moved - newcomer, 0) : 0, style: "c-bad" },
    { from: axes.change === "restart" ? "restarted" : "the leaver's", name: axes.change === "restart" ? "its own" : "find another", value: rest, style: "c-other" },
  ];
}

const ARRIVALS = ["served", "delayed", "reset", "refused", "lost", "closed", "unserved", "never_served"];

const PHASES = { all: "all listen", plain: "bound and listening in one order", crossed: "listening in the other", after: "after the newcomer", survivors: "the others serve" };

const phaseName = (name) => PHASES[name] ?? name.replace(/^left_(\d+)$/, "after $1 left").replace("_", " ");

// Draw what of a cell can be drawn, from the top down; returns the height.
function picture(svg, cell) {
  const { counts, scenario } = cell;
  if (scenario === "failure-flows") return ribbons(svg, 6, flows(cell));
  let y = 0;
  const found = phases(counts);
  if (scenario === "takeover" && found.has("after")) return takeover(svg, counts, found.get("after"));
  const pairs = Object.entries(counts).filter(([name]) => name.startsWith("served_by_"));
  if (pairs.length) return stacked(svg, 0, "flows", pairs.map(([name, value], at) => ({ name: name.slice("served_by_".length), value: count(value), style: `c-m${at}` })));
  if (found.has("") && found.size === 1) return shares(svg, y, even(cell, found.get("")));
  if (scenario === "server-port") return stacked(svg, 0, "flows at both ports", split(counts.compared, counts.same, "same listener", "another"));
  if (scenario === "group-limit") return stacked(svg, 0, "sockets", split(counts.asked, counts.ever_served, "served", "never did"));
  for (const [name, parts] of found) if (name !== "retired") y = stacked(svg, y, phaseName(name), parts);
  for (const [prefix, label] of [["victim_", "the failed one's"], ["survivors_", "the others'"]]) {
    const total = counts[`${prefix}total`] ?? (prefix === "victim_" ? counts.victim_flows : undefined);
    if (count(total)) y = stacked(svg, y, label, fates(counts, prefix, total));
  }
  if (count(counts.queued) && !("victim_total" in counts)) y = stacked(svg, y, "in the queue", fates(counts, "queue_", counts.queued));
  if (["failure-arrivals", "drain"].includes(scenario)) y = stacked(svg, y, "new connections", arrivals(counts));
  return y;
}

function split(all, part, name, other) {
  const parts = [{ name, value: count(part), style: "c-m0" }, { name: other, value: Math.max(count(all) - count(part), 0), style: "c-m1" }];
  return parts.filter((one) => one.value);
}

// The phases of a takeover, one below the other: time runs down.
function takeover(svg, counts, after) {
  const lost = ["lost_during", "lost_after"].map((name) => ({ name: name.replace("_", " "), value: count(counts[name]), style: "c-bad" }));
  const retired = [{ name: "listener 2", value: count(counts.retired_newcomer), style: "c-m1" }, { name: "lost", value: count(counts.lost_retired), style: "c-bad" }];
  svg.append(word(0, 12, "listener 1 is alone, then listener 2 joins", "c-faint"));
  const y = stacked(svg, 20, phaseName("after"), [...after, ...lost.filter((part) => part.value)]);
  const left = retired.filter((part) => part.value);
  return left.length ? stacked(svg, y, "after listener 1 left", left) : y;
}

// A listener that served nobody has no count; the group is as large as the others say.
function even({ scenario, counts }, parts) {
  const size = Math.max(scenario === "sharing" ? 2 : 0, ...parts.map((part) => part.place + 1), parts.length < 2 && scenario !== "precedence" ? 2 : 0);
  return [...Array(Math.min(size, 16)).keys()].map((place) =>
    parts.find((part) => part.place === place) ?? { place, name: `listener ${place + 1}`, value: 0, style: "c-other" });
}

function arrivals(counts) {
  const parts = ARRIVALS.filter((name) => count(counts[name])).map((name) => ({ name: name.replace("_", " "), value: count(counts[name]), style: `c-${FATES[name]}` }));
  const rest = count(counts.after_change ?? counts.flows) - sum(parts);
  return rest > 0 ? [{ name: "served", value: rest, style: "c-good" }, ...parts] : parts;
}

// The picture of a cell, with its numbers as its name for who does not see it.
function chart(cell) {
  const svg = draw("svg", { class: "chart", role: "img" });
  const height = picture(svg, cell);
  if (!svg.childElementCount) return null;
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${Math.ceil(height)}`);
  const numbers = Object.entries(cell.counts).map(([name, value]) => `${name} ${value}`).join(", ");
  svg.setAttribute("aria-label", `${cell.scenario} on ${cell.guest}: ${cell.verdict ?? cell.state}; ${numbers}`);
  return svg;
}
