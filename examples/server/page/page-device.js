/**
 * The card "This device": permission, subscription, and the other devices of the user.
 */

import { announce, busy, byId, complain, day, el, reconcile } from "./page-dom.js";

/** @typedef {import("./push-channels.js").PushChannels} PushChannels */
/** @typedef {import("./push-channels.js").Device} Device */
/** @typedef {import("./push-channels.js").State} State */

const SENTENCES = /** @type {Record<string, string>} */ ({
    subscribed: "This browser gets your messages.",
    unsubscribed: "This browser gets no messages yet.",
    denied: "Notifications are blocked here.",
    unsupported: "This browser cannot get messages here.",
});

/** @param {PushChannels} push */
export function deviceCard(push) {
    /** @type {string | null} */
    let own = null;

    byId("subscribe").onclick = (/** @type {Event} */ event) =>
        busy(/** @type {HTMLButtonElement} */ (event.currentTarget), async () => {
            try {
                await push.subscribe();
                announce("This browser gets your messages now.");
            } finally {
                await refresh();
            }
            // The button that had the keyboard's focus is gone.
            byId("unsubscribe").focus();
        });
    byId("unsubscribe").onclick = (/** @type {Event} */ event) =>
        busy(/** @type {HTMLButtonElement} */ (event.currentTarget), async () => {
            await push.unsubscribe();
            announce("This browser gets no messages any more.");
            await refresh();
            byId("subscribe").focus();
        });

    async function refresh() {
        const [state, devices] = await Promise.all([push.state(), push.devices()]);
        own = state.id;
        showState(state);
        showDevices(devices);
    }

    /** @param {Device[]} devices */
    function showDevices(devices) {
        const ownFirst = [...devices].sort((a, b) => Number(b.id === own) - Number(a.id === own));
        reconcile(byId("devices"), ownFirst, (device) => `${device.id} ${device.id === own}`, deviceRow);
        byId("devices-empty").hidden = devices.length > 0;
    }

    /** @param {Device} device */
    function deviceRow(device) {
        const current = device.id === own;
        const name = pushServiceOf(device.endpoint);
        const remove = el("button", { type: "button", class: "quiet remove", "aria-label": `Remove ${name}` }, "Remove");
        remove.onclick = () => busy(/** @type {HTMLButtonElement} */ (remove), async () => {
            // Of this browser both sides have to go, else it would come back with the next load.
            await (current ? push.unsubscribe() : push.remove(device.id));
            announce("The device was removed.");
            await refresh();
            byId("device-heading").focus();
        });
        return el("li", { "data-subscription": device.id, "data-current": current },
            el("div", { class: "row-words" },
                el("span", { class: "row-name" }, name, current ? el("span", { class: "badge" }, "this browser") : null),
                el("span", { class: "row-note" }, `Last seen ${day(device.last_modified)} · ${device.id.slice(0, 8)}`)),
            remove);
    }

    return { refresh: () => refresh().catch(complain) };
}

/** @param {State} state */
function showState({ obstacle, permission, subscribed }) {
    const name = obstacle ? "unsupported" : subscribed ? "subscribed" : permission === "denied" ? "denied" : "unsubscribed";
    byId("device").dataset.state = name;
    byId("device-state-text").textContent = SENTENCES[name];
    byId("subscribe").hidden = name === "unsupported" || name === "subscribed" || name === "denied";
    byId("unsubscribe").hidden = name !== "subscribed";
    const hint = obstacle?.message ?? (name === "unsubscribed" && permission === "granted" ? "" : HINTS[name]);
    byId("device-hint").textContent = hint;
    byId("device-hint").hidden = hint === "";
}

const HINTS = /** @type {Record<string, string>} */ ({
    subscribed: "To renew its subscription, this browser keeps your sign-in until you stop messages here or sign out.",
    unsubscribed: "The browser will ask whether this site may show notifications.",
    denied: "Allow them in the browser's settings for this site (the symbol left of the address), then reload the page.",
});

const SERVICES = /** @type {[suffix: string, name: string][]} */ ([
    ["push.services.mozilla.com", "Firefox"],
    ["fcm.googleapis.com", "Chrome or another browser with Google's push service"],
    ["push.apple.com", "Safari or an app on Apple's push service"],
    ["notify.windows.com", "Edge on Windows"],
]);

/** A name for people: the browser does not tell more. @param {string} endpoint */
export function pushServiceOf(endpoint) {
    const { host, hostname } = new URL(endpoint);
    return SERVICES.find(([suffix]) => hostname === suffix || hostname.endsWith(`.${suffix}`))?.[1] ?? `Browser at ${host}`;
}
