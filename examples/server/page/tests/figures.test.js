import assert from "node:assert/strict";
import { test } from "node:test";

import { bars, bins, byOrigin, payloadSize, segments, summary, ticks, total } from "../page-figures.js";

const sum = (values) => values.reduce((a, b) => a + b, 0);
const broadcast = (more) => ({ created: 0, seconds: 10, counts: {}, origins: [], ...more });

test("every outcome counts in one of four figures", () => {
    const counts = { accepted: 5, gone: 4, throttled: 3, gave_up: 2, too_large: 1 };
    assert.deepEqual(summary(counts), { accepted: 5, pruned: 4, throttled: 3, failed: 3 });
    assert.deepEqual(total([summary(counts), summary({ gone: 1 })]), { accepted: 5, pruned: 5, throttled: 3, failed: 3 });
});

test("push services are summed over broadcasts, the busiest first", () => {
    const rows = byOrigin([
        broadcast({ origins: [{ origin: "apple", counts: { accepted: 1 } }, { origin: "fcm", counts: { accepted: 2 } }] }),
        broadcast({ origins: [{ origin: "fcm", counts: { gone: 2 } }] }),
    ]);
    assert.deepEqual(rows.map(({ origin }) => origin), ["fcm", "apple"]);
    assert.deepEqual(rows[0].sum, { accepted: 2, pruned: 2, throttled: 0, failed: 0 });
});

test("a broadcast that nobody watched went on evenly", () => {
    const parts = segments(broadcast({ counts: { accepted: 20 } }));
    assert.deepEqual(parts, [{ from: 0, to: 10_000, accepted: 20 }]);
    assert.deepEqual(bins(parts, 0, 20_000, 4), [10, 10, 0, 0]);
});

test("one that was watched has its pauses", () => {
    const watched = [{ at: 2000, accepted: 8 }, { at: 8000, accepted: 8 }];
    const parts = segments(broadcast({ counts: { accepted: 20 } }), watched);
    assert.deepEqual(bins(parts, 0, 10_000, 5), [8, 0, 0, 0, 12]);
});

test("no message is lost between the bins, and none from outside counts", () => {
    const parts = [{ from: 333, to: 7777, accepted: 1000 }, { from: 9999, to: 9999, accepted: 7 }];
    assert.ok(Math.abs(sum(bins(parts, 0, 10_000, 60)) - 1007) < 1e-6);
    assert.deepEqual(bins([{ from: -2000, to: 2000, accepted: 4 }], 0, 4000, 2), [2, 0]);
    assert.deepEqual(bins([{ from: 5000, to: 6000, accepted: 4 }], 0, 4000, 2), [0, 0]);
});

test("the axis has round steps up to the largest value", () => {
    assert.deepEqual(ticks(0), [0, 1]);
    assert.deepEqual(ticks(3), [0, 1, 2, 3]);
    assert.deepEqual(ticks(9700), [0, 5000, 10_000]);
    for (const largest of [1, 7, 19, 101, 4321, 1e6]) {
        const levels = ticks(largest);
        assert.ok(levels.at(-1) >= largest && levels.length <= 6, `${largest}: ${levels}`);
    }
});

test("bars stand on the axis, inside the area, and a small one can be seen", () => {
    const area = { left: 40, top: 10, width: 300, height: 100 };
    const all = bars([0, 1, 500, 1000], 1000, area);
    assert.deepEqual(all.map(({ height }) => height), [0, 2, 50, 100]);
    for (const { x, y, width, height } of all) {
        assert.ok(Math.abs(y + height - 110) < 1e-9);
        assert.ok(x >= 40 && x + width <= 340);
    }
});

test("the size is that of the payload as the server makes it", () => {
    assert.equal(payloadSize(null), 0);
    assert.equal(payloadSize({}), 0);
    assert.equal(payloadSize({ a: "é" }), '{"a":"\\u00e9"}'.length);
    assert.equal(payloadSize({ a: "😀" }), '{"a":"\\ud83d\\ude00"}'.length);
});
