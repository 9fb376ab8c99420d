// The service's HTTP interface, and nothing else: requests, their errors, the token, the stream of events.

const PATIENCE = 10_000; // milliseconds for an answer
const SILENCE = 30_000; // milliseconds without a byte until an event stream is taken for dead
const TOKEN = "statecast-token";

/** The service answered, and said no. status: of HTTP. */
export class Refused extends Error {
  constructor(status, message, body) {
    super(message);
    this.status = status;
    this.body = body;
  }
}

/** There was no answer. */
export class Unreachable extends Error {}

let asked = null; // the answer to "which token?" that every request waits for, while there is none
let ask = async () => "";

/** ask(refused, accepts) gives a token that the service accepts; refused: the one that it had no longer is. */
export function onTokenWanted(asker) {
  ask = asker;
}

const token = () => sessionStorage.getItem(TOKEN) ?? "";

const headers = (secret, more) => (secret ? { ...more, Authorization: `Bearer ${secret}` } : more);

async function reach(path, options) {
  try {
    return await fetch(path, { cache: "no-store", credentials: "omit", ...options });
  } catch (error) {
    if (options.signal?.aborted && options.signal.reason?.name !== "TimeoutError") throw error;
    throw new Unreachable(error.name === "TimeoutError" ? "no answer in time" : "no connection");
  }
}

const accepts = async (secret) => {
  const options = { headers: headers(secret, {}), signal: AbortSignal.timeout(PATIENCE) };
  return (await reach("v1/model", options)).status !== 401;
};

/** A response that is no error. patience: milliseconds until it has to begin, or 0. */
async function answer(path, { patience = PATIENCE, signal = null, json = null, method = "GET" } = {}) {
  for (;;) {
    const used = token();
    const signals = [signal, patience && AbortSignal.timeout(patience)].filter(Boolean);
    const response = await reach(path, {
      method,
      headers: headers(used, json ? { "Content-Type": "application/json" } : {}),
      body: json && JSON.stringify(json),
      signal: AbortSignal.any(signals),
    });
    if (response.ok) return response;
    if (response.status !== 401) {
      const body = await response.json().catch(() => ({}));
      throw new Refused(response.status, body.error ?? `the service answers ${response.status}`, body);
    }
    if (used !== token()) continue;
    asked ??= ask(used !== "", accepts).then((secret) => sessionStorage.setItem(TOKEN, secret));
    await asked.finally(() => (asked = null));
  }
}

async function body(path, options) {
  const response = await answer(path, options);
  try {
    return await response.json();
  } catch {
    throw new Unreachable("the answer broke off");
  }
}

export const model = () => body("v1/model");
export const overview = (since) => body(`v1/overview?since=${since}`);

/** order: surprise, recent or key */
export const streams = (order, limit, prefix = "", signal = null) =>
  body(`v1/streams?${new URLSearchParams({ prefix, limit, order })}`, { signal, patience: 2 * PATIENCE });

/** path: the stream's key, percent-encoded; as in the next ones. */
export const stream = (path, signal) => body(`v1/streams/${path}`, { signal });
export const forecast = (path, steps, signal) =>
  body(`v1/streams/${path}/forecast`, { method: "POST", json: { steps }, patience: 6 * PATIENCE, signal });
export const reset = (path) => body(`v1/streams/${path}`, { method: "DELETE", patience: 3 * PATIENCE });

/** The stream's events after an offset, one by one, until the connection ends, the signal aborts, or all is silent. */
export async function* events(path, after, signal) {
  const broken = new AbortController();
  const either = AbortSignal.any([signal, broken.signal]);
  let timer = setTimeout(() => broken.abort(), SILENCE);
  try {
    const response = await answer(`v1/streams/${path}/events?after=${after}`, { patience: 0, signal: either });
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = "";
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      clearTimeout(timer);
      timer = setTimeout(() => broken.abort(), SILENCE);
      const messages = (text + value).split(/\r?\n\r?\n/);
      text = messages.pop();
      for (const message of messages) {
        const data = message.split(/\r?\n/).filter((line) => line.startsWith("data:")).map((line) => line.slice(5));
        if (data.length) yield JSON.parse(data.join("\n"));
      }
    }
  } finally {
    clearTimeout(timer);
    broken.abort();
  }
}
