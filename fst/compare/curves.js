// Loss curves: one chart a metric, training as a line, validation dashed with dots.
const names = [...new Set(RUNS.flatMap(run => Object.keys(run.series).map(key => key.replace(/^(train|val)\//, ""))))];
const speed = names.includes("images_per_second") ? "images_per_second" : "step_seconds";
const CHARTS = ["loss", "content_loss", "style_loss", speed].filter(name => names.includes(name)).map(metric => ({ metric }));
const timed = RUNS.some(run => run.clock[0].length);
const MARGIN = { left: 52, right: 10, top: 8, bottom: 22 };

// Seconds of a run at a step, between those its clock knows.
function at(clock, step) {
  const [steps, seconds] = clock;
  const above = steps.findIndex(known => known >= step);
  if (above === -1) return seconds.at(-1);
  if (above === 0 || steps[above] === step) return seconds[above];
  const part = (step - steps[above - 1]) / (steps[above] - steps[above - 1]);
  return seconds[above - 1] + part * (seconds[above] - seconds[above - 1]);
}

// Exponential moving average without the bias of its start.
function smoothed(values, weight) {
  let sum = 0, share = 0;
  return values.map(value => { sum = weight * sum + (1 - weight) * value; share = weight * share + 1 - weight; return sum / share; });
}

function curvesOf(metric) {
  const found = [];
  for (const index of shown()) for (const kind of ["train", "val"]) {
    const series = RUNS[index].series[`${kind}/${metric}`], clock = RUNS[index].clock;
    if (!series || !el(kind).checked || (el("x").value === "time" && !clock[0].length)) continue;
    const values = kind === "train" ? smoothed(series[1], Number(el("smooth").value)) : series[1];
    found.push({ index, kind, points: series[0].map((step, i) => ({ step, x: el("x").value === "time" ? at(clock, step) : step, y: values[i] })) });
  }
  return found;
}

function scale(low, high, from, to, log) {
  if (log) [low, high] = [Math.log(low), Math.log(high)];
  if (low === high) [low, high] = [low - (log ? .5 : Math.abs(low) / 2 || 1), high + (log ? .5 : Math.abs(high) / 2 || 1)];
  const place = value => from + ((log ? Math.log(value) : value) - low) / (high - low) * (to - from);
  place.bounds = log ? [Math.exp(low), Math.exp(high)] : [low, high];
  return place;
}

function ticks([low, high], log, count) {
  const found = [];
  const decades = Math.log10(high / low);
  if (log && decades > .8) {
    const every = Math.ceil(decades / count);
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++)
      for (const digit of decades < count / 2.5 ? [1, 2, 5] : [1]) if (digit > 1 || power % every === 0) found.push(digit * 10 ** power);
  } else {
    const raw = (high - low) / count, power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].find(digit => digit * power >= raw) * power;
    for (let number = Math.ceil(low / step); number * step <= high; number++) found.push(Number((number * step).toPrecision(12)));
  }
  return found.filter(value => value >= low * (1 - 1e-9) && value <= high * (1 + 1e-9));
}

const brief = value => value && (Math.abs(value) >= 1e4 || Math.abs(value) < 1e-3) ? value.toExponential(1).replace(".0e", "e").replace("e+", "e") : number(value);

function draw(chart) {
  const { svg, metric } = chart, width = svg.clientWidth, height = svg.clientHeight;
  svg.replaceChildren();
  const curves = curvesOf(metric);
  const logy = el("logy").checked && curves.some(curve => curve.points.some(p => p.y > 0)), logx = el("logx").checked;
  for (const curve of curves) curve.points = curve.points.filter(p => (!logy || p.y > 0) && (!logx || p.x > 0));
  const points = curves.flatMap(curve => curve.points);
  if (!points.length || !width) {
    svg.append(make("text", { x: 10, y: 30 }, "nothing to show"));
    chart.curves = [];
    return;
  }
  const range = of => [points.reduce((low, p) => Math.min(low, p[of]), Infinity), points.reduce((high, p) => Math.max(high, p[of]), -Infinity)];
  const x = scale(...range("x"), MARGIN.left, width - MARGIN.right, logx);
  const y = scale(...range("y"), height - MARGIN.bottom, MARGIN.top, logy);
  for (const value of ticks(y.bounds, logy, 5)) svg.append(
    make("line", { class: "rule", x1: MARGIN.left, x2: width - MARGIN.right, y1: y(value), y2: y(value) }),
    make("text", { x: MARGIN.left - 6, y: y(value) + 4, "text-anchor": "end" }, brief(value)));
  for (const value of ticks(x.bounds, logx, Math.max(2, Math.floor(width / 110)))) svg.append(
    make("text", { x: x(value), y: height - 6, "text-anchor": x(value) > width - 30 ? "end" : "middle" }, el("x").value === "time" ? time(value) : brief(value)));
  for (const curve of curves) {
    for (const p of curve.points) [p.left, p.top] = [x(p.x), y(p.y)];
    const group = make("g", colour(curve.index));
    if (curve.points.length > 1) group.append(make("path", { class: curve.kind, d: "M" + curve.points.map(p => `${p.left.toFixed(1)},${p.top.toFixed(1)}`).join("L") }));
    if (curve.kind === "val" || curve.points.length === 1) group.append(...curve.points.map(p => make("circle", { cx: p.left.toFixed(1), cy: p.top.toFixed(1), r: 3 })));
    svg.append(group);
  }
  chart.cursor = make("line", { class: "rule", y1: MARGIN.top, y2: height - MARGIN.bottom, visibility: "hidden" });
  svg.append(chart.cursor);
  chart.curves = curves.filter(curve => curve.points.length);
}

// Of every curve the point nearest to the pointer's x; the curves nearest to the pointer are listed.
function hover(chart, event) {
  const box = chart.svg.getBoundingClientRect(), left = event.clientX - box.left, top = event.clientY - box.top;
  const near = chart.curves.map(curve => ({ curve, point: curve.points.reduce((best, p) => Math.abs(p.left - left) < Math.abs(best.left - left) ? p : best) }));
  if (!near.length) return;
  const away = ({ point }) => Math.hypot(point.left - left, point.top - top);
  const first = near.reduce((best, other) => away(other) < away(best) ? other : best);
  const listed = near.filter(n => Math.abs(n.point.left - left) < 60).sort((a, b) => away(a) - away(b)).slice(0, 8).sort((a, b) => a.point.top - b.point.top);
  look(first.curve.index);
  for (const name of ["x1", "x2"]) chart.cursor.setAttribute(name, first.point.left);
  chart.cursor.setAttribute("visibility", "visible");
  const clock = RUNS[first.curve.index].clock;
  chart.tip.replaceChildren(make("b", {}, `step ${first.point.step.toLocaleString("en")}${clock[0].length ? ` · ${time(at(clock, first.point.step))}` : ""}`),
    ...(listed.length ? listed : [first]).map(n => make("div", { class: n === first ? "near" : "" }, swatch(n.curve.index),
      make("span", {}, RUNS[n.curve.index].name + (n.curve.kind === "val" ? " (val)" : "")), make("span", {}, number(n.point.y)))));
  chart.tip.hidden = false;
  const right = left > box.width / 2;
  chart.tip.style.left = right ? "auto" : `${left + 24}px`;
  chart.tip.style.right = right ? `${box.width - left + 24}px` : "auto";
  chart.tip.style.top = `${Math.min(top + 30, box.height - 40)}px`;
}
function leave(chart) {
  look(null);
  chart.tip.hidden = true;
  chart.cursor?.setAttribute("visibility", "hidden");
}

for (const chart of CHARTS) {
  chart.svg = make("svg", { role: "img", "aria-label": `${chart.metric} of every run` });
  chart.svg.onpointermove = event => hover(chart, event);
  chart.svg.onpointerleave = () => leave(chart);
  chart.tip = make("div", { class: "tip", hidden: true });
  const choose = make("select", { "aria-label": "Metric", onchange: event => { chart.metric = event.target.value; draw(chart); } },
    ...names.map(name => make("option", { value: name, selected: name === chart.metric }, name)));
  el("charts").append(make("div", { class: "chart" }, choose, chart.svg, chart.tip));
}
const charts = () => { CHARTS.forEach(draw); look(view.looked); };
for (const id of ["logy", "logx", "train", "val", "x", "smooth"]) el(id).oninput = charts;
el("axis").hidden = !timed;
el("curves").hidden = !CHARTS.length;
addEventListener("resize", charts);
