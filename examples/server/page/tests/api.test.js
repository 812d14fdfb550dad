import assert from "node:assert/strict";
import { test } from "node:test";

import { Api, PushChannelsError, basic, eventParser, retryAfter } from "../push-channels-api.js";

const STREAM = ": hello\n\nevent: progress\ndata: {\"a\":1}\n\ndata: one\r\ndata: two\r\n\r\nevent: end\rdata:x\r\r\n";
const EVENTS = [
    { event: "progress", data: '{"a":1}' },
    { event: "message", data: "one\ntwo" },
    { event: "end", data: "x" },
];

test("a stream of events is read in whatever pieces it comes", () => {
    for (let size = 1; size <= STREAM.length; size++) {
        const parse = eventParser();
        const events = [];
        for (let i = 0; i < STREAM.length; i += size) events.push(...parse(STREAM.slice(i, i + size)));
        assert.deepEqual(events, EVENTS, `pieces of ${size}`);
    }
});

test("an event that was not finished is none", () => {
    assert.deepEqual(eventParser()("event: end\ndata: {}\n"), []);
});

test("Retry-After is a number of seconds or a date", () => {
    const now = Date.parse("2026-01-01T00:00:00Z");
    assert.equal(retryAfter("7", now), 7);
    assert.equal(retryAfter("Thu, 01 Jan 2026 00:01:30 GMT", now), 90);
    assert.equal(retryAfter("Wed, 31 Dec 2025 00:00:00 GMT", now), 0);
    for (const none of [null, "", "soon"]) assert.equal(retryAfter(none, now), null);
});

test("a name and a password may be any text", () => {
    assert.equal(basic("Zoë", "pä:ss"), `Basic ${Buffer.from("Zoë:pä:ss").toString("base64")}`);
});

/** Answers one after the other; an `Error` is a broken connection. */
function answering(...answers) {
    const calls = [];
    globalThis.fetch = async (url, options) => {
        calls.push({ url, ...options });
        const answer = answers.shift();
        if (answer instanceof Error) throw answer;
        const [status, body, headers] = answer;
        return new Response(JSON.stringify(body), { status, headers });
    };
    return calls;
}

const api = () => new Api("https://push.example/", "Basic x");

test("a call carries the authorization and its body", async () => {
    const calls = answering([200, { data: 1 }]);
    const { json } = await api().call("PUT", "/x", { body: { data: {} }, headers: { TTL: "5" } });
    assert.deepEqual(json, { data: 1 });
    assert.equal(calls[0].url, "https://push.example/v0/x");
    assert.equal(calls[0].headers.get("Authorization"), "Basic x");
    assert.equal(calls[0].headers.get("TTL"), "5");
    assert.equal(calls[0].body, '{"data":{}}');
});

test("a call waits as long as the server asks, and asks again", async () => {
    const calls = answering([503, {}, { "Retry-After": "0" }], [429, {}, { "Retry-After": "0" }], [200, { data: 2 }]);
    assert.deepEqual((await api().call("POST", "/x")).json, { data: 2 });
    assert.equal(calls.length, 3);
});

test("a long wait is left to the caller", async () => {
    const calls = answering([429, {}, { "Retry-After": "3600" }]);
    await assert.rejects(api().call("GET", "/x"), (error) => {
        assert.ok(error instanceof PushChannelsError);
        assert.equal(error.code, "too-many");
        assert.equal(error.retryAfter, 3600);
        return true;
    });
    assert.equal(calls.length, 1);
});

test("a POST whose answer was lost is repeated only if that is harmless", async () => {
    const lost = new TypeError("network");
    let calls = answering(lost);
    await assert.rejects(api().call("POST", "/x"), { code: "unreachable" });
    assert.equal(calls.length, 1);
    calls = answering(lost, [202, {}]);
    await api().call("POST", "/x", { repeat: true });
    assert.equal(calls.length, 2);
});

test("each refusal has its code", async () => {
    const codes = { 400: "invalid", 401: "unauthenticated", 403: "forbidden", 404: "not-found", 500: "server", 507: "full" };
    for (const [status, code] of Object.entries(codes)) {
        answering([Number(status), { errno: 7, message: "data.endpoint in body: Required" }]);
        await assert.rejects(api().call("GET", "/x"), { code, status: Number(status), errno: 7 });
    }
});

test("a caller that gives up gets its own reason", async () => {
    answering([503, {}, { "Retry-After": "20" }]);
    const controller = new AbortController();
    const call = api().call("GET", "/x", { signal: controller.signal });
    const reason = new Error("left");
    controller.abort(reason);
    await assert.rejects(call, reason);
});
