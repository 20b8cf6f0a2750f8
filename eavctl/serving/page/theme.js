// The colour theme. A classic script in the head, so that the first paint has the theme chosen before.
"use strict";

(() => {
  const KEY = "eavctl-theme";

  const stored = () => {
    try {
      return localStorage.getItem(KEY) ?? "auto";
    } catch {
      return "auto"; // storage can be forbidden
    }
  };

  const apply = (theme) => {
    document.documentElement.dataset.theme = theme;
  };

  apply(stored());
  addEventListener("DOMContentLoaded", () => {
    for (const radio of document.querySelectorAll("input[name=theme]")) {
      radio.checked = radio.value === stored();
      radio.addEventListener("change", () => {
        apply(radio.value);
        try {
          localStorage.setItem(KEY, radio.value);
        } catch {
          // the theme then holds until the page is left
        }
      });
    }
  });
})();
