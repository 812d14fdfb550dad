/**
 * Channels over Web Push, for web pages: subscribes this browser, keeps its subscription alive, joins and leaves
 * channels, publishes, and hands over what arrives.
 *
 * ```js
 * import { PushChannels, basic } from "./push-channels.js";
 *
 * const push = new PushChannels({ server: location.origin, authorization: basic("ann", "secret") });
 * push.onMessage((message) => console.log(message.json ?? message.text));
 * await push.start(); // on every load
 * button.addEventListener("click", async () => {
 *     await push.subscribe(); // asks for permission, so only on a click
 *     await push.join("news");
 * });
 * ```
 *
 * A site needs four files: this one, `push-channels-api.js` and `push-channels-browser.js` beside it, and
 * `service-worker.js` on its own origin.
 * The server may be elsewhere: it allows all origins unless told otherwise.
 *
 * **What is kept in the browser.** The service worker keeps the server's address and the authorization in IndexedDB
 * (database `push-channels`), because a browser may change its subscription while no page is open, and the worker
 * then has to tell the server. Use an authorization that you would store on this device; `unsubscribe` deletes it.
 * `localStorage` holds which user subscribed this browser, the subscription's id and when the server last saw it.
 */

import { Api, PushChannelsError, pause } from "./push-channels-api.js";
import {
    current,
    exclusively,
    freshKey,
    fromBase64url,
    isApple,
    madeFor,
    obstacle,
    permission,
    ready,
    subscribeTo,
    subscriptionId,
    tellWorker,
} from "./push-channels-browser.js";

export { PushChannelsError, basic } from "./push-channels-api.js";
export { obstacle, subscriptionId } from "./push-channels-browser.js";

/**
 * @typedef {object} PushMessage What arrived.
 * @property {string} id made by the service worker; the same when a message is handed over again
 * @property {number} received ms since the epoch
 * @property {string} text as it was sent; empty for a push without payload
 * @property {any} json the text as JSON, or null where it is none
 *
 * @typedef {object} State
 * @property {PushChannelsError | null} obstacle why this browser cannot have push here at all
 * @property {NotificationPermission} permission
 * @property {boolean} subscribed whether the server has this browser's subscription for this user
 * @property {string | null} id of the subscription on the server
 *
 * @typedef {object} Broadcast
 * @property {string} id
 * @property {string} channel
 * @property {number} created ms since the epoch
 * @property {"running" | "finished" | "timed_out" | "aborted" | "failed"} state
 * @property {number} read
 * @property {number} pending
 * @property {Record<string, number>} counts by outcome; absent is none
 * @property {number} pruned
 * @property {{ origin: string, counts: Record<string, number> }[]} origins
 * @property {number} seconds from the start to the end or to now
 *
 * @typedef {{ user: string, id: string, at: number, apple: boolean }} Known
 * @typedef {{ id: string, endpoint: string, last_modified: number }} Device
 */

const DAY = 24 * 60 * 60 * 1000;

export class PushChannels {
    #server;
    #authorization;
    #api;
    #worker;
    /** @type {Set<(message: PushMessage) => unknown>} */
    #listeners = new Set();
    /** @type {{ id: string, publishes: string[] } | null} */
    #user = null;
    /** @type {(event: MessageEvent) => void} */
    #receive = (event) => void this.#handle(event);

