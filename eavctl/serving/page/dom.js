// Elements built from data. Text never passes through an HTML parser: names of classes and files are foreign.

const SVG = "http://www.w3.org/2000/svg";

/**
 * @param {Element} node
 * @param {Record<string, string | number | boolean | null | undefined>} attributes false and null leave one out
 * @param {(Node | string | null | false)[]} children
 */
function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== false));
  return node;
}

/** An HTML element with attributes and children. */
export function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** An SVG element with attributes and children. */
export function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

/** @param {string} id @returns {any} the element of the page that has the id */
export function part(id) {
  return document.getElementById(id);
}
