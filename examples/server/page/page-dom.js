/**
 * Small helpers for building the page. Whatever comes from outside becomes text, never markup.
 */

/**
 * @param {string} id
 * @returns {any} the element; its kind is known where it is used
 */
export function byId(id) {
    const element = document.getElementById(id);
    if (!element) throw new Error(`the page has no #${id}`);
    return element;
}

/**
 * An element with attributes (`onclick` and the like are listeners; null and false are left out) and children.
 *
 * @param {string} tag
 * @param {Record<string, any>} [attributes]
 * @param {...(Node | string | null)} children
 * @returns {HTMLElement}
 */
export function el(tag, attributes = {}, ...children) {
    return filled(document.createElement(tag), attributes, children);
}

/**
 * @param {string} tag
 * @param {Record<string, any>} [attributes]
 * @param {...(Node | string | null)} children
 * @returns {SVGElement}
 */
export function svg(tag, attributes = {}, ...children) {
    return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

/**
 * @template {Element} E
 * @param {E} element
 * @param {Record<string, any>} attributes
 * @param {(Node | string | null)[]} children
 */
function filled(element, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) {
        if (value === null || value === false) continue;
        if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
        else element.setAttribute(name, value === true ? "" : String(value));
    }
    element.append(...children.filter((child) => child !== null));
    return element;
}

/**
 * Puts rows into a list without touching those that stay: the keyboard's focus must not be lost by a refresh.
 *
 * @template T
 * @param {Element} list
 * @param {T[]} items
 * @param {(item: T) => string} keyOf
 * @param {(item: T) => Element} make a new row, with `data-key` set by this function
 * @param {(row: any, item: T) => void} [update]
 */
export function reconcile(list, items, keyOf, make, update = () => {}) {
    const old = new Map(Array.from(list.children, (row) => [/** @type {HTMLElement} */ (row).dataset.key, row]));
    items.forEach((item, i) => {
        const key = keyOf(item);
        let row = old.get(key);
        if (!row) {
            row = make(item);
            /** @type {HTMLElement} */ (row).dataset.key = key;
        }
        old.delete(key);
        update(row, item);
        if (list.children[i] !== row) list.insertBefore(row, list.children[i] ?? null);
    });
    for (const row of old.values()) row.remove();
}

/** Says what happened, also to screen readers. @param {string} text */
export function announce(text) {
    byId("status").textContent = text;
    clearTimeout(fading);
    fading = setTimeout(() => (byId("status").textContent = ""), 6000);
}
let fading = 0;

/** @param {unknown} error */
export function complain(error) {
    if (error instanceof DOMException && error.name === "AbortError") return;
    byId("error-text").textContent = error instanceof Error ? error.message : String(error);
    byId("error").hidden = false;
}

export function forgive() {
    byId("error").hidden = true;
}

/**
 * Runs what a button does: once at a time, and failures are shown.
 *
 * @param {HTMLButtonElement} button
 * @param {() => Promise<unknown>} work
 */
export async function busy(button, work) {
    // Not `disabled`: that would take the keyboard's focus away.
    if (button.getAttribute("aria-disabled") === "true") return;
    button.setAttribute("aria-disabled", "true");
    forgive();
    try {
        await work();
    } catch (error) {
        complain(error);
    } finally {
        button.removeAttribute("aria-disabled");
    }
}

const numbers = new Intl.NumberFormat("en");
const times = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const seconds = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const days = new Intl.DateTimeFormat("en", { day: "numeric", month: "short" });

/** @param {number} value */
export function number(value) {
    return numbers.format(Math.round(value));
}

/** @param {number} at ms since the epoch @param {boolean} [exact] */
export function time(at, exact = false) {
    return (exact ? seconds : times).format(at);
}

/** @param {number} at */
export function day(at) {
    const midnight = new Date().setHours(0, 0, 0, 0);
    return at >= midnight ? `today ${time(at)}` : days.format(at);
}

/** @param {number} value in seconds */
export function duration(value) {
    if (value < 1) return `${Math.round(value * 1000)} ms`;
    if (value < 60) return `${value.toFixed(1)} s`;
    return `${Math.floor(value / 60)} min ${Math.floor(value % 60)} s`;
}

/** @param {number} count @param {string} one @param {string} [many] */
export function plural(count, one, many = `${one}s`) {
    return `${number(count)} ${count === 1 ? one : many}`;
}
