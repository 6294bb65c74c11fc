// Reads what site.py has written into the page, and says why the page does not start. A plain script, since most browsers
// load modules from web addresses only.

const FOLDER =
    "Browsers only open this page from a web address, not from a folder. Put its folder on a web host," +
    " or run “python3 -m http.server” in it and open http://localhost:8000."
const BROKEN =
    "This page could not start. Please check your connection, and reload it. If that does not help, try a newer browser."

window.props = JSON.parse(document.querySelector("#props").textContent)

// Load all scripts and styles past the browser's own cache, which then has those that the host has now.
window.fetchAgain = () => Promise.allSettled(window.props.files.map(name => fetch(name, {cache: "reload"})))

addEventListener("load", async () => {
    const isFile = location.protocol == "file:" // where some browsers load modules, but none the model
    const panels = [...document.querySelectorAll("[role=tabpanel]")]
    if (!isFile && panels.every(panel => panel.querySelector("[data-state]"))) return
    for (const part of [...panels, document.querySelector("[role=tablist]")]) part.hidden = true
    if (!isFile) await window.fetchAgain()
    Object.assign(document.querySelector("#here"), {role: "alert", textContent: isFile ? FOLDER : BROKEN})
})
