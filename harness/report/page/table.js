// The table: which rows and cells the filters show.

const MARK = "≠";
const ABSENT = { tunables: "as found", peer: "sockets" };
const FIRST = { option: "reuseport", tunables: ABSENT.tunables };

const table = document.getElementById("table");
const filters = document.getElementById("filters");
const which = document.getElementById("which");
const search = document.getElementById("search");
const unfold = document.getElementById("unfold");
const boxes = [...document.querySelectorAll("#columns input")];
const CHECKED = boxes.map((box) => box.checked);

const SECTIONS = [...table.tBodies].filter((body) => body.dataset.scenario).map((body) => ({
  body, head: body.rows[0], scenario: body.dataset.scenario, name: body.rows[0].querySelector(".name").textContent, rows: [], fold: null, open: false,
}));

let next = 0;
for (const section of SECTIONS) {
  for (const line of [...section.body.rows].slice(1)) {
    const [, values, cells] = DATA.rows[next++];
    const label = line.cells[0].querySelector(".label");
    section.rows.push({ line, label, values, cells: new Map(cells), shown: new Map(), said: new Map() });
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

// Whether guests of one system have different words here, or, `across`, any two guests.
function differs(shown, across = false) {
  const words = new Map();
  for (const [guest, numbers] of shown) {
    const number = numbers.find(measured);
    const system = across ? "" : DATA.systems[guest];
    if (number === undefined) continue;
    if (words.has(system) && words.get(system) !== wordOf(number)) return true;
    words.set(system, wordOf(number));
  }
  return false;
}

// Set which cells of a row are shown: for each guest with a column, those that pass the filters.
function fit(row, points) {
  row.shown.clear();
  for (const [guest, numbers] of row.cells) {
    const left = boxes[guest].checked ? numbers.filter((number) => points[pointOf(number)]) : [];
    if (left.length) row.shown.set(guest, left);
  }
}

// What a search looks at: the question, the case, the guest, its word and what that means. All
// cells of a guest in a row have the same word.
function saidBy(section, row, guest) {
  if (!row.said.has(guest)) {
    const [first] = row.cells.get(guest);
    const meaning = DATA.words[section.scenario]?.[wordAt(first).split(":")[0]] ?? "";
    const question = section.head.cells[0].textContent;
    const texts = [question, ...row.values.flat(2), DATA.guests[guest], DATA.heads[guest], wordAt(first), meaning];
    row.said.set(guest, texts.join(" ").toLowerCase());
  }
  return row.said.get(guest);
}

function wanted(row, section, query) {
  if (!row.shown.size) return false;
  if (which.value === "differs" && !differs(row.shown, true)) return false;
  if (which.value === "releases" && !differs(row.shown)) return false;
  if (which.value === "unmeasured" && [...row.shown.values()].flat().every(measured)) return false;
  if (!query.length) return true;
  return [...row.shown.keys()].some((guest) => query.every((word) => saidBy(section, row, guest).includes(word)));
}

function relabel(row) {
  row.label.textContent = narrowed(row.values);
  for (const [guest, numbers] of row.shown) {
    const small = row.line.cells[guest + 1].querySelector("small");
    if (small) small.textContent = percents(numbers);
  }
}

function summary(section, rows) {
  const lists = new Map();
  for (const row of rows) for (const [guest, numbers] of row.shown) lists.set(guest, [...(lists.get(guest) ?? []), ...numbers]);
  section.fold.nextElementSibling.textContent = rows.some((row) => differs(row.shown)) ? MARK : "";
  for (const guest of boxes.keys()) {
    const numbers = lists.get(guest) ?? [];
    const signature = numbers.join();
    const place = section.head.cells[guest + 1];
    if (place.dataset.cells === signature) continue;
    place.dataset.cells = signature;
    place.replaceChildren(...(numbers.length ? foldedButtons(numbers) : []));
  }
}

function chosenWords() {
  const words = [...selects].filter(([, select]) => select.value).map(([axis, select]) => `${axis} ${select.value}`);
  if (which.value) words.push(which.selectedOptions[0].textContent);
  if (search.value) words.push(`“${search.value}”`);
  return words.join(" · ");
}

// Hide the columns whose box is not checked; a system's head spans those that are left.
function hideColumns() {
  const signature = boxes.map((box) => Number(box.checked)).join("");
  if (table.dataset.columns === signature) return;
  table.dataset.columns = signature;
  const [systems, guests] = table.tHead.rows;
  for (const [guest, box] of boxes.entries()) guests.cells[guest].hidden = !box.checked;
  for (const body of table.tBodies) for (const line of body.rows) for (const [guest, box] of boxes.entries()) line.cells[guest + 1].hidden = !box.checked;
  table.style.minWidth = `${15.5 + 6 * boxes.filter((box) => box.checked).length}rem`;
  let first = 0;
  for (const head of [...systems.cells].slice(1)) {
    head.dataset.span ??= head.colSpan;
    const own = boxes.slice(first, first + Number(head.dataset.span)).filter((box) => box.checked).length;
    head.hidden = !own;
    head.colSpan = own || 1;
    first += Number(head.dataset.span);
  }
  measureWidths();
}

function tell(rows, cells) {
  const none = search.value.trim() ? `No row matches “${search.value.trim()}” with these filters.` : "No row matches these filters.";
  document.getElementById("chosen").textContent = chosenWords();
  document.getElementById("tally").textContent = rows ? `${cells} of ${DATA.cells.length} cells, in ${rows} rows` : none;
  const folded = SECTIONS.some((section) => !section.open);
  unfold.textContent = folded ? "Unfold all" : "Fold all";
  unfold.setAttribute("aria-expanded", String(!folded));
}

function apply() {
  const points = fitting();
  const query = search.value.toLowerCase().split(/\s+/).filter(Boolean);
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
  hideColumns();
  tell(rows, cells);
  tellChanges();
  stopAt(table);
}

function change() {
  apply();
  remember();
}

function numbersAt(button) {
  if (BEHIND.has(button)) return BEHIND.get(button);
  const place = button.closest("td");
  const line = place.parentElement;
  const section = SECTIONS.find((one) => one.body === line.parentElement);
  return section.rows.find((row) => row.line === line).shown.get(place.cellIndex - 1) ?? [];
}

for (const section of SECTIONS) {
  const toggle = () => { section.open = !section.open; change(); };
  section.fold = make("button", { type: "button", class: "fold", onclick: toggle }, section.name);
  section.head.querySelector(".name").replaceWith(section.fold);
  section.fold.after(make("span", { class: "differs" }));
}

for (const event of ["input", "change"]) filters.addEventListener(event, change);
filters.addEventListener("submit", (event) => event.preventDefault());
filters.addEventListener("reset", () => setTimeout(() => { start(); change(); }));
unfold.addEventListener("click", () => {
  const open = SECTIONS.some((section) => !section.open);
  for (const section of SECTIONS) section.open = open;
  change();
});
