/**
 * The card "Publish": the form, and how the message that was sent last gets on.
 */

import { announce, busy, byId, duration, plural } from "./page-dom.js";
import { payloadSize, summary } from "./page-figures.js";

/** @typedef {import("./push-channels.js").PushChannels} PushChannels */
/** @typedef {ReturnType<typeof publishCard>} PublishCard */
/** @typedef {import("./push-channels.js").Broadcast} Broadcast */

/** What fits into the one record of an encrypted push. */
const LARGEST = 3993;

/**
 * @param {PushChannels} push
 * @param {() => void} onChange when something was published, and when its broadcast ended
 */
export function publishCard(push, onChange) {
    const form = byId("publish-form");
    /** @type {AbortController | null} */
    let watching = null;

    form.oninput = () => {
        const raw = byId("publish-kind-json").checked;
        byId("publish-notification").hidden = raw;
        byId("publish-raw").hidden = !raw;
        byId("publish-title").required = !raw;
        showSize();
    };

    form.onsubmit = (/** @type {SubmitEvent} */ event) => {
        event.preventDefault();
        busy(byId("publish"), async () => {
            const channel = byId("publish-channel").value.trim();
            const id = await push.publish(channel, content(), options());
            announce(`Published to ${channel}.`);
            onChange();
            watch(id, channel);
        });
    };

    /** @param {string} id @param {string} channel */
    async function watch(id, channel) {
        watching?.abort();
        watching = new AbortController();
        const { signal } = watching;
        byId("progress").dataset.broadcast = id;
        byId("progress-title").textContent = `To ${channel}`;
        showProgress(null);
        byId("progress").hidden = false;
        try {
            const end = await push.watch(id, showProgress, signal);
            announce(`The broadcast to ${channel} ended. ${sentence(end)}`);
            onChange();
        } catch (error) {
            // What was published is with the server; only its progress cannot be shown.
            if (!signal.aborted) byId("progress-counts").textContent = /** @type {Error} */ (error).message;
        }
    }

    return {
        /** @param {{ id: string, publishes: string[] }} user */
        show({ id, publishes }) {
            const may = publishes.length > 0;
            form.hidden = !may;
            byId("not-publisher").hidden = may;
            byId("user-id").textContent = id;
            byId("publish-grants").textContent = may ? `You may publish to: ${grants(publishes)}` : "";
            // Beside the long form; who has none reads first what arrived.
            if (may) byId("first-column").append(byId("messages-card"));
            showSize();
        },
        close: () => watching?.abort(),
    };
}

export async function copyCommand() {
    if (!navigator.clipboard) throw new Error("The clipboard is not there over plain http. Select the command and copy it.");
    await navigator.clipboard.writeText(byId("publisher-command").textContent);
}

/** @param {string[]} patterns */
function grants(patterns) {
    return patterns.includes("*") ? "all channels." : `${patterns.join(", ")}.`;
}

/** @returns {Record<string, unknown> | null} */
function content() {
    if (!byId("publish-kind-json").checked) {
        /** @type {Record<string, string>} */
        const data = { title: byId("publish-title").value.trim() };
        for (const name of ["body", "url"]) {
            const value = byId(`publish-${name}`).value.trim();
            if (value !== "") data[name] = value;
        }
        return data;
    }
    const text = byId("publish-json").value.trim();
    if (text === "") return null;
    let data;
    try {
        data = JSON.parse(text);
    } catch (error) {
        throw new Error(`This is no JSON: ${/** @type {Error} */ (error).message}`);
    }
    if (typeof data !== "object" || data === null || Array.isArray(data)) {
        throw new Error('A channel takes a JSON object, such as {"title": "Hello"}.');
    }
    return data;
}

function options() {
    const ttl = byId("publish-ttl").value;
    return {
        ttl: ttl === "" ? undefined : Number(ttl),
        urgency: byId("publish-urgency").value,
        collapseKey: byId("publish-collapse").value.trim() || undefined,
    };
}

function showSize() {
    const size = (() => {
        try {
            return payloadSize(content());
        } catch {
            return null;
        }
    })();
    const over = size !== null && size > LARGEST;
    byId("publish-size").textContent = size === null ? "No JSON object yet" : `${plural(size, "octet")} of ${LARGEST}${over ? ": too long" : ""}`;
    byId("publish-size").classList.toggle("bad", over);
}

/** @param {Broadcast | null} broadcast */
function showProgress(broadcast) {
    const box = byId("progress");
    const bar = byId("progress-bar");
    box.dataset.state = broadcast?.state ?? "running";
    byId("progress-state").textContent = stateName(broadcast?.state ?? "running");
    byId("progress-state").dataset.state = broadcast?.state ?? "running";
    const ended = broadcast !== null && broadcast.state !== "running";
    // How many there are is not known before all were read.
    bar.max = Math.max(1, broadcast?.read ?? 1);
    bar.value = ended ? bar.max : Math.max(0, (broadcast?.read ?? 0) - (broadcast?.pending ?? 0));
    byId("progress-counts").textContent = broadcast ? sentence(broadcast) : "Waiting for the server.";
}

/** @param {Broadcast} broadcast */
function sentence({ state, counts, read, pending, seconds }) {
    const sum = summary(counts);
    if (read === 0) return state === "running" ? "Looking who is there." : "Nobody who joined this channel has a device yet.";
    const parts = Object.entries(sum).filter(([name, count]) => count > 0 || name === "accepted");
    const words = parts.map(([name, count]) => `${count} ${name}`).join(", ");
    return `${words}${pending > 0 ? `, ${pending} to go` : ""}, after ${duration(seconds)}.`;
}

const STATES = /** @type {Record<string, string>} */ ({
    running: "Sending",
    finished: "Done",
    timed_out: "Out of time",
    aborted: "Aborted",
    failed: "Failed",
});

/** @param {string} state */
export function stateName(state) {
    return STATES[state] ?? state;
}
