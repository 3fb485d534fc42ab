// The REST interface of the server. Errors are problem details (RFC 9457).

export class ApiError extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

export class Api {
  constructor(token) { this.token = token; }

  rooms() { return this.#call('GET', 'rooms').then((answer) => answer.rooms); }
  room(id) { return this.#call('GET', `rooms/${encodeURIComponent(id)}`); }
  create(settings) { return this.#call('POST', 'rooms', settings); }
  update(id, settings) { return this.#call('PATCH', `rooms/${encodeURIComponent(id)}`, settings); }
  close(id) { return this.#call('DELETE', `rooms/${encodeURIComponent(id)}`); }
  kick(id, participant) { return this.#call('DELETE', `rooms/${encodeURIComponent(id)}/participants/${participant}`); }

  async #call(method, path, body) {
    const response = await fetch(`api/${path}`, {
      method,
      headers: { Authorization: `Bearer ${this.token}`, ...(body && { 'Content-Type': 'application/json' }) },
      body: body && JSON.stringify(body),
    }).catch(() => { throw new ApiError(0, 'the server cannot be reached'); });
    if (response.status === 204) return null;
    const answer = await response.json().catch(() => ({}));
    if (!response.ok) throw new ApiError(response.status, answer.detail ?? `the server answered ${response.status}`);
    return answer;
  }
}

// The figures of the server: name without labels -> sum over its labels (Prometheus text format).
export async function figures() {
  const response = await fetch('metrics').catch(() => null);
  const sums = new Map();
  if (!response?.ok) return sums;
  for (const line of (await response.text()).split('\n')) {
    const [, name, value] = /^duet_signaling_(\w+)(?:\{[^}]*\})? (\S+)$/.exec(line) ?? [];
    if (name) sums.set(name, (sums.get(name) ?? 0) + Number(value));
  }
  return sums;
}
