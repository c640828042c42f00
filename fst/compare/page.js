const DATA = JSON.parse(document.getElementById("data").textContent);
const RUNS = DATA.runs;
const el = id => document.getElementById(id);

// What the reader has chosen: the order of the runs, those put away, the one looked at.
const view = { key: null, down: false, order: RUNS.map((_, index) => index), hidden: new Set(), looked: null };
const shown = () => view.order.filter(index => !view.hidden.has(index));

function make(tag, attributes = {}, ...children) {
  const node = tag === "svg" || tag in SVG ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node[key] = value;
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}
const SVG = { g: 1, path: 1, circle: 1, line: 1, text: 1 };

const many = RUNS.length > 6;
const colour = index => ({
  "data-run": index,
  style: `--hue:${(25 + index * 360 / RUNS.length).toFixed(1)};--shift:${many ? [0, .09, -.09][index % 3] : 0}`,
});
const swatch = index => make("span", { class: "swatch", ...colour(index) });
const tail = key => key.endsWith(".name") ? key.split(".").at(-2) : key.split(".").pop();
const last = key => DATA.settings.some(other => other !== key && tail(other) === tail(key)) ? key : tail(key);
const short = value => value.includes("/") ? value.split("/").pop() : value || "none";
const about = run => DATA.varied.filter(key => run.settings[key]).slice(0, 4).map(key => `${last(key)} ${short(run.settings[key])}`).join(" · ");

function number(value) {
  if (value === undefined || value === null) return "–";
  const size = Math.abs(value);
  if (size >= 1000 && size < 1e6) return Math.round(value).toLocaleString("en");
  if (size && (size < 1e-3 || size >= 1e6)) return value.toExponential(2).replace("e+", "e");
  return String(Number(value.toPrecision(3)));
}
function time(seconds) {
  if (seconds === undefined || seconds === null) return "–";
  const whole = Math.round(seconds), hours = Math.floor(whole / 3600), minutes = Math.floor(whole / 60) % 60;
  if (hours) return `${hours} h ${String(minutes).padStart(2, "0")} min`;
  return minutes ? `${minutes} min ${String(whole % 60).padStart(2, "0")} s` : `${Number(seconds.toPrecision(2))} s`;
}

function state(run) {
  const words = { running: run.total ? `running, ${Math.floor(100 * run.step / run.total)} %` : "running",
                  failed: `failed at ${run.step}`, stopped: run.total ? `stopped at ${run.step} of ${run.total}` : `stopped at ${run.step}` };
  return words[run.state] ? make("span", { class: `state ${run.state}` }, words[run.state]) : "";
}

// One run looked at is marked everywhere: legend, table, pictures, curves.
function look(index) {
  view.looked = index;
  document.body.querySelectorAll(".hot").forEach(node => node.classList.remove("hot"));
  document.querySelectorAll(".chart svg").forEach(node => node.classList.toggle("dimmed", index !== null));
  if (index !== null) document.querySelectorAll(`[data-run="${index}"]`).forEach(node => node.classList.add("hot"));
}
const looking = index => ({ onpointerenter: () => look(index), onpointerleave: () => look(null), onfocus: () => look(index), onblur: () => look(null) });

function legend() {
  const put = index => { view.hidden.has(index) ? view.hidden.delete(index) : view.hidden.add(index); render(); el("runs").querySelector(`[data-run="${index}"]`).focus(); };
  el("runs").replaceChildren(...view.order.map(index => {
    const run = RUNS[index], away = view.hidden.has(index);
    const name = make("span", {}, run.name, " ", state(run), make("small", {}, about(run)));
    return make("li", {}, make("button", { ...colour(index), ...looking(index), class: away ? "off" : "", "aria-pressed": String(!away),
      title: away ? "Show" : "Put away; double click: this one alone", onclick: () => put(index),
      ondblclick: () => { RUNS.forEach((_, other) => other === index ? view.hidden.delete(other) : view.hidden.add(other)); render(); } }, swatch(index), name));
  }));
  el("all").hidden = !view.hidden.size;
}

const plain = text => text && !isNaN(text) ? Number(text) : text;  // 1e5 sorts as a number

