// Switch between the two tabs, as described in https://www.w3.org/WAI/ARIA/apg/patterns/tabs/

const tabs = [...document.querySelectorAll("[role=tab]")]

const open = chosen => {
    for (const tab of tabs) {
        tab.ariaSelected = String(tab == chosen)
        tab.tabIndex = tab == chosen ? 0 : -1
        document.getElementById(tab.getAttribute("aria-controls")).hidden = tab != chosen
    }
}

for (const tab of tabs) {
    tab.addEventListener("click", () => open(tab))
    tab.addEventListener("keydown", ({key}) => {
        if (!["ArrowLeft", "ArrowRight"].includes(key)) return
        const other = tabs.find(each => each != tab)
        open(other)
        other.focus()
    })
}
open(tabs[0])
