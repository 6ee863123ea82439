// The page: which panels there are, and which one is seen.

import { Message, Sentence, fill, find, make } from "./dom.js";
import { Pictures } from "./pictures.js";
import { showRuns } from "./runs.js";
import { Sample } from "./sample.js";
import { getJSON } from "./server.js";
import { Speech } from "./speech.js";
import { World } from "./world.js";

// Each panel only where a served run can do it.
const ABLE = {
  pictures: ({ kind }) => kind === "images",
  sample: ({ kind, can }) => can.sample && (kind === "images" || kind === "speech"),
  speech: ({ kind }) => kind === "speech",
  world: ({ can }) => can.play,
};
const panels = {};
const models = {};
const message = new Message("lost");

async function start() {
  const found = await getJSON("v1/models");
  if (!found.models.length) throw new Sentence("This server serves no run. Start it with a run: \"vqvae serve RUN\".");
  const pictures = new Pictures();
  const edit = (model, codes, picture) => {
    choose("pictures", model);
    location.hash = "pictures";
    pictures.openCodes(codes, picture);
  };
  Object.assign(panels, { pictures, sample: new Sample(edit), speech: new Speech(), world: new World() });
  for (const name of Object.keys(panels)) prepare(name, found.models.filter(ABLE[name]));
  showRuns(found.models);
  window.addEventListener("hashchange", () => open(true));
  open(false);
}

/** Fill a panel's list of models; hide the panel if there is none. */
function prepare(name, able) {
  models[name] = able;
  document.querySelector(`#tabs a[href="#${name}"]`).parentElement.hidden = able.length === 0;
  const select = find(`${name}-model`);
  fill(select, able.map((model) => [model.name, model.name]));
  select.closest("label").hidden = able.length < 2;
  select.addEventListener("change", () => choose(name, able[select.selectedIndex]));
  if (able.length) choose(name, able[0]);
}

function choose(name, model) {
  const select = find(`${name}-model`);
  select.selectedIndex = models[name].indexOf(model);
  panels[name].use(model);
}

/** Show the panel of the address, or the first one. */
function open(moved) {
  const wanted = location.hash.slice(1);
  const there = (name) => name === "runs" || models[name]?.length > 0;
  if (moved && wanted === "main") return;
  const name = there(wanted) ? wanted : [...Object.keys(panels), "runs"].find(there);
  for (const section of document.querySelectorAll("main > section")) section.hidden = section.id !== name;
  for (const link of document.querySelectorAll("#tabs a")) {
    if (link.hash === `#${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const title = find(`${name}-title`);
  document.title = `${title.textContent} – vqvae`;
  if (name !== "world") panels.world.held = [];
  if (moved) {
    title.focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }
}

function begin() {
  message.around(start).then((fine) => {
    if (fine) return;
    const again = make("button", { type: "button" }, "Try again");
    again.addEventListener("click", begin);
    message.element.append(again);
  });
}

begin();
