// The marks of figures show their samples beside them, when pointed at and on focus. Each figure is one stop of the tab
// key; arrow keys, Home and End go from mark to mark, Escape hides the words. Without scripts a browser shows them on hover.
const most = 6; // marks on one place whose words are shown
const gap = 8; // pixels
const tip = document.createElement("div");
tip.className = "tip";
tip.hidden = true;
tip.setAttribute("aria-hidden", "true"); // the mark in focus bears the same words
document.body.append(tip);
let shown = null;

function wordsOf(mark) {
  const title = mark.querySelector("title");
  if (title) { // the browser would show it beside ours
    mark.setAttribute("aria-label", title.textContent);
    title.remove();
  }
  return mark.getAttribute("aria-label");
}

function place() {
  if (!shown) return;
  const box = shown.getBoundingClientRect();
  const left = Math.min(box.right + gap, document.documentElement.clientWidth - tip.offsetWidth - gap);
  const above = box.top - tip.offsetHeight - gap;
  tip.style.left = `${Math.max(gap, left)}px`;
  tip.style.top = `${above > gap ? above : box.bottom + gap}px`;
}

function show(marks) {
  const words = marks.slice(0, most).map(wordsOf);
  if (marks.length > most) words.push(`and ${marks.length - most} more`);
  tip.textContent = words.join("\n\n");
  tip.hidden = false;
  shown = marks[0];
  place();
}

function hide() {
  shown = null;
  tip.hidden = true;
}

function makeStop(mark) {
  mark.setAttribute("tabindex", "0");
  mark.setAttribute("role", "img");
  wordsOf(mark);
}

for (const layer of document.querySelectorAll("svg.figure .marks")) {
  const series = [...layer.children].map((group) => [...group.children]);
  const marks = series.flat();
  makeStop(marks[0]);
  layer.addEventListener("keydown", (event) => {
    const [at, of] = [marks.indexOf(event.target), series.findIndex((group) => group.includes(event.target))];
    const targets = { ArrowRight: marks[at + 1], ArrowLeft: marks[at - 1], Home: marks[0], End: marks.at(-1) };
    Object.assign(targets, { ArrowDown: series[of + 1]?.[0], ArrowUp: series[of - 1]?.[0] });
    if (event.key === "Escape") hide();
    if (!(event.key in targets)) return;
    event.preventDefault(); // the page does not scroll
    const target = targets[event.key];
    if (!target) return;
    event.target.removeAttribute("tabindex");
    makeStop(target);
    target.focus();
  });
  layer.addEventListener("focusin", (event) => show([event.target]));
  layer.addEventListener("focusout", hide);
  layer.addEventListener("pointerover", (event) => {
    const there = document.elementsFromPoint(event.clientX, event.clientY).filter((one) => marks.includes(one));
    show(there.length ? there : [event.target]);
  });
  layer.addEventListener("pointerout", hide);
}
addEventListener("scroll", place, { capture: true, passive: true });
addEventListener("resize", place);
