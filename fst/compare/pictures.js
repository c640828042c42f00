// The grid of previews at the slider's step, and one of them enlarged.
const PHOTOS = DATA.photos;
const PAINTINGS = [...new Set(RUNS.map(run => run.painting).filter(Boolean))];
const several = PAINTINGS.length > 1;  // else the one is shown once, beside the photos
let open = null;

// The picture of a run at a step or, missing that, the nearest before it: [step, address].
function picture(run, photo, step) {
  const known = run.pictures[photo] || [];
  return known.filter(entry => entry[0] <= step).at(-1) || null;
}
const still = (src, alt) => make("div", { class: "cell" }, make("img", { src, alt }));
const stop = () => DATA.stops[Number(el("stop").value)];

function cell(index, photo) {
  const run = RUNS[index], found = picture(run, photo, stop());
  if (!found) return make("div", { class: "none" }, photo in run.pictures ? "not yet" : "–");
  const label = found[0] === stop() ? "" : make("small", {}, `step ${found[0].toLocaleString("en")}`);
  return make("button", { class: "cell", ...colour(index), ...looking(index), "aria-label": `${run.name}, ${photo}, step ${found[0]}`,
    onclick: () => enlarge(index, photo) }, make("img", { src: found[1], alt: "" }), label);
}

// One photo by all runs, as a contact sheet.
function sheet(photo) {
  const { src, name } = PHOTOS.find(other => other.name === photo);
  const tile = (image, ...words) => make("div", { class: "tile" }, image, make("div", { class: "head" }, ...words));
  el("grid").style.gridTemplateColumns = "repeat(auto-fill, minmax(9.5rem, 1fr))";
  el("grid").replaceChildren(...(src ? [tile(still(src, `${name}, the photo`), "photo")] : []),
    ...shown().map(index => tile(cell(index, photo), swatch(index), " ", RUNS[index].name, " ", state(RUNS[index]), make("small", { class: "dim" }, about(RUNS[index])))));
}

function grid() {
  el("step").textContent = DATA.stops.length ? stop().toLocaleString("en") : "";
  el("turned").hidden = !!el("only").value;
  el("grid").style.maxWidth = "none";
  if (el("only").value) return sheet(el("only").value);
  const order = shown(), photos = PHOTOS.map(photo => photo.name);
  const heads = order.map(index => make("div", { class: "head", ...colour(index) }, swatch(index), " ", RUNS[index].name, " ", state(RUNS[index]),
    make("small", { class: "dim" }, about(RUNS[index]))));
  const names = photos.map(name => make("div", { class: "head" }, name));
  const one = PAINTINGS.length === 1 ? [make("div", { class: "head" }, "painting", still(PAINTINGS[0], "the painting"))] : [make("div", { class: "head" }, "photo")];
  const originals = PHOTOS.map(photo => photo.src ? still(photo.src, `${photo.name}, the photo`) : make("div"));
  const art = order.map(index => RUNS[index].painting ? still(RUNS[index].painting, "the painting") : make("div"));
  const rows = el("turn").checked
    ? [[several ? make("div") : one[0], make("div", { class: "head" }, PAINTINGS.length ? "photo" : ""), ...heads],
       ...(several ? [[make("div", { class: "head" }, "painting"), make("div"), ...art]] : []),
       ...photos.map((photo, row) => [names[row], originals[row], ...order.map(index => cell(index, photo))])]
    : [[make("div"), ...(several ? [make("div", { class: "head" }, "painting")] : []), ...names],
       [...one, ...(several ? [make("div")] : []), ...originals],
       ...order.map((index, row) => [heads[row], ...(several ? [art[row]] : []), ...photos.map(photo => cell(index, photo))])];
  rows[0].forEach(node => node.classList.add("column"));
  const narrow = innerWidth < 900, count = rows[0].length - 1, side = narrow ? 5.5 : 9;
  el("grid").style.gridTemplateColumns = `${side}rem repeat(${count}, minmax(8rem, 1fr))`;
  el("grid").style.maxWidth = `${side + 24 * count}rem`;
  el("grid").replaceChildren(...rows.flat());
}

function enlarge(index, photo) {
  open = { index, photo };
  const found = picture(RUNS[index], photo, stop()), original = PHOTOS.find(other => other.name === photo).src;
  el("large").src = found[1];
  el("large").onload = () => el("zoom").style.setProperty("--ratio", el("large").naturalWidth / el("large").naturalHeight);
  if (original) el("under").src = original;
  el("photo").hidden = !original;
  el("caption").replaceChildren(swatch(index), ` ${RUNS[index].name} · ${photo} · step ${found[0].toLocaleString("en")} `, make("small", { class: "dim" }, about(RUNS[index])));
  compare(false);
  if (!el("zoom").open) el("zoom").showModal();
}
function compare(on) {
  el("photo").setAttribute("aria-pressed", String(on));
  el("under").hidden = !on;
}
function walk(way) {
  const having = shown().filter(index => picture(RUNS[index], open.photo, stop()));
  enlarge(having[(having.indexOf(open.index) + way + having.length) % having.length], open.photo);
}

let playing = null;
function play() {
  if (playing) clearInterval(playing);
  playing = playing ? null : setInterval(() => {
    el("stop").value = (Number(el("stop").value) + 1) % DATA.stops.length;
    grid();
  }, 700);
  el("play").setAttribute("aria-pressed", String(!!playing));
}

el("stop").max = DATA.stops.length - 1;
el("stop").value = DATA.stops.length - 1;
el("stop").oninput = () => { if (playing) play(); grid(); };
el("play").onclick = () => { if (!playing && stop() === DATA.stops.at(-1)) el("stop").value = 0; grid(); play(); };
el("turn").checked = RUNS.length <= 4;
el("turn").oninput = el("only").oninput = grid;
el("only").append(...PHOTOS.map(photo => make("option", {}, photo.name)));
el("before").onclick = () => walk(-1);
el("after").onclick = () => walk(1);
el("photo").onclick = () => compare(el("under").hidden);
el("close").onclick = () => el("zoom").close();
el("zoom").onkeydown = event => { if (event.key === "ArrowLeft") walk(-1); if (event.key === "ArrowRight") walk(1); };
el("pictures").hidden = !DATA.stops.length;
