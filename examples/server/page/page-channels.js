/**
 * The card "Channels": join, leave, and how many others did.
 */

import { announce, busy, byId, complain, el, plural, reconcile } from "./page-dom.js";

/** @typedef {import("./push-channels.js").PushChannels} PushChannels */
/** @typedef {ReturnType<typeof channelsCard>} ChannelsCard */

/** Each costs a request. */
const DETAILED = 25;
/** Messages come in swarms; one look after the first of them is for all. */
const SETTLE = 1000;

/** @param {PushChannels} push */
export function channelsCard(push) {
    let timer = 0;
    document.addEventListener("visibilitychange", recount);

    byId("join-form").onsubmit = (/** @type {SubmitEvent} */ event) => {
        event.preventDefault();
        busy(byId("join"), async () => {
            const input = byId("join-name");
            const name = input.value.trim();
            if (name === "") return;
            await push.join(name);
            input.value = "";
            announce(`You joined ${name}.`);
            await refresh();
        });
    };

    async function refresh() {
        const names = await push.channels();
        reconcile(byId("channels"), names, (name) => name, channelRow);
        byId("channels-empty").hidden = names.length > 0;
        byId("publish-channels").replaceChildren(...names.map((name) => el("option", { value: name })));
        await describeAll();
    }

    /** Only while somebody looks: a page that is shown again counts anew. */
    function recount() {
        clearTimeout(timer);
        timer = 0;
        if (!document.hidden) describeAll();
    }

    function describeAll() {
        const rows = /** @type {HTMLElement[]} */ ([...byId("channels").children].slice(0, DETAILED));
        return Promise.allSettled(rows.map((row) => describe(row.dataset.channel ?? "")));
    }

    /** @param {string} name */
    function channelRow(name) {
        const leave = el("button", { type: "button", class: "quiet leave", "aria-label": `Leave ${name}` }, "Leave");
        leave.onclick = () => busy(/** @type {HTMLButtonElement} */ (leave), async () => {
            await push.leave(name);
            announce(`You left ${name}.`);
            await refresh();
            byId("join-name").focus();
        });
        return el("li", { "data-channel": name },
            el("div", { class: "row-words" },
                el("span", { class: "row-name" }, name),
                el("span", { class: "row-note" })),
            leave);
    }

    /** @param {string} name */
    async function describe(name) {
        const { registrations, push: sent } = await push.channel(name);
        const row = byId("channels").querySelector(`[data-channel="${CSS.escape(name)}"] .row-note`);
        if (row) row.textContent = `${plural(registrations, "member")} · ${plural(sent, "push", "pushes")} so far`;
    }

    return {
        refresh: () => refresh().catch(complain),
        /** A message arrived; it does not say through which channel. */
        messageArrived: () => void (timer ||= setTimeout(recount, SETTLE)),
    };
}
