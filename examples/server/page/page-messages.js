/**
 * The card "Messages": what the service worker handed over.
 */

import { byId, el, time } from "./page-dom.js";

/** @typedef {import("./push-channels.js").PushMessage} PushMessage */

const MOST = 100;

/**
 * Puts a message on top of the list; once only, though a click on its notification brings it again.
 *
 * @param {PushMessage} message
 */
export function showMessage(message) {
    const list = byId("messages");
    if (list.querySelector(`[data-message="${CSS.escape(message.id)}"]`)) return;
    list.prepend(row(message));
    while (list.children.length > MOST) list.lastElementChild.remove();
    byId("messages-empty").hidden = true;
}

/** @param {PushMessage} message */
function row({ id, received, text, json }) {
    const { title, body, url } = words(text, json);
    const at = el("time", { datetime: new Date(received).toISOString(), class: "row-note" }, time(received, true));
    return el("li", { "data-message": id },
        el("div", { class: "message-head" }, el("span", { class: "message-title" }, title), at),
        body === "" ? null : el("p", { class: "message-body" }, body),
        url ? anchor(url) : null,
        el("details", { class: "more" },
            el("summary", {}, "As it arrived"),
            el("pre", { class: "message-raw", tabindex: "0", role: "region", "aria-label": "As it arrived" }, text)));
}

/** Says where it leads. @param {URL} url */
function anchor(url) {
    const words = url.origin === location.origin ? url.pathname + url.search : url.host + url.pathname;
    return el("a", { class: "message-link", href: url.href, rel: "noopener noreferrer", target: "_blank" }, words);
}

/**
 * @param {string} text
 * @param {any} json
 */
export function words(text, json) {
    const declared = json?.web_push === 8030 && typeof json.notification === "object" ? json.notification : null;
    const source = declared ?? json;
    const title = typeof source?.title === "string" && source.title !== "" ? source.title : null;
    const body = typeof source?.body === "string" ? source.body : null;
    const url = link(declared ? declared.navigate : json?.url);
    if (title !== null || body !== null) return { title: title ?? "Message", body: body ?? "", url };
    if (text === "") return { title: "Push without payload", body: "", url: null };
    return { title: "Data", body: text.length > 300 ? `${text.slice(0, 300)}…` : text, url };
}

/** Web addresses only: a `javascript:` link would run as this page. @param {unknown} value */
function link(value) {
    if (typeof value !== "string" || value === "") return null;
    try {
        const url = new URL(value, location.href);
        return url.protocol === "https:" || url.origin === location.origin ? url : null;
    } catch {
        return null;
    }
}
