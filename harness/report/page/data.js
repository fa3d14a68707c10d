"use strict";
// The data of the page: indexes into tables, written by page_data.py, and turned into cells here.

const DATA = JSON.parse(document.getElementById("data").textContent);

const text = (number) => (number === null || number === undefined ? null : DATA.texts[number]);

const named = ([names, ...values] = []) =>
  names === undefined ? {} : Object.fromEntries(DATA.names[names].map((name, at) => [name, values[at]]));

const AXES_AT = DATA.points.map((point) => new Map(point));

// One cell, as in matrix.json. `word` is its verdict without a count, `share` a number and its text.
function cellAt(number) {
  const [guest, scenario, point, state, verdict, word, glyph, style, account, why, share, counts, statistics, started, seconds, repeats] =
    DATA.cells[number];
  return {
    number,
    guest: DATA.guests[guest],
    head: DATA.heads[guest],
    scenario: DATA.scenarios[scenario],
    axes: Object.fromEntries(DATA.points[point]),
    state: DATA.states[state],
    verdict: text(verdict),
    word: text(word),
    glyph: text(glyph),
    style: text(style),
    account: DATA.accounts[account],
    why: text(why),
    share,
    counts: named(counts),
    titles: counts.length ? DATA.titles[counts[0]] : [],
    statistics: named(statistics),
    figures: statistics.length ? DATA.titles[statistics[0]] : [],
    started: text(started),
    seconds,
    repeats: (repeats ?? []).map(([came, because, ...numbers]) => ({
      came: text(came),
      why: text(because),
      counts: named(numbers[0]),
      statistics: named(numbers[1]),
    })),
  };
}

// Filtering reads these fields of every cell, so they are read without building the cell.
const guestOf = (number) => DATA.cells[number][0];
const pointOf = (number) => DATA.cells[number][2];
const wordOf = (number) => DATA.cells[number][5];
const shareOf = (number) => DATA.cells[number][10];
const glyphOf = (number) => DATA.texts[DATA.cells[number][6]];
const wordAt = (number) => text(wordOf(number));
const styleOf = (number) => DATA.texts[DATA.cells[number][7]];

// A name for a cell that is the same in every report, so that links can use it.
const keyOf = (number) => {
  const [, scenario, point] = DATA.cells[number];
  return [DATA.scenarios[scenario], ...DATA.points[point].map(([axis, value]) => `${axis}=${value}`)].join(" ");
};

const percents = (numbers) => {
  const shares = numbers.map(shareOf).filter((share) => share !== null);
  if (!shares.length) return "";
  shares.sort((one, other) => one[0] - other[0]);
  const [least, most] = [shares[0][1], shares[shares.length - 1][1]];
  return least === most ? `${least}%` : `${least}–${most}%`;
};

// Make an element. Strings among the children become text, never markup.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") element.className = value;
    else if (name in element && name !== "role") element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== ""));
  return element;
}
