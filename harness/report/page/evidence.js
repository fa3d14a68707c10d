// The evidence for a cell: its counts and statistics, a picture, and every line of the agent.

const dialog = document.getElementById("evidence");
const tip = document.getElementById("tip");

const figures = (values) =>
  Object.entries(values).map(([name, value]) => `${name} ${Number.isInteger(value) ? value : Number(value).toPrecision(3)}`);

const where = (cell) => Object.values(cell.axes).join(" · ");

const said = (cell) => cell.verdict ?? `${cell.word}: ${cell.why}`;

function listed(values, titles = Object.keys(values)) {
  const list = make("dl", { class: "facts" });
  for (const [at, [name, value]] of Object.entries(values).entries()) {
    const shown = Number.isInteger(value) ? String(value) : Number(value).toPrecision(4);
    list.append(make("div", {}, make("dt", { title: name }, titles[at]), make("dd", {}, shown)));
  }
  return list;
}

function part(heading, ...content) {
  return make("section", {}, make("h3", {}, heading), ...content);
}

const linkTo = (parameters) => `#${new URLSearchParams(parameters)}`;

const CHUNKS = new Map(DATA.replies.map(([guest, scenario, packed]) => [`${guest} ${scenario}`, packed]));

async function repliesTo(number) {
  const [guest, scenario] = DATA.cells[number];
  const packed = CHUNKS.get(`${guest} ${scenario}`);
  if (packed === undefined) return [];
  const bytes = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const rows = await new Response(stream).json();
  return rows.filter(([cell]) => cell === number);
}

function reply(guest, [, attempt, started, seconds, status, failure, offset, length, carried, lines]) {
  const facts = [`asked ${started}, ${Number(seconds).toFixed(1)} s`, status === null ? null : `agent's exit status ${status}`, failure];
  const left = length > carried ? `; the first ${carried} are shown, the rest is in the folder of the run` : "";
  const source = `guests/${guest}/agent.jsonl, bytes ${offset} to ${offset + length} (${length})${left}`;
  return [
    make("p", { class: "note" }, `Attempt ${attempt}: ${facts.filter((fact) => fact !== null).join("; ")}. ${source}.`),
    ...(carried ? [make("pre", { tabIndex: 0 }, lines)] : []),
  ];
}

async function fillReplies(cell, section) {
  section.setAttribute("aria-busy", "true");
  try {
    const rows = await repliesTo(cell.number);
    const none = "This page has no recording of the cell: it was not asked, or the page was made from matrix.json alone.";
    section.append(...(rows.length ? rows.flatMap((row) => reply(cell.guest, row)) : [make("p", { class: "note" }, none)]));
  } catch (error) {
    section.append(make("p", { class: "note" }, `This browser cannot unpack the recording (${error.name}); it is in guests/${cell.guest}/agent.jsonl.`));
  }
  section.removeAttribute("aria-busy");
}

// One line; the facts of the guest stand once in the page.
function provenance(cell) {
  const entry = document.querySelectorAll("#guests .guest")[DATA.guests.indexOf(cell.guest)];
  return part("Provenance", make("p", {}, entry.querySelector("p").textContent), make("p", { class: "note" }, asked(cell)));
}

function asked({ started, seconds, repeats }) {
  const times = repeats.length > 1 ? `${repeats.length} times` : "once";
  return started === null ? "" : `Asked ${times}, ${started}, in ${Number(seconds).toFixed(1)} s.`;
}

// The same question on the other guests, in the order of the columns.
function elsewhere(cell) {
  const { number } = cell;
  const [, scenario, point] = DATA.cells[number];
  const same = DATA.cells.map((_, at) => at).filter((at) => DATA.cells[at][1] === scenario && pointOf(at) === point);
  if (same.length < 2) return null;
  const items = same.sort((one, other) => guestOf(one) - guestOf(other)).map((at) => {
    const button = opener(at, DATA.heads[guestOf(at)]);
    if (at === number) button.setAttribute("aria-current", "true");
    return make("li", {}, button);
  });
  return part("The same on", make("ul", { class: "others" }, ...items));
}

// A button that opens another cell.
function opener(at, said) {
  return make("button", { type: "button", class: `cell ${styleOf(at)}`, onclick: () => openEvidence([at]) },
    `${said} `, make("i", { "aria-hidden": "true" }, glyphOf(at)), ` ${wordAt(at)}`);
}

// What the kernel itself does to connections that wait in a queue whose listener closes: questions
// that say why a server that restarts loses some, and whether `tunables` would help.
const BEHIND_A_RESTART = [
  ["failure-queued", { failure: "close" }, "its queue, if a listener closes"],
  ["drain", { way: "close" }, "a worker that empties its queue, then closes"],
  ["drain", { way: "inherit" }, "a listener that is inherited"],
];
const USUAL = { option: "reuseport", protocol: "tcp", family: "ipv4", bind: "specific" };

function kernelOf(cell) {
  if (cell.scenario !== "restart") return null;
  const items = BEHIND_A_RESTART.flatMap(([scenario, more, said]) =>
    DATA.cells.map((_, at) => at)
      .filter((at) => DATA.scenarios[DATA.cells[at][1]] === scenario && DATA.guests[guestOf(at)] === cell.guest)
      .filter((at) => Object.entries({ ...USUAL, ...more }).every(([axis, value]) => AXES_AT[pointOf(at)].get(axis) === value))
      .map((at) => make("li", {}, opener(at, [said, AXES_AT[pointOf(at)].get("tunables")].filter(Boolean).join(", ")))));
  return items.length ? part("What this kernel does with a queue", make("ul", { class: "others" }, ...items)) : null;
}

