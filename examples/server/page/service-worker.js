/**
 * Receives pushes, also while no page is open.
 *
 * Each push goes to all open pages of this origin. Unless a visible one takes it, a notification appears: browsers
 * give up on sites whose pushes show nothing. No message, however odd, leaves a push without a notification.
 *
 * Messages to pages, the first with a port on which a page may answer `{type: "taken"}`:
 * - `{type: "push", id, received, text, json}`; once more, with the same id, when its notification was clicked
 * - `{type: "replaced", id}`: the browser changed its subscription, and the server knows
 *
 * A site with a worker of its own uses `importScripts("/service-worker.js")` there.
 */
"use strict";

(() => {
    /** @typedef {{ server: string, authorization: string | null, id: string }} Settings */
    /** @typedef {{ type: "push", id: string, received: number, text: string, json: any }} Message */
    /**
     * @typedef {object} Appearance
     * @property {string} title
     * @property {Record<string, any>} options of `showNotification`
     * @property {string | null} url what a click opens; null for any page of this site
     * @property {Record<string, string>} actions what a click on a button opens
     */

    const worker = /** @type {ServiceWorkerGlobalScope} */ (/** @type {unknown} */ (self));

    /** A page that does not answer must not cost the notification. */
    const ANSWER_WITHIN = 500;
    const REQUEST_TIMEOUT = 10_000;
    const LONGEST_BODY = 300;

    // A page that was opened with an older worker gets this one's messages too.
    worker.addEventListener("install", (event) => event.waitUntil(worker.skipWaiting()));
    worker.addEventListener("activate", (event) => event.waitUntil(worker.clients.claim()));
    worker.addEventListener("push", (event) => event.waitUntil(received(event)));
    worker.addEventListener("notificationclick", (event) => event.waitUntil(clicked(event)));
    worker.addEventListener("pushsubscriptionchange", (event) => /** @type {ExtendableEvent} */ (event).waitUntil(changed(event)));
    worker.addEventListener("message", (event) => {
        if (event.data?.type === "push-channels:settings") event.waitUntil(instructed(event));
    });

    // --- a push arrives --------------------------------------------------------------------------------------

    /** @param {PushEvent} event */
    async function received(event) {
        // Of a declarative message that is `mutable` the browser hands over its notification instead of the text, and
        // shows it unless we show another.
        const declared = /** @type {any} */ (event).notification;
        const text = declared ? textOfDeclared(declared) : textOf(event);
        /** @type {Message} */
        const message = { type: "push", id: crypto.randomUUID(), received: Date.now(), text, json: parsed(text) };
        const taken = await handOver(message).catch(() => false);
        if (!taken && !declared) await show(message);
    }

    /** @param {PushEvent} event */
    function textOf(event) {
        try {
            return event.data?.text() ?? "";
        } catch {
            return "";
        }
    }

    /** @param {any} notification */
    function textOfDeclared(notification) {
        const { title, body, tag, lang, dir, navigate } = notification;
        return JSON.stringify({ web_push: 8030, notification: { title, body, tag, lang, dir, navigate } });
    }

    /** @param {string} text */
    function parsed(text) {
        try {
            return JSON.parse(text);
        } catch {
            return null;
        }
    }

    /**
     * To all pages; true once one of them says that it has shown the message.
     *
     * @param {Message} message
     */
    async function handOver(message) {
        const pages = await windows();
        const answers = pages.map((page) => {
            const { port1, port2 } = new MessageChannel();
            return new Promise((resolve, reject) => {
                port1.onmessage = ({ data }) => {
                    port1.close();
                    if (data?.type === "taken") resolve(true);
                    else reject(new Error("not taken"));
                };
                page.postMessage(message, [port2]);
            });
        });
        const late = new Promise((resolve) => setTimeout(resolve, ANSWER_WITHIN, false));
        return Promise.race([Promise.any(answers).catch(() => false), late]);
    }

    /** @param {Message} message */
    async function show(message) {
        const { title, options, url, actions } = appearance(message);
        const data = { url, actions, message };
        try {
            await worker.registration.showNotification(title, { ...options, data });
        } catch {
            // A combination that this browser refuses; the words matter. If even they cannot be shown, nothing can.
            await worker.registration.showNotification(title, { body: options.body, data }).catch(() => {});
        }
    }

    // --- what it looks like ----------------------------------------------------------------------------------

    /**
     * @param {Message} message
     * @returns {Appearance}
     */
    function appearance({ text, json }) {
        const declared = declarative(json);
        if (declared) return declared;
        if (isObject(json) && (isText(json.title) || isText(json.body))) {
            const title = isText(json.title) && json.title !== "" ? json.title : worker.location.host;
            return { title, options: optionsOf(json), url: ownUrl(json.url), actions: {} };
        }
        const options = text === "" ? {} : { body: text.slice(0, LONGEST_BODY) };
        return { title: text === "" ? "New message" : worker.location.host, options, url: null, actions: {} };
    }

    /**
     * A declarative message (W3C Push API, "declarative push message"), or null. Wrong optional members are ignored
     * one by one; a wrong required one, a broken address, or a combination that no notification may have makes it an
     * ordinary message.
     *
     * @param {any} json
     * @returns {Appearance | null}
     */
    function declarative(json) {
        const notification = isObject(json) && json.web_push === 8030 ? json.notification : null;
        if (!isObject(notification) || !isText(notification.title) || !isText(notification.navigate)) return null;
        const { title } = notification;
        const options = optionsOf(notification);
        if (notification.silent === true && KINDS.vibrate(notification.vibrate)) return null;
        if (notification.renotify === true && !options.tag) return null;
        if (resolved(notification.navigate) === null) return null;
        /** @type {Record<string, string>} */
        const actions = {};
        options.actions = [];
        for (const one of Array.isArray(notification.actions) ? notification.actions : []) {
            if (!isText(one?.action) || !isText(one.title) || !isText(one.navigate)) continue;
            if (resolved(one.navigate) === null) return null;
            options.actions.push({ action: one.action, title: one.title });
            const url = navigable(one.navigate);
            if (url) actions[one.action] = url;
        }
        return { title, options, url: navigable(notification.navigate), actions };
    }

    /** Members by the kind of value that they must have. */
    const KINDS = /** @type {const} */ ({
        body: isText,
        tag: isText,
        lang: isText,
        dir: (/** @type {unknown} */ value) => value === "auto" || value === "ltr" || value === "rtl",
        silent: isBoolean,
        requireInteraction: isBoolean,
        timestamp: (/** @type {unknown} */ value) => Number.isSafeInteger(value) && Number(value) >= 0,
        vibrate: (/** @type {unknown} */ value) => Array.isArray(value) && value.every(isDuration),
    });

    /** @param {Record<string, any>} source */
    function optionsOf(source) {
        /** @type {Record<string, any>} */
        const options = {};
        for (const [name, fits] of Object.entries(KINDS)) if (fits(source[name])) options[name] = source[name];
        if (source.renotify === true && options.tag) options.renotify = true;
        if (options.silent) delete options.vibrate;
        for (const name of ["icon", "badge", "image"]) {
            const url = picture(source[name]);
            if (url) options[name] = url;
        }
        return options;
    }

    /** @param {unknown} value @returns {value is string} */
    function isText(value) {
        return typeof value === "string";
    }

    /** @param {unknown} value */
    function isBoolean(value) {
        return typeof value === "boolean";
    }

    /** @param {unknown} value */
    function isDuration(value) {
        return Number.isInteger(value) && Number(value) >= 0 && Number(value) <= 0xffff_ffff;
    }

    /** @param {unknown} value @returns {value is Record<string, any>} */
    function isObject(value) {
        return typeof value === "object" && value !== null && !Array.isArray(value);
    }

    // --- addresses -------------------------------------------------------------------------------------------
    //
    // A notification carries this site's name, whoever published the message. If a click on it could lead anywhere,
    // every publisher could send this site's users to a copy of its sign-in page. So plain messages lead to this
    // origin only. Declarative ones may lead to any https address: that is what the standard says of `navigate`, and
    // browsers that know the format open it without asking this worker. Nothing leads to `javascript:`, `data:` or
    // to plain http of other hosts. (A redirect on this very site that leads anywhere has to be closed there.)

    /** @param {unknown} value */
    function resolved(value) {
        try {
            return isText(value) ? new URL(value, worker.registration.scope) : null;
        } catch {
            return null;
        }
    }

    /** @param {unknown} value */
    function ownUrl(value) {
        const url = resolved(value);
        return url?.origin === worker.location.origin ? url.href : null;
    }

    /** @param {string} value */
    function navigable(value) {
        const url = resolved(value);
        return url?.protocol === "https:" ? url.href : ownUrl(value);
    }

    /** A picture from elsewhere would tell its host who read the message, and when. @param {unknown} value */
    function picture(value) {
        const url = resolved(value);
        return url?.protocol === "data:" ? url.href : ownUrl(value);
    }

    // --- a click ---------------------------------------------------------------------------------------------

    /** @param {NotificationEvent} event */
    async function clicked({ notification, action }) {
        notification.close();
        const { url = null, actions = {}, message } = notification.data ?? {};
        const target = (action && actions[action]) || url;
        const page = (await openPage(target)) ?? (await worker.clients.openWindow(target ?? worker.registration.scope));
        // For a page that was not there when the message came.
        if (message && page) page.postMessage(message);
    }

    /**
     * Focuses a page that is open already: the one at this address, or any if there is none in the message.
     *
     * @param {string | null} url
     */
    async function openPage(url) {
        const page = (await windows()).find((one) => url === null || one.url === url);
        return page?.focus().catch(() => undefined);
    }

    /** @returns {Promise<readonly WindowClient[]>} */
    function windows() {
        return worker.clients.matchAll({ type: "window", includeUncontrolled: true });
    }

    // --- the browser changes its subscription ----------------------------------------------------------------

    /** @param {any} event `oldSubscription` and `newSubscription` may both be null */
    async function changed(event) {
        const settings = await load();
        if (!settings) return;
        try {
            const subscription = event.newSubscription ?? (await subscribe(settings));
            const old = event.oldSubscription ? await idOf(event.oldSubscription.endpoint) : settings.id;
            const { endpoint, keys } = subscription.toJSON();
            await request(settings, "POST", `/subscriptions/${old}/replace`, { data: { endpoint, keys } });
            const id = await idOf(endpoint);
            await save({ ...settings, id });
            for (const page of await windows()) page.postMessage({ type: "replaced", id });
        } catch {
            // Nobody is there to be told; the page brings both together again when it is opened next.
        }
    }

    /** @param {Settings} settings */
    async function subscribe(settings) {
        const { data } = await request(settings, "GET", "/vapid");
        const options = { userVisibleOnly: true, applicationServerKey: data.applicationServerKey };
        return worker.registration.pushManager.subscribe(options);
    }

    /**
     * @param {Settings} settings
     * @param {string} method
     * @param {string} path
     * @param {unknown} [body]
     */
    async function request({ server, authorization }, method, path, body) {
        const headers = new Headers({ Accept: "application/json" });
        if (authorization) headers.set("Authorization", authorization);
        if (body) headers.set("Content-Type", "application/json");
        const signal = AbortSignal.timeout(REQUEST_TIMEOUT);
        const options = { method, headers, body: body ? JSON.stringify(body) : undefined, signal };
        const response = await fetch(`${server}/v0${path}`, { ...options, credentials: "omit", cache: "no-store" });
        if (!response.ok) throw new Error(`status ${response.status}`);
        return response.json();
    }

    /** The server's name for a subscription. @param {string} endpoint */
    async function idOf(endpoint) {
        const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(JSON.stringify(endpoint)));
        return Array.from(new Uint8Array(digest), (octet) => octet.toString(16).padStart(2, "0")).join("");
    }

    // --- what the page told ----------------------------------------------------------------------------------

    /** @param {ExtendableMessageEvent} event */
    async function instructed({ data, ports }) {
        await save(data.settings ?? null).catch(() => {});
        ports[0]?.postMessage({ type: "saved" });
    }

    /** @returns {Promise<Settings | null>} */
    function load() {
        return store("readonly", (settings) => settings.get("settings")).then((value) => value ?? null, () => null);
    }

    /** @param {Settings | null} value */
    function save(value) {
        return store("readwrite", (settings) => (value ? settings.put(value, "settings") : settings.clear()));
    }

    /**
     * @param {IDBTransactionMode} mode
     * @param {(settings: IDBObjectStore) => IDBRequest} work
     * @returns {Promise<any>}
     */
    function store(mode, work) {
        return new Promise((resolve, reject) => {
            const opening = indexedDB.open("push-channels", 1);
            opening.onupgradeneeded = () => opening.result.createObjectStore("settings");
            opening.onerror = () => reject(opening.error);
            opening.onsuccess = () => {
                const transaction = opening.result.transaction("settings", mode);
                const answer = work(transaction.objectStore("settings"));
                transaction.oncomplete = () => resolve(answer.result);
                transaction.onabort = () => reject(transaction.error);
                opening.result.close();
            };
        });
    }
})();
