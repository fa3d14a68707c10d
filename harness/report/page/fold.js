// A folded row: one word only if all its measured cells agree. If not, all the words, and those of
// TCP and UDP apart.

// The cells behind a button that does not stand in a row of its own.
const BEHIND = new WeakMap();

const measured = (number) => DATA.cells[number][4] !== null;

function grouped(numbers, key) {
  const groups = new Map();
  for (const number of numbers) {
    const group = key(number);
    if (!groups.has(group)) groups.set(group, []);
    groups.get(group).push(number);
  }
  return groups;
}

// Lists of `[heading, word, cells]`, the most frequent word of each heading first.
function foldedWords(numbers) {
  const verdicts = numbers.filter(measured);
  const asked = verdicts.length ? verdicts : numbers;
  const words = grouped(asked, wordAt);
  if (words.size === 1) return [["", ...[...words][0]]];
  const found = [];
  const protocols = grouped(asked, (number) => AXES_AT[pointOf(number)].get("protocol") ?? "");
  const sets = [...protocols.values()].map((some) => [...new Set(some.map(wordAt))].sort().join());
  const apart = new Set(sets).size > 1;
  if (!apart) return [...words].sort(([, one], [, other]) => other.length - one.length).map(([word, cells]) => ["", word, cells]);
  for (const [protocol, some] of protocols) {
    const own = [...grouped(some, wordAt)].sort(([, one], [, other]) => other.length - one.length);
    for (const [word, cells] of own) found.push([protocol, word, cells]);
  }
  return found;
}

// A word that may be broken behind its colon, where its errno or count begins.
const broken = (word) => word.split(":").flatMap((part, at) => (at ? [":", make("wbr"), part] : [part]));

function foldedButton([heading, word, cells], alone) {
  const share = alone ? percents(cells) : "";
  const button = make("button", { type: "button", tabIndex: -1, class: `cell ${styleOf(cells[0])}` },
    heading ? make("small", {}, `${heading} `) : null,
    make("i", { "aria-hidden": "true" }, glyphOf(cells[0])), " ", ...broken(word), " ",
    share ? make("small", {}, share) : null);
  BEHIND.set(button, cells);
  return button;
}

function foldedButtons(numbers) {
  const words = foldedWords(numbers);
  return words.map((one) => foldedButton(one, words.length === 1));
}
