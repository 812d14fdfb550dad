/**
 * The HTTP side of `push-channels.js`: requests, errors that say what to do, streams of events. Keep the two files
 * side by side; pages import `push-channels.js`, which exports what they need of this one.
 */

/**
 * Why a call failed. Branch on `code`; `message` is a sentence for people that also says what to do.
 *
 * | code | what happened |
 * |---|---|
 * | `insecure` | the page is neither on https nor on localhost |
 * | `ios-not-installed` | iOS and iPadOS have push only for pages on the home screen |
 * | `no-push` | this browser, or its private window, has no Web Push |
 * | `permission-denied` | notifications are blocked for this site |
 * | `permission-dismissed` | the question was closed without an answer |
 * | `push-service` | the browser's push service did not answer, or refused |
 * | `service-worker` | the service worker could not be installed |
 * | `unreachable` | no answer from the server |
 * | `timeout` | the server did not answer in time |
 * | `unauthenticated` | the server does not know this authorization (401) |
 * | `forbidden` | known, but not allowed (403) |
 * | `not-found` | no such thing, or somebody else's (404) |
 * | `conflict` | an idempotency key was used for another message (409) |
 * | `too-large` | the body is too large (413) |
 * | `too-many` | asked too often (429): wait `retryAfter` seconds |
 * | `full` | the user has as many subscriptions as the server allows (507) |
 * | `invalid` | the server refused the values (other 4xx): `message` names the first |
 * | `unavailable` | the server has a passing problem (503): wait `retryAfter` seconds |
 * | `server` | the server has a problem of its own (other 5xx), or answered no JSON |
 */
export class PushChannelsError extends Error {
    /**
     * @param {string} code
     * @param {string} message
     * @param {{ status?: number, errno?: number, retryAfter?: number | null, cause?: unknown }} [more]
     */
    constructor(code, message, { status, errno, retryAfter = null, cause } = {}) {
        super(message, { cause });
        this.name = "PushChannelsError";
        this.code = code;
        /** The HTTP status, where there was an answer. */
        this.status = status;
        /** The server's own number of the error. */
        this.errno = errno;
        /** Seconds to wait before the next try, where the server said so. */
        this.retryAfter = retryAfter;
    }

    /** Whether the same call may succeed later without anybody doing anything. */
    get passing() {
        return ["unreachable", "timeout", "too-many", "unavailable"].includes(this.code);
    }
}

const TIMEOUT = 10_000;
/** Longer waits are the caller's decision. */
const LONGEST_WAIT = 30;
const ATTEMPTS = 3;
/** The server sends a comment every 15 seconds; without one the connection is dead. */
const SILENCE = 40_000;

/** One server, one authorization. */
export class Api {
    #base;
    #authorization;
    /** Until when the server asked (`Backoff`) to be left alone by calls that nobody waits for. */
    #quietUntil = 0;

    /**
     * @param {string} server its origin, e.g. `https://push.example.com`
     * @param {string | null} authorization the value of the header, or null for none
     */
    constructor(server, authorization) {
        this.#base = `${server.replace(/\/+$/, "")}/v0`;
        this.#authorization = authorization;
    }

    /**
     * One call. Waits for `Retry-After` and repeats where repeating is harmless: everything except a POST that does
     * not say `repeat`.
     *
     * @param {string} method
     * @param {string} path after `/v0`
     * @param {{ body?: unknown, headers?: Record<string, string>, signal?: AbortSignal, repeat?: boolean }} [options]
     * @returns {Promise<{ json: any, headers: Headers, status: number }>}
     * @throws {PushChannelsError}
     */
    async call(method, path, { body, headers = {}, signal, repeat = method !== "POST" } = {}) {
        for (let attempt = 1; ; attempt++) {
            try {
                return await this.#once(method, path, body, headers, signal);
            } catch (error) {
                if (!(error instanceof PushChannelsError)) throw error;
                const wait = error.retryAfter ?? attempt / 2;
                // A refusal was not carried out, so that any method may be repeated after it.
                const harmless = repeat || error.code === "too-many" || error.code === "unavailable";
                if (!error.passing || !harmless || attempt === ATTEMPTS || wait > LONGEST_WAIT) throw error;
                await pause(wait * 1000, signal);
            }
        }
    }

