/**
 * The card of publishers: what they sent in the last hour, live.
 */

import { announce, busy, byId, complain, day, duration, el, number, reconcile, time } from "./page-dom.js";
import { byOrigin, sample, segments, summary, total } from "./page-figures.js";
import { drawPlot } from "./page-plot.js";
import { stateName } from "./page-publish.js";

/** @typedef {import("./push-channels.js").PushChannels} PushChannels */
/** @typedef {ReturnType<typeof dashboard>} Dashboard */
/** @typedef {import("./push-channels.js").Broadcast} Broadcast */
/** @typedef {import("./page-figures.js").Sample} Sample */
/** @typedef {import("./page-figures.js").Summary} Summary */

const HOUR = 60 * 60 * 1000;
const MINUTES = 5 * 60 * 1000;
const REFRESH = 10_000;
/** Browsers open six connections to a host; some must stay free for everything else. */
const WATCHED = 2;
/** As many as the server gives at once. */
const ASKED = 200;
/** In the table, until all are asked for. */
const LISTED = 20;
const COUNTS = /** @type {const} */ (["accepted", "pruned", "throttled", "failed"]);
const SERVICES = /** @type {Record<string, string>} */ ({
    apple: "Apple",
    fcm: "Google (FCM)",
    mozilla: "Mozilla",
    wns: "Windows (WNS)",
    other: "All others",
});

