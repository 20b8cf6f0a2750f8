// What the page says of the model: its name, use, classes, licence and sources.

import { el, part } from "./dom.js";
import { listed } from "./words.js";

/** @param {any} model as the service describes it */
export function introduce(model) {
  const { name, classes, modalities, card } = model;
  document.title = `Emotion recognition: ${name}`;
  part("model").textContent = `: ${name}`;
  part("use").textContent = card?.use ?? "";
  const facts = {
    Classes: listed(classes),
    "Judges by": listed(modalities),
    Window: `${model.window_s} s`,
    Languages: card && listed(card.languages),
    Licence: card?.licence,
  };
  part("about").replaceChildren(
    ...Object.entries(facts)
      .filter(([, text]) => text)
      .map(([title, text]) => el("div", {}, el("dt", {}, title), el("dd", {}, text))),
  );
  if (!card) return;
  part("licence").hidden = false;
  part("sources").replaceChildren(
    el("p", {}, card.licence_reason),
    el("ul", {}, ...Object.entries(card.sources).map(([source, facts]) => about(source, facts))),
  );
}

function about(source, { licence, citation }) {
  return el("li", {}, el("b", {}, source), ` (${licence}). `, citation);
}
