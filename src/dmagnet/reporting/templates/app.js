// What gradio leaves to the page: a table that sorts, an answer that is announced.
(() => {
  let order = null, said = "";

  function sort(table) {
    const { column, down } = order, { tBodies: [body], tHead } = table;
    const value = ({ cells }) => cells[column].dataset.value ?? cells[column].innerText;
    const compare = (a, b) => value(a).localeCompare(value(b), "en", { numeric: true });
    body.append(...[...body.rows].sort((a, b) => (down ? compare(b, a) : compare(a, b))));
    for (const head of tHead.querySelectorAll("th")) head.ariaSort = "none";
    tHead.rows[0].cells[column].ariaSort = down ? "descending" : "ascending";
  }

  document.addEventListener("click", ({ target }) => {
    const head = target.closest(".dm-sort")?.parentElement, show = target.closest(".dm-show");
    if (head) {
      order = { column: head.cellIndex, down: head.ariaSort === "ascending" };
      sort(head.closest("table"));
    } else if (show) {
      window.dmagnetChosen = Number(show.dataset.galaxy);
      document.querySelector(".dm-show[aria-current]")?.removeAttribute("aria-current");
      show.ariaCurrent = "true";
      document.querySelector("#show").click();
    }
  });

  // Gradio opens the list of a dropdown once more when it hears the Tab that leaves it.
  document.addEventListener("keydown", (event) => {
    if (event.key === "Tab" && event.target.role === "combobox") event.stopPropagation();
  }, true);

  new MutationObserver(() => {
    const table = document.querySelector(".dm-galaxies table:not([data-known])");
    if (table) table.dataset.known = "";
    if (table && order) sort(table);
    const answer = document.querySelector("#answer [data-said]"), now = answer?.dataset.said;
    if (now && now !== said) {
      document.querySelector("#dm-said").textContent = now;
      if (window.innerWidth <= 700) answer.scrollIntoView();
    }
    said = now;
  }).observe(document.documentElement, { childList: true, subtree: true });
})();
