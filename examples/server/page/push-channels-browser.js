/**
 * What `push-channels.js` asks of the browser: permission, subscription, service worker.
 */

import { PushChannelsError, pause } from "./push-channels-api.js";

/** A call made before the browser's push service is up is never answered. */
const ANSWER_TRIES = 20;
const ANSWER_TIMEOUT = 1500;
const SUBSCRIBE_TIMEOUT = 30_000;
const WORKER_TIMEOUT = 15_000;

/**
 * Why push cannot work on this page, whatever the user does on it.
 *
 * @returns {PushChannelsError | null}
 */
export function obstacle() {
    if (!isSecureContext) {
        return new PushChannelsError("insecure", "Push works only over https or on localhost. Open this page over https.");
    }
    if ("serviceWorker" in navigator && "PushManager" in window && "Notification" in window) return null;
    // Only iOS and iPadOS have this property, and there push exists in installed pages alone.
    if ("standalone" in navigator && navigator.standalone === false) {
        const message = 'On iPhone and iPad, add this page to the home screen first (Share, then "Add to Home Screen"), '
            + "and open it from there.";
        return new PushChannelsError("ios-not-installed", message);
    }
    const message = "This browser has no Web Push here. Use a current browser, and not a private window.";
    return new PushChannelsError("no-push", message);
}

/**
 * The server's name for a subscription: SHA-256 of the endpoint as a JSON string, in hex.
 *
 * @param {string} endpoint
 */
export async function subscriptionId(endpoint) {
    return hex(new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(JSON.stringify(endpoint)))));
}

/** A key that nobody used before. (`randomUUID` is missing on pages over plain http, which may publish all the same.) */
export function freshKey() {
    return hex(crypto.getRandomValues(new Uint8Array(16)));
}

/** @param {Uint8Array} octets */
function hex(octets) {
    return Array.from(octets, (octet) => octet.toString(16).padStart(2, "0")).join("");
}

/** @param {string} text */
export function fromBase64url(text) {
    const plain = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
    return Uint8Array.from(plain, (character) => character.charCodeAt(0));
}

/** Asks for it if need be. @throws {PushChannelsError} if it is not given */
export async function permission() {
    const answer = Notification.permission === "default" ? await Notification.requestPermission() : Notification.permission;
    if (answer === "denied") {
        const message = "Notifications are blocked for this site. Allow them in the browser's settings for this site "
            + "(the symbol left of the address), then try again.";
        throw new PushChannelsError("permission-denied", message);
    }
    if (answer !== "granted") {
        throw new PushChannelsError("permission-dismissed", "The browser's question was not answered. Try again and allow notifications.");
    }
}

/**
 * This browser's subscription.
 *
 * @param {ServiceWorkerRegistration} registration
 * @returns {Promise<PushSubscription | null>}
 */
export async function current(registration) {
    for (let attempt = 0; attempt < ANSWER_TRIES; attempt++) {
        const answer = await inTime(registration.pushManager.getSubscription(), ANSWER_TIMEOUT);
        if (answer) return answer.value;
    }
    throw new PushChannelsError("push-service", "The browser's push service does not answer. Restart the browser.");
}

/**
 * @param {ServiceWorkerRegistration} registration
 * @param {Uint8Array<ArrayBuffer>} key
 */
export async function subscribeTo(registration, key) {
    const options = { userVisibleOnly: true, applicationServerKey: key };
    try {
        const answer = await inTime(registration.pushManager.subscribe(options), SUBSCRIBE_TIMEOUT);
        if (!answer) throw new Error("no answer");
        return answer.value;
    } catch (cause) {
        const message = "The browser could not subscribe with its push service. Check the connection, and that push is "
            + "not switched off in the browser's settings.";
        throw new PushChannelsError("push-service", message, { cause });
    }
}

/**
 * Whether a subscription belongs to this key of the server. Old browsers do not say, and keep what they have.
 *
 * @param {PushSubscription} subscription
 * @param {Uint8Array} key
 */
export function madeFor(subscription, key) {
    const made = subscription.options?.applicationServerKey;
    if (!made) return true;
    const octets = new Uint8Array(made);
    return octets.length === key.length && octets.every((octet, i) => octet === key[i]);
}

/**
 * Two tabs that load at once must not both renew the subscription.
 *
 * @template T
 * @param {() => Promise<T>} work
 * @returns {Promise<T>}
 */
export async function exclusively(work) {
    return navigator.locks ? await navigator.locks.request("push-channels", work) : work();
}

/**
 * Whether Apple's push service carries it.
 *
 * @param {PushSubscription} subscription
 */
export function isApple(subscription) {
    return new URL(subscription.endpoint).hostname.endsWith(".push.apple.com");
}

/**
 * The registration of the service worker, with a worker that is active.
 *
 * @param {string} url
 */
export async function ready(url) {
    let registration;
    try {
        registration = await navigator.serviceWorker.register(url, { updateViaCache: "none" });
    } catch (cause) {
        const message = `The service worker ${url} could not be installed. Is the file there?`;
        throw new PushChannelsError("service-worker", message, { cause });
    }
    // Polled, because a `statechange` can be missed.
    for (let waited = 0; waited < WORKER_TIMEOUT; waited += 50) {
        if (registration.active?.state === "activated") return registration;
        await pause(50);
    }
    throw new PushChannelsError("service-worker", "The service worker did not start. Reload the page.");
}

/**
 * @param {ServiceWorkerRegistration} registration
 * @param {object} message
 */
export async function tellWorker(registration, message) {
    const { port1, port2 } = new MessageChannel();
    const answered = new Promise((resolve) => (port1.onmessage = resolve));
    registration.active?.postMessage(message, [port2]);
    // A worker of the site's own may not know the message; that costs the replacement while no page is open.
    await inTime(answered, ANSWER_TIMEOUT);
    port1.close();
}

/**
 * @template T
 * @param {Promise<T>} answer
 * @param {number} ms
 * @returns {Promise<{ value: T } | null>} null when it is late
 */
async function inTime(answer, ms) {
    const waiting = new AbortController();
    try {
        return await Promise.race([answer.then((value) => ({ value })), pause(ms, waiting.signal).then(() => null)]);
    } finally {
        waiting.abort();
    }
}
