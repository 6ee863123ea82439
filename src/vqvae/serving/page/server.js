// The HTTP interface, version 1: requests, streams of events, the token, and errors as sentences.

import { Sentence } from "./dom.js";
import { askToken } from "./token.js";

let token = null;
const LOST = `The server does not answer. Start it again with "vqvae serve RUN" on its machine, then try again.`;

/** The body of a form with a file and fields. Fields that are null are left out. */
export function form(file, fields = {}, name = file.name || "upload") {
  const body = new FormData();
  body.append("file", file, name);
  for (const [key, value] of Object.entries(fields)) if (value !== null && value !== undefined) body.append(key, value);
  return body;
}

async function ask(path, { method = "GET", json = null, body = null, signal = null } = {}) {
  const headers = {};
  if (token !== null) headers.Authorization = `Bearer ${token}`;
  if (json !== null) headers["Content-Type"] = "application/json";
  const options = { method, headers, signal, body: json === null ? body : JSON.stringify(json), cache: "no-store" };
  // A page that closes can still give back what it holds.
  options.keepalive = method === "DELETE";
  try {
    return await fetch(path, options);
  } catch (error) {
    throw error.name === "AbortError" ? error : new Sentence(LOST);
  }
}

async function request(path, options = {}) {
  let response = await ask(path, options);
  for (let refused = false; response.status === 401; refused = true) {
    token = await askToken(refused);
    response = await ask(path, options);
  }
  if (!response.ok) throw await refusal(response);
  return response;
}

async function refusal(response) {
  let said = "";
  try {
    said = (await response.json()).error.message;
  } catch {
    said = `The server answered with status ${response.status}.`;
  }
  const wait = Number(response.headers.get("Retry-After")) || 0;
  const again = wait > 1 ? `in ${wait} seconds` : "in a moment";
  if (response.status === 429 && !/try again in/i.test(said)) said = `${said} Try again ${again}.`;
  if (response.status === 503 && !/again/i.test(said)) said = `${said} Try again ${again}.`;
  return new Sentence(said);
}

async function whole(response, read) {
  try {
    return await read(response);
  } catch (error) {
    throw error.name === "AbortError" ? error : new Sentence(LOST);
  }
}

export const needsToken = () => token !== null;
export const getJSON = async (path, options) => whole(await request(path, options), (response) => response.json());
export const getBlob = async (path, options) => whole(await request(path, options), (response) => response.blob());
export const postJSON = (path, options) => getJSON(path, { method: "POST", ...options });
export const postBlob = (path, options) => getBlob(path, { method: "POST", ...options });

/** The path of a model's endpoint. */
export const at = (model, ...parts) => ["v1", "models", model.name, ...parts].map(encodeURIComponent).join("/");

/** Call `heard(name, data)` for each event of a stream; an event "error" becomes an exception. */
export async function stream(path, json, heard, signal) {
  const response = await request(path, { method: "POST", json, signal });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  let ended = false;
  for (;;) {
    const { value, done } = await whole(reader, (source) => source.read());
    if (done) break;
    text += value.replaceAll("\r", "");
    for (let cut = text.indexOf("\n\n"); cut >= 0; cut = text.indexOf("\n\n")) {
      const event = parse(text.slice(0, cut));
      text = text.slice(cut + 2);
      if (event === null) continue;
      if (event.name === "error") throw new Sentence(event.data.error?.message ?? event.data.message ?? LOST);
      ended ||= event.name === "done";
      heard(event.name, event.data);
    }
  }
  if (!ended) throw new Sentence(LOST);
}

function parse(block) {
  let name = "message";
  const data = [];
  for (const line of block.split("\n")) {
    if (line.startsWith("event:")) name = line.slice(6).trim();
    else if (line.startsWith("data:")) data.push(line.slice(5).trimStart());
  }
  return data.length ? { name, data: JSON.parse(data.join("\n")) } : null;
}
