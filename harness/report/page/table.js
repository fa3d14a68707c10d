// The table: which rows and cells the filters show, and how the keyboard moves in it.

const MARK = "≠";
const ABSENT = { tunables: "as found", peer: "sockets" };
const FIRST = { option: "reuseport", tunables: ABSENT.tunables };

const table = document.getElementById("table");
const filters = document.getElementById("filters");
const which = document.getElementById("which");
const search = document.getElementById("search");
const unfold = document.getElementById("unfold");
const boxes = [...document.querySelectorAll("#columns input")];

const SECTIONS = [...table.tBodies].map((body) => ({ body, head: body.rows[0], rows: [], fold: null, open: false }));

let next = 0;
for (const section of SECTIONS) {
  for (const line of [...section.body.rows].slice(1)) {
    const [, values, cells] = DATA.rows[next++];
    const label = line.cells[0].querySelector(".label");
    section.rows.push({ line, label, values, cells: new Map(cells), shown: new Map() });
  }
}

// A select for each axis that has several values.
const selects = new Map();
for (const axis of DATA.filtered) {
  const values = new Set(AXES_AT.map((point) => point.get(axis)));
  const absent = values.delete(undefined) && ABSENT[axis];
  const offered = [...(absent ? [absent] : []), ...values];
  if (offered.length < 2) continue;
  const select = make("select", { name: axis }, make("option", { value: "" }, "any"), ...offered.map((value) => make("option", { value }, value)));
  selects.set(axis, select);
  document.getElementById("axes").append(make("label", {}, `${axis} `, select));
}

function start() {
  for (const [axis, select] of selects) select.value = FIRST[axis] ?? "";
  for (const select of selects.values()) if (select.selectedIndex < 0) select.value = "";
}

// A filter does not hide cells that lack its axis, unless the absence is itself a choice (`ABSENT`).
function fitting() {
  const chosen = [...selects].filter(([, select]) => select.value);
  return AXES_AT.map((point) =>
    chosen.every(([axis, select]) => {
      const value = point.get(axis) ?? ABSENT[axis];
      return value === undefined || value === select.value;
    }));
}

function narrowed(values) {
  const parts = [];
  for (const [axis, some, plain] of values) {
    const chosen = selects.get(axis)?.value;
    const left = chosen && some.includes(chosen) ? [] : some;
    if (left.length) parts.push((plain ? "" : `${axis} `) + left.join(" "));
  }
  return parts.join(" · ") || "all";
}

const measured = (number) => DATA.cells[number][4] !== null;
function differs(lists) {
  const verdicts = lists.map((numbers) => numbers.find(measured)).filter((number) => number !== undefined);
  return new Set(verdicts.map(wordOf)).size > 1;
}

// Set which cells of a row are shown: for each guest with a column, those that pass the filters.
function fit(row, points) {
  row.shown.clear();
  for (const [guest, numbers] of row.cells) {
    const left = boxes[guest].checked ? numbers.filter((number) => points[pointOf(number)]) : [];
    if (left.length) row.shown.set(guest, left);
  }
}

function wanted(row, section, query) {
  if (!row.shown.size) return false;
  const lists = [...row.shown.values()];
  if (which.value === "differs" && !differs(lists)) return false;
  if (which.value === "unmeasured" && lists.flat().every(measured)) return false;
  if (!query) return true;
  const words = [...new Set(lists.flat().map((number) => text(wordOf(number)) ?? DATA.states[DATA.cells[number][3]]))];
  return [section.head.cells[0].textContent, row.label.textContent, ...words].join(" ").toLowerCase().includes(query);
}

function relabel(row) {
  row.label.textContent = narrowed(row.values);
  for (const [guest, numbers] of row.shown) {
    const small = row.line.cells[guest + 1].querySelector("small");
    if (small) small.textContent = percents(numbers);
  }
}

// One word for a guest and a scenario: the most common verdict, and the others.
function summarise(numbers) {
  const verdicts = numbers.filter(measured);
  const asked = verdicts.length ? verdicts : numbers;
  const groups = new Map();
  for (const number of asked) {
    const group = text(wordOf(number)) ?? DATA.states[DATA.cells[number][3]];
    if (!groups.has(group)) groups.set(group, []);
    groups.get(group).push(number);
  }
  const [[word, members], ...others] = [...groups].sort(([, one], [, other]) => other.length - one.length);
  return { word, members, others };
}

