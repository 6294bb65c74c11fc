// Read the data that site.py has written into the page. If the page doesn't start, show why. This is a plain script, not a
// module, since most browsers only load modules from web addresses.

const FOLDER =
    "Browsers open this page only from a web address, not from a folder. Put the folder on a web host," +
    " or run “python3 -m http.server” in the folder and open http://localhost:8000."
const BROKEN =
    "This page could not start. Please check your connection, and reload it. If that does not help, try a newer browser."

window.props = JSON.parse(document.querySelector("#props").textContent)

// Load all scripts and styles from the host again, and update the browser's cache.
window.fetchAgain = () => Promise.allSettled(window.props.files.map(name => fetch(name, {cache: "reload"})))

addEventListener("load", async () => {
    const isFile = location.protocol == "file:" // some browsers load modules from files, but no browser loads the model
    const panels = [...document.querySelectorAll("[role=tabpanel]")]
    if (!isFile && panels.every(panel => panel.querySelector("[data-state]"))) return
    for (const part of [...panels, document.querySelector("[role=tablist]")]) part.hidden = true
    if (!isFile) await window.fetchAgain()
    Object.assign(document.querySelector("#here"), {role: "alert", textContent: isFile ? FOLDER : BROKEN})
})
