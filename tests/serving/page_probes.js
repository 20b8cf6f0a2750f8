({ // What the tests ask of a page: functions that are run in it.
  /** Each text shown and its contrast with what lies behind it; what is switched off is exempt (WCAG 1.4.3). */
  contrasts() {
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const rgba = (colour) => {
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = colour;
      canvas.fillRect(0, 0, 1, 1);
      return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    const luminance = (colour) => {
      const [r, g, b] = colour.map((v) => linear(v / 255));
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const behind = (node) => {
      const colour = rgba(getComputedStyle(node).backgroundColor);
      return colour[3] === 255 ? colour : behind(node.parentElement);
    };
    const ratio = (node) => {
      const style = getComputedStyle(node);
      const front = rgba(node instanceof SVGElement ? style.fill : style.color);
      const [low, high] = [luminance(front), luminance(behind(node))].sort((a, b) => a - b);
      return (high + 0.05) / (low + 0.05);
    };
    const isShown = (node) => node.checkVisibility() && !node.closest("script, :disabled, .is-off, .hidden");
    const found = [];
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
      const [text, node] = [texts.currentNode.data.trim(), texts.currentNode.parentElement];
      if (text && isShown(node)) found.push([text, ratio(node)]);
    }
    return found;
  },

  /** Controls and pictures without a name for screen readers. */
  nameless() {
    const nameOf = (node) => node.ariaLabel || node.alt || (node.labels?.[0] ?? node).textContent.trim();
    return [...document.querySelectorAll("button, input, summary, a, img, svg, video")]
      .filter((node) => node.checkVisibility() && !node.closest("[aria-hidden=true]") && !nameOf(node))
      .map((node) => node.outerHTML);
  },

  /** Identifiers that labels and descriptions refer to, and that nothing has. */
  dangling() {
    return [...document.querySelectorAll("*")]
      .flatMap((node) => [node.getAttribute("aria-labelledby"), node.getAttribute("aria-describedby")])
      .filter((id) => id && !document.getElementById(id));
  },

  /** What has the keyboard's focus, and whether that can be seen; null for nothing. */
  focus() {
    const at = document.activeElement;
    if (at === document.body) return null;
    const hasRing = [at, at.closest("label")].some((node) => node && getComputedStyle(node).outlineStyle !== "none");
    return [at.id || at.name || at.value || at.textContent.trim(), hasRing];
  },

  /** Show a line of text in each of these colours, and nothing else. */
  showColours(colours) {
    const lines = colours.map((colour) => {
      const line = document.createElement("p");
      line.textContent = colour;
      line.style.color = colour;
      return line;
    });
    document.body.replaceChildren(...lines);
  },
})
