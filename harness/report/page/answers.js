// The answers table, what a pointer does in both tables, and how wide they are.

const answers = document.getElementById("answer-table");
const system = document.getElementById("system");
const PHONE = matchMedia("(max-width: 40rem)");

for (const link of answers?.querySelectorAll("[data-link]") ?? []) {
  const numbers = DATA.links[Number(link.dataset.link)];
  BEHIND.set(link, numbers);
  link.href = linkTo({ guest: DATA.guests[guestOf(numbers[0])], cell: keyOf(numbers[0]) });
}

// Show one system only: its column of the answers, and its guests in the matrix. The choice is
// offered on a phone, and wherever one was made.
function showSystem() {
  if (!answers) return;
  const chosen = system.value === "" ? -1 : Number(system.value);
  system.closest("p").hidden = !PHONE.matches && chosen < 0;
  for (const line of answers.rows) for (const cell of [...line.cells].slice(1)) cell.hidden = chosen >= 0 && cell.cellIndex !== chosen + 1;
  const name = answers.tHead.rows[0].cells[chosen + 1]?.dataset.system;
  const own = (guest) => DATA.systems[guest] === name;
  for (const [guest, box] of boxes.entries()) box.checked = chosen < 0 ? CHECKED[guest] : own(guest) && CHECKED[guest];
}

// A table that fits into the page scrolls with it, so that its head stays at the top of the window.
function measureWidths() {
  for (const box of document.querySelectorAll("#answers .wide, #matrix .wide")) {
    box.classList.remove("fits");
    box.classList.toggle("fits", box.scrollWidth <= box.clientWidth + 1);
    box.classList.toggle("more", box.scrollLeft + box.clientWidth < box.scrollWidth - 1);
  }
}

for (const box of document.querySelectorAll(".wide")) {
  box.addEventListener("scroll", () => box.classList.toggle("more", box.scrollLeft + box.clientWidth < box.scrollWidth - 1), { passive: true });
}

function opened(event) {
  const button = event.target.closest(".cell");
  if (!button || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const numbers = numbersAt(button);
  // Touch screens cannot hover, so the first tap shows the tip, with a button for the evidence.
  if (event.pointerType === "touch" && !tip.classList.contains("held")) showTip(button, numbers, true);
  else openEvidence(numbers);
}

for (const board of [answers, table].filter(Boolean)) {
  walkable(board);
  board.addEventListener("click", opened);
  for (const [on, off] of [["pointerover", "pointerout"], ["focusin", "focusout"]]) {
    board.addEventListener(on, (event) => {
      const button = event.target.closest(".cell");
      const touched = event.pointerType === "touch" || tip.classList.contains("held");
      if (button && !touched) showTip(button, numbersAt(button));
    });
    board.addEventListener(off, (event) => {
      if (event.target.closest(".cell") && !tip.classList.contains("held")) hideTip();
    });
  }
}

document.addEventListener("pointerdown", (event) => {
  if (!tip.contains(event.target) && !event.target.closest(".cell")) { tip.classList.remove("held"); hideTip(); }
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") hideTip();
  if (event.key !== "/" || event.target.closest("input, select, dialog")) return;
  event.preventDefault();
  document.getElementById("filter-box").open = true;
  search.focus();
});
dialog.addEventListener("close", () => remember());
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
addEventListener("resize", measureWidths);
system?.addEventListener("change", () => { showSystem(); change(); });
