/** A browser, its push service and a server of stand-ins, as far as the client library uses them. */

import { webcrypto } from "node:crypto";

import { subscriptionId } from "../push-channels-browser.js";

const KEYS = { first: "BA".padEnd(87, "A"), second: "BB".padEnd(87, "A") };
const octets = (key) => Uint8Array.from(Buffer.from(key, "base64url")).buffer;

function define(name, value) {
    Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
}

/** The globals of one page, and what the server and the worker were told. */
export function browser() {
    const world = {
        user: "ann",
        key: KEYS.first,
        otherKey: KEYS.second,
        stored: new Map(),
        calls: [],
        told: [],
        subscription: null,
        made: 0,
        listeners: new Set(),
    };
    const items = new Map();
    const pushManager = {
        getSubscription: async () => world.subscription,
        async subscribe({ applicationServerKey }) {
            const endpoint = `https://push.test/${++world.made}`;
            world.subscription = {
                endpoint,
                options: { applicationServerKey: applicationServerKey.buffer },
                toJSON: () => ({ endpoint, keys: { auth: "a", p256dh: "p" } }),
                unsubscribe: async () => ((world.subscription = null), true),
            };
            return world.subscription;
        },
    };
    const active = {
        state: "activated",
        postMessage(message, [port]) {
            world.told.push(message.settings);
            port.postMessage("saved");
            port.close();
        },
    };
    const registration = { active, pushManager };
    define("crypto", webcrypto);
    define("isSecureContext", true);
    define("location", new URL("https://app.example/"));
    define("window", globalThis);
    define("PushManager", class {});
    define("Notification", { permission: "granted", requestPermission: async () => "granted" });
    define("document", { visibilityState: "visible" });
    define("localStorage", {
        getItem: (name) => items.get(name) ?? null,
        setItem: (name, value) => void items.set(name, value),
        removeItem: (name) => void items.delete(name),
    });
    define("navigator", {
        serviceWorker: {
            addEventListener: (_, listener) => world.listeners.add(listener),
            removeEventListener: (_, listener) => world.listeners.delete(listener),
            startMessages() {},
            register: async () => registration,
            getRegistration: async () => registration,
        },
    });
    define("fetch", async (url, { method, body }) => answer(world, method, new URL(url).pathname.slice(3), body && JSON.parse(body)));
    world.keyOf = (subscription) => Buffer.from(subscription.options.applicationServerKey).toString("base64url");
    world.octets = octets;
    /** The worker hands a message over; resolves to the page's answer. */
    world.receive = (data) => new Promise((resolve) => {
        for (const listener of world.listeners) listener({ data, ports: [{ postMessage: (reply) => resolve(reply.type) }] });
    });
    return world;
}

/** The service, as far as subscriptions go. */
async function answer(world, method, path, body) {
    world.calls.push(`${method} ${path}`);
    const json = (status, value) => new Response(JSON.stringify(value), { status });
    if (path === "/") return json(200, { user: { id: world.user, publishes: [] } });
    if (path === "/vapid") return json(200, { data: { applicationServerKey: world.key } });
    const [, , id, replace] = path.split("/");
    const own = world.stored.get(id) === world.user;
    if (method === "GET" && !own) return json(404, {});
    if (method === "DELETE") world.stored.delete(id);
    if (replace && own) world.stored.delete(id);
    if (method === "PUT" || replace) world.stored.set(await subscriptionId(body.data.endpoint), world.user);
    return json(200, { data: {} });
}