/** @param {PushChannels} push */
export function dashboard(push) {
    /** @type {Map<string, Broadcast>} */
    const known = new Map();
    /** @type {Map<string, Sample[]>} */
    const samples = new Map();
    /** @type {Set<string>} */
    const watched = new Set();
    let watching = new AbortController();
    let closed = false;
    let timer = 0;
    let drawing = 0;
    let listed = LISTED;

    for (const id of ["range-hour", "range-minutes"]) byId(id).onchange = plot;
    byId("show-all").onclick = () => {
        listed = ASKED;
        draw();
    };
    // At once: a plot that is painted at another width is scaled, its words too.
    const resized = new ResizeObserver(plot);
    resized.observe(byId("plot"));
    document.addEventListener("visibilitychange", attend);

    async function refresh() {
        const since = Date.now() - HOUR;
        for (const broadcast of await push.broadcasts({ since, limit: ASKED })) note(broadcast);
        for (const [id, broadcast] of known) {
            if (broadcast.created + broadcast.seconds * 1000 >= since) continue;
            known.delete(id);
            samples.delete(id);
        }
        follow();
        draw();
    }

    /** @param {Broadcast} broadcast */
    function note(broadcast) {
        const before = known.get(broadcast.id);
        // The answer to an older question may arrive after a newer one's. (The last word may name a shorter time than
        // those before it: it ends with the last message, they end now.)
        const older = broadcast.state === "running" && before && before.seconds > broadcast.seconds;
        if (before && (before.state !== "running" || older)) return;
        known.set(broadcast.id, broadcast);
        if (broadcast.state !== "running" && !samples.has(broadcast.id)) return;
        samples.set(broadcast.id, [...(samples.get(broadcast.id) ?? []), sample(broadcast)]);
    }

    function follow() {
        const { signal } = watching;
        for (const { id, state } of newestFirst()) {
            if (state !== "running" || watched.has(id) || watched.size >= WATCHED) continue;
            watched.add(id);
            const end = push.watch(id, (broadcast) => (note(broadcast), soon()), signal);
            end.catch(() => {}).finally(() => {
                watched.delete(id);
                if (!signal.aborted) follow();
            });
        }
    }

    function newestFirst() {
        return [...known.values()].sort((a, b) => b.created - a.created);
    }

    function soon() {
        cancelAnimationFrame(drawing);
        drawing = requestAnimationFrame(draw);
    }

    function draw() {
        const broadcasts = newestFirst();
        const sums = total(broadcasts.map(({ counts }) => summary(counts)));
        for (const name of COUNTS) byId(`total-${name}`).textContent = number(sums[name]);
        reconcile(byId("origins"), byOrigin(broadcasts), ({ origin }) => origin, originRow, (row, { sum }) => fill(row, sum));
        reconcile(byId("broadcasts"), broadcasts.slice(0, listed), ({ id }) => id, broadcastRow, updateRow);
        byId("show-all").hidden = broadcasts.length <= listed;
        byId("show-all").textContent = `Show all ${broadcasts.length}`;
        byId("broadcasts-empty").hidden = broadcasts.length > 0;
        plot();
    }

    function plot() {
        const parts = newestFirst().flatMap((broadcast) => segments(broadcast, samples.get(broadcast.id)));
        drawPlot(parts, Date.now(), byId("range-hour").checked ? HOUR : MINUTES);
    }

    /** @param {Broadcast} broadcast */
    function broadcastRow({ id, channel, created }) {
        const abort = el("button", { type: "button", class: "quiet abort", "aria-label": `Abort the broadcast to ${channel}` }, "Abort");
        abort.onclick = () => busy(/** @type {HTMLButtonElement} */ (abort), async () => {
            note(await push.abort(id));
            announce(`The broadcast to ${channel} was aborted.`);
            draw();
        });
        const started = el("time", { datetime: new Date(created).toISOString(), title: day(created) }, time(created, true));
        return el("tr", { role: "row", "data-broadcast": id },
            el("th", { role: "rowheader", scope: "row" }, channel),
            el("td", { role: "cell", "data-label": "Started" }, started),
            el("td", { role: "cell", class: "standing" }, el("span", { class: "badge" })),
            ...COUNTS.map(countCell),
            el("td", { role: "cell", class: "number took", "data-label": "Took" }),
            el("td", { role: "cell", class: "action" }, abort));
    }

    /** @param {HTMLElement} row @param {Broadcast} broadcast */
    function updateRow(row, { state, counts, seconds }) {
        row.dataset.state = state;
        const badge = /** @type {HTMLElement} */ (row.querySelector(".badge"));
        badge.textContent = stateName(state);
        badge.dataset.state = state;
        /** @type {HTMLElement} */ (row.querySelector(".took")).textContent = duration(seconds);
        /** @type {HTMLElement} */ (row.querySelector(".abort")).hidden = state !== "running";
        fill(row, summary(counts));
    }

    /** Looks only while somebody does: a hidden page would keep connections that visible ones need. */
    function attend() {
        clearTimeout(timer);
        watching.abort();
        if (closed || document.hidden) return;
        watching = new AbortController();
        refresh().catch(complain).finally(schedule);
    }

    function schedule() {
        clearTimeout(timer);
        if (closed || document.hidden) return;
        // The time shown moves on, whether something happens or not.
        timer = setTimeout(() => refresh().catch(() => {}).finally(schedule), REFRESH);
    }

    return {
        async start() {
            byId("publisher").hidden = false;
            await refresh().catch(complain);
            schedule();
        },
        refresh: () => refresh().catch(complain),
        close() {
            closed = true;
            attend();
            cancelAnimationFrame(drawing);
            resized.disconnect();
            document.removeEventListener("visibilitychange", attend);
        },
    };
}

/** @param {{ origin: string }} row */
function originRow({ origin }) {
    return el("tr", { role: "row", "data-origin": origin },
        el("th", { role: "rowheader", scope: "row" }, SERVICES[origin] ?? origin),
        ...COUNTS.map(countCell));
}

/** On a phone rows are cards, and each number carries its name. @param {string} name */
function countCell(name) {
    const label = name[0].toUpperCase() + name.slice(1);
    return el("td", { role: "cell", class: "number", "data-count": name, "data-label": label });
}

/** @param {HTMLElement} row @param {Summary} sum */
function fill(row, sum) {
    for (const name of COUNTS) {
        const cell = /** @type {HTMLElement} */ (row.querySelector(`[data-count="${name}"]`));
        cell.textContent = number(sum[name]);
        cell.classList.toggle("none", sum[name] === 0);
    }
}
