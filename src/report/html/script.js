"use strict";
// A press on a name in a legend hides its series, and shows it again.
for (const button of document.querySelectorAll("figure .legend button")) {
  button.addEventListener("click", () => {
    const isShown = button.getAttribute("aria-pressed") !== "true";
    button.setAttribute("aria-pressed", String(isShown));
    for (const series of button.closest("figure").querySelectorAll("svg g")) {
      if (series.dataset.series === button.dataset.series) series.toggleAttribute("hidden", !isShown);
    }
  });
}
