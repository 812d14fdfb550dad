/**
 * Messages over time, as bars.
 */

import { byId, number, plural, svg, time } from "./page-dom.js";
import { bars, bins, ticks } from "./page-figures.js";

/** @typedef {import("./page-figures.js").Segment} Segment */

const COUNT = 60;
const HEIGHT = 180;
const MARGIN = { top: 12, right: 8, bottom: 24, left: 44 };

/**
 * @param {Segment[]} parts
 * @param {number} now ms since the epoch
 * @param {number} range ms
 */
export function drawPlot(parts, now, range) {
    const plot = byId("plot");
    const width = plot.clientWidth || 600;
    const slot = range / COUNT;
    // Whole slots, so that bars do not change their shape while they wander.
    const to = Math.ceil(now / slot) * slot;
    const from = to - range;
    const values = bins(parts, from, to, COUNT);
    const area = {
        left: MARGIN.left,
        top: MARGIN.top,
        width: width - MARGIN.left - MARGIN.right,
        height: HEIGHT - MARGIN.top - MARGIN.bottom,
    };
    const levels = ticks(Math.max(...values));
    const top = levels[levels.length - 1];
    const sum = values.reduce((a, b) => a + b, 0);

    plot.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    plot.setAttribute("height", HEIGHT);
    plot.dataset.total = String(Math.round(sum));
    plot.replaceChildren(...grid(levels, top, area), ...labels(from, range, area), ...columns(values, top, area, from, slot));
    byId("plot-heading").textContent = range > 600_000 ? "Messages a minute" : `Messages in ${slot / 1000} seconds`;
    byId("plot-summary").textContent = sentence(values, sum, from, slot, range);
}

/** @typedef {{ left: number, top: number, width: number, height: number }} Area */

/** @param {number[]} levels @param {number} top @param {Area} area */
function grid(levels, top, area) {
    return levels.flatMap((level) => {
        const y = area.top + area.height * (1 - level / top);
        return [
            svg("line", { class: level === 0 ? "axis" : "grid", x1: area.left, x2: area.left + area.width, y1: y, y2: y }),
            svg("text", { class: "tick", x: area.left - 8, y: y + 4, "text-anchor": "end" }, compact.format(level)),
        ];
    });
}

const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

/** @param {number} from @param {number} range @param {Area} area */
function labels(from, range, area) {
    const steps = area.width < 420 ? 2 : 4;
    return Array.from({ length: steps + 1 }, (_, i) => {
        const anchor = i === 0 ? "start" : i === steps ? "end" : "middle";
        const x = area.left + (area.width * i) / steps;
        const at = time(from + (range * i) / steps, range <= 600_000);
        return svg("text", { class: "tick", x, y: HEIGHT - 6, "text-anchor": anchor }, at);
    });
}

/** @param {number[]} values @param {number} top @param {Area} area @param {number} from @param {number} slot */
function columns(values, top, area, from, slot) {
    return bars(values, top, area).flatMap(({ x, y, width, height, value }, i) => {
        if (height === 0) return [];
        const title = svg("title", {}, `${time(from + i * slot, true)}: ${number(value)}`);
        return [svg("rect", { class: "bar", x, y, width, height, rx: Math.min(2, width / 2) }, title)];
    });
}

/** @param {number[]} values @param {number} sum @param {number} from @param {number} slot @param {number} range */
function sentence(values, sum, from, slot, range) {
    const span = range > 600_000 ? "last hour" : "last five minutes";
    if (sum === 0) return `No messages in the ${span}.`;
    const peak = Math.max(...values);
    return `${plural(sum, "message")} accepted in the ${span}, at most ${number(peak)} at ${time(from + values.indexOf(peak) * slot, true)}.`;
}
