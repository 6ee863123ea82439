// The dialog for the server's token. The page keeps it in memory alone.

import { Sentence, find } from "./dom.js";

let asked = null;

/** Ask for the token; requests that wait for it share one dialog. */
export function askToken(refused) {
  asked ??= open(refused).finally(() => {
    asked = null;
  });
  return asked;
}

function open(refused) {
  const dialog = find("token");
  const field = find("token-field");
  if (refused) find("token-words").textContent = "The server refused this token. Ask the person who started it, then type it again.";
  field.value = "";
  dialog.showModal();
  field.focus();
  return new Promise((resolve, reject) => {
    const closed = () => {
      if (dialog.returnValue === "send" && field.value) resolve(field.value.trim());
      else reject(new Sentence("This server needs its token. Load the page again to enter it."));
      field.value = "";
    };
    dialog.addEventListener("close", closed, { once: true });
  });
}
