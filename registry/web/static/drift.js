// The heat map by keyboard: one stop for Tab, arrow keys from cell to cell, and a line that says the figures of a cell.
"use strict";
(() => {
  const map = document.querySelector("[data-map]");
  const figures = document.querySelector("[data-figures]");
  if (!map || !figures) return;
  const rows = [...map.tBodies[0].rows];
  map.parentElement.scrollLeft = map.scrollWidth; // the newest check
  const linkAt = (row, column) => rows[row]?.cells[column]?.querySelector("a");
  const describe = (link) => {
    const cell = link.closest("td");
    if (!cell) return;
    const column = cell.parentElement.querySelector("th").innerText.trim();
    const check = map.tHead.rows[0].cells[cell.cellIndex].innerText.trim();
    figures.textContent = `${column}, ${check}: ${cell.title}`;
  };
  let stop = null;
  const take = (link) => {
    if (stop) stop.tabIndex = -1;
    stop = link;
    stop.tabIndex = 0;
  };
  // Only links of cells take part: those of rows are stops of their own.
  const first = map.querySelector("td a");
  if (first) take(first);

  const steps = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] };
  map.addEventListener("keydown", (event) => {
    const cell = event.target.closest("td");
    if (!cell || event.ctrlKey || event.metaKey || event.altKey) return;
    let row = rows.indexOf(cell.parentElement);
    let column = cell.cellIndex;
    const last = rows[row].cells.length - 1;
    let link = null;
    if (event.key === "Home") for (column = 1; column <= last && !link; column += 1) link = linkAt(row, column);
    else if (event.key === "End") for (column = last; column > 0 && !link; column -= 1) link = linkAt(row, column);
    else if (steps[event.key]) {
      // Cells without a result are passed over.
      const [down, right] = steps[event.key];
      do { row += down; column += right; link = linkAt(row, column); } while (!link && rows[row] && column > 0 && column <= last);
      if (column < 1) return;
    } else return;
    event.preventDefault();
    if (!link) return;
    take(link);
    link.focus();
  });
  map.addEventListener("focusin", (event) => {
    const link = event.target.closest("td a");
    if (link) { take(link); describe(link); }
  });
  map.addEventListener("mouseover", (event) => {
    const link = event.target.closest("td")?.querySelector("a");
    if (link) describe(link);
  });
})();
