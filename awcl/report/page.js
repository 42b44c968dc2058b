"use strict";

// --- tables: a click or Enter on a head sorts by its column --------------------------------------

function valueOf(row, column) {
  const cell = row.cells[column];
  if (cell.dataset.value !== undefined) return Number(cell.dataset.value);
  return cell.textContent.trim() === "-" ? null : cell.textContent.trim();
}

function compared(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), undefined, { numeric: true });
}

function sortBy(table, column) {
  const heads = table.tHead.rows[0].cells;
  const numeric = [...table.tBodies[0].rows].some((row) => typeof valueOf(row, column) === "number");
  const now = heads[column].getAttribute("aria-sort");
  const first = numeric ? "descending" : "ascending"; // the best score on top at once
  const other = first === "ascending" ? "descending" : "ascending";
  const order = now === first ? other : first;
  for (const head of heads) head.removeAttribute("aria-sort");
  heads[column].setAttribute("aria-sort", order);
  const sign = order === "ascending" ? 1 : -1;
  const among = (value) => (numeric && typeof value !== "number" ? null : value); // "not run"
  const rows = [...table.tBodies[0].rows].map((row) => [among(valueOf(row, column)), row]);
  rows.sort(([a], [b]) => (a === null) - (b === null) || sign * compared(a, b)); // none comes last
  table.tBodies[0].append(...rows.map(([, row]) => row));
}

for (const table of document.querySelectorAll("table.sortable")) {
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => sortBy(table, column));
  });
}

// --- figures: drawn when they come near the window, in the page's colours -------------------------

const stored = document.getElementById("figures");
const figures = stored ? JSON.parse(stored.textContent) : {};
const dark = window.matchMedia("(prefers-color-scheme: dark)");
const CONFIG = {
  responsive: true, displaylogo: false, scrollZoom: false,
  modeBarButtons: [["zoom2d", "pan2d", "resetScale2d", "toImage"]], // and none that sends anywhere
};

function colours() {
  const style = getComputedStyle(document.documentElement);
  const of = (name) => style.getPropertyValue(name).trim();
  const axis = { gridcolor: of("--line"), zerolinecolor: of("--line"), linecolor: of("--line") };
  return { text: of("--text"), faint: of("--faint"), ground: of("--ground"), card: of("--card"), line: of("--line"), axis };
}

function themed(layout) {
  const c = colours();
  return {
    ...layout,
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
    font: { color: c.text, family: "system-ui, sans-serif", size: 12 },
    xaxis: { ...layout.xaxis, ...c.axis }, yaxis: { ...layout.yaxis, ...c.axis },
    hoverlabel: { bgcolor: c.card, bordercolor: c.line, font: { color: c.text }, align: "left", namelength: -1 },
    annotations: (layout.annotations || []).map((one) => ({ bgcolor: c.ground, opacity: 0.85, ...one })),
    modebar: { bgcolor: "rgba(0,0,0,0)", color: c.faint, activecolor: c.text },
    dragmode: window.matchMedia("(pointer: coarse)").matches ? false : "zoom", // fingers scroll
  };
}

function draw(place) {
  if (place.dataset.drawn) return;
  place.dataset.drawn = "yes";
  const figure = figures[place.dataset.figure];
  Plotly.newPlot(place, figure.data, themed(figure.layout), CONFIG);
}

const places = [...document.querySelectorAll(".plot")];
const near = new IntersectionObserver(
  (seen) => seen.filter((one) => one.isIntersecting).forEach((one) => draw(one.target)),
  { rootMargin: "400px" },
);
places.forEach((place) => near.observe(place));
window.addEventListener("beforeprint", () => places.forEach(draw));
dark.addEventListener("change", () => {
  for (const place of places.filter((one) => one.dataset.drawn)) {
    Plotly.react(place, place.data, themed(figures[place.dataset.figure].layout), CONFIG);
  }
});
