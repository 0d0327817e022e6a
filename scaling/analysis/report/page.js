"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const MOST_BANDS = 12;  // lines with intervals and markers; more hide each other and slow the page, a hover still shows them
const hidden = new Set();  // labels of lines switched off in the legend
const MARKERS = { o: "circle", s: "square", "^": "triangle-up", v: "triangle-down", D: "diamond", d: "diamond-tall", P: "cross",
  X: "x", "<": "triangle-left", ">": "triangle-right", p: "pentagon", h: "hexagon", "*": "star", 8: "octagon" };

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function short(value) {
  if (value === null || value === undefined) return "–";
  return Math.abs(value) >= 10000 ? Math.round(value).toLocaleString("en") : String(+value.toPrecision(4));
}

function withError([value, low, high]) {
  if (value === null) return "–";
  const half = (high - low) / 2;
  if (low === null || high === null || !(half > 0)) return short(value);
  const digits = Math.min(8, Math.max(0, 1 - Math.floor(Math.log10(half))));
  return `${value.toFixed(digits)} ± ${half.toFixed(digits)}`;
}

function translucent(color) {
  const part = (at) => parseInt(color.slice(at, at + 2), 16);
  return `rgba(${part(1)},${part(3)},${part(5)},0.13)`;
}

// ---- choosers

function fillSelect(select, options) {
  for (const { id, name } of options) select.append(element("option", { value: id }, name));
  select.addEventListener("change", redraw);
}

function fillBoxes(field) {
  const names = [...new Set(data.lines.map((line) => line[field]))];
  const box = byId(field);
  box.hidden = names.length < 2;
  for (const name of names) {
    const input = element("input", { type: "checkbox", value: name, checked: "" });
    input.addEventListener("change", redraw);
    box.append(element("label", {}, input, " " + name.replaceAll("_", " ")));
  }
}

function chosen(field) {
  return new Set([...byId(field).querySelectorAll("input:checked")].map((input) => input.value));
}

function shownLines() {
  const metric = byId("metric").value, axis = byId("axis").value;
  const kept = { search: chosen("search"), verifier: chosen("verifier"), model: chosen("model") };
  return data.lines.filter((line) =>
    line.values[metric] && line.costs[axis] &&
    kept.search.has(line.search) && kept.model.has(line.model) && (line.baseline || kept.verifier.has(line.verifier)));
}

// ---- curves

function tracesOf(line, metric, axis, banded, marked) {
  const rows = line.values[metric].map((row, place) => [line.costs[axis][place], ...row]).sort((a, b) => a[0] - b[0]);
  const x = rows.map((row) => row[0]);
  const made = [];
  const bounded = rows.filter((row) => row[2] !== null && row[3] !== null);
  if (banded && bounded.length) {
    const back = [...bounded].reverse();
    made.push({ x: [...bounded, ...back].map((row) => row[0]), y: [...bounded.map((row) => row[3]), ...back.map((row) => row[2])],
      fill: "toself", fillcolor: translucent(line.color), line: { width: 0 }, mode: "lines", hoverinfo: "skip" });
  }
  made.push({ x, y: rows.map((row) => row[1]), mode: marked || rows.length === 1 ? "lines+markers" : "lines", name: line.label, hoverlabel: { namelength: -1 },
    line: { color: line.color, dash: line.dash, width: 2 },
    marker: { color: line.color, size: 7, symbol: (MARKERS[line.marker] || "circle") + (line.dash === "solid" ? "" : "-open") },
    text: rows.map((row) => `${short(row[0])}: ${withError(row.slice(1))}`), hovertemplate: "%{text}" });
  return made;
}

function outlookTraces(lines, metric) {
  if (!byId("ahead").checked || byId("axis").value !== "nfe") return [];
  const drawn = new Map(lines.map((line) => [line.label, line]));
  return data.outlook[metric].filter((each) => each.x.length && drawn.has(each.label)).map((each) => ({
    x: each.x, y: each.y.map((row) => row[0]), mode: "lines", name: each.label + ", extrapolated",
    line: { color: drawn.get(each.label).color, dash: "dashdot", width: 1.5 },
    error_y: { type: "data", symmetric: false, array: each.y.map((row) => row[2] - row[0]),
      arrayminus: each.y.map((row) => row[0] - row[1]), thickness: 0.7, width: 0 } }));
}