function summaryButton(numbers) {
  const { word, members, others } = summarise(numbers);
  const glyph = DATA.texts[DATA.cells[members[0]][6]];
  const share = others.length ? "" : percents(members);
  const rest = others.map(([other]) => other).join(", ");
  const button = make("button", { type: "button", class: `cell ${styleOf(members[0])}` }, make("i", { "aria-hidden": "true" }, glyph), ` ${word} `);
  if (share) button.append(make("small", {}, share));
  if (others.length) button.append(make("small", { title: `also ${rest}`, "aria-label": `and ${others.length} other words: ${rest}` }, `+${others.length}`));
  return button;
}

function summary(section, rows) {
  const lists = new Map();
  for (const row of rows) for (const [guest, numbers] of row.shown) lists.set(guest, [...(lists.get(guest) ?? []), ...numbers]);
  section.shown = lists;
  section.fold.nextElementSibling.textContent = rows.some((row) => differs([...row.shown.values()])) ? MARK : "";
  for (const [guest, box] of boxes.entries()) {
    const numbers = lists.get(guest);
    const signature = numbers ? numbers.join() : "";
    const place = section.head.cells[guest + 1];
    if (place.dataset.cells === signature) continue;
    place.dataset.cells = signature;
    place.replaceChildren(...(numbers && box.checked ? [summaryButton(numbers)] : []));
  }
}

function chosenWords() {
  const words = [...selects].filter(([, select]) => select.value).map(([axis, select]) => `${axis} ${select.value}`);
  if (which.value) words.push(which.selectedOptions[0].textContent);
  if (search.value) words.push(`“${search.value}”`);
  return words.join(" · ");
}

function apply() {
  const points = fitting();
  const query = search.value.trim().toLowerCase();
  let [rows, cells] = [0, 0];
  for (const section of SECTIONS) {
    const shown = [];
    for (const row of section.rows) {
      fit(row, points);
      const on = wanted(row, section, query);
      row.line.hidden = !on || !section.open;
      if (!on) continue;
      relabel(row);
      shown.push(row);
      rows += 1;
      for (const numbers of row.shown.values()) cells += numbers.length;
    }
    section.body.hidden = !shown.length;
    if (shown.length) summary(section, shown);
    section.fold.setAttribute("aria-expanded", String(section.open));
  }
  for (const line of table.rows) for (const [guest, box] of boxes.entries()) line.cells[guest + 1].hidden = !box.checked;
  document.getElementById("chosen").textContent = chosenWords();
  document.getElementById("tally").textContent = `${cells} of ${DATA.cells.length} cells, in ${rows} rows`;
  const folded = SECTIONS.some((section) => !section.open);
  unfold.textContent = folded ? "Unfold all" : "Fold all";
  unfold.setAttribute("aria-expanded", String(!folded));
}

function remember() {
  const parameters = new URLSearchParams();
  for (const [axis, select] of selects) if (select.value !== (FIRST[axis] ?? "")) parameters.set(axis, select.value);
  if (which.value) parameters.set("show", which.value);
  if (search.value) parameters.set("q", search.value);
  history.replaceState(null, "", parameters.size ? `#${parameters}` : location.pathname + location.search);
}

function change() {
  apply();
  remember();
}

function numbersAt(button) {
  const place = button.closest("td");
  const line = place.parentElement;
  const section = SECTIONS.find((one) => one.body === line.parentElement);
  const source = line === section.head ? section : section.rows.find((row) => row.line === line);
  return source.shown.get(place.cellIndex - 1) ?? [];
}

// Show a row whatever the filters are, so that a link to it always works.
function reveal(key) {
  for (const section of SECTIONS) {
    for (const row of section.rows) {
      const found = [...row.cells.values()].flat().find((number) => keyOf(number) === key);
      if (found === undefined) continue;
      if (row.line.hidden) {
        section.open = true;
        if (!fitting()[pointOf(found)]) for (const select of selects.values()) select.value = "";
        [which.value, search.value] = ["", ""];
        for (const guest of row.cells.keys()) boxes[guest].checked = true;
        apply();
      }
      row.line.scrollIntoView({ block: "center" });
      row.line.querySelector("button")?.focus({ preventScroll: true });
      return true;
    }
  }
  return false;
}

