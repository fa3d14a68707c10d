// The keyboard in a table: one tab stop, from which the arrow keys walk over the cells.

const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

const STOPS = ".cell, .fold";

// Make one element of a table the tab stop; without one, the first that can be seen.
function stopAt(board, chosen = null) {
  const old = board.querySelector(`:is(${STOPS})[tabindex="0"]`);
  const next = chosen ?? (old?.checkVisibility() ? old : [...board.querySelectorAll(STOPS)].find((one) => one.checkVisibility()));
  if (!next || old === next) return;
  old?.setAttribute("tabindex", "-1");
  next.setAttribute("tabindex", "0");
}

const stopsOf = (place) => [...place.querySelectorAll(STOPS)].filter((one) => !one.closest("[hidden]"));

function walk(event) {
  const step = STEPS[event.key];
  const place = event.target.closest("td, th");
  const board = event.currentTarget;
  if (!step || !place) return;
  const target = within(event.target, place, step) ?? beyond(place, board, step);
  if (!target) return;
  event.preventDefault();
  target.focus();
}

// Up and down first walk through the several words of one place.
function within(from, place, [, down]) {
  const stops = stopsOf(place);
  return down ? stops[stops.indexOf(from) + down] : undefined;
}

function beyond(place, board, [right, down]) {
  const lines = [...board.tBodies].filter((body) => !body.hidden).flatMap((body) => [...body.rows]).filter((line) => !line.hidden);
  let [column, at] = [place.cellIndex, lines.indexOf(place.parentElement)];
  for (;;) {
    column += right;
    at += down;
    const target = lines[at]?.cells[column];
    if (!target) return null;
    const stops = target.hidden ? [] : stopsOf(target);
    if (stops.length) return down < 0 ? stops.at(-1) : stops[0];
  }
}

function walkable(board) {
  for (const one of board.querySelectorAll(STOPS)) one.setAttribute("tabindex", "-1");
  stopAt(board);
  board.addEventListener("keydown", walk);
  board.addEventListener("focusin", (event) => { if (event.target.matches(STOPS)) stopAt(board, event.target); });
}
