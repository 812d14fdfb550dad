/** The service worker in a world of stand-ins. */

import { webcrypto } from "node:crypto";
import { readFileSync } from "node:fs";
import vm from "node:vm";

const SOURCE = readFileSync(new URL("../service-worker.js", import.meta.url), "utf8");
export const ORIGIN = "https://app.example";

/** An open page; `answer` is what it says on the port, or nothing. */
export function page(url, answer) {
    const got = [];
    return {
        url,
        got,
        focused: 0,
        async focus() {
            this.focused++;
            return this;
        },
        postMessage(message, ports = []) {
            got.push(message);
            if (answer) ports[0]?.postMessage(answer);
        },
    };
}

/** A worker with these pages; `settings` is what a page told it before. */
export function worker({ pages = [], settings = null, refuses = () => false } = {}) {
    const listeners = {};
    const shown = [];
    const opened = [];
    const requests = [];
    const world = { kept: settings, answers: [] };
    const self = {
        addEventListener: (type, listener) => (listeners[type] = listener),
        skipWaiting: async () => {},
        location: new URL(`${ORIGIN}/service-worker.js`),
        clients: {
            claim: async () => {},
            matchAll: async () => pages,
            openWindow: async (url) => (opened.push(url), page(url)),
        },
        registration: {
            scope: `${ORIGIN}/scope/`,
            async showNotification(title, options) {
                if (refuses(options)) throw new TypeError("refused");
                shown.push({ title, ...options });
            },
            pushManager: { subscribe: async () => subscription(`${ORIGIN}/fresh`) },
        },
    };
    const context = vm.createContext({
        self,
        crypto: webcrypto,
        URL,
        Headers,
        AbortSignal,
        TextEncoder,
        // Never late: what is tested is who answers, not how fast.
        setTimeout: (work, ms, ...values) => setTimeout(work, 0, ...values),
        MessageChannel: PairOfPorts,
        indexedDB: database(world),
        fetch: async (url, options) => {
            requests.push({ url, ...options });
            const [status, body] = world.answers.shift() ?? [200, { data: { applicationServerKey: "key" } }];
            return new Response(JSON.stringify(body), { status });
        },
    });
    vm.runInContext(SOURCE, context);
    const fire = async (type, members) => {
        const waits = [];
        listeners[type]({ ...members, waitUntil: (promise) => waits.push(promise) });
        await Promise.all(waits);
    };
    return {
        shown,
        opened,
        requests,
        world,
        fire,
        push: (text, more = {}) => fire("push", { data: text === null ? null : { text: () => text }, ...more }),
    };
}

export function subscription(endpoint) {
    return { endpoint, toJSON: () => ({ endpoint, keys: { auth: "a", p256dh: "p" } }) };
}

/** Ports that answer at once, which real ones of another thread would not. */
class PairOfPorts {
    constructor() {
        this.port1 = { close() {} };
        this.port2 = { postMessage: (data) => this.port1.onmessage?.({ data }) };
    }
}

/** One place for one value. */
function database(world) {
    const request = (result) => ({ result });
    const settings = {
        get: () => request(world.kept ?? undefined),
        put: (value) => request((world.kept = value)),
        clear: () => request((world.kept = null)),
    };
    const later = (target, name) => queueMicrotask(() => target[name]());
    const transaction = () => {
        const running = { objectStore: () => settings };
        queueMicrotask(() => later(running, "oncomplete"));
        return running;
    };
    return {
        open() {
            const opening = { result: { transaction, close() {} } };
            later(opening, "onsuccess");
            return opening;
        },
    };
}