// A few settings stand before the results, as in a sweep; many would push them out of sight.
const chosen = DATA.varied.map((key, index) => ({ key, title: last(key), note: key, group: "settings", first: !index,
  text: run => run.settings[key], value: run => plain(run.settings[key]) }));
const measured = DATA.columns.map((column, index) => ({ ...column, first: !index || DATA.columns[index - 1].group !== column.group,
  value: run => run.cells[column.key] }));
const columns = chosen.length <= 3 ? [...chosen, ...measured] : [...measured, ...chosen];

function sort(key) {
  view.down = view.key === key ? !view.down : false;
  view.key = key;
  const column = columns.find(column => column.key === key);
  const value = index => key === "name" ? index : column.value(RUNS[index]);
  const absent = value => value === undefined || value === null;
  view.order.sort((a, b) => {
    const [x, y] = [value(a), value(b)];
    if (absent(x) || absent(y)) return absent(x) - absent(y) || a - b;  // what is missing stays below
    const way = typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y), "en", { numeric: true });
    return (view.down ? -way : way) || a - b;
  });
  render();
  el("table").querySelector(`th[data-key="${CSS.escape(key)}"] button`).focus();
}

function results() {
  const head = (key, title, note, first) => make("th", { scope: "col", "data-key": key, class: first && "first",
    "aria-sort": view.key === key ? (view.down ? "descending" : "ascending") : null },
    make("button", { title: `${note}: sort`, onclick: () => sort(key) }, title, view.key === key ? (view.down ? " ↓" : " ↑") : ""));
  const spans = [];
  for (const column of columns) column.first ? spans.push([column.group, 1]) : spans.at(-1)[1]++;
  const cell = (run, column) => {
    const value = column.value(run), first = column.first ? " first" : "";
    if (column.text) return make("td", { class: "text" + first, title: column.text(run) || null }, column.text(run) === undefined ? "–" : short(column.text(run)));
    return make("td", { class: first, title: value },
      column.key === "seconds" ? time(value) : number(value));
  };
  el("table").replaceChildren(
    make("thead", {},
      make("tr", { class: "group" }, make("th"), ...spans.map(([group, span]) => make("th", { colspan: span, class: "first" }, group))),
      make("tr", { class: "keys" }, head("name", "run", "in the order found"), ...columns.map(c => head(c.key, c.title, c.note, c.first)))),
    make("tbody", {}, ...shown().map(index => make("tr", { ...colour(index), ...looking(index) },
      make("th", { scope: "row", title: RUNS[index].name }, swatch(index), " ", RUNS[index].name, " ", state(RUNS[index])),
      ...columns.map(column => cell(RUNS[index], column))))));
  el("notes").replaceChildren(...DATA.notes.map(note => make("li", {}, note)));
}

function settings() {
  const usual = key => {
    const counts = new Map();
    for (const run of RUNS) counts.set(run.settings[key], (counts.get(run.settings[key]) || 0) + 1);
    const [most] = [...counts].sort((a, b) => b[1] - a[1]);
    return RUNS.length > 2 && most[1] > 1 ? most[0] : null;
  };
  const cell = (key, index, common) => {
    const value = RUNS[index].settings[key];
    const words = value === undefined ? "–" : short(value);
    return make("td", { class: value === common || value === undefined ? "usual" : "", title: value || words, ...colour(index) }, words);
  };
  el("settings").hidden = !DATA.settings.length;
  el("differ").replaceChildren(
    make("thead", {}, make("tr", {}, make("th", {}, "setting"), ...shown().map(index => make("th", { scope: "col", style: "text-align:left" }, swatch(index), " ", RUNS[index].name)))),
    make("tbody", {}, ...DATA.settings.map(key => { const common = usual(key); return make("tr", {}, make("th", { scope: "row", title: key }, key), ...shown().map(index => cell(key, index, common))); })));
}

function render() {
  legend();
  results();
  grid();
  charts();
  settings();
}

el("title").textContent = `· ${RUNS.length} run${RUNS.length > 1 ? "s" : ""}`;
el("foot").textContent = `Made by fst on ${DATA.made.replace("T", " ")}. Settings shown are those that differ; where they are equal they are left out.`;
el("all").onclick = () => { view.hidden.clear(); render(); };
if (innerWidth < 900) el("legend").open = false;
