// What gradio leaves to the page: a table that sorts, an answer that is announced.
(() => {
  let order = null, said = "", chosen = 0;

  function sort(table) {
    const { column, down } = order;
    const value = (row) => {
      const cell = row.cells[column];
      return cell.dataset.value === undefined ? cell.innerText : Number(cell.dataset.value);
    };
    const compare = (a, b) => typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true });
    const rows = [...table.tBodies[0].rows];
    rows.sort((a, b) => (down ? -1 : 1) * compare(value(a), value(b)));
    table.tBodies[0].append(...rows);
    for (const head of table.tHead.querySelectorAll("th")) {
      const state = down ? "descending" : "ascending";
      head.ariaSort = head.cellIndex === column ? state : "none";
    }
  }

  function mark() {
    for (const button of document.querySelectorAll(".dm-show")) {
      if (Number(button.dataset.galaxy) === chosen) button.ariaCurrent = "true";
      else button.ariaCurrent = null;
    }
  }

  document.addEventListener("click", ({ target }) => {
    const head = target.closest(".dm-sort")?.parentElement, show = target.closest(".dm-show");
    if (head) {
      order = { column: head.cellIndex, down: head.ariaSort === "ascending" };
      sort(head.closest("table"));
    }
    if (show) {
      window.dmagnetChosen = chosen = Number(show.dataset.galaxy);
      mark();
      document.querySelector("#show").click();
    }
  });

  // Gradio opens the list of a dropdown once more when it hears the Tab that leaves it.
  document.addEventListener("keydown", (event) => {
    const leaves = event.key === "Tab" && event.target.getAttribute("role") === "combobox";
    if (leaves) event.stopPropagation();
  }, true);

  new MutationObserver(() => {
    const table = document.querySelector(".dm-galaxies table:not([data-known])");
    if (table) {
      table.dataset.known = "";
      if (order) sort(table);
      mark();
    }
    const now = document.querySelector("#answer [data-said]")?.dataset.said ?? "";
    if (now && now !== said) {
      document.querySelector("#dm-said").textContent = now;
      if (window.innerWidth <= 700) document.querySelector("#answer").scrollIntoView();
    }
    said = now;
  }).observe(document.documentElement, { childList: true, subtree: true });
})();
