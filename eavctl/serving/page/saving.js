// Files that the user keeps.

/** Save a blob under a name, as a click on a link to a file would. */
export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  // the browser has read the address by then; a blob that is never revoked stays in memory
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** "clip.wav" as "clip.json". */
export function renamed(name, ending) {
  return `${name.replace(/\.[^.]*$/, "")}.${ending}`;
}