    /**
     * Does nothing yet but listen for messages: call `start`.
     *
     * @param {object} options
     * @param {string} [options.server] its origin; this page's own if left out
     * @param {string | null} [options.authorization] value of the header: `basic(name, password)`, or `Bearer ...`
     * @param {string} [options.serviceWorker] where this site serves `service-worker.js`
     */
    constructor({ server = location.origin, authorization = null, serviceWorker = "/service-worker.js" }) {
        this.#server = new URL(server, location.href).href.replace(/\/+$/, "");
        this.#authorization = authorization;
        this.#api = new Api(this.#server, authorization);
        this.#worker = serviceWorker;
        navigator.serviceWorker?.addEventListener("message", this.#receive);
        navigator.serviceWorker?.startMessages();
    }

    /** Stops listening; the subscription stays. */
    close() {
        navigator.serviceWorker?.removeEventListener("message", this.#receive);
        this.#listeners.clear();
    }

    /**
     * To be called on every load. Installs the service worker and, if this user subscribed this browser before,
     * brings browser and server together again: tells the server once a day that the subscription is alive; replaces
     * it where the browser has another one or none by now, where the server lost it, and where the server's key
     * changed. Asks for nothing, and never takes over a subscription that another user made.
     *
     * @throws {PushChannelsError} where that failed; the object can be used all the same
     */
    async start() {
        await this.user();
        if (obstacle() === null && Notification.permission === "granted") {
            const registration = await ready(this.#worker);
            await exclusively(() => this.#resync(registration));
        }
        return this.state();
    }

    /** @returns {Promise<State>} */
    async state() {
        const hindrance = obstacle();
        if (hindrance) return { obstacle: hindrance, permission: "default", subscribed: false, id: null };
        const known = this.#recall();
        const registration = known && (await navigator.serviceWorker.getRegistration(this.#worker));
        const subscription = registration ? await current(registration) : null;
        const id = subscription && (await subscriptionId(subscription.endpoint));
        const subscribed = id !== null && id === known?.id && known?.user === this.#user?.id;
        return { obstacle: null, permission: Notification.permission, subscribed, id: subscribed ? id : null };
    }

    /**
     * Subscribes this browser for this user, asking for permission if need be: call it on a click. A subscription
     * that another user of this browser had moves to this one.
     *
     * @returns {Promise<string>} the id of the subscription on the server
     * @throws {PushChannelsError}
     */
    async subscribe() {
        const hindrance = obstacle();
        if (hindrance) throw hindrance;
        await permission();
        await this.user();
        const registration = await ready(this.#worker);
        return exclusively(async () => {
            const key = await this.#serverKey();
            const subscription = await current(registration);
            if (subscription && madeFor(subscription, key)) return this.#store(subscription, null);
            return this.#renew(registration, subscription, key);
        });
    }

    /**
     * Ends this browser's subscription here and on the server, and makes the service worker forget the
     * authorization. Also what signing out should do: else the next user of this browser gets this one's messages.
     */
    async unsubscribe() {
        if (obstacle()) return;
        const registration = await navigator.serviceWorker.getRegistration(this.#worker);
        await exclusively(async () => {
            const known = this.#recall();
            // First what must not fail: from here on nothing renews the subscription.
            this.#remember(null);
            if (registration) await this.#instruct(registration, null);
            let id = known?.id;
            try {
                const subscription = registration ? await current(registration) : null;
                if (subscription) id = await subscriptionId(subscription.endpoint);
                await subscription?.unsubscribe();
            } finally {
                if (id) await this.#forgetOnServer(id);
            }
        });
    }

    /**
     * Calls `listener` for each push that reaches this browser. One that returns `true` (or a promise of it, soon:
     * the worker waits half a second) has shown the message itself, and while the page is visible no notification
     * appears. Apple's push service ends subscriptions whose pushes show nothing, so there one always appears.
     *
     * @param {(message: PushMessage) => unknown} listener
     * @returns {() => void} ends it
     */
    onMessage(listener) {
        this.#listeners.add(listener);
        return () => void this.#listeners.delete(listener);
    }

    /** Who the server takes us for, and which channels we may publish to (patterns such as `sport-*`). */
    async user() {
        const { json } = await this.#api.call("GET", "/");
        if (!json.user) {
            throw new PushChannelsError("unauthenticated", "The server does not know you. Sign in again.", { status: 401 });
        }
        const publishes = Array.isArray(json.user.publishes) ? json.user.publishes : [];
        this.#user = { id: String(json.user.id), publishes };
        return this.#user;
    }

    /** The names of the channels that this user joined, sorted. @returns {Promise<string[]>} */
    async channels() {
        const { json } = await this.#api.call("GET", "/channels");
        return json.data.map((/** @type {{ id: string }} */ channel) => channel.id);
    }

    /**
     * A channel that this user joined.
     *
     * @param {string} name
     * @returns {Promise<{ id: string, registrations: number, push: number }>}
     */
    async channel(name) {
        return (await this.#api.call("GET", channelPath(name))).json.data;
    }

    /** From now on all devices of this user get what is published there. @param {string} name */
    async join(name) {
        await this.#api.call("PUT", `${channelPath(name)}/registration`);
    }

    /** @param {string} name */
    async leave(name) {
        await this.#api.call("DELETE", `${channelPath(name)}/registration`);
    }

    /** The subscriptions of this user, this browser's among them. @returns {Promise<Device[]>} */
    async devices() {
        return (await this.#api.call("GET", "/subscriptions")).json.data;
    }

    /**
     * Removes a subscription from the server. The browser that made it subscribes anew when this site is opened
     * there again, unless it was unsubscribed or signed out there.
     *
     * @param {string} id
     */
    async remove(id) {
        await this.#api.call("DELETE", `/subscriptions/${encodeURIComponent(id)}`);
    }

    /**
     * Sends to everybody who joined the channel. Returns as soon as the server has it; `watch` shows how it goes on.
     *
     * @param {string} name
     * @param {object | null} data what the pages get; at most 3993 octets as JSON. Null sends a push without payload
     * @param {object} [options]
     * @param {number} [options.ttl] seconds for which push services keep it for a device that is offline
     * @param {"very-low" | "low" | "normal" | "high"} [options.urgency]
     * @param {string} [options.collapseKey] replaces a message with the same key that has not arrived yet
     * @param {string} [options.idempotencyKey] the same key and message again is sent only once
     * @returns {Promise<string>} the id of the broadcast
     */
    async publish(name, data, { ttl, urgency, collapseKey, idempotencyKey = freshKey() } = {}) {
        /** @type {Record<string, string>} */
        const headers = { "Idempotency-Key": idempotencyKey };
        if (ttl !== undefined) headers.TTL = String(ttl);
        if (urgency !== undefined) headers.Urgency = urgency;
        if (collapseKey !== undefined) headers["Collapse-Key"] = collapseKey;
        const body = data === null ? undefined : { data };
        // With a key a repeat is harmless.
        const { headers: answer } = await this.#api.call("POST", channelPath(name), { body, headers, repeat: true });
        const id = answer.get("Location")?.split("/").pop();
        if (!id) throw new PushChannelsError("server", "The server did not say where the broadcast is.");
        return decodeURIComponent(id);
    }

    /** @param {string} id @returns {Promise<Broadcast>} */
    async broadcast(id) {
        return (await this.#api.call("GET", broadcastPath(id))).json.data;
    }

    /**
     * What this user published, newest first.
     *
     * @param {{ since?: number, limit?: number }} [options] `since` in ms since the epoch
     * @returns {Promise<Broadcast[]>}
     */
    async broadcasts({ since, limit = 50 } = {}) {
        const query = new URLSearchParams({ _limit: String(limit) });
        if (since !== undefined) query.set("_since", String(Math.floor(since)));
        return (await this.#api.call("GET", `/broadcasts?${query}`)).json.data;
    }

    /** Ends a broadcast; what was sent was sent. @param {string} id @returns {Promise<Broadcast>} */
    async abort(id) {
        return (await this.#api.call("DELETE", broadcastPath(id))).json.data;
    }

    /**
     * Follows a broadcast to its end, through lost connections as well.
     *
     * @param {string} id
     * @param {(broadcast: Broadcast) => void} onProgress
     * @param {AbortSignal} [signal] ends watching (not the broadcast)
     * @returns {Promise<Broadcast>} the final report
     */
    async watch(id, onProgress, signal) {
        /** @type {Broadcast | null} */
        let last = null;
        for (let failures = 0; ; failures++) {
            let ended = false;
            try {
                await this.#api.stream(`${broadcastPath(id)}/events`, ({ event, data }) => {
                    // `error`: the server could not look, and closes. Asking again finds out why, or that it can.
                    if (event !== "progress" && event !== "end") return;
                    last = /** @type {Broadcast} */ (JSON.parse(data));
                    ended ||= event === "end";
                    failures = 0;
                    onProgress(last);
                }, signal);
            } catch (error) {
                if (!(error instanceof PushChannelsError && error.passing)) throw error;
            }
            if (ended && last) return last;
            await pause(Math.min(1000 * 2 ** failures, 30_000), signal);
            await this.#api.quiet(signal);
        }
    }

    // --- the subscription ------------------------------------------------------------------------------------

    /** @param {ServiceWorkerRegistration} registration */
    async #resync(registration) {
        const known = this.#recall();
        if (known === null || known.user !== this.#user?.id) return;
        await this.#instruct(registration, known.id);
        const [key, subscription] = await Promise.all([this.#serverKey(), current(registration)]);
        if (subscription === null || !madeFor(subscription, key)) {
            await this.#renew(registration, subscription, key);
        } else if ((await subscriptionId(subscription.endpoint)) !== known.id) {
            await this.#store(subscription, known.id);
        } else if (!(await this.#onServer(known.id))) {
            // Most likely the push service said that it is gone, so that storing it again would not help.
            await this.#renew(registration, subscription, key);
        } else if (Date.now() - known.at > DAY) {
            await this.#store(subscription, null);
        }
    }

    /**
     * @param {ServiceWorkerRegistration} registration
     * @param {PushSubscription | null} old
     * @param {Uint8Array<ArrayBuffer>} key
     */
    async #renew(registration, old, key) {
        const known = this.#recall();
        const replaces = old ? await subscriptionId(old.endpoint) : known?.user === this.#user?.id ? known?.id : null;
        await old?.unsubscribe();
        return this.#store(await subscribeTo(registration, key), replaces ?? null);
    }

    /**
     * @param {PushSubscription} subscription
     * @param {string | null} replaces
     */
    async #store(subscription, replaces) {
        const { endpoint, keys } = subscription.toJSON();
        const id = await subscriptionId(subscription.endpoint);
        const body = { data: { endpoint, keys } };
        if (replaces && replaces !== id) {
            // A repeat finds the old one unknown and stores the new one again.
            await this.#api.call("POST", `/subscriptions/${replaces}/replace`, { body, repeat: true });
        } else {
            await this.#api.call("PUT", `/subscriptions/${id}`, { body });
        }
        this.#remember({ user: this.#user?.id ?? "", id, at: Date.now(), apple: isApple(subscription) });
        await this.#instruct(await ready(this.#worker), id);
        return id;
    }

    /** @param {string} id */
    async #onServer(id) {
        return this.#api.call("GET", `/subscriptions/${id}`).then(() => true, (error) => {
            if (error.code === "not-found") return false;
            throw error;
        });
    }

    /** @param {string} id */
    async #forgetOnServer(id) {
        try {
            await this.remove(id);
        } catch (error) {
            // The browser's side has ended; the server finds out with its next message at the latest.
            if (!(error instanceof PushChannelsError && (error.passing || error.code === "not-found"))) throw error;
        }
    }

    async #serverKey() {
        const { json } = await this.#api.call("GET", "/vapid");
        return fromBase64url(json.data.applicationServerKey);
    }

    // --- the service worker ----------------------------------------------------------------------------------

    /**
     * Tells the worker what it needs to replace the subscription by itself, or to forget it.
     *
     * @param {ServiceWorkerRegistration} registration
     * @param {string | null} id
     */
    #instruct(registration, id) {
        const settings = id === null ? null : { server: this.#server, authorization: this.#authorization, id };
        return tellWorker(registration, { type: "push-channels:settings", settings });
    }

    /** @param {MessageEvent} event */
    async #handle({ data, ports: [port] }) {
        if (data?.type === "replaced") {
            const known = this.#recall();
            if (known) this.#remember({ ...known, id: data.id, at: Date.now() });
        }
        // Another object on this page may have somebody who listens: the first answer counts.
        if (data?.type !== "push" || this.#listeners.size === 0) return;
        const answers = await Promise.allSettled([...this.#listeners].map(async (listener) => listener(data)));
        for (const answer of answers) if (answer.status === "rejected") reportError(answer.reason);
        const shown = answers.some((answer) => answer.status === "fulfilled" && answer.value === true);
        const taken = shown && document.visibilityState === "visible" && !this.#recall()?.apple;
        port?.postMessage({ type: taken ? "taken" : "seen" });
    }

    // --- what this browser knows -----------------------------------------------------------------------------

    get #place() {
        return `push-channels ${this.#server} ${this.#worker}`;
    }

    /** @returns {Known | null} */
    #recall() {
        try {
            return JSON.parse(localStorage.getItem(this.#place) ?? "null");
        } catch {
            return null;
        }
    }

    /** @param {Known | null} known */
    #remember(known) {
        if (known === null) localStorage.removeItem(this.#place);
        else localStorage.setItem(this.#place, JSON.stringify(known));
    }
}

/** @param {string} name */
function channelPath(name) {
    return `/channels/${encodeURIComponent(name)}`;
}

/** @param {string} id */
function broadcastPath(id) {
    return `/broadcasts/${encodeURIComponent(id)}`;
}
