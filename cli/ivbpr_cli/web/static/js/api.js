// What the server is asked. A newer question of the same kind ends the older one.

export class Problem extends Error {
  constructor(message, hint, status) {
    super(message);
    this.hint = hint;
    this.status = status;
  }
}

const running = new Map();

/** The JSON of an address; null when a newer question took its place. */
export async function ask(path, parameters = "", { kind = path, ...options } = {}) {
  running.get(kind)?.abort();
  const control = new AbortController();
  running.set(kind, control);
  const query = parameters.toString();
  try {
    const answer = await fetch(query ? `${path}?${query}` : path, { signal: control.signal, ...options });
    const found = await answer.json().catch(() => null);
    if (!answer.ok || found === null) {
      throw new Problem(found?.error ?? `The server answered ${answer.status}.`, found?.hint ?? "", answer.status);
    }
    return found;
  } catch (problem) {
    if (problem.name === "AbortError") return null;
    if (problem instanceof Problem) throw problem;
    throw new Problem("The server does not answer.", "It may have been stopped. Start it again, then try once more.", 0);
  } finally {
    if (running.get(kind) === control) running.delete(kind);
  }
}
