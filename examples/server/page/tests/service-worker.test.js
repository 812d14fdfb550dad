import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";

import { ORIGIN, page, subscription, worker } from "./worker.js";

const idOf = (endpoint) => createHash("sha256").update(JSON.stringify(endpoint)).digest("hex");
const declared = (notification, more) => JSON.stringify({ web_push: 8030, notification, ...more });

/** The one notification that a payload makes. */
async function shownFor(text, world) {
    const { push, shown } = worker(world);
    await push(text);
    assert.equal(shown.length, 1, `${text} shows one notification`);
    return shown[0];
}

test("a plain message shows its words and keeps its own address", async () => {
    const one = await shownFor('{"title":"T","body":"B","url":"/x?y#z","tag":"t","icon":"/i.png","renotify":true}');
    assert.equal(one.title, "T");
    assert.equal(one.body, "B");
    assert.equal(one.tag, "t");
    assert.equal(one.renotify, true);
    assert.equal(one.icon, `${ORIGIN}/i.png`);
    assert.equal(one.data.url, `${ORIGIN}/x?y#z`);
});

test("whatever arrives shows a notification", async () => {
    const odd = [null, "", "hello", "{", "[]", "7", "null", '"x"', "{}", '{"title":7}', '{"title":{},"body":[]}',
        '{"web_push":8030}', declared(null), declared({ title: 1, navigate: 2 }), "\u0000", "x".repeat(4000),
        '{"title":"T","tag":5,"vibrate":"x","timestamp":-1,"actions":7,"icon":{},"url":[]}'];
    for (const text of odd) await shownFor(text);
    const { fire, shown } = worker();
    await fire("push", { data: { text: () => { throw new Error("broken"); } } });
    assert.equal(shown.length, 1);
});

test("a notification that the browser refuses is shown with its words alone", async () => {
    const one = await shownFor('{"title":"T","body":"B","vibrate":[1]}', { refuses: (options) => "vibrate" in options });
    assert.deepEqual([one.title, one.body], ["T", "B"]);
});

test("data without words is shown as text", async () => {
    const text = '{"action":"create","records":["a"]}';
    const one = await shownFor(text);
    assert.deepEqual([one.title, one.body], ["app.example", text]);
});

test("declarative messages are recognised as the standard says", async () => {
    const yes = [
        { title: "T", navigate: "/m" },
        { title: "", navigate: "/m" },
        { title: "T", navigate: "x?y=1" },
        { title: "T", navigate: "/", dir: "up" },
        { title: "T", navigate: "/", lang: 3 },
        { title: "T", navigate: "/", silent: "true" },
        { title: "T", navigate: "/", renotify: true, tag: "a" },
        { title: "T", navigate: "/", actions: [{ action: "a", title: "A", navigate: "/a" }, { action: "b", title: "B" }] },
    ];
    for (const one of yes) {
        const { data } = await shownFor(declared(one, { url: "/not-this" }));
        assert.equal(data.url, new URL(one.navigate, `${ORIGIN}/scope/`).href, JSON.stringify(one));
    }
    const no = [
        { navigate: "/" },
        { title: "T" },
        { title: 7, navigate: "/" },
        { title: "T", navigate: 5 },
        { title: "T", navigate: "https://[bad" },
        { title: "T", navigate: "/", silent: true, vibrate: [100] },
        { title: "T", navigate: "/", renotify: true },
        { title: "T", navigate: "/", actions: [{ action: "a", title: "A", navigate: "https://[bad" }] },
    ];
    for (const one of no) {
        const { title, data } = await shownFor(declared(one));
        assert.deepEqual([title, data.url], ["app.example", null], JSON.stringify(one));
    }
    for (const number of ['"8030"', "8031", "true"]) {
        const { title } = await shownFor(`{"web_push":${number},"notification":{"title":"T","navigate":"/"}}`);
        assert.equal(title, "app.example");
    }
});

test("actions have addresses of their own", async () => {
    const actions = [{ action: "a", title: "A", navigate: "/a" }, { action: "b", title: "B", navigate: "javascript:x" }];
    const one = await shownFor(declared({ title: "T", navigate: "/", actions }));
    assert.deepEqual(JSON.parse(JSON.stringify(one.actions)), [{ action: "a", title: "A" }, { action: "b", title: "B" }]);
    assert.deepEqual({ ...one.data.actions }, { a: `${ORIGIN}/a` });
});

test("no message leads a click where it must not", async () => {
    for (const url of ["https://evil.example/", "//evil.example/", "javascript:alert(1)", "data:text/html,x", "http://app.example/", "https://[bad"]) {
        assert.equal((await shownFor(JSON.stringify({ title: "T", url }))).data.url, null, url);
    }
    assert.equal((await shownFor(declared({ title: "T", navigate: "https://other.example/" }))).data.url, "https://other.example/");
    for (const navigate of ["javascript:alert(1)", "http://other.example/", "data:text/html,x"]) {
        assert.equal((await shownFor(declared({ title: "T", navigate }))).data.url, null, navigate);
    }
});

test("no picture is fetched from elsewhere", async () => {
    for (const text of ['{"title":"T","icon":"https://spy.example/i"}', declared({ title: "T", navigate: "/", image: "https://spy.example/i" })]) {
        const { icon, image } = await shownFor(text);
        assert.deepEqual([icon, image], [undefined, undefined]);
    }
});

