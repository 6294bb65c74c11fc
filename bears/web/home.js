// The app's service worker, in a browser that has saved the offline version (gradio.js): if the app's own address can't be
// reached, open the offline version. All other requests go to the server.

const open = request => fetch(request).catch(() => Response.redirect(`${registration.scope}offline/`))

addEventListener("fetch", event => {
    const {url, mode} = event.request
    if (mode == "navigate" && url.split(/[?#]/)[0] == registration.scope) event.respondWith(open(event.request))
})
