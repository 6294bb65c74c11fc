// The app's service worker, in a browser that has saved the offline version (gradio.js): without a network, open the
// offline version at the app's own address. All other requests go to the server.

const open = async request => {
    try {
        return await fetch(request)
    } catch (error) {
        if (navigator.onLine) throw error // the server is away; the browser says so, and the visitor can try again
        return Response.redirect(`${registration.scope}offline/`)
    }
}

addEventListener("fetch", event => {
    const {url, mode} = event.request
    if (mode == "navigate" && url.split(/[?#]/)[0] == registration.scope) event.respondWith(open(event.request))
})