    /**
     * Reads `text/event-stream` until it closes. (`EventSource` cannot send an authorization.)
     *
     * @param {string} path
     * @param {(event: StreamEvent) => void} onEvent
     * @param {AbortSignal} [signal]
     * @throws {PushChannelsError} `unreachable` when it breaks
     */
    async stream(path, onEvent, signal) {
        const limit = within(TIMEOUT, signal);
        try {
            const response = await this.#fetch("GET", path, undefined, { Accept: "text/event-stream" }, limit.signal);
            if (!response.ok || !response.body) throw await refusal(response);
            const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
            const parse = eventParser();
            for (;;) {
                limit.extend(SILENCE);
                const { done, value } = await reader.read();
                if (done) return;
                parse(value).forEach(onEvent);
            }
        } catch (error) {
            throw explained(error, limit, signal);
        } finally {
            limit.end();
        }
    }

    /** Waits until the server wants automatic calls again. @param {AbortSignal} [signal] */
    async quiet(signal) {
        const wait = this.#quietUntil - Date.now();
        if (wait > 0) await pause(wait, signal);
    }

    /**
     * @param {string} method
     * @param {string} path
     * @param {unknown} body
     * @param {Record<string, string>} headers
     * @param {AbortSignal} [signal]
     */
    async #once(method, path, body, headers, signal) {
        const limit = within(TIMEOUT, signal);
        try {
            const response = await this.#fetch(method, path, body, headers, limit.signal);
            if (!response.ok) throw await refusal(response);
            return { json: await response.json(), headers: response.headers, status: response.status };
        } catch (error) {
            throw explained(error, limit, signal);
        } finally {
            limit.end();
        }
    }

    /**
     * @param {string} method
     * @param {string} path
     * @param {unknown} body
     * @param {Record<string, string>} headers
     * @param {AbortSignal} signal
     */
    async #fetch(method, path, body, headers, signal) {
        const all = new Headers({ Accept: "application/json", ...headers });
        if (this.#authorization !== null) all.set("Authorization", this.#authorization);
        if (body !== undefined) all.set("Content-Type", "application/json");
        const response = await fetch(this.#base + path, {
            method,
            headers: all,
            body: body === undefined ? undefined : JSON.stringify(body),
            signal,
            // The browser must neither answer from its cache nor ask for a password in a window of its own.
            cache: "no-store",
            credentials: "omit",
        });
        const backoff = Number(response.headers.get("Backoff"));
        if (backoff > 0) this.#quietUntil = Date.now() + backoff * 1000;
        return response;
    }
}

/**
 * The value of an `Authorization` header for a name and a password.
 *
 * @param {string} name
 * @param {string} password
 */
export function basic(name, password) {
    const octets = new TextEncoder().encode(`${name}:${password}`);
    return `Basic ${btoa(String.fromCharCode(...octets))}`;
}

/**
 * @param {number} ms
 * @param {AbortSignal} [signal]
 * @returns {Promise<void>}
 */
export function pause(ms, signal) {
    return new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason);
        const stop = () => {
            clearTimeout(timer);
            reject(signal?.reason);
        };
        const timer = setTimeout(() => {
            signal?.removeEventListener("abort", stop);
            resolve();
        }, ms);
        signal?.addEventListener("abort", stop, { once: true });
    });
}

/**
 * @typedef {{ event: string, data: string }} StreamEvent
 */

/**
 * Takes a stream of events apart, in whatever pieces it arrives.
 *
 * @returns {(chunk: string) => StreamEvent[]}
 */
