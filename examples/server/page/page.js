/**
 * The page: who is signed in, and the cards that are shown to them.
 */

import { channelsCard } from "./page-channels.js";
import { dashboard } from "./page-dashboard.js";
import { deviceCard } from "./page-device.js";
import { announce, busy, byId, complain, forgive } from "./page-dom.js";
import { showMessage } from "./page-messages.js";
import { copyCommand, publishCard } from "./page-publish.js";
import { PushChannels, PushChannelsError, basic } from "./push-channels.js";

/** @typedef {{ name: string, authorization: string }} Session */

const SESSION = "push-channels session";
const ALWAYS_NOTIFY = "push-channels always notify";

byId("error-dismiss").onclick = forgive;
byId("copy-command").onclick = (/** @type {Event} */ event) =>
    busy(/** @type {HTMLButtonElement} */ (event.currentTarget), async () => {
        await copyCommand();
        announce("Copied.");
    });
byId("always-notify").checked = localStorage.getItem(ALWAYS_NOTIFY) !== "no";
byId("always-notify").onchange = (/** @type {Event} */ event) => {
    const { checked } = /** @type {HTMLInputElement} */ (event.currentTarget);
    localStorage.setItem(ALWAYS_NOTIFY, checked ? "yes" : "no");
};

byId("sign-in").onsubmit = (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    busy(byId("sign-in-submit"), async () => {
        const name = byId("sign-in-name").value.trim();
        const session = { name, authorization: basic(name, byId("sign-in-password").value) };
        // Whether the server takes it, before it is kept.
        const trial = new PushChannels({ authorization: session.authorization });
        await trial.user().finally(() => trial.close());
        const storage = byId("sign-in-stay").checked ? localStorage : sessionStorage;
        storage.setItem(SESSION, JSON.stringify(session));
        byId("sign-in").reset();
        const opened = open(session);
        byId("content").focus();
        await opened;
    });
};

const session = recall();
if (session) open(session);
else byId("welcome").hidden = false;

/** @param {Session} session */
async function open({ name, authorization }) {
    byId("welcome").hidden = true;
    byId("app").hidden = false;
    byId("account").hidden = false;
    byId("user-name").textContent = name;
    const push = new PushChannels({ authorization });
    const board = dashboard(push);
    const channels = channelsCard(push);
    push.onMessage((message) => {
        showMessage(message);
        channels.messageArrived();
        return !byId("always-notify").checked;
    });
    const form = publishCard(push, () => {
        board.refresh();
        channels.refresh();
    });
    byId("sign-out").onclick = (/** @type {Event} */ event) =>
        busy(/** @type {HTMLButtonElement} */ (event.currentTarget), async () => {
            board.close();
            form.close();
            // What stays subscribed would show this user's messages to the next one.
            await push.unsubscribe().catch(() => {});
            leave();
        });
    await load(push, form, board, channels);
}

/**
 * @param {PushChannels} push
 * @param {import("./page-publish.js").PublishCard} form
 * @param {import("./page-dashboard.js").Dashboard} board
 * @param {import("./page-channels.js").ChannelsCard} channels
 */
async function load(push, form, board, channels) {
    try {
        await push.start();
    } catch (error) {
        if (error instanceof PushChannelsError && error.code === "unauthenticated") return leave();
        complain(error);
    }
    const user = await push.user().catch(() => null);
    if (user) form.show(user);
    const cards = [deviceCard(push).refresh(), channels.refresh()];
    if (user && user.publishes.length > 0) cards.push(board.start());
    await Promise.all(cards);
    byId("app").dataset.ready = "";
}

function leave() {
    localStorage.removeItem(SESSION);
    sessionStorage.removeItem(SESSION);
    location.reload();
}

/** @returns {Session | null} */
function recall() {
    try {
        return JSON.parse(sessionStorage.getItem(SESSION) ?? localStorage.getItem(SESSION) ?? "null");
    } catch {
        return null;
    }
}
