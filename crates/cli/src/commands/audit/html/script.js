"use strict";
(() => {
  const table = document.getElementById("table");
  if (!table) return;
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const heads = Array.from(table.tHead.rows[0].cells);
  const search = document.getElementById("search");
  const state = document.getElementById("state");
  const shown = document.getElementById("shown");

  const key = (row, column, kind) => {
    if (kind === "rank") return Number(row.dataset.rank);
    const cell = row.cells[column];
    const time = cell.querySelector("time");
    if (time) return time.dateTime;
    const name = cell.querySelector(".name");
    return (name || cell).textContent.trim();
  };

  const compare = (a, b) =>
    typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true });

  const sort = (column) => {
    const head = heads[column];
    const down = head.getAttribute("aria-sort") === "ascending";
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const kind = head.dataset.sort;
    const keyed = rows.map((row) => [key(row, column, kind), row]);
    keyed.sort((a, b) => (down ? -1 : 1) * compare(a[0], b[0]));
    body.append(...keyed.map((pair) => pair[1]));
  };

  const filter = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      const fits =
        (!state.value || row.dataset.state === state.value) &&
        words.every((word) => text.includes(word));
      row.hidden = !fits;
      count += fits ? 1 : 0;
    }
    shown.textContent = count === rows.length ? `${count} findings` : `${count} of ${rows.length} findings`;
  };

  heads.forEach((head, column) => {
    if (!head.dataset.sort) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(column));
    head.append(button);
  });
  search.addEventListener("input", filter);
  state.addEventListener("change", filter);
  document.getElementById("controls").hidden = false;
})();
