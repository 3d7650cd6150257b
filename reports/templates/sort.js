// The heads of a table become buttons that sort it: rising, falling, and as it was. Without scripts tables are plain.
const units = { ms: 1e-3, "µs": 1e-6 };
const unit = (text) => units[text.match(/[\d.] ([mµ]s)\b/)?.[1]] ?? 1;
const number = (text) => (text === "never" ? Infinity : unit(text) * parseFloat(text.replace(/[,(]/g, "")));
const names = new Intl.Collator("en", { numeric: true });

function compare(a, b, isText) {
  if (isText) return names.compare(a, b);
  const [x, y] = [number(a), number(b)];
  return x === y ? 0 : x > y ? 1 : -1;
}

function sorted(rows, column, isText, direction) {
  const text = (row) => row.cells[column].textContent.trim();
  const isKnown = (row) => isText || !Number.isNaN(number(text(row)));
  const known = rows.filter(isKnown).sort((a, b) => direction * compare(text(a), text(b), isText));
  return [...known, ...rows.filter((row) => !isKnown(row))]; // what was not measured stays below
}

const next = { none: "ascending", ascending: "descending", descending: "none" };

for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  const asItWas = [...body.rows];
  const heads = [...table.tHead.rows[0].cells];
  for (const [column, head] of heads.entries()) {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const order = next[head.getAttribute("aria-sort")];
      for (const other of heads) other.setAttribute("aria-sort", "none");
      head.setAttribute("aria-sort", order);
      const isText = head.classList.contains("text");
      const direction = order === "descending" ? -1 : 1;
      body.append(...(order === "none" ? asItWas : sorted(asItWas, column, isText, direction)));
    });
  }
}
