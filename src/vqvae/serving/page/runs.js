// The panel of runs: what is served, its card, its scores and its report.

import { Message, count, find, make, plural } from "./dom.js";
import { at, getBlob, needsToken } from "./server.js";

const SHOWN = 6;
const KINDS = { images: "Pictures", speech: "Speech", video: "Video", arrays: "Arrays" };
const ABILITIES = {
  sample: "draws samples",
  complete: "completes pictures",
  compress: "compresses",
  convert: "converts voices",
  imagine: "imagines a world",
  engine: "has the real engine beside it",
  phones: "guesses phones",
};

export function showRuns(models) {
  find("runs-list").replaceChildren(...models.map(card));
}

function card(model) {
  const id = `run-${model.name.replace(/[^\w-]/g, "-")}`;
  const title = make("h2", { id }, model.name);
  const kind = make("span", { class: "badge" }, KINDS[model.kind] ?? model.kind);
  const abilities = Object.entries(ABILITIES).filter(([name]) => model.can[name]).map(([, words]) => words);
  const can = abilities.length ? `It ${abilities.join(", ").replace(/, ([^,]*)$/, " and $1")}.` : "It encodes and decodes.";
  const closed = model.unplayable && make("p", { class: "quiet" }, `Its world cannot be played. ${model.unplayable}`);
  const message = make("div", { class: "message", role: "alert", hidden: true, id: `${id}-message` });
  const element = make("article", { class: "card run", "aria-labelledby": id },
    make("header", {}, title, kind), make("p", {}, words(model)), make("p", { class: "quiet" }, can), closed, scores(model.scores), message,
    foot(model, message));
  return element;
}

function words({ layout, parameters, signal, size }) {
  const shape = (lengths) => lengths.filter((length, axis) => axis > 0 || length > 1 || lengths.length === 1).map(count).join(" × ");
  const maps = layout.map(({ space, num_codebooks: books, codebook_size: codes }) =>
    `${space?.length ? `${shape(space)} ` : ""}codes${books > 1 ? ` in each of ${books} codebooks` : ""}, out of ${count(codes)}`);
  const things = signal.axes.includes("height") ? "pixels" : signal.axes[0] === "time" ? "samples" : "positions";
  const made = size ? `${shape(size)} ${things} become ` : "";
  const unit = signal.axes.length > 1 ? "frames" : "samples";
  const rate = signal.rate ? ` at ${count(signal.rate)} ${unit} per second` : "";
  const text = `${made}${maps.join("; ")}${rate}. ${plural(parameters, "parameter")}.`;
  return text[0].toUpperCase() + text.slice(1);
}

function scores(found) {
  if (!found?.length) return make("p", { class: "quiet" }, "It has no scores yet: run \"vqvae evaluate\".");
  const rows = found.map(({ title, value, unit, meaning }) => make("tr", { title: meaning }, make("th", { scope: "row" }, title),
    make("td", {}, value, unit ? make("small", {}, ` ${unit}`) : "")));
  const tables = [rows.slice(0, SHOWN), rows.slice(SHOWN)].map((part) => make("table", { class: "scores" },
    make("caption", { class: "visually-hidden" }, "Scores"), make("tbody", {}, ...part)));
  if (rows.length <= SHOWN) return tables[0];
  return make("div", {}, tables[0], make("details", {}, make("summary", {}, `${rows.length - SHOWN} more`), tables[1]));
}

function foot(model, element) {
  const row = make("p", { class: "buttons" });
  if (!model.report) return row;
  const path = at(model, "report");
  if (!needsToken()) {
    row.append(make("a", { class: "button", href: path, target: "_blank", rel: "noopener" }, "Open the report"));
    return row;
  }
  // A link sends no token, so the page fetches the file itself.
  const button = make("button", { type: "button" }, "Save the report");
  button.addEventListener("click", () => new Message(element.id).around(async () => {
    const url = URL.createObjectURL(await getBlob(path));
    make("a", { href: url, download: `${model.name}.html` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  }));
  row.append(button);
  return row;
}
