// Two guests side by side: their columns only, the rows that differ, and what differs in words.

const left = document.getElementById("left");
const right = document.getElementById("right");
const changes = document.getElementById("changes");

// The two guests that are compared; null if there are not two.
function compared() {
  if (!left?.value || !right.value || left.value === right.value) return null;
  return [Number(left.value), Number(right.value)];
}

// Show what two guests have to be compared by, or all guests again.
function compare() {
  const pair = compared();
  for (const [guest, box] of boxes.entries()) box.checked = pair ? pair.includes(guest) : CHECKED[guest];
  which.value = pair ? "differs" : "";
  if (pair) for (const section of SECTIONS) section.open = true;
}

// Each sentence once, with the number of rows for which it holds. All cells of a guest in a row have
// the same word, so the first measured one stands for them.
function changedWords([one, other]) {
  const found = new Map();
  for (const section of SECTIONS) {
    for (const row of section.rows) {
      const [old, now] = [one, other].map((guest) => row.shown.get(guest)?.find(measured));
      if (old === undefined || now === undefined || wordOf(old) === wordOf(now)) continue;
      const setting = AXES_AT[pointOf(now)].get("tunables");
      const subject = DATA.subjects[section.scenario] ?? section.name;
      const sentence = `${setting ? `with ${setting}, ` : ""}${subject}: ${wordAt(now)} instead of ${wordAt(old)}`;
      found.set(sentence, (found.get(sentence) ?? 0) + 1);
    }
  }
  return found;
}

function tellChanges() {
  if (!changes) return;
  const pair = compared();
  const found = pair ? changedWords(pair) : new Map();
  const [one, other] = (pair ?? []).map((guest) => DATA.guests[guest]);
  const head = found.size ? `On ${other}, compared with ${one}:` : `On ${other} as on ${one}, as far as both were measured.`;
  const items = [...found].map(([sentence, rows]) => make("li", {}, sentence, rows > 1 ? ` (${rows} rows)` : ""));
  changes.hidden = !pair;
  changes.replaceChildren(...(pair ? [make("p", {}, head), make("ul", {}, ...items)] : []));
}

for (const select of [left, right]) select?.addEventListener("change", compare);
