// The state of the page in its address, so that it survives a reload and can be sent to others.

function state() {
  const parameters = new URLSearchParams();
  const pair = compared();
  for (const [axis, select] of selects) if (select.value !== (FIRST[axis] ?? "")) parameters.set(axis, select.value);
  if (which.value) parameters.set("show", which.value);
  if (search.value) parameters.set("q", search.value);
  if (system?.value && !system.closest("p").hidden) parameters.set("system", system.value);
  else if (pair) pair.forEach((guest, side) => parameters.set(["compare", "with"][side], DATA.guests[guest]));
  else if (boxes.some((box, guest) => box.checked !== CHECKED[guest])) {
    for (const [guest, box] of boxes.entries()) if (box.checked) parameters.append("guests", DATA.guests[guest]);
  }
  if (SECTIONS.every((section) => section.open)) parameters.set("open", "all");
  else for (const section of SECTIONS) if (section.open) parameters.append("open", section.name);
  return parameters;
}

// Write the state into the address, and what else it should name: the cell of the open dialog.
function remember(more = {}) {
  const parameters = state();
  for (const [name, value] of Object.entries(more)) parameters.set(name, value);
  history.replaceState(null, "", parameters.size ? `#${parameters}` : location.pathname + location.search);
}

function restore(parameters) {
  for (const [axis, select] of selects) if (parameters.has(axis)) select.value = parameters.get(axis);
  which.value = parameters.get("show") ?? which.value;
  search.value = parameters.get("q") ?? search.value;
  if (system && parameters.has("system")) {
    system.value = parameters.get("system");
    if (system.selectedIndex < 0) system.value = "";
    showSystem();
  }
  if (left && parameters.has("compare") && parameters.has("with")) {
    for (const [select, name] of [[left, "compare"], [right, "with"]]) select.value = DATA.guests.indexOf(parameters.get(name));
    compare();
  }
  const guests = parameters.getAll("guests");
  if (guests.length) for (const [guest, box] of boxes.entries()) box.checked = guests.includes(DATA.guests[guest]);
  const open = parameters.getAll("open");
  if (open.length) for (const section of SECTIONS) section.open = open.includes("all") || open.includes(section.name);
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
      row.line.querySelector(".cell")?.focus({ preventScroll: true });
      return true;
    }
  }
  return false;
}

// Follow a link: set the filters, then show the row or the cell.
function follow() {
  const parameters = new URLSearchParams(location.hash.slice(1));
  restore(parameters);
  apply();
  const key = parameters.get("cell") ?? parameters.get("row");
  if (!key) return;
  if (!parameters.has("cell")) {
    if (dialog.open) dialog.close();
    if (reveal(key)) remember({ row: key });
    return;
  }
  const guest = DATA.guests.indexOf(parameters.get("guest"));
  const number = DATA.cells.findIndex((_, at) => guestOf(at) === guest && keyOf(at) === key);
  if (number >= 0) openEvidence([number]);
  else document.getElementById("tally").textContent += `. The linked cell is not in this run: ${parameters.get("guest")}, ${key}`;
}

// Links within the page scroll, and leave the state in the address alone.
for (const link of document.querySelectorAll('nav a, .skip')) {
  link.addEventListener("click", (event) => {
    const target = document.getElementById(link.hash.slice(1));
    if (!target) return;
    event.preventDefault();
    target.tabIndex = -1;
    target.scrollIntoView();
    target.focus({ preventScroll: true });
  });
}

addEventListener("hashchange", follow);

for (const element of document.querySelectorAll(".scripted")) element.hidden = false;
document.getElementById("filter-box").open = !PHONE.matches;
start();
if (system && PHONE.matches) system.selectedIndex = 1;
showSystem();
follow();