test("all pages get the message; one that shows it spares the notification", async () => {
    const pages = [page(`${ORIGIN}/a`, { type: "seen" }), page(`${ORIGIN}/b`, { type: "taken" }), page(`${ORIGIN}/c`)];
    const { push, shown } = worker({ pages });
    await push('{"title":"T"}');
    assert.equal(shown.length, 0);
    for (const { got } of pages) {
        assert.equal(got.length, 1);
        assert.deepEqual([got[0].type, got[0].text, got[0].json.title], ["push", '{"title":"T"}', "T"]);
        assert.equal(got[0].id, pages[0].got[0].id);
    }
});

test("pages that only saw it, say nothing or are broken do not spare it", async () => {
    const broken = { url: ORIGIN, postMessage() { throw new Error("gone"); } };
    for (const pages of [[], [page(ORIGIN, { type: "seen" })], [page(ORIGIN)], [broken], [page(ORIGIN, "?")]]) {
        await shownFor('{"title":"T"}', { pages });
    }
});

test("a declared notification that the worker may change is left to the browser", async () => {
    const pages = [page(ORIGIN)];
    const { push, shown } = worker({ pages });
    await push(null, { notification: { title: "T", body: "B", navigate: "https://app.example/" } });
    assert.equal(shown.length, 0);
    assert.equal(pages[0].got[0].json.notification.body, "B");
});

/** A click on a notification with this address. */
async function click(url, pages, action = "", actions = {}) {
    const world = worker({ pages });
    const message = { type: "push", id: "1" };
    let closed = false;
    const notification = { data: { url, actions, message }, close: () => (closed = true) };
    await world.fire("notificationclick", { notification, action });
    assert.ok(closed);
    return world.opened;
}

test("a click opens the address, or focuses the page that is there", async () => {
    const pages = [page(`${ORIGIN}/a`), page(`${ORIGIN}/b`)];
    assert.deepEqual(await click(`${ORIGIN}/b`, pages), []);
    assert.deepEqual(pages.map(({ focused }) => focused), [0, 1]);
    assert.equal(pages[1].got.length, 1);
    assert.deepEqual(await click(null, pages), []);
    assert.deepEqual(pages.map(({ focused }) => focused), [1, 1]);
    assert.deepEqual(await click(`${ORIGIN}/c`, pages), [`${ORIGIN}/c`]);
    assert.deepEqual(await click(null, []), [`${ORIGIN}/scope/`]);
    assert.deepEqual(await click(null, [], "x", { x: `${ORIGIN}/x` }), [`${ORIGIN}/x`]);
});

test("a click on a notification of somebody else's making is survived", async () => {
    const { fire, opened } = worker();
    await fire("notificationclick", { notification: { data: null, close() {} }, action: "" });
    assert.deepEqual(opened, [`${ORIGIN}/scope/`]);
});

const SETTINGS = { server: "https://push.example", authorization: "Basic x", id: "known" };

test("the worker keeps what the page tells it, and forgets it when told", async () => {
    const { fire, world } = worker();
    const answers = [];
    const ports = [{ postMessage: (answer) => answers.push(answer.type) }];
    await fire("message", { data: { type: "push-channels:settings", settings: SETTINGS }, ports });
    assert.deepEqual(world.kept, SETTINGS);
    await fire("message", { data: { type: "push-channels:settings", settings: null }, ports });
    assert.equal(world.kept, null);
    assert.deepEqual(answers, ["saved", "saved"]);
    await fire("message", { data: "something else", ports });
});

test("a changed subscription is replaced on the server", async () => {
    const pages = [page(ORIGIN)];
    const { fire, requests, world } = worker({ pages, settings: SETTINGS });
    const [old, fresh] = ["https://push.test/old", "https://push.test/new"].map(subscription);
    await fire("pushsubscriptionchange", { oldSubscription: old, newSubscription: fresh });
    assert.equal(requests[0].url, `https://push.example/v0/subscriptions/${idOf(old.endpoint)}/replace`);
    assert.equal(requests[0].headers.get("Authorization"), "Basic x");
    assert.deepEqual(JSON.parse(requests[0].body).data.endpoint, fresh.endpoint);
    assert.equal(world.kept.id, idOf(fresh.endpoint));
    assert.deepEqual({ ...pages[0].got[0] }, { type: "replaced", id: idOf(fresh.endpoint) });
});

test("one that the browser only dropped is made anew", async () => {
    const { fire, requests } = worker({ settings: SETTINGS });
    await fire("pushsubscriptionchange", { oldSubscription: null, newSubscription: null });
    assert.equal(requests[0].url, "https://push.example/v0/vapid");
    assert.equal(requests[1].url, "https://push.example/v0/subscriptions/known/replace");
    assert.equal(JSON.parse(requests[1].body).data.endpoint, `${ORIGIN}/fresh`);
});

test("a change that cannot be told is left to the page", async () => {
    const { fire, world } = worker({ settings: SETTINGS });
    world.answers.push([503, {}]);
    await fire("pushsubscriptionchange", { oldSubscription: null, newSubscription: subscription("https://push.test/n") });
    assert.deepEqual(world.kept, SETTINGS);
    const nobody = worker();
    await nobody.fire("pushsubscriptionchange", { oldSubscription: null, newSubscription: null });
    assert.deepEqual(nobody.requests, []);
});
