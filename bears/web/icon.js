// Show a red dot instead of the page's icon. Browsers show the icon even while another page is open.

import {make} from "./tab.js"

const DOT =
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8"><circle cx="4" cy="4" r="4" fill="#dc2626"/></svg>'

let link = null
let dot = null
let own = null // the address of the page's own icon

export const showDot = on => {
    if (!link && !on) return
    link ??= document.querySelector("link[rel~=icon]") ?? addLink()
    own ??= link.href
    dot ??= URL.createObjectURL(new Blob([DOT], {type: "image/svg+xml"}))
    const href = on ? dot : own
    if (link.href != href) link.href = href
}

// A page without a link to an icon has its icon at /favicon.ico.
const addLink = () => document.head.appendChild(make("link", {rel: "icon", href: "/favicon.ico"}))