function ticks(costs) {
  const positive = costs.filter((value) => value > 0);  // a log axis has no place for 0
  if (!positive.length) return {};
  const low = Math.min(...positive), high = Math.max(...positive);
  const steps = high / low > 300 ? [1] : high / low > 30 ? [1, 3] : [1, 2, 5];
  const tickvals = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++)
    for (const step of steps) tickvals.push(+(step * 10 ** power).toPrecision(1));
  return { tickvals, ticktext: tickvals.map((value) => value.toLocaleString("en", { notation: "compact" })) };
}

function layout(metric, axis, costs) {
  const about = data.metrics.find((each) => each.id === metric);
  const name = data.axes.find((each) => each.id === axis).name;
  return { showlegend: false, margin: { l: 62, r: 12, t: 10, b: 48 }, hovermode: "closest", font: { size: 13 },
    xaxis: { type: "log", title: { text: name }, ...ticks(costs), gridcolor: "#e6eaee" },
    yaxis: { title: { text: `${about.name} (${about.lower ? "lower" : "higher"} is better)` }, gridcolor: "#e6eaee" },
    paper_bgcolor: "white", plot_bgcolor: "white" };
}

function redraw() {
  const started = performance.now();
  const metric = byId("metric").value, axis = byId("axis").value;
  const lines = shownLines();
  const drawn = lines.filter((line) => !hidden.has(line.label));
  const few = drawn.length <= MOST_BANDS;
  const banded = byId("bands").checked && few;
  const made = drawn.flatMap((line) => tracesOf(line, metric, axis, banded, few)).concat(outlookTraces(drawn, metric));
  Plotly.react("chart", made, layout(metric, axis, made.flatMap((trace) => trace.x)),
    { responsive: true, displayModeBar: false });
  drawLegend(lines);
  read(drawn, metric, axis);
  drawAdvice(metric);
  window.lastRedraw = performance.now() - started;
}

function drawLegend(lines) {
  byId("legend").replaceChildren(...lines.map((line) => {
    const dash = { solid: "", dash: "6 3", dot: "2 3" }[line.dash];
    const button = element("button", { type: "button", "aria-pressed": String(!hidden.has(line.label)) });
    button.innerHTML = `<svg width="30" height="10" aria-hidden="true"><line x1="0" y1="5" x2="30" y2="5" stroke="${line.color}"
      stroke-width="3" stroke-dasharray="${dash}"/></svg>`;
    button.append(line.label + (line.seeds > 1 ? ` (${line.seeds} seeds)` : ""));
    button.addEventListener("click", () => {
      hidden.has(line.label) ? hidden.delete(line.label) : hidden.add(line.label);
      redraw();
      [...byId("legend").querySelectorAll("button")].find((each) => each.textContent === button.textContent)?.focus();
    });
    return element("li", {}, button);
  }));
}

function read(lines, metric, axis) {
  const lower = data.metrics.find((each) => each.id === metric).lower;
  let best = null;
  for (const line of lines.filter((each) => each.verifier !== "control" || each.baseline)) line.values[metric].forEach((row, place) => {
    if (row[0] !== null && (!best || (lower ? row[0] < best.row[0] : row[0] > best.row[0])))
      best = { line, row, cost: line.costs[axis][place] };
  });
  const name = data.axes.find((each) => each.id === axis).name;
  byId("reading").textContent = best
    ? `${lines.length} line${lines.length === 1 ? "" : "s"}${lines.length > MOST_BANDS ? " (too many for intervals and markers)" : ""}; best: ${withError(best.row)} by ${best.line.label} at ${short(best.cost)} ${name}`
    : "no line of a search is chosen";
}

// ---- images

function drawRun() {
  const run = data.winners[byId("run").value];
  byId("rung").max = run.images.length - 1;
  byId("rung").value = Math.min(byId("rung").value, run.images.length - 1);
  drawGrid();
}