// What happened, what it means for a server, and what to do.
function sentences(cell) {
  const [, means, advice] = cell.account;
  return [
    make("p", { class: "told" }, toldOf(cell)),
    means ? make("p", { class: "told" }, means) : null,
    advice ? make("p", { class: "advice" }, `What to do: ${advice}`) : null,
  ];
}

// The counts and their titles, without those of a time line, which the picture shows.
function withoutTime({ counts, titles }) {
  const kept = Object.keys(counts).map((name) => !/^at_\d+_/.test(name));
  return [Object.fromEntries(Object.entries(counts).filter((_, at) => kept[at])), titles.filter((_, at) => kept[at])];
}

// Everything about one cell, below the dialog's header.
function details(cell) {
  const picture = cell.state === "measured" ? chart(cell) : null;
  const replies = part("What the agent saw");
  fillReplies(cell, replies);
  const console = DATA.consoles[cell.guest];
  return [
    make("p", { class: `verdict ${styleOf(cell.number)}` }, make("i", { "aria-hidden": "true" }, cell.glyph), ` ${cell.verdict ?? cell.word}`),
    ...sentences(cell),
    make("p", { class: "note" }, Object.entries(cell.axes).map(([axis, value]) => `${axis} ${value}`).join(" · ")),
    make("p", { class: "links" },
      make("a", { href: linkTo({ guest: cell.guest, cell: keyOf(cell.number) }) }, "link to this cell"),
      make("a", { href: linkTo({ row: keyOf(cell.number) }) }, "link to its row")),
    picture && make("figure", {}, picture),
    elsewhere(cell),
    kernelOf(cell),
    Object.keys(cell.counts).length ? part("Counts", listed(...withoutTime(cell))) : null,
    Object.keys(cell.statistics).length ? part("Statistics", listed(cell.statistics, cell.figures)) : null,
    cell.repeats.length
      ? part("Repeats", make("ol", {}, ...cell.repeats.map((one) =>
          make("li", {}, [one.came, one.why, ...figures(one.counts)].filter((word) => word !== null).join("; ")))))
      : null,
    replies,
    provenance(cell),
    console ? part("End of the console", make("pre", { tabIndex: 0 }, console)) : null,
  ].filter((element) => element !== null);
}

// The cells among which the dialog goes forth and back: those that were opened, or, if it was one,
// all of its scenario and guest.
function around(numbers) {
  if (numbers.length > 1) return numbers;
  const [guest, scenario] = DATA.cells[numbers[0]];
  return DATA.cells.map((_, at) => at).filter((at) => DATA.cells[at][0] === guest && DATA.cells[at][1] === scenario);
}

// Open the dialog for cells that share one place in a table. It shows the first; the others are in
// the select, and the buttons beside it go forth and back.
function openEvidence(numbers) {
  const list = around(numbers);
  const heading = make("h2", { id: "evidence-heading" });
  const body = make("div");
  const options = list.map((number) => make("option", {}, `${DATA.heads[guestOf(number)]}, ${where(cellAt(number))}: ${wordAt(number)}`));
  const choice = make("select", { ariaLabel: `One of ${list.length} cells`, onchange: () => show(choice.selectedIndex) }, ...options);
  const step = (by, name) => make("button", { type: "button", onclick: () => show((choice.selectedIndex + by + list.length) % list.length) }, name);
  const show = (at) => {
    const cell = cellAt(list[at]);
    choice.selectedIndex = at;
    heading.replaceChildren(`${cell.scenario} on ${cell.head} `, make("small", {}, cell.guest));
    body.replaceChildren(...details(cell));
    remember({ guest: cell.guest, cell: keyOf(cell.number) });
  };
  const steps = list.length > 1 ? make("p", {}, step(-1, "‹ Previous"), choice, step(1, "Next ›")) : null;
  dialog.replaceChildren(make("header", {}, heading, make("button", { type: "button", onclick: () => dialog.close() }, "Close"), steps), body);
  show(list.indexOf(numbers[0]));
  hideTip();
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
}

function tipText(numbers) {
  const cell = cellAt(numbers[0]);
  const words = new Map();
  for (const number of numbers) words.set(said(cellAt(number)), (words.get(said(cellAt(number))) ?? 0) + 1);
  const many = [...words].slice(0, 6).map(([word, count]) => (numbers.length > 1 ? `${count} × ${word}` : word));
  const first = numbers.length > 1 ? `${numbers.length} cells, the first (${where(cell)}):\n` : "";
  return `${cell.head}\n${many.join("\n")}${words.size > 6 ? "\n…" : ""}\n${first}${toldOf(cell)}`;
}

function showTip(button, numbers, held = false) {
  tip.replaceChildren(tipText(numbers));
  if (held) tip.append(make("button", { type: "button", onclick: () => openEvidence(numbers) }, "Show the evidence"));
  tip.classList.toggle("held", held);
  tip.hidden = false;
  button.setAttribute("aria-describedby", "tip");
  const at = button.getBoundingClientRect();
  const below = at.bottom + tip.offsetHeight + 8 < innerHeight;
  tip.style.top = `${below ? at.bottom + 4 : Math.max(4, at.top - tip.offsetHeight - 4)}px`;
  tip.style.left = `${Math.max(4, Math.min(at.left, innerWidth - tip.offsetWidth - 4))}px`;
}

function hideTip() {
  tip.hidden = true;
  document.querySelector("[aria-describedby=tip]")?.removeAttribute("aria-describedby");
}
