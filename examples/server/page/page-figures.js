/**
 * The numbers of the dashboard: pure functions, tested without a browser.
 *
 * @typedef {import("./push-channels.js").Broadcast} Broadcast
 * @typedef {{ accepted: number, pruned: number, throttled: number, failed: number }} Summary
 * @typedef {{ at: number, accepted: number }} Sample how many were accepted by a moment, in ms since the epoch
 * @typedef {{ from: number, to: number, accepted: number }} Segment
 */

/** Outcomes that are not failures. `gone`: the subscription was dead, and the server removed it. */
const NAMES = /** @type {Record<string, keyof Summary>} */ ({
    accepted: "accepted",
    gone: "pruned",
    throttled: "throttled",
});

/**
 * @param {Record<string, number>} counts
 * @returns {Summary}
 */
export function summary(counts) {
    const sum = { accepted: 0, pruned: 0, throttled: 0, failed: 0 };
    for (const [outcome, count] of Object.entries(counts)) sum[NAMES[outcome] ?? "failed"] += count;
    return sum;
}

/** @param {Summary[]} summaries */
export function total(summaries) {
    const sum = summary({});
    for (const one of summaries) {
        for (const name of /** @type {(keyof Summary)[]} */ (Object.keys(sum))) sum[name] += one[name];
    }
    return sum;
}

/**
 * The sums by push service, the busiest first.
 *
 * @param {Broadcast[]} broadcasts
 * @returns {{ origin: string, sum: Summary }[]}
 */
export function byOrigin(broadcasts) {
    /** @type {Map<string, Summary[]>} */
    const parts = new Map();
    for (const { origin, counts } of broadcasts.flatMap((broadcast) => broadcast.origins ?? [])) {
        parts.set(origin, [...(parts.get(origin) ?? []), summary(counts)]);
    }
    const rows = [...parts].map(([origin, sums]) => ({ origin, sum: total(sums) }));
    const all = (/** @type {Summary} */ sum) => sum.accepted + sum.pruned + sum.throttled + sum.failed;
    return rows.sort((a, b) => all(b.sum) - all(a.sum) || a.origin.localeCompare(b.origin));
}

/**
 * What is known about a broadcast by now. The server's clock: `seconds` counts from `created`.
 *
 * @param {Broadcast} broadcast
 * @returns {Sample}
 */
export function sample(broadcast) {
    return { at: broadcast.created + broadcast.seconds * 1000, accepted: broadcast.counts.accepted ?? 0 };
}

/**
 * When how many were accepted: between two samples as many in each moment. Without samples from watching it, that
 * is the mean over the whole broadcast.
 *
 * @param {Broadcast} broadcast
 * @param {Sample[]} [watched]
 * @returns {Segment[]}
 */
export function segments(broadcast, watched = []) {
    const samples = [...watched, sample(broadcast)].sort((a, b) => a.at - b.at || a.accepted - b.accepted);
    let last = { at: broadcast.created, accepted: 0 };
    const parts = [];
    for (const next of samples) {
        if (next.accepted <= last.accepted) {
            if (next.at > last.at) last = { at: next.at, accepted: last.accepted };
            continue;
        }
        parts.push({ from: last.at, to: next.at, accepted: next.accepted - last.accepted });
        last = next;
    }
    return parts;
}

/**
 * Messages in each of `count` equal parts of a time.
 *
 * @param {Segment[]} parts
 * @param {number} from
 * @param {number} to
 * @param {number} count
 */
export function bins(parts, from, to, count) {
    const width = (to - from) / count;
    const sums = new Array(count).fill(0);
    for (const part of parts) {
        const first = Math.max(0, Math.floor((part.from - from) / width));
        const last = Math.min(count - 1, Math.floor((part.to - from) / width));
        for (let i = first; i <= last; i++) {
            if (part.to <= part.from) {
                sums[i] += part.accepted;
                continue;
            }
            const start = Math.max(part.from, from + i * width);
            const end = Math.min(part.to, from + (i + 1) * width);
            if (end > start) sums[i] += (part.accepted * (end - start)) / (part.to - part.from);
        }
    }
    return sums;
}

/**
 * Round numbers from 0 to above the largest value.
 *
 * @param {number} largest
 * @param {number} [about] how many steps
 */
export function ticks(largest, about = 4) {
    const raw = Math.max(largest, 1) / about;
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = Math.max([1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= raw) ?? raw, largest < 4 ? 1 : 0);
    return Array.from({ length: Math.ceil(Math.max(largest, 1) / step) + 1 }, (_, i) => i * step);
}

/**
 * Where the bars stand.
 *
 * @param {number[]} values
 * @param {number} top the value at the upper edge
 * @param {{ left: number, top: number, width: number, height: number }} area
 * @returns {{ x: number, y: number, width: number, height: number, value: number }[]}
 */
export function bars(values, top, area) {
    const slot = area.width / values.length;
    const gap = Math.min(2, slot / 4);
    return values.map((value, i) => {
        // Something that is there must be seen.
        const height = value === 0 ? 0 : Math.max(2, (value / top) * area.height);
        const x = area.left + i * slot + gap / 2;
        return { x, y: area.top + area.height - height, width: slot - gap, height, value };
    });
}

/**
 * The payload as the server makes it, in octets: canonical JSON, all but ASCII escaped.
 *
 * @param {unknown} data
 */
export function payloadSize(data) {
    if (data === null || Object.keys(/** @type {object} */ (data)).length === 0) return 0;
    return JSON.stringify(data).replace(/[^\x00-\x7f]/g, "\\u0000").length;
}