export function eventParser() {
    let rest = "";
    let event = "";
    /** @type {string[]} */
    let data = [];
    return (chunk) => {
        rest += chunk;
        /** @type {StreamEvent[]} */
        const events = [];
        // A CR at the end may be the first half of a CRLF: it waits for the next piece.
        for (let end; (end = /\r\n|\n|\r(?!$)/.exec(rest)); ) {
            const line = rest.slice(0, end.index);
            rest = rest.slice(end.index + end[0].length);
            if (line === "") {
                if (data.length > 0) events.push({ event: event || "message", data: data.join("\n") });
                event = "";
                data = [];
                continue;
            }
            const [, field, value] = /^([^:]*):? ?(.*)$/s.exec(line) ?? [];
            if (field === "event") event = value;
            if (field === "data") data.push(value);
        }
        return events;
    };
}

/**
 * `Retry-After` in seconds: it may also be a date.
 *
 * @param {string | null} value
 * @param {number} [now] ms since the epoch
 * @returns {number | null}
 */
export function retryAfter(value, now = Date.now()) {
    if (value === null || value.trim() === "") return null;
    if (/^\d+$/.test(value.trim())) return Number(value);
    const date = Date.parse(value);
    return Number.isNaN(date) ? null : Math.max(0, (date - now) / 1000);
}

/**
 * A signal that fires after a while or with the caller's. (`AbortSignal.any` is younger than Web Push on iOS.)
 *
 * @param {number} ms
 * @param {AbortSignal} [outer]
 */
function within(ms, outer) {
    const controller = new AbortController();
    const stop = () => controller.abort(outer?.reason);
    if (outer?.aborted) stop();
    outer?.addEventListener("abort", stop, { once: true });
    let late = false;
    const fire = () => {
        late = true;
        controller.abort();
    };
    let timer = setTimeout(fire, ms);
    return {
        signal: controller.signal,
        late: () => late,
        /** @param {number} more */
        extend(more) {
            clearTimeout(timer);
            timer = setTimeout(fire, more);
        },
        end() {
            clearTimeout(timer);
            outer?.removeEventListener("abort", stop);
        },
    };
}

/**
 * @param {unknown} error
 * @param {{ late: () => boolean }} limit
 * @param {AbortSignal} [signal]
 */
function explained(error, limit, signal) {
    if (error instanceof PushChannelsError) return error;
    if (signal?.aborted) return signal.reason;
    if (limit.late()) {
        return new PushChannelsError("timeout", "The server did not answer in time. Try again later.", { cause: error });
    }
    if (error instanceof SyntaxError) {
        return new PushChannelsError("server", "The server answered no JSON. Is this the right address?", { cause: error });
    }
    const message = "The server cannot be reached. Check the connection and that the server is running.";
    return new PushChannelsError("unreachable", message, { cause: error });
}

/** @type {Record<number, [code: string, message: string]>} */
const REFUSALS = {
    401: ["unauthenticated", "The server does not know you. Sign in again."],
    403: ["forbidden", "You are not allowed to do this."],
    404: ["not-found", "There is no such thing on the server any more."],
    409: ["conflict", "This idempotency key was used for another message. Use a new one."],
    413: ["too-large", "This is too large for the server. Send less."],
    429: ["too-many", "Too many requests."],
    503: ["unavailable", "The server has a passing problem."],
    507: ["full", "You have as many subscriptions as the server allows. Remove one of another device."],
};

/** @param {Response} response */
async function refusal(response) {
    const body = await response.json().catch(() => null);
    const { status } = response;
    const wait = retryAfter(response.headers.get("Retry-After"));
    const unknown = status < 500 ? ["invalid", "The server refused this."] : ["server", "The server has a problem."];
    let [code, message] = REFUSALS[status] ?? unknown;
    // Of the server's own sentences only those about the values that were sent say more than ours.
    if (code === "invalid" && typeof body?.message === "string") message = `The server refused this: ${body.message}`;
    if (wait !== null) message += ` Try again in ${Math.ceil(wait)} s.`;
    return new PushChannelsError(code, message, { status, errno: body?.errno, retryAfter: wait });
}
