// Elements, and messages that screen readers hear too.

export const find = (id) => document.getElementById(id);

/** An element with properties ("class", "data-…" and "aria-…" as attributes) and children. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element && !name.includes("-")) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Tell a screen reader, without a change on the page. */
export function announce(text) {
  find("status").textContent = text;
}

/** An alert of a panel: a sentence that says what to do, or nothing. */
export class Message {
  constructor(id) {
    this.element = find(id);
  }

  /** Show an error; an abort is the user's own wish and no error. */
  show(error) {
    if (error?.name === "AbortError") return;
    if (!(error instanceof Sentence)) console.error(error);
    const text = error instanceof Sentence ? error.message : `The page failed: ${error?.message ?? error}. Load it again.`;
    this.element.replaceChildren(make("p", {}, text));
    this.element.hidden = false;
  }

  clear() {
    this.element.hidden = true;
    this.element.replaceChildren();
  }

  /** Run a task. Its error becomes the message; the result is whether there was none. */
  async around(task) {
    this.clear();
    try {
      await task();
      return true;
    } catch (error) {
      this.show(error);
      return false;
    }
  }
}

/** An error for the user: what went wrong, and what to do. */
export class Sentence extends Error {}

/** Fill a select with options; the choice stays if it is still there. */
export function fill(select, options) {
  const before = select.value;
  select.replaceChildren(...options.map(([value, text]) => make("option", { value }, text)));
  if (options.some(([value]) => String(value) === before)) select.value = before;
}

/** A number with separators, such as 12,345. */
export const count = (number) => number.toLocaleString("en");

/** "1 code", "2 codes". */
export const plural = (number, word) => `${count(number)} ${word}${number === 1 ? "" : "s"}`;

/** The value of a field as a whole number within its own bounds. */
export function whole(field) {
  const number = Math.round(Number(field.value)) || 0;
  const least = field.min === "" ? -Infinity : Number(field.min);
  const most = field.max === "" ? Infinity : Number(field.max);
  const kept = Math.min(Math.max(number, least), most);
  if (String(kept) !== field.value) field.value = String(kept);
  return kept;
}

/** A function that runs one call at a time; of the calls that arrive meanwhile, only the last one runs. */
export function latest(task) {
  let running = false;
  let waiting = null;
  return async function call(...values) {
    if (running) {
      waiting = values;
      return;
    }
    running = true;
    try {
      await task(...values);
    } finally {
      running = false;
      if (waiting) {
        const next = waiting;
        waiting = null;
        call(...next);
      }
    }
  };
}
