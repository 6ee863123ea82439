// A place to drop, paste or pick one file.

import { make } from "./dom.js";

/** The picture files that one may pick: the server reads more kinds than browsers do. */
export const PICTURES = "image/*,.tif,.tiff,.bmp";

/**
 * Turn an element into such a place.
 *
 * `what` and `button` are its words, `accept` the files to pick from. `chosen(file)` gets the file. A paste anywhere goes to the first
 * visible place whose `takes(type)` agrees.
 */
export function dropZone(element, { what, button, accept, takes }, chosen) {
  const input = make("input", { type: "file", accept, class: "visually-hidden", tabIndex: -1, "aria-hidden": "true" });
  const pick = make("button", { type: "button" }, button);
  const hint = make("p", {}, `Drop ${what} here, paste it, or `);
  hint.append(pick);
  const name = make("p", { class: "quiet name", hidden: true });
  element.append(hint, name, input);

  const take = (file) => {
    if (!file) return;
    name.textContent = file.name;
    name.hidden = false;
    element.classList.add("filled");
    chosen(file);
  };
  pick.addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    take(input.files[0]);
    input.value = "";
  });
  element.addEventListener("dragover", (event) => {
    event.preventDefault();
    element.classList.add("over");
  });
  element.addEventListener("dragleave", () => element.classList.remove("over"));
  element.addEventListener("drop", (event) => {
    event.preventDefault();
    element.classList.remove("over");
    take(event.dataTransfer.files[0]);
  });
  zones.push({ element, takes, take });
}

const zones = [];

// A file that misses a place must not replace the page.
for (const name of ["dragover", "drop"]) document.addEventListener(name, (event) => event.preventDefault());
document.addEventListener("paste", (event) => {
  const file = event.clipboardData?.files[0];
  if (!file) return;
  const zone = zones.find(({ element, takes }) => element.checkVisibility() && takes(file.type));
  if (!zone) return;
  event.preventDefault();
  zone.take(file);
});
