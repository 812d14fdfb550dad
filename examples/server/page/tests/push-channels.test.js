import assert from "node:assert/strict";
import { test } from "node:test";

import { PushChannels, obstacle, subscriptionId } from "../push-channels.js";
import { browser } from "./browser.js";

const push = () => new PushChannels({ authorization: "Basic x" });
/** The calls since the last look that change something. */
const changes = (world) => world.calls.splice(0).filter((call) => !call.startsWith("GET")).map((call) => call.split(" ")[0] + (call.endsWith("/replace") ? " replace" : ""));
const storedOf = (world) => [...world.stored.keys()];
const idOf = (world) => subscriptionId(world.subscription.endpoint);

/** A browser that subscribed on an earlier load. */
async function subscribed() {
    const world = browser();
    const page = push();
    await page.subscribe();
    page.close();
    world.calls.length = 0;
    return world;
}

test("a subscription's id is the one that the original service gives", async () => {
    browser();
    const endpoint = "https://updates.push.services.mozilla.com/wpush/v1/gAAAAABYZNoTAeA9vv-_zHx79";
    assert.equal(await subscriptionId(endpoint), "f7023896e08a42254fcbf4ffde1a7b36ce06bc2c857f4286c277221894ce2943");
});

test("subscribing stores the subscription and tells the worker", async () => {
    const world = browser();
    const id = await push().subscribe();
    assert.equal(id, await idOf(world));
    assert.equal(world.keyOf(world.subscription), world.key);
    assert.deepEqual(storedOf(world), [id]);
    assert.deepEqual(world.told.at(-1), { server: "https://app.example", authorization: "Basic x", id });
});

test("a load on which nothing changed changes nothing", async () => {
    const world = await subscribed();
    const state = await push().start();
    assert.equal(state.subscribed, true);
    assert.deepEqual(changes(world), []);
});

test("once a day the server is told that the subscription is alive", async (t) => {
    const world = await subscribed();
    const now = Date.now();
    t.mock.method(Date, "now", () => now + 25 * 60 * 60 * 1000);
    await push().start();
    assert.deepEqual(changes(world), ["PUT"]);
    await push().start();
    assert.deepEqual(changes(world), []);
});

test("a new key of the server makes a new subscription", async () => {
    const world = await subscribed();
    world.key = world.otherKey;
    const state = await push().start();
    assert.deepEqual(changes(world), ["POST replace"]);
    assert.equal(world.keyOf(world.subscription), world.otherKey);
    assert.deepEqual(storedOf(world), [state.id]);
});

test("a subscription that the server lost is made anew", async () => {
    const world = await subscribed();
    const old = world.subscription.endpoint;
    world.stored.clear();
    const state = await push().start();
    assert.notEqual(world.subscription.endpoint, old);
    assert.deepEqual(storedOf(world), [state.id]);
});

test("a subscription that the browser lost or changed replaces the old one", async () => {
    const world = await subscribed();
    world.subscription = null;
    let state = await push().start();
    assert.deepEqual(changes(world), ["POST replace"]);
    assert.deepEqual(storedOf(world), [state.id]);
    const endpoint = "https://push.test/moved";
    world.subscription = { ...world.subscription, endpoint, toJSON: () => ({ endpoint, keys: {} }) };
    state = await push().start();
    assert.deepEqual(changes(world), ["POST replace"]);
    assert.deepEqual(storedOf(world), [await subscriptionId(endpoint)]);
});

test("another user of the browser does not take the subscription over by loading the page", async () => {
    const world = await subscribed();
    world.user = "bob";
    assert.equal((await push().start()).subscribed, false);
    assert.deepEqual(changes(world), []);
    await push().subscribe();
    assert.equal(world.stored.get(await idOf(world)), "bob");
});

test("after the end nothing comes back by itself", async () => {
    const world = await subscribed();
    await push().unsubscribe();
    assert.equal(world.subscription, null);
    assert.equal(world.told.at(-1), null);
    assert.deepEqual(storedOf(world), []);
    world.calls.length = 0;
    assert.equal((await push().start()).subscribed, false);
    assert.deepEqual(changes(world), []);
});

test("without permission nothing is asked for on load, and the refusal says what to do", async () => {
    const world = await subscribed();
    Notification.permission = "denied";
    await push().start();
    assert.deepEqual(changes(world), []);
    await assert.rejects(push().subscribe(), { code: "permission-denied", message: /settings/ });
    Notification.permission = "default";
    Notification.requestPermission = async () => "default";
    await assert.rejects(push().subscribe(), { code: "permission-dismissed" });
});

test("each obstacle has its advice", () => {
    browser();
    assert.equal(obstacle(), null);
    delete globalThis.PushManager;
    assert.equal(obstacle()?.code, "no-push");
    navigator.standalone = false;
    assert.equal(obstacle()?.code, "ios-not-installed");
    globalThis.isSecureContext = false;
    assert.equal(obstacle()?.code, "insecure");
});

test("a message is taken only by a listener that showed it on a visible page", async () => {
    const world = await subscribed();
    const idle = push();
    const page = push();
    const message = { type: "push", id: "1", received: 0, text: "hello", json: null };
    const got = [];
    page.onMessage(() => undefined);
    assert.equal(await world.receive(message), "seen");
    const end = page.onMessage((one) => got.push(one) > 0);
    assert.equal(await world.receive(message), "taken");
    document.visibilityState = "hidden";
    assert.equal(await world.receive(message), "seen");
    document.visibilityState = "visible";
    end();
    assert.equal(await world.receive(message), "seen");
    assert.equal(got.length, 2);
    idle.close();
});

/** A server whose streams of events are these, one after the other. */
function streaming(...streams) {
    globalThis.fetch = async () => new Response(streams.shift(), { status: 200 });
}

test("a broadcast is watched to its end, through a stream that breaks", async (t) => {
    browser();
    t.mock.method(globalThis, "setTimeout", (work, ms) => (ms < 10_000 && queueMicrotask(work), 0));
    const event = (name, broadcast) => `event: ${name}\ndata: ${JSON.stringify(broadcast)}\n\n`;
    streaming(
        event("progress", { read: 1 }) + event("error", { code: 503 }),
        `: alive\n\n${event("progress", { read: 2 })}${event("end", { read: 3, state: "finished" })}`,
    );
    const seen = [];
    const end = await push().watch("id", ({ read }) => seen.push(read));
    assert.deepEqual(seen, [1, 2, 3]);
    assert.equal(end.state, "finished");
});