// Follow a link: set the filters, then show the row or the cell.
function follow() {
  const parameters = new URLSearchParams(location.hash.slice(1));
  for (const [axis, select] of selects) if (parameters.has(axis)) select.value = parameters.get(axis);
  which.value = parameters.get("show") ?? which.value;
  search.value = parameters.get("q") ?? search.value;
  apply();
  const key = parameters.get("cell") ?? parameters.get("row");
  if (!key) return;
  const found = reveal(key);
  if (!parameters.has("cell")) {
    if (dialog.open) dialog.close();
    if (found) history.replaceState(null, "", linkTo({ row: key }));
    return;
  }
  const guest = DATA.guests.indexOf(parameters.get("guest"));
  const number = DATA.cells.findIndex((_, at) => guestOf(at) === guest && keyOf(at) === key);
  if (number >= 0) openEvidence([number]);
  else document.getElementById("tally").textContent += `. The linked cell is not in this run: ${parameters.get("guest")}, ${key}`;
}

const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

function walk(event) {
  const step = STEPS[event.key];
  const place = event.target.closest("#table td, #table th");
  if (!step || !place) return;
  const lines = [...table.rows].slice(1).filter((line) => !line.hidden && !line.parentElement.hidden);
  let [column, at] = [place.cellIndex, lines.indexOf(place.parentElement)];
  for (;;) {
    column += step[0];
    at += step[1];
    const target = lines[at]?.cells[column];
    if (!target) return;
    const button = target.hidden ? null : target.querySelector("button");
    if (!button) continue;
    event.preventDefault();
    button.focus();
    return;
  }
}

for (const section of SECTIONS) {
  const name = section.head.querySelector(".name");
  section.fold = make("button", { type: "button", class: "fold", onclick: () => { section.open = !section.open; apply(); } }, name.textContent);
  name.replaceWith(section.fold);
  section.fold.after(make("span", { class: "differs" }));
}

for (const event of ["input", "change"]) filters.addEventListener(event, change);
filters.addEventListener("submit", (event) => event.preventDefault());
filters.addEventListener("reset", () => setTimeout(() => { start(); change(); }));
unfold.addEventListener("click", () => {
  const open = SECTIONS.some((section) => !section.open);
  for (const section of SECTIONS) section.open = open;
  apply();
});

table.addEventListener("click", (event) => {
  const button = event.target.closest(".cell");
  if (!button) return;
  const numbers = numbersAt(button);
  // Touch screens cannot hover, so the first tap shows the tip, with a button for the evidence.
  if (event.pointerType === "touch" && !tip.classList.contains("held")) showTip(button, numbers, true);
  else openEvidence(numbers);
});
for (const [on, off] of [["pointerover", "pointerout"], ["focusin", "focusout"]]) {
  table.addEventListener(on, (event) => {
    const button = event.target.closest(".cell");
    const touched = event.pointerType === "touch" || tip.classList.contains("held");
    if (button && !touched) showTip(button, numbersAt(button));
  });
  table.addEventListener(off, (event) => {
    if (event.target.closest(".cell") && !tip.classList.contains("held")) hideTip();
  });
}
document.addEventListener("pointerdown", (event) => {
  if (!tip.contains(event.target) && !event.target.closest(".cell")) { tip.classList.remove("held"); hideTip(); }
});
table.addEventListener("keydown", walk);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") hideTip();
  if (event.key !== "/" || event.target.closest("input, select, dialog")) return;
  event.preventDefault();
  document.getElementById("filter-box").open = true;
  search.focus();
});
dialog.addEventListener("close", remember);
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
addEventListener("hashchange", follow);

for (const element of document.querySelectorAll(".scripted")) element.hidden = false;
document.getElementById("filter-box").open = matchMedia("(min-width: 40rem)").matches;
start();
follow();