function drawGrid() {
  const run = data.winners[byId("run").value];
  const rung = run.images[byId("rung").value];
  byId("nfe").textContent = `${rung.nfe.toLocaleString("en")} NFE`;
  byId("rung").setAttribute("aria-valuetext", byId("nfe").textContent);
  const tell = (tile) => { byId("fact").textContent = fact(tile, rung); };
  byId("grid").replaceChildren(...rung.tiles.map((tile) => {
    const text = fact(tile, rung);
    const button = element("button", { type: "button", title: text }, element("img", { src: tile.src, alt: text }));
    for (const event of ["focus", "mouseenter", "click"]) button.addEventListener(event, () => tell(tile));
    return button;
  }));
}

function fact(tile, rung) {
  const scores = Object.entries(tile.scores || {}).map(([name, value]) => `${name.replaceAll("_", " ")} ${short(value)}`);
  const parts = [`condition ${tile.condition}`, tile.what, `${rung.nfe.toLocaleString("en")} NFE`, ...scores];
  return parts.filter(Boolean).join(", ");
}

// ---- tables and texts

function row(kind, cells, words = 1) {
  return element("tr", {}, ...cells.map((cell, place) => element(kind, place < words ? { class: "word" } : {}, String(cell))));
}

function drawAdvice(metric) {
  const name = data.metrics.find((each) => each.id === metric).name;
  const head = ["use", "budget, NFE", "candidates", "NFE each", "final NFE", `expected ${name}`];
  const rows = data.advice[metric].map((each) => {
    const made = row("td", [each.use, short(each.budget), short(each.candidates), short(each.nfes_per_iter),
      each.final_nfe ? short(each.final_nfe) : "none", withError([each.expected, ...each.interval])]);
    made.title = each.command;
    return made;
  });
  byId("advice").replaceChildren(row("th", head), ...rows);
  byId("outlook").replaceChildren(...data.outlook[metric].map((each) => element("li", {}, `${each.label}: ${each.words}`)));
}

function drawTables() {
  const metrics = data.metrics;
  byId("tables").append(...data.lines.map((line, place) => {
    const had = metrics.filter((metric) => line.values[metric.id]);
    const table = element("table", {}, row("th", ["candidates", "NFE", "GFLOPs", ...had.map((each) => each.name)], 0));
    line.costs.nfe.forEach((nfe, rung) => table.append(row("td", [short(line.costs.candidates[rung]), short(nfe),
      short(line.costs.gflops[rung]), ...had.map((each) => withError(line.values[each.id][rung]))], 0)));
    const scroll = element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `numbers of ${line.label}` }, table);
    return element("details", place === 0 ? { open: "" } : {}, element("summary", {}, line.label), scroll);
  }));
}

function drawCommands() {
  byId("commands").append(...data.runs.map((run) => {
    const facts = `${run.conditions.toLocaleString("en")} conditions, up to ${short(run.nfe)} NFE each` +
      (run.seconds ? `, ${short(run.seconds)} s` : "") + (run.done ? "" : ", not finished");
    return element("details", {}, element("summary", {}, `${run.label} (${facts})`),
      element("pre", { tabindex: "0" }, run.command), element("pre", { tabindex: "0" }, run.config),
      ...(run.environment ? [element("pre", { tabindex: "0" }, run.environment)] : []));
  }));
}

function drawNotes() {
  byId("notes").hidden = !data.alarms.length && !data.warnings.length;
  byId("notes").append(...data.alarms.map((text) => element("p", { class: "alarm" }, "Alarm: " + text)),
    ...data.warnings.map((text) => element("p", {}, "Note: " + text)));
}

function start() {
  byId("summary").textContent = `${data.runs.length} runs, ${data.metrics.length} metrics`;
  fillSelect(byId("metric"), data.metrics);
  fillSelect(byId("axis"), data.axes);
  for (const field of ["search", "verifier", "model"]) fillBoxes(field);
  for (const id of ["bands", "ahead"]) byId(id).addEventListener("change", redraw);
  drawNotes();
  drawTables();
  drawCommands();
  redraw();
  const pictured = data.winners.map((run, place) => [run, place]).filter(([run]) => run.images.length);
  byId("pictures").hidden = !pictured.length;
  if (pictured.length) {
    for (const [run, place] of pictured) byId("run").append(element("option", { value: place }, run.label));
    byId("run").addEventListener("change", drawRun);
    byId("rung").addEventListener("input", drawGrid);
    drawRun();
  }
}

start();
